//! How many come in a second: each connects, upgrades, joins the same room and is told that it is in. The generator's
//! own share is said too, since its kernel does the same work on the other end.

use std::time::Instant;

use anyhow::{Result, bail};

use super::lobby::expecting;
use super::{CONNECTED, EACH};
use crate::crowd::Crowd;
use crate::figure::Figure;
use crate::limits;
use crate::server::Launcher;
use crate::subject::Subject;
use crate::watch::Usage;

const MICRO: f64 = 1e6;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that come
    #[arg(long, default_value_t = Options::default().connections)]
    pub connections: usize,
    /// Handshakes under way at once
    #[arg(long, default_value_t = Options::default().at_once)]
    pub at_once: usize,
    /// Each with a session (Chinwag only); else they are guests for the life of their connection
    #[arg(long)]
    pub sessions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 10_000, at_once: 256, sessions: false }
    }
}

pub fn run(launcher: &Launcher, subject: Subject, options: &Options) -> Result<Vec<Figure>> {
    if options.connections == 0 || options.at_once == 0 {
        bail!("--connections and --at-once must be at least 1");
    }
    limits::allow_connections(options.connections)?;
    let (server, talks) = expecting(launcher, subject, options.connections, options.sessions)?;
    let mut crowd = Crowd::new(server.address)?;

    let (used, own_used, since) = (server.usage()?, Usage::own()?, Instant::now());
    crowd.seat(talks.into_iter(), options.at_once)?;
    let took = since.elapsed().as_secs_f64();
    let (spent, own) = (server.usage()?.since(&used), Usage::own()?.since(&own_used));
    server.stop()?;
    let count = options.connections as f64;
    Ok(vec![
        Figure::new(CONNECTED, count / took, "/s"),
        Figure::new(EACH, spent.total() * MICRO / count, "µs"),
        Figure::new("generator busy", own.total() / took * 100.0, "% of a core"),
    ])
}
