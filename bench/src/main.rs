//! Measures Chinwag: starts the server, talks to it over many sockets, and says what that cost. A scenario
//! that finds a lost, duplicated or reordered delivery, or an acknowledged post that is not in the log, fails.

// Counts become figures with three digits; what a conversion to f64 rounds off is far behind them.
#![allow(clippy::cast_precision_loss)]

mod connection;
mod crowd;
mod dialect;
mod figure;
mod floor;
mod frame;
mod goal;
mod http;
mod ledger;
mod limits;
mod load;
mod peer;
mod plan;
mod plot;
mod report;
mod scenario;
mod server;
mod session;
mod stamp;
mod subject;
mod swarm;
mod traffic;
mod watch;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use scenario::{append, connect, fanout, history, idle, many, nodes, reconnect, rooms, slow, start};
use server::Launcher;
use subject::Subject;

#[derive(Parser)]
#[command(version, about = "Measures the Chinwag server over many sockets")]
struct Options {
    /// Server to start and measure
    #[arg(long, global = true, default_value = "target/release/chinwag")]
    server: PathBuf,
    /// Folder for its databases: put it on the disk that is to be measured
    #[arg(long, global = true, default_value = "bench/data")]
    data: PathBuf,
    /// What to measure
    #[arg(long, global = true, default_value = "chinwag", value_parser = Subject::named)]
    subject: Subject,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// One room with many readers: cost and latency of a delivery
    Fanout(fanout::Options),
    /// Many rooms of ten readers each
    Rooms(rooms::Options),
    /// 10 to 10,000 rooms over the same connections: what their number costs (Chinwag)
    Many(many::Options),
    /// Memory of connections that only listen
    Idle(idle::Options),
    /// Joins a second
    Connect(connect::Options),
    /// Acknowledged durable posts a second (Chinwag)
    Append(append::Options),
    /// Nodes on a Redis: posts a second, and what a delivery costs with several (Chinwag; starts redis-server)
    Nodes(nodes::Options),
    /// One reader stops reading: what the others notice, and whether it gets everything afterwards (Chinwag)
    Slow(slow::Options),
    /// Pages of a small and of a large room (Chinwag)
    History(history::Options),
    /// Everyone comes back at once, with cursors (Chinwag)
    Reconnect(reconnect::Options),
    /// Memory after start, and time until /health answers, also after SIGKILL (Chinwag)
    Start(start::Options),
    /// All of these in several rounds, Chinwag beside the floor and the peers, written to a page. A round with every
    /// peer takes some twelve minutes at --seconds 1, and two more for each second beyond; with --only chinwag, floor
    /// and bun, six
    All(report::Options),
    /// The kernel's floor as a server
    #[command(hide = true)]
    FloorServer(floor::Options),
}

fn main() -> ExitCode {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("chinwag-bench: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(options: &Options) -> Result<()> {
    if let Scenario::FloorServer(options) = &options.scenario {
        return floor::run(options);
    }
    let launcher = Launcher::new(&options.server, &options.data)?;
    let subject = options.subject;
    let figures = match &options.scenario {
        Scenario::Fanout(options) => fanout::run(&launcher, subject, options)?,
        Scenario::Rooms(options) => rooms::run(&launcher, subject, options)?,
        Scenario::Many(options) => many::run(&launcher, options)?,
        Scenario::Idle(options) => idle::run(&launcher, subject, options)?,
        Scenario::Connect(options) => connect::run(&launcher, subject, options)?,
        Scenario::Append(options) => append::run(&launcher, options)?,
        Scenario::Nodes(options) => nodes::run(&launcher, options)?,
        Scenario::Slow(options) => slow::run(&launcher, options)?,
        Scenario::History(options) => history::run(&launcher, &start::Filled::default(), options)?,
        Scenario::Reconnect(options) => reconnect::run(&launcher, options)?,
        Scenario::Start(options) => start::run(&launcher, &start::Filled::default(), options)?,
        Scenario::All(options) => return report::run(&launcher, options),
        Scenario::FloorServer(_) => Vec::new(),
    };
    for figure in figures {
        println!("{figure}");
    }
    Ok(())
}
