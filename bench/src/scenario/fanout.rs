//! One room, many readers: what a delivery costs the server, how soon it is there, and whether every reader gets
//! every message once and in order.

use anyhow::Result;

use super::scene::{self, Scene};
use crate::figure::Figure;
use crate::server::Launcher;
use crate::subject::Subject;
use crate::traffic::Drive;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that read
    #[arg(long, default_value_t = Options::default().readers)]
    pub readers: usize,
    /// Connections that post
    #[arg(long, default_value_t = Options::default().senders)]
    pub senders: usize,
    /// Messages under way in all: posted, but not yet with every reader
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// Messages a second instead of a window: latency counts from when each was due
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long to measure
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 1000, senders: 4, window: 64, rate: None, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, subject: Subject, options: &Options) -> Result<Vec<Figure>> {
    let drive = options.rate.map_or(Drive::Window(options.window), Drive::Rate);
    let scene = Scene { rooms: 1, readers: options.readers, senders: options.senders, drive, seconds: options.seconds };
    Ok(scene::measure(launcher, subject, &scene)?.figures(subject))
}
