//! The targets that Chinwag is held to, and whether a run reached them. Ratios are taken within each round.

use crate::figure::{Rounds, Target, readable};
use crate::peer::Peer;
use crate::plan::{Case, Outcome};
use crate::scenario::{APPENDED, CONNECTED, DELIVERIES, EACH, P50, P99, RESIDENT_EACH, WITHOUT_LOG};
use crate::scenario::{history, many, reconnect, slow};
use crate::subject::Subject;
use crate::traffic::Drive;

pub struct Goal {
    case: Case,
    figure: String,
    /// Divided by this figure of this subject.
    against: Option<(Subject, &'static str)>,
    target: Target,
}

/// A goal and what became of it.
pub struct Verdict {
    pub what: String,
    pub target: String,
    /// Median and range; nothing where it was not measured.
    pub found: Option<(f64, String)>,
    pub word: &'static str,
}

pub fn all() -> Vec<Goal> {
    let bun = Some((Subject::Peer(Peer::Bun), EACH));
    let fanout = |readers, window| Case::Fanout { readers, drive: Drive::Window(window) };
    let steady = Case::Fanout { readers: 100, drive: Drive::Rate(500.0) };
    let goal = |case, figure: &str, against, target| Goal { case, figure: figure.to_owned(), against, target };
    let (most, least) = (Target::AtMost, Target::AtLeast);
    let mut goals = vec![
        goal(fanout(1000, 1), EACH, Some((Subject::FLOOR, EACH)), most(1.15)),
        goal(fanout(5000, 1), EACH, Some((Subject::FLOOR, EACH)), most(1.15)),
        goal(fanout(100, 64), WITHOUT_LOG, bun, most(1.0)),
        goal(fanout(1000, 64), EACH, bun, most(1.0)),
        goal(fanout(5000, 64), EACH, bun, most(1.0)),
        goal(fanout(1000, 64), DELIVERIES, None, least(6e6)),
        goal(Case::Rooms { rooms: 100, window: 64 }, WITHOUT_LOG, bun, most(1.1)),
        goal(Case::Rooms { rooms: 100, window: 640 }, WITHOUT_LOG, bun, most(1.1)),
        goal(Case::Idle { sessions: true }, RESIDENT_EACH, None, most(1536.0)),
        goal(Case::Idle { sessions: true }, RESIDENT_EACH, None, most(1024.0)),
        goal(Case::Idle { sessions: false }, RESIDENT_EACH, None, most(1536.0)),
        goal(Case::Idle { sessions: false }, RESIDENT_EACH, None, most(1024.0)),
        goal(Case::Connect { sessions: false }, CONNECTED, None, least(15_000.0)),
        goal(Case::Connect { sessions: false }, CONNECTED, None, least(25_000.0)),
        goal(steady, P50, None, most(1.0)),
        goal(steady, P99, None, most(5.0)),
        goal(Case::Append { window: 256 }, APPENDED, None, least(60_000.0)),
        goal(Case::Slow, slow::LATENCY, None, most(slow::TARGET_P99)),
        goal(Case::Slow, slow::RESIDENT, None, most(slow::TARGET_RESIDENT)),
    ];
    for one_stays in [true, false] {
        goals.push(goal(Case::Reconnect { one_stays }, reconnect::ANSWERED, None, most(reconnect::TARGET_SECONDS)));
    }
    goals.extend(many::ratio_names().map(|name| goal(Case::Many, &name, None, most(many::TARGET_RATIO))));
    goals.extend(history::ratio_names().map(|name| goal(Case::History, &name, None, most(history::TARGET_RATIO))));
    goals
}

impl Goal {
    pub fn verdict(&self, outcomes: &[Outcome]) -> Verdict {
        let own = figure(outcomes, self.case, Subject::Chinwag, &self.figure);
        let found = match self.against {
            None => own.cloned(),
            Some((subject, name)) => {
                own.zip(figure(outcomes, self.case, subject, name)).and_then(|(own, other)| own.ratio(other))
            }
        };
        let (of, unit) = match self.against {
            Some((subject, _)) => (format!(", to {}'s", subject.name()), "×".to_owned()),
            None => (String::new(), own.map_or(String::new(), |own| own.figure.unit.to_owned())),
        };
        Verdict {
            what: format!("{}: {}{of}", self.case.title(), self.figure),
            target: format!("{} {unit}", self.target),
            word: found.as_ref().map_or("not measured", |found| self.target.verdict(found.median())),
            found: found.map(|found| (found.median(), found.range())),
        }
    }
}

pub fn figure<'a>(outcomes: &'a [Outcome], case: Case, subject: Subject, name: &str) -> Option<&'a Rounds> {
    let outcome = outcomes.iter().find(|outcome| outcome.case == case && outcome.subject == subject)?;
    outcome.figures.iter().find(|rounds| rounds.figure.what == name)
}

impl Verdict {
    pub fn row(&self) -> String {
        let (median, range) =
            self.found.as_ref().map_or_else(Default::default, |(median, range)| (readable(*median), range.clone()));
        format!("| {} | {} | {median} | {range} | {} |\n", self.what, self.target.trim_end(), self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    fn outcome(subject: Subject, values: &[f64]) -> Outcome {
        let figures = values.iter().enumerate().map(|(round, value)| (round, Figure::new(EACH, *value, "µs")));
        let case = Case::Fanout { readers: 1000, drive: Drive::Window(1) };
        Outcome { case, subject, figures: Rounds::group(figures), failed: None }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let outcomes = [outcome(Subject::Chinwag, &[1.1, 4.0, 2.2]), outcome(Subject::FLOOR, &[1.0, 2.0, 2.0])];
        let verdict = all()[0].verdict(&outcomes);
        assert_eq!((verdict.word, verdict.target.as_str()), ("reached", "≤ 1.15 ×"));
        assert!(verdict.row().contains("| 1.1 | 1.1 – 2 | reached |"), "{}", verdict.row());
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        assert_eq!(all()[0].verdict(&[outcome(Subject::Chinwag, &[1.0])]).word, "not measured");
    }
}
