//! What a connection costs that only listens: the server's resident memory with N of them in one room, less its memory
//! before they came. For Chinwag that is the lobby, with presence; `--sessions` gives each a session of its own.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::RESIDENT_EACH;
use super::lobby::{ROOM, expecting};
use crate::crowd::Crowd;
use crate::figure::Figure;
use crate::limits;
use crate::server::{Launcher, Server};
use crate::subject::Subject;
use crate::swarm::{AT_ONCE, Swarm};

const SETTLE: Duration = Duration::from_secs(10);
const SETTLE_EMPTY: Duration = Duration::from_secs(2);

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections, all in one room
    #[arg(long, default_value_t = Options::default().connections)]
    pub connections: usize,
    /// Each with a session (Chinwag only); else they are guests for the life of their connection
    #[arg(long)]
    pub sessions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 10_000, sessions: false }
    }
}

pub fn run(launcher: &Launcher, subject: Subject, options: &Options) -> Result<Vec<Figure>> {
    let connections = options.connections;
    // Before the server starts, which inherits the limit.
    limits::allow_connections(connections + 1)?;
    let (server, talks) = expecting(launcher, subject, connections, options.sessions)?;
    std::thread::sleep(SETTLE_EMPTY);
    let empty = server.resident()?;

    let mut crowd = Crowd::new(server.address)?;
    crowd.seat(talks.into_iter(), AT_ONCE)?;
    crowd.idle(SETTLE)?;
    let full = server.resident()?;
    if subject == Subject::Chinwag {
        check_present(&server, connections)?;
    }
    server.stop()?;
    Ok(vec![Figure::new(RESIDENT_EACH, full.saturating_sub(empty) as f64 / connections as f64, "B")])
}

fn check_present(server: &Server, connections: usize) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let who = swarm.connect(1)?.start;
    let present = swarm.ask(who, &json!({"type": "present", "room": ROOM, "after": null, "limit": 1}))?;
    if present["count"] != connections {
        bail!("{connections} are subscribed, but present are {}", present["count"]);
    }
    Ok(())
}
