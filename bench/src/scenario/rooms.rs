//! Many rooms of ten readers each, with one sender: what a delivery costs where little can be shared.

use anyhow::Result;

use super::scene::{self, Scene};
use crate::figure::Figure;
use crate::server::Launcher;
use crate::subject::Subject;
use crate::traffic::Drive;

const READERS: usize = 10;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Rooms
    #[arg(long, default_value_t = Options::default().rooms)]
    pub rooms: usize,
    /// Messages under way in all rooms together: posted, but not yet with every reader
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// How long to measure
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { rooms: 100, window: 64, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, subject: Subject, options: &Options) -> Result<Vec<Figure>> {
    let drive = Drive::Window(options.window);
    let scene = Scene { rooms: options.rooms, readers: READERS, senders: 1, drive, seconds: options.seconds };
    Ok(scene::measure(launcher, subject, &scene)?.figures(subject))
}
