//! What a connection costs that only listens: the server's resident memory with N of them in the lobby, presence
//! included, less its memory before they came.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use crate::figure::{Figure, readable};
use crate::limits;
use crate::server::Launcher;
use crate::swarm::Swarm;

const SETTLE: Duration = Duration::from_secs(10);
const TARGET_BYTES: f64 = 2048.0;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections, all subscribed to the lobby
    #[arg(long, default_value_t = Options::default().connections)]
    connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 10_000 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    let connections = options.connections;
    // Before the server starts, which inherits the limit.
    limits::allow_connections(connections)?;
    let server = launcher.fresh()?;
    let mut swarm = Swarm::new(server.address)?;
    swarm.idle(Duration::from_secs(2))?;
    let empty = server.resident()?;

    let since = Instant::now();
    let all = swarm.connect(connections)?;
    swarm.ask_each(all, &json!({"type": "subscribe", "room": "lobby", "last": 0}))?;
    let took = since.elapsed();

    swarm.idle(SETTLE)?;
    let full = server.resident()?;
    let present = swarm.ask(0, &json!({"type": "present", "room": "lobby", "after": null, "limit": 1}))?;
    if present["count"] != connections {
        bail!("{connections} are subscribed, but present are {}", present["count"]);
    }
    let each = full.saturating_sub(empty) as f64 / connections as f64;
    server.stop()?;
    Ok(vec![
        Figure::new(format!("each of {} connections: resident", readable(connections as f64)), each, "B")
            .at_most(TARGET_BYTES),
        Figure::new("connect and subscribe", connections as f64 / took.as_secs_f64(), "/s"),
    ])
}
