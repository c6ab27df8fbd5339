//! All integration tests, in one binary: the plays are written in the words of `support`.

// A test that fails says where; what it unwraps says why.
#![allow(clippy::unwrap_used)]

mod support;

mod contract;
mod frames;

mod chat;
mod history;
mod model;
mod resume;
