//! What a whole run measures: the cases, which subjects each is for, and in what order. Subjects take turns within
//! every case of every round, so that a machine that slows down does so for all of them.

use anyhow::{Context, Result, bail};

use crate::figure::{Figure, Rounds, readable};
use crate::peer::Peer;
use crate::scenario::{append, connect, fanout, history, idle, many, nodes, reconnect, rooms, slow, start};
use crate::server::Launcher;
use crate::subject::Subject;
use crate::traffic::{Drive, Overload};

#[derive(clap::Args, Clone)]
pub struct Options {
    /// How often to run everything
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// How long to measure where deliveries or posts are counted
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Only this scenario (fanout, rooms, many, idle, connect, append, nodes, slow, history, reconnect, start) or subject
    /// (chinwag, floor, bun …); more than one may be named
    #[arg(long)]
    pub only: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Case {
    Start,
    Fanout { readers: usize, drive: Drive },
    Rooms { rooms: usize, window: usize },
    Many,
    Idle { sessions: bool },
    Connect { sessions: bool },
    Append { window: usize },
    Nodes,
    Slow,
    History,
    Reconnect { one_stays: bool },
}

/// One case at one subject.
pub struct Outcome {
    pub case: Case,
    pub subject: Subject,
    pub figures: Vec<Rounds>,
    /// Why a round failed, if one did. A run in which Chinwag itself fails ends there.
    pub failed: Option<String>,
}

const CASES: [Case; 26] = [
    Case::Fanout { readers: 100, drive: Drive::Window(1) },
    Case::Fanout { readers: 1000, drive: Drive::Window(1) },
    Case::Fanout { readers: 5000, drive: Drive::Window(1) },
    Case::Fanout { readers: 100, drive: Drive::Window(64) },
    Case::Fanout { readers: 1000, drive: Drive::Window(64) },
    Case::Fanout { readers: 5000, drive: Drive::Window(64) },
    Case::Fanout { readers: 100, drive: Drive::Rate(500.0) },
    Case::Fanout { readers: 100, drive: Drive::Rate(2000.0) },
    Case::Fanout { readers: 100, drive: Drive::Rate(5000.0) },
    Case::Rooms { rooms: 100, window: 64 },
    Case::Rooms { rooms: 100, window: 640 },
    Case::Rooms { rooms: 10, window: 10 },
    Case::Rooms { rooms: 1000, window: 10 },
    Case::Idle { sessions: true },
    Case::Idle { sessions: false },
    Case::Connect { sessions: true },
    Case::Connect { sessions: false },
    Case::Append { window: 64 },
    Case::Append { window: 256 },
    Case::Nodes,
    Case::Many,
    Case::Slow,
    Case::Reconnect { one_stays: true },
    Case::Reconnect { one_stays: false },
    Case::History,
    Case::Start,
];

impl Case {
    /// Its scenario, as on the command line.
    pub fn scenario(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fanout { .. } => "fanout",
            Self::Rooms { .. } => "rooms",
            Self::Many => "many",
            Self::Idle { .. } => "idle",
            Self::Connect { .. } => "connect",
            Self::Append { .. } => "append",
            Self::Nodes => "nodes",
            Self::Slow => "slow",
            Self::History => "history",
            Self::Reconnect { .. } => "reconnect",
        }
    }

    pub fn title(self) -> String {
        match self {
            Self::Start => "Start".to_owned(),
            Self::Fanout { readers, drive: Drive::Window(1) } => {
                format!("Fan-out to {} readers, one at a time", count(readers))
            }
            Self::Fanout { readers, drive: Drive::Window(window) } => {
                format!("Fan-out to {} readers, {window} under way", count(readers))
            }
            Self::Fanout { readers, drive: Drive::Rate(rate) } => {
                format!("Fan-out to {} readers, {} messages/s", count(readers), readable(rate))
            }
            Self::Rooms { rooms, window } => format!("{} rooms of ten, {window} under way", count(rooms)),
            Self::Idle { sessions: true } => "Idle connections in the lobby, with sessions".to_owned(),
            Self::Idle { sessions: false } => "Idle connections in one room".to_owned(),
            Self::Many => "10 to 10,000 rooms over the same 1,000 connections, 64 under way".to_owned(),
            Self::Connect { sessions: true } => "Connect and subscribe, with sessions".to_owned(),
            Self::Connect { sessions: false } => "Connect and subscribe".to_owned(),
            Self::Slow => "One slow reader among 20".to_owned(),
            Self::History => "Pages of rooms of 100 and of 1,000,000 messages".to_owned(),
            Self::Reconnect { one_stays: true } => "10,000 come back at once to a room that one still reads".to_owned(),
            Self::Reconnect { one_stays: false } => "10,000 come back at once to a room that nobody reads".to_owned(),
            Self::Nodes => "Nodes on one Redis".to_owned(),
            Self::Append { window } => format!("Durable posts, {window} under way"),
        }
    }

    fn subjects(self) -> Vec<Subject> {
        let peers = Peer::ALL.into_iter().filter(|peer| self.is_for(*peer)).map(Subject::Peer);
        let floors: &[usize] = match self {
            Self::Fanout { drive: Drive::Window(1) | Drive::Rate(_), .. } | Self::Rooms { rooms: 100, .. } => &[1],
            Self::Fanout { drive: Drive::Window(_), .. } => &[16, 64],
            // Beside the floor, which shows what more sockets cost the kernel.
            Self::Rooms { .. } => return vec![Subject::Chinwag, Subject::FLOOR],
            Self::Idle { sessions: false } | Self::Connect { sessions: false } => &[],
            _ => return vec![Subject::Chinwag],
        };
        let floors = floors.iter().map(|frames| Subject::Floor(*frames));
        std::iter::once(Subject::Chinwag).chain(floors).chain(peers).collect()
    }

    /// Whether a target asks for this peer, or it shows something that no other case does.
    fn is_for(self, peer: Peer) -> bool {
        match self {
            Self::Rooms { window: 64, .. } => peer == Peer::Bun,
            Self::Fanout { readers: 5000, .. } => peer != Peer::Ejabberd,
            _ => true,
        }
    }

    fn run(self, launcher: &Launcher, subject: Subject, filled: &start::Filled, seconds: u64) -> Result<Vec<Figure>> {
        match self {
            Self::Start => start::run(launcher, filled, &start::Options::default()),
            Self::Fanout { readers, drive } => {
                let options = fanout::Options { readers, seconds, ..Default::default() };
                let options = match drive {
                    Drive::Window(1) => fanout::Options { senders: 1, window: 1, ..options },
                    Drive::Window(window) => fanout::Options { window, ..options },
                    Drive::Rate(rate) => fanout::Options { rate: Some(rate), ..options },
                };
                fanout::run(launcher, subject, &options)
            }
            Self::Rooms { rooms, window } => rooms::run(launcher, subject, &rooms::Options { rooms, window, seconds }),
            Self::Idle { sessions } => idle::run(launcher, subject, &idle::Options { sessions, ..Default::default() }),
            Self::Connect { sessions } => {
                connect::run(launcher, subject, &connect::Options { sessions, ..Default::default() })
            }
            Self::Many => many::run(launcher, &many::Options { seconds, ..Default::default() }),
            Self::Nodes => nodes::run(launcher, &nodes::Options { seconds, ..Default::default() }),
            Self::Slow => slow::run(launcher, &slow::Options::default()),
            Self::History => history::run(launcher, filled, &history::Options::default()),
            Self::Reconnect { one_stays } => {
                reconnect::run(launcher, &reconnect::Options { one_stays, ..Default::default() })
            }
            Self::Append { window } => {
                append::run(launcher, &append::Options { window, seconds, ..Default::default() })
            }
        }
    }
}

fn count(number: usize) -> String {
    readable(number as f64)
}

/// Runs all rounds, and hands out after each what was found so far. Says what it does and skips on standard error.
pub fn run(
    launcher: &Launcher,
    options: &Options,
    mut after_round: impl FnMut(usize, &[Outcome]) -> Result<()>,
) -> Result<()> {
    if options.rounds == 0 || options.seconds == 0 {
        bail!("--rounds and --seconds must be at least 1");
    }
    let chosen = chosen(&options.only)?;
    for peer in Peer::ALL.into_iter().filter(|peer| !peer.installed()) {
        if chosen.iter().any(|(_, subject)| *subject == Subject::Peer(peer)) {
            eprintln!("skipped: {} is not installed; to get it: {}", peer.name(), peer.remedy());
        }
    }
    let chosen: Vec<_> = chosen.into_iter().filter(|(_, subject)| subject.missing().is_none()).collect();
    let filled = start::Filled::default();
    let mut failures: Vec<Option<String>> = vec![None; chosen.len()];
    let mut figures: Vec<Vec<(usize, Figure)>> = vec![Vec::new(); chosen.len()];
    for round in 1..=options.rounds {
        for (place, (case, subject)) in chosen.iter().enumerate() {
            let name = format!("{}: {}, round {round} of {}", case.title(), subject.name(), options.rounds);
            eprintln!("{name}");
            match case.run(launcher, *subject, &filled, options.seconds) {
                Ok(found) => {
                    for figure in &found {
                        eprintln!("    {figure}");
                    }
                    figures[place].extend(found.into_iter().map(|figure| (round, figure)));
                }
                Err(error) if matches!(subject, Subject::Peer(_)) || error.is::<Overload>() => {
                    eprintln!("    failed: {error:#}");
                    failures[place] = Some(format!("{error:#}"));
                }
                Err(error) => return Err(error).context(name),
            }
        }
        let outcomes = chosen.iter().copied().zip(figures.iter().cloned()).zip(failures.iter().cloned());
        let outcome =
            |(((case, subject), figures), failed)| Outcome { case, subject, figures: Rounds::group(figures), failed };
        after_round(round, &outcomes.map(outcome).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<(Case, Subject)>> {
    let is_scenario = |word: &&String| CASES.iter().any(|case| case.scenario() == word.as_str());
    let (scenarios, subjects): (Vec<_>, Vec<_>) = only.iter().partition(is_scenario);
    for subject in &subjects {
        Subject::named(subject)?;
    }
    let pairs = CASES.iter().flat_map(|case| case.subjects().into_iter().map(|subject| (*case, subject)));
    let named = |(case, subject): &(Case, Subject)| {
        (scenarios.is_empty() || scenarios.iter().any(|word| *word == case.scenario()))
            && (subjects.is_empty() || subjects.iter().any(|word| **word == subject.name()))
    };
    Ok(pairs.filter(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(words: &[&str]) -> Vec<(Case, Subject)> {
        chosen(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_run_can_be_narrowed_by_scenario_and_subject() {
        let all = only(&[]).len();
        assert!(only(&["fanout"]).iter().all(|(case, _)| matches!(case, Case::Fanout { .. })));
        assert!(only(&["chinwag", "bun"]).len() < all);
        assert_eq!(
            only(&["connect", "bun", "chinwag"]),
            [
                (Case::Connect { sessions: true }, Subject::Chinwag),
                (Case::Connect { sessions: false }, Subject::Chinwag),
                (Case::Connect { sessions: false }, Subject::Peer(Peer::Bun)),
            ]
        );
        assert!(chosen(&["nonsense".to_owned()]).is_err());
    }
}
