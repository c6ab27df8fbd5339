//! How clients come in: one file a door. The doors do not know each other, and none touches the store.

pub mod assets;
mod auth;
pub mod classic;
pub mod http;
pub mod request;
mod rest;
pub mod ws;
