//! Chinwag: a group chat that anyone can host. The modules in reading order; ARCHITECTURE.md is the map.

pub mod config;
pub mod server;

pub mod gateway;
pub mod ops;

pub mod chat;

pub mod fetch;
pub mod mail;
pub mod store;

pub mod error;

pub mod frame;
pub mod protocol;
