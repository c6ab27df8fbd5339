//! The scenarios: each starts a server, sets its scene, and returns figures, or an error when what it saw was wrong.

pub mod append;
pub mod fanout;
pub mod idle;
pub mod start;

use anyhow::{Context, Result};
use serde_json::json;

use crate::swarm::Swarm;

const MILLION: f64 = 1e6;

/// Makes a public room and returns its id.
fn create_room(swarm: &mut Swarm, who: usize, name: &str) -> Result<String> {
    let made = swarm.ask(who, &json!({"type": "create", "name": name}))?;
    Ok(made["room"].as_str().context("create replied without a room")?.to_owned())
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / MILLION
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MILLION
}
