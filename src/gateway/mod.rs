//! How clients come in: one file a door. The doors do not know each other, and none touches the store.

pub mod assets;
pub mod http;
mod rest;
pub mod ws;
