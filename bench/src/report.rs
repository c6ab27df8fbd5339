//! bench/RESULTS.md and its plots from the medians of a run. What stands below its Notes heading was written by people,
//! and stays.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::figure::{Figure, Rounds, readable};
use crate::goal;
use crate::peer::Peer;
use crate::plan::{self, Case, Outcome};
use crate::plot::{Axis, Chart, Scale, Series};
use crate::scenario::{APPENDED, CONNECTED, EACH, P99, RESIDENT_EACH};
use crate::server::Launcher;
use crate::subject::Subject;
use crate::swarm::AT_ONCE;
use crate::traffic::Drive;
use crate::wire::TEXT_BYTES;

const NOTES: &str = "## Notes";
/// Beside the page; the page links to them.
const PLOTS: &str = "plots";

#[derive(clap::Args, Clone)]
pub struct Options {
    #[command(flatten)]
    plan: plan::Options,
    /// Where to write the tables; the plots go into a folder beside them
    #[arg(long, default_value = "bench/RESULTS.md")]
    write: PathBuf,
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<()> {
    let machine = machine(launcher.data());
    plan::run(launcher, &options.plan, |rounds, outcomes| {
        write(outcomes, options, &plan::Options { rounds, ..options.plan.clone() }, &machine)
    })
}

/// Writes the page and its plots.
fn write(outcomes: &[Outcome], options: &Options, done: &plan::Options, machine: &str) -> Result<()> {
    let notes = fs::read_to_string(&options.write).ok().and_then(|old| notes(&old).map(str::to_owned));
    let page = page(outcomes, done, machine, notes.as_deref());
    let plots = options.write.parent().unwrap_or(Path::new("")).join(PLOTS);
    fs::create_dir_all(&plots).with_context(|| format!("cannot create {}", plots.display()))?;
    let pictures = charts(outcomes).map(|(file, chart)| (plots.join(file), chart.svg()));
    for (file, text) in pictures.into_iter().chain([(options.write.clone(), page)]) {
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

/// With the names of their files.
fn charts(outcomes: &[Outcome]) -> [(&'static str, Chart); 2] {
    let axis = |label: &str, scale| Axis { label: label.to_owned(), scale };
    let cost = Chart {
        title: "What a delivery costs, one message at a time".to_owned(),
        x: axis("readers", Scale::Log),
        y: axis("server CPU, µs per delivery", Scale::Log),
        series: series(outcomes, EACH, |case| match case {
            Case::Fanout { readers, drive: Drive::Window(1) } => Some(readers as f64),
            _ => None,
        }),
    };
    let latency = Chart {
        title: "How late a message comes to 100 readers".to_owned(),
        x: axis("messages per second", Scale::Linear),
        y: axis("p99, ms", Scale::Log),
        series: series(outcomes, P99, |case| match case {
            Case::Fanout { readers: 100, drive: Drive::Rate(rate) } => Some(rate),
            _ => None,
        }),
    };
    [("cost.svg", cost), ("latency.svg", latency)]
}

/// A line for each subject, measured or not, so that each looks the same in every picture: its medians over what `place`
/// makes of the cases.
fn series(outcomes: &[Outcome], figure: &str, place: impl Fn(Case) -> Option<f64>) -> Vec<Series> {
    let subjects = [Subject::Chinwag, Subject::FLOOR].into_iter().chain(Peer::ALL.map(Subject::Peer));
    let line = |subject: Subject| {
        let own = outcomes.iter().filter(|outcome| outcome.subject == subject);
        let points = own.filter_map(|outcome| {
            let at = place(outcome.case)?;
            goal::figure(outcomes, outcome.case, subject, figure).map(|rounds| (at, rounds.median()))
        });
        Series { name: subject.name(), points: points.collect() }
    };
    subjects.map(line).collect()
}

fn page(outcomes: &[Outcome], options: &plan::Options, machine: &str, notes: Option<&str>) -> String {
    let mut page = format!(
        "# Results\n\n\
         Written by `bench/run`; only the notes at the end are written by hand. Medians, with the lowest and the \
         highest in brackets (rounds: {}; measured for {} s each). Generator and servers share the machine, which is \
         noisy: what counts is the ratios, each taken within its round.\n\n\
         Chinwag ran with `--limits off`, on a database of its own on disk, with `synchronous=FULL` and presence on; \
         its texts are {TEXT_BYTES} bytes. Peers and floor carry texts as long as Chinwag's whole event, keep nothing \
         on disk, and have no presence. The floor is a bare loop of `write`, one frame at a time to each reader; \
         floor-16 and floor-64 gather so many frames for one write. Connections are opened {AT_ONCE} at a time where \
         joining is not what is measured. Within a round, a slow reader and pages of history are measured in many \
         phases, of which the median counts. Latency counts from when a message was due. A run in which Chinwag loses, \
         doubles or reorders a delivery, or lacks an acknowledged post in its log, ends there, and its round is not \
         written; a peer that does is said to have failed.\n\n\
         ## Targets\n\n| what | target | median | lowest – highest | |\n|---|---:|---:|---|---|\n",
        options.rounds, options.seconds
    );
    page.extend(goal::all().iter().map(|goal| goal.verdict(outcomes).row()));
    let _ = write!(
        page,
        "\n![µs per delivery against readers]({PLOTS}/cost.svg)\n\n\
         ![p99 against messages per second]({PLOTS}/latency.svg)\n\n## Machine\n\n{machine}\n"
    );
    let mut rest = outcomes;
    while let Some(first) = rest.first() {
        let (case, others) = rest.split_at(rest.iter().take_while(|outcome| outcome.case == first.case).count());
        page.push_str(&section(first.case, case));
        rest = others;
    }
    page.push_str(
        "## Commands\n\n\
         `bench/run` builds both, runs everything and writes this page; `bench/peers/get` gets the peers. One scenario \
         alone, from the root of the repository, after `cargo build --release && cargo build --release -p \
         chinwag-bench`:\n\n\
         \x20   target/release/chinwag-bench fanout --readers 1000 --senders 4 --window 64 --seconds 10\n\
         \x20   target/release/chinwag-bench fanout --readers 100 --rate 500\n\
         \x20   target/release/chinwag-bench rooms --rooms 100 --window 64 --subject bun\n\
         \x20   target/release/chinwag-bench idle --connections 10000 --sessions\n\
         \x20   target/release/chinwag-bench connect --connections 10000 --at-once 256\n\
         \x20   target/release/chinwag-bench append --senders 8 --window 256 --seconds 10\n\
         \x20   target/release/chinwag-bench many --connections 1000 --window 64\n\
         \x20   target/release/chinwag-bench nodes --nodes 2 --seconds 10\n\
         \x20   target/release/chinwag-bench slow --others 19 --rate 500\n\
         \x20   target/release/chinwag-bench history --events 1000000\n\
         \x20   target/release/chinwag-bench reconnect --connections 10000 --one-stays\n\
         \x20   target/release/chinwag-bench start --events 1000000\n\
         \x20   target/release/chinwag-bench all --rounds 3 --only fanout --only chinwag --only floor\n\n",
    );
    page.push_str(notes.unwrap_or(NOTES));
    if !page.ends_with('\n') {
        page.push('\n');
    }
    page
}

fn section(case: Case, outcomes: &[Outcome]) -> String {
    match outcomes {
        [alone] if alone.subject == Subject::Chinwag => format!("## {}\n\n{}\n", case.title(), list(&alone.figures)),
        _ => format!("## {}\n\n{}\n", case.title(), table(outcomes)),
    }
}

/// One subject: a line for each figure.
fn list(figures: &[Rounds]) -> String {
    let mut list = "| what | median | lowest – highest | unit | target | |\n|---|---:|---:|---|---:|---|\n".to_owned();
    for rounds in figures {
        let Figure { what, unit, target, .. } = &rounds.figure;
        let (target, verdict) =
            target.map_or_else(Default::default, |it| (it.to_string(), it.verdict(rounds.median())));
        let median = readable(rounds.median());
        let _ = writeln!(list, "| {what} | {median} | {} | {unit} | {target} | {verdict} |", rounds.range());
    }
    list
}

/// Many subjects: a line for each, a column for each figure, and beside the one that matters its ratios.
fn table(outcomes: &[Outcome]) -> String {
    let mut names: Vec<&Figure> = Vec::new();
    for figure in outcomes.iter().flat_map(|outcome| &outcome.figures).map(|rounds| &rounds.figure) {
        if !names.iter().any(|known| known.what == figure.what) {
            names.push(figure);
        }
    }
    let main =
        names.iter().position(|figure| [EACH, RESIDENT_EACH, CONNECTED, APPENDED].contains(&figure.what.as_str()));
    names[..=main.unwrap_or(0)].rotate_right(1);
    let Some(main) = names.first().map(|figure| figure.what.as_str()) else { return "nothing\n".to_owned() };
    let of = |subject: Subject| {
        outcomes.iter().find(|it| it.subject == subject)?.figures.iter().find(|it| it.figure.what == main)
    };
    let references = [Subject::Chinwag, Subject::FLOOR].map(|subject| (subject, of(subject)));
    let references: Vec<_> = references.into_iter().filter_map(|(subject, rounds)| Some((subject, rounds?))).collect();

    let unit = |figure: &Figure| format!("{}, {}", figure.what, figure.unit);
    let (first, others) = names.split_at(1);
    let mut heads = vec![String::new(), unit(first[0])];
    heads.extend(references.iter().map(|(subject, _)| format!("÷ {}", subject.name())));
    heads.extend(others.iter().map(|figure| unit(figure)));
    let mut table = format!("| {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len() - 1));
    for outcome in outcomes {
        let find = |name: &str| outcome.figures.iter().find(|rounds| rounds.figure.what == name);
        let _ = write!(table, "| {} |", outcome.subject.name());
        if let (Some(why), true) = (&outcome.failed, outcome.figures.is_empty()) {
            let _ = writeln!(table, " failed: {} |", why.replace(['|', '\n'], " "));
            continue;
        }
        let median = |rounds: Option<&Rounds>| rounds.map_or(String::new(), |rounds| readable(rounds.median()));
        let range = find(main).map(Rounds::range).filter(|range| !range.is_empty());
        let _ = write!(table, " {}{} |", median(find(main)), range.map_or(String::new(), |it| format!(" ({it})")));
        for (_, reference) in &references {
            let _ = write!(table, " {} |", median(find(main).and_then(|own| own.ratio(reference)).as_ref()));
        }
        for figure in others {
            let _ = write!(table, " {} |", median(find(&figure.what)));
        }
        let failed = outcome.failed.as_ref().map_or(String::new(), |why| format!(" (a round failed: {why})"));
        let _ = writeln!(table, "{}", failed.replace(['|', '\n'], " "));
    }
    table
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

    fn outcome(case: Case, subject: Subject, figures: &[(&str, f64)]) -> Outcome {
        let figures = figures.iter().map(|(what, value)| (1, Figure::new(*what, *value, "µs")));
        Outcome { case, subject, figures: Rounds::group(figures), failed: None }
    }

    #[test]
    fn a_page_shows_each_figure_with_its_target_and_keeps_the_notes() {
        let round = |value| Figure::new("idle", value, "MB").at_most(12.0);
        let figures = Rounds::group([(1, round(10.0)), (2, round(14.0)), (3, round(11.0))]);
        let outcomes = [Outcome { case: Case::Start, subject: Subject::Chinwag, figures, failed: None }];
        let options = plan::Options { rounds: 3, seconds: 1, only: Vec::new() };
        let page = page(&outcomes, &options, "a machine", Some("## Notes\n\nTried this.\n"));
        assert!(page.contains("| idle | 11 | 10 – 14 | MB | ≤ 12 | reached |"), "{page}");
        assert!(page.contains("not measured"), "{page}");
        assert_eq!(notes(&page), Some("## Notes\n\nTried this.\n"));
        assert!(page.contains("    target/release/chinwag-bench idle"), "{page}");
        assert!(page.contains("](plots/cost.svg)") && page.contains("](plots/latency.svg)"), "{page}");
    }

    #[test]
    fn each_chart_has_the_medians_of_its_own_cases() {
        let case = |readers, drive| Case::Fanout { readers, drive };
        let outcomes = [
            outcome(case(100, Drive::Window(1)), Subject::Chinwag, &[(EACH, 3.0), (P99, 9.0)]),
            outcome(case(1000, Drive::Window(1)), Subject::Chinwag, &[(EACH, 2.0), (P99, 9.0)]),
            outcome(case(1000, Drive::Window(64)), Subject::Chinwag, &[(EACH, 1.0), (P99, 9.0)]),
            outcome(case(100, Drive::Rate(500.0)), Subject::Peer(Peer::Bun), &[(EACH, 7.0), (P99, 4.0)]),
        ];
        let [(_, cost), (_, latency)] = charts(&outcomes);
        assert_eq!(cost.series[0].points, [(100.0, 3.0), (1000.0, 2.0)]);
        assert!(cost.series[1..].iter().all(|series| series.points.is_empty()));
        assert_eq!(
            (latency.series[2].name.as_str(), latency.series[2].points.as_slice()),
            ("bun", [(500.0, 4.0)].as_slice())
        );
    }

    #[test]
    fn subjects_stand_side_by_side_with_their_ratios() {
        let case = Case::Connect { sessions: false };
        let mut lame = outcome(case, Subject::Floor(16), &[]);
        lame.failed = Some("it | fell".to_owned());
        let table = table(&[
            outcome(case, Subject::Chinwag, &[("deliveries", 7.0), (EACH, 3.0)]),
            outcome(case, Subject::FLOOR, &[("deliveries", 8.0), (EACH, 2.0)]),
            lame,
        ]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "|  | server CPU each, µs | ÷ chinwag | ÷ floor | deliveries, µs |");
        assert_eq!(lines[2], "| chinwag | 3 | 1 | 1.5 | 7 |");
        assert_eq!(lines[3], "| floor | 2 | 0.667 | 1 | 8 |");
        assert_eq!(lines[4], "| floor-16 | failed: it   fell |");
    }

    #[test]
    fn the_nearest_mount_names_the_filesystem() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /data tmpfs rw 0 0\n";
        assert_eq!(filesystem(Path::new("/data/x"), mounts), "tmpfs");
        assert_eq!(filesystem(Path::new("/home"), mounts), "ext4");
    }
}
