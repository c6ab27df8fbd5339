//! Measures Chinwag: starts the server, talks to it over many sockets, and says what that cost. A scenario
//! that finds a lost, duplicated or reordered delivery, or an acknowledged post that is not in the log, fails.

// Counts become figures with three digits; what a conversion to f64 rounds off is far behind them.
#![allow(clippy::cast_precision_loss)]

mod connection;
mod figure;
mod frame;
mod ledger;
mod limits;
mod load;
mod report;
mod scenario;
mod server;
mod swarm;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use scenario::{append, fanout, idle, start};
use server::Launcher;

#[derive(Parser)]
#[command(version, about = "Measures the Chinwag server over many sockets")]
struct Options {
    /// Server to start and measure
    #[arg(long, global = true, default_value = "target/release/chinwag")]
    server: PathBuf,
    /// Folder for its databases: put it on the disk that is to be measured
    #[arg(long, global = true, default_value = "bench/data")]
    data: PathBuf,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Memory of connections that only listen
    Idle(idle::Options),
    /// Acknowledged durable posts a second
    Append(append::Options),
    /// Memory after start, and time until /health answers, also after SIGKILL
    Start(start::Options),
    /// One room with many readers: cost and latency of a delivery
    Fanout(fanout::Options),
    /// All of these in several rounds, written to a page
    All(report::Options),
}

fn main() -> ExitCode {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("chinwag-bench: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(options: &Options) -> Result<()> {
    let launcher = Launcher::new(&options.server, &options.data)?;
    let figures = match &options.scenario {
        Scenario::Idle(options) => idle::run(&launcher, options)?,
        Scenario::Append(options) => append::run(&launcher, options)?,
        Scenario::Start(options) => start::run(&launcher, &start::Filled::default(), options)?,
        Scenario::Fanout(options) => fanout::run(&launcher, options)?,
        Scenario::All(options) => return report::run(&launcher, options),
    };
    for figure in figures {
        println!("{figure}");
    }
    Ok(())
}
