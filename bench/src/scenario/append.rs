//! How many durable posts a second are acknowledged, with so many under way. Afterwards the log is read back: every
//! acknowledged post must stand at its seq, once, and no seq may be missing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::{APPENDED, EACH, P50, P99, create_room, millis};
use crate::figure::Figure;
use crate::load::Load;
use crate::server::Launcher;
use crate::swarm::Swarm;

const WARM_UP: Duration = Duration::from_secs(1);
const MICRO: f64 = 1e6;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that post
    #[arg(long, default_value_t = Options::default().senders)]
    pub senders: usize,
    /// Posts under way in all
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// How long to measure
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { senders: 8, window: 256, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    if options.senders == 0 || options.window == 0 {
        bail!("--senders and --window must be at least 1");
    }
    let server = launcher.fresh()?;
    let mut swarm = Swarm::new(server.address)?;
    let senders = swarm.connect(options.senders)?;
    let room = create_room(&mut swarm, senders.start, "Append")?;
    let start = swarm.ask(senders.start, &json!({"type": "subscribe", "room": room, "last": 0}))?;
    swarm.ask(senders.start, &json!({"type": "unsubscribe", "room": room}))?;

    let mut load = Load::new(&room, senders, options.window)?;
    load.keep_up(&mut swarm, WARM_UP)?;
    load.take_latency();
    let (before, used, since) = (load.acknowledged(), server.usage()?, Instant::now());
    load.keep_up(&mut swarm, Duration::from_secs(options.seconds))?;
    let (took, used) = (since.elapsed(), server.usage()?.since(&used).total());
    let acknowledged = (load.acknowledged() - before) as f64;
    let latency = load.take_latency();
    load.finish(&mut swarm)?;
    load.check_log(&mut swarm, &start["epoch"], start["head"].as_u64().unwrap_or(0))?;
    server.stop()?;

    Ok(vec![
        Figure::new(APPENDED, acknowledged / took.as_secs_f64(), "/s"),
        Figure::new(P50, millis(latency.value_at_quantile(0.5)), "ms"),
        Figure::new(P99, millis(latency.value_at_quantile(0.99)), "ms"),
        Figure::new(EACH, used * MICRO / acknowledged, "µs"),
    ])
}
