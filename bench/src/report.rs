//! All scenarios in several rounds, and bench/RESULTS.md from their medians. What stands below its Notes heading was
//! written by people, and stays.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::figure::{Figure, Rounds, readable};
use crate::scenario::{append, fanout, idle, start};
use crate::server::Launcher;
use crate::swarm::AT_ONCE;
use crate::wire::TEXT_BYTES;

const NOTES: &str = "## Notes";

#[derive(clap::Args, Clone)]
pub struct Options {
    /// How often to run each scenario
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where to write the tables
    #[arg(long, default_value = "bench/RESULTS.md")]
    write: PathBuf,
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<()> {
    if options.rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    let filled = start::Filled::default();
    let mut all: Vec<(String, Vec<Figure>)> = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for (name, scenario) in scenarios(launcher, &filled) {
            eprintln!("  {name}");
            let figures = scenario().with_context(|| format!("{name}, round {round}"))?;
            for figure in &figures {
                eprintln!("    {figure}");
            }
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.extend(figures),
                None => all.push((name, figures)),
            }
        }
    }
    let tables: Vec<(String, Vec<Rounds>)> =
        all.into_iter().map(|(name, figures)| (name, Rounds::group(figures))).collect();
    let notes = fs::read_to_string(&options.write).ok().and_then(|old| notes(&old).map(str::to_owned));
    let page = page(&tables, options.rounds, &machine(launcher.data()), notes.as_deref());
    fs::write(&options.write, page).with_context(|| format!("cannot write {}", options.write.display()))?;
    eprintln!("written to {}", options.write.display());
    Ok(())
}

type Scenario<'a> = Box<dyn Fn() -> Result<Vec<Figure>> + 'a>;

fn scenarios<'a>(launcher: &'a Launcher, filled: &'a start::Filled) -> Vec<(String, Scenario<'a>)> {
    let mut all: Vec<(String, Scenario)> = vec![
        ("Start".to_owned(), Box::new(|| start::run(launcher, filled, &start::Options::default()))),
        ("Idle connections in the lobby".to_owned(), Box::new(|| idle::run(launcher, &idle::Options::default()))),
        ("Posts, 64 under way".to_owned(), Box::new(|| append::run(launcher, &append::Options::default()))),
    ];
    for (window, senders) in [(1, 1), (64, 4)] {
        for readers in [100, 1000, 5000] {
            let options = fanout::Options { readers, senders, window, ..Default::default() };
            let name = format!("Fan-out to {} readers, {window} under way", readable(readers as f64));
            all.push((name, Box::new(move || fanout::run(launcher, &options))));
        }
    }
    all
}

fn page(tables: &[(String, Vec<Rounds>)], rounds: usize, machine: &str, notes: Option<&str>) -> String {
    let mut page = format!(
        "# Results\n\n\
         Written by `bench/run`; only the notes at the end are written by hand. Medians, with the lowest and the \
         highest (rounds: {rounds}). Generator and server share the machine. Every server ran with `--limits off`, on \
         a database of its own on disk, with `synchronous=FULL` and presence on; texts are {TEXT_BYTES} bytes; \
         connections are opened {AT_ONCE} at a time. A run in which a delivery was lost, duplicated or reordered, or \
         an acknowledged post was not in the log, fails and writes nothing.\n\n\
         ## Machine\n\n{machine}\n"
    );
    for (name, figures) in tables {
        let _ = write!(
            page,
            "## {name}\n\n| what | median | lowest – highest | unit | target | |\n|---|---:|---:|---|---:|---|\n"
        );
        for rounds in figures {
            let (what, unit, median) = (&rounds.figure.what, rounds.figure.unit, rounds.median());
            let (target, verdict) =
                rounds.figure.target.map_or_else(Default::default, |it| (it.to_string(), it.verdict(median)));
            let _ = writeln!(
                page,
                "| {what} | {} | {} | {unit} | {target} | {verdict} |",
                readable(median),
                rounds.range()
            );
        }
        page.push('\n');
    }
    page.push_str(
        "## Commands\n\n\
         `bench/run` builds both, runs everything and writes this page. One scenario alone, from the root of the \
         repository, after `cargo build --release --workspace`:\n\n\
         \x20   target/release/chinwag-bench start --events 1000000\n\
         \x20   target/release/chinwag-bench idle --connections 10000\n\
         \x20   target/release/chinwag-bench append --senders 8 --window 64 --seconds 10\n\
         \x20   target/release/chinwag-bench fanout --readers 1000 --senders 4 --window 64 --seconds 10\n\n",
    );
    page.push_str(notes.unwrap_or(NOTES));
    if !page.ends_with('\n') {
        page.push('\n');
    }
    page
}

fn notes(page: &str) -> Option<&str> {
    page.find(&format!("\n{NOTES}")).map(|start| &page[start + 1..])
}

fn machine(data: &Path) -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or(line, |(_, value)| value).trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let lines = [
        ("processor", format!("{}, {cores} cores", first("/proc/cpuinfo", "model name"))),
        ("memory", first("/proc/meminfo", "MemTotal")),
        ("kernel", first("/proc/sys/kernel/osrelease", "")),
        ("databases on", filesystem(data, &fs::read_to_string("/proc/self/mounts").unwrap_or_default())),
        ("compiler", said("rustc", &["--version"])),
        ("commit", said("git", &["describe", "--always", "--dirty"])),
        ("date", said("date", &["-u", "+%Y-%m-%d"])),
    ];
    lines
        .iter()
        .fold("| | |\n|---|---|\n".to_owned(), |table, (what, value)| table + &format!("| {what} | {value} |\n"))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// The kind of filesystem that a folder is on: an fsync on tmpfs costs nothing, and would prove nothing.
fn filesystem(folder: &Path, mounts: &str) -> String {
    let mut best = (0, "unknown");
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        if let (Some(at), Some(kind)) = (fields.next(), fields.next())
            && folder.starts_with(at)
            && at.len() >= best.0
        {
            best = (at.len(), kind);
        }
    }
    best.1.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_each_figure_with_its_target_and_keeps_the_notes() {
        let round = |value| Figure::new("idle", value, "MB").at_most(12.0);
        let tables = [("Start".to_owned(), Rounds::group([round(10.0), round(14.0), round(11.0)]))];
        let page = page(&tables, 3, "a machine", Some("## Notes\n\nTried this.\n"));
        assert!(page.contains("| idle | 11 | 10 – 14 | MB | ≤ 12 | reached |"), "{page}");
        assert_eq!(notes(&page), Some("## Notes\n\nTried this.\n"));
        assert!(page.contains("    target/release/chinwag-bench idle"), "{page}");
    }

    #[test]
    fn the_nearest_mount_names_the_filesystem() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n";
        assert_eq!(filesystem(Path::new("/data/x"), mounts), "tmpfs");
        assert_eq!(filesystem(Path::new("/home"), mounts), "ext4");
    }
}
