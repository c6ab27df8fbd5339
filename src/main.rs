//! Reads the options, starts tracing, runs the server until it is told to stop.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use chinwag::config::{Command, Config, Import, LogFormat, url};
use chinwag::error::Fatal;
use chinwag::ops;
use chinwag::ops::copy::Copied;
use chinwag::ops::import::Imported;
use chinwag::server;
use chinwag::store::ClassicList;

/// Between what stays, thousands of handshakes leave holes that the system's allocator cannot fill again: half as much
/// memory once more for each connection. Without huge pages, of which an idle server would hold several.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The real environment wins over the file.
    let dotenv = dotenvy::from_path(".env");
    let config = Config::parse();
    start_tracing(&config);
    if let Err(error) = dotenv
        && !error.not_found()
    {
        tracing::warn!(%error, "cannot read .env");
    }
    let outcome =
        config.with_secrets(|name| std::env::var(name).ok()).and_then(|config| match config.command.clone() {
            Some(Command::OwnerLink) => print_owner_link(&config),
            Some(Command::Copy { from, to }) => copy(&config, from, to),
            Some(Command::Import(Import::Classic { from, key, room })) => import_classic(&config, &from, &key, &room),
            None => serve(config),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("chinwag: {fatal}");
            ExitCode::FAILURE
        }
    }
}

fn print_owner_link(config: &Config) -> Result<(), Fatal> {
    let base = config.public_url.clone().unwrap_or_else(|| url(config.address()));
    println!("{base}{}", ops::owner_link(&config.store()?)?);
    Ok(())
}

fn copy(config: &Config, from: Option<PathBuf>, to: Option<String>) -> Result<(), Fatal> {
    let (from, to) = config.copies(from, to)?;
    let Copied { rooms, events, users, digest } = ops::copy::copy(&from, &to, |words| eprintln!("{words}"))?;
    println!("Copied and compared: {rooms} rooms, {events} events, {users} users (SHA-256 of all events: {digest}).");
    Ok(())
}

fn import_classic(config: &Config, from: &str, key: &str, room: &str) -> Result<(), Fatal> {
    let mut list = ClassicList::open(from, key)?;
    let options = config.store()?;
    let imported = ops::import::classic(&options, &mut list, &room.into(), |words| eprintln!("{words}"))?;
    let Imported { messages, passed_over } = imported;
    println!("Imported {messages} messages into {room}; {passed_over} entries were no messages.");
    Ok(())
}

fn serve(config: Config) -> Result<(), Fatal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = server::listen(config.address())?;
        server::run(listener, config, told_to_stop()).await
    })
}

fn start_tracing(config: &Config) {
    let directives = if config.trace { "chinwag=debug" } else { "chinwag=info" };
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(own) if !config.trace => {
            EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(own)
        }
        _ => EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(directives),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Comes to pass with Ctrl-C or SIGTERM.
async fn told_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
