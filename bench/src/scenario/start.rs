//! How soon the server is there: on a large log in good order, and on the same one after SIGKILL in the middle of
//! posting; and what it weighs before anyone has come.

use std::cell::OnceCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tempfile::TempDir;

use super::{create_room, megabytes};
use crate::figure::{Figure, readable};
use crate::load::Load;
use crate::server::{Launcher, Server};
use crate::swarm::Swarm;

const TARGET_MEGABYTES: f64 = 12.0;
const TARGET_MILLIS: f64 = 100.0;
const TARGET_AFTER_KILL_MILLIS: f64 = 1000.0;
const SETTLE: Duration = Duration::from_secs(2);
const UNDER_LOAD: Duration = Duration::from_secs(3);
const SENDERS: usize = 8;
const FILL_WINDOW: usize = 4096;
/// A room beside the lobby, and what it holds: too little to weigh on the start.
pub const SMALL_ROOM: &str = "small";
pub const SMALL_ROOM_EVENTS: usize = 100;
const LOAD_WINDOW: usize = 64;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Stored events
    #[arg(long, default_value_t = Options::default().events)]
    events: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { events: 1_000_000 }
    }
}

/// A folder with a database whose lobby is filled, made when first needed and used again by the later rounds of a run.
#[derive(Default)]
pub struct Filled(OnceCell<TempDir>);

impl Filled {
    pub fn folder(&self, launcher: &Launcher, events: usize) -> Result<&Path> {
        if self.0.get().is_none() {
            let folder = launcher.folder()?;
            eprintln!("storing {events} events …");
            fill(launcher.start(folder.path())?, events)?;
            // Nobody else can have set it: the cell is not shared between threads.
            let _ = self.0.set(folder);
        }
        Ok(self.0.get().context("the filled folder is gone")?.path())
    }
}

pub fn run(launcher: &Launcher, filled: &Filled, options: &Options) -> Result<Vec<Figure>> {
    let events = options.events;
    let server = launcher.fresh()?;
    std::thread::sleep(SETTLE);
    let empty = server.resident()?;
    server.stop()?;

    let folder = filled.folder(launcher, events)?;
    // After an orderly end, whatever the round before did to it.
    launcher.start(folder)?.stop()?;
    let server = launcher.start(folder)?;
    let in_order = server.started_in;
    std::thread::sleep(SETTLE);
    let full = server.resident()?;

    let acknowledged = kill_under_load(server)?;
    let server = launcher.start(folder)?;
    let after_kill = server.started_in;
    check_head(&server, acknowledged)?;
    server.stop()?;

    let stored = readable(events as f64);
    Ok(vec![
        Figure::new("idle after start: resident", megabytes(empty), "MB").at_most(TARGET_MEGABYTES),
        Figure::new(format!("idle after start on {stored} events: resident"), megabytes(full), "MB"),
        Figure::new(format!("start to /health on {stored} events"), in_order.as_secs_f64() * 1e3, "ms")
            .at_most(TARGET_MILLIS),
        Figure::new("the same after SIGKILL under load", after_kill.as_secs_f64() * 1e3, "ms")
            .at_most(TARGET_AFTER_KILL_MILLIS),
    ])
}

fn fill(server: Server, events: usize) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let senders = swarm.connect(SENDERS)?;
    Load::new("lobby", senders.clone(), FILL_WINDOW)?.post_until(&mut swarm, events)?;
    let small = create_room(&mut swarm, senders.start, SMALL_ROOM)?;
    Load::new(&small, senders, SMALL_ROOM_EVENTS)?.post_until(&mut swarm, SMALL_ROOM_EVENTS)?;
    server.stop()
}

/// Posts, kills the server meanwhile, and returns the highest seq it had acknowledged.
fn kill_under_load(server: Server) -> Result<u64> {
    let mut swarm = Swarm::new(server.address)?;
    let senders = swarm.connect(SENDERS)?;
    let mut load = Load::new("lobby", senders, LOAD_WINDOW)?;
    load.keep_up(&mut swarm, UNDER_LOAD)?;
    server.kill()?;
    // What it said before it died still counts; then the connections end, as they must.
    if load.finish(&mut swarm).is_ok() {
        bail!("the server was killed under load, but nothing was under way");
    }
    Ok(load.highest_seq())
}

fn check_head(server: &Server, acknowledged: u64) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let who = swarm.connect(1)?.start;
    let lobby = swarm.ask(who, &json!({"type": "subscribe", "room": "lobby", "last": 0}))?;
    let head = lobby["head"].as_u64().context("subscribe replied without a head")?;
    if head < acknowledged {
        bail!("seq {acknowledged} was acknowledged before SIGKILL, but the head is {head} after it");
    }
    Ok(())
}
