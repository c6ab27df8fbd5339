//! All integration tests, in one binary: the plays are written in the words of `support`.

// A test that fails says where; what it unwraps says why.
#![allow(clippy::unwrap_used)]

mod support;

mod contract;
mod frames;

mod accounts;
mod attacks;
mod chat;
mod classic;
mod cluster;
mod crash;
mod cut;
mod failover;
mod feed;
mod guests;
mod heartbeat;
mod history;
mod limits;
mod load;
mod mail;
mod malformed;
mod model;
mod moderation;
mod moving;
mod options;
mod origins;
mod outage;
mod page;
mod pictures;
mod places;
mod presence;
mod private_rooms;
mod providers;
mod redis;
mod refused;
mod resume;
mod rooms;
mod stopping;
mod tidy;
mod tokens;
mod trace;
