//! The scenarios: each starts a server, sets its scene, and returns figures, or an error when what it saw was wrong.

pub mod append;
pub mod connect;
pub mod fanout;
pub mod history;
pub mod idle;
mod lobby;
pub mod many;
pub mod nodes;
pub mod reconnect;
pub mod rooms;
mod scene;
pub mod slow;
pub mod start;

use anyhow::{Context, Result};
use serde_json::json;

use crate::swarm::Swarm;

// The names of figures that targets and tables ask for.
pub const APPENDED: &str = "acknowledged";
pub const CONNECTED: &str = "connect and subscribe";
pub const DELIVERIES: &str = "deliveries";
pub const EACH: &str = "server CPU each";
pub const P50: &str = "p50";
pub const P99: &str = "p99";
pub const RESIDENT_EACH: &str = "resident each";
pub const WITHOUT_LOG: &str = "without the log's share";

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
