//! What a scenario reports: a value with its unit and, where one is set, its target; several rounds of it make a
//! median and a range.

use std::fmt;

#[derive(Clone, Debug)]
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub target: Option<Target>,
}

#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, target: None }
    }

    #[must_use]
    pub fn at_most(self, target: f64) -> Self {
        Self { target: Some(Target::AtMost(target)), ..self }
    }

    #[must_use]
    pub fn at_least(self, target: f64) -> Self {
        Self { target: Some(Target::AtLeast(target)), ..self }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:<64} {:>12} {}", self.what, readable(self.value), self.unit)?;
        self.target.map_or(Ok(()), |target| write!(f, "  ({target}: {})", target.verdict(self.value)))
    }
}

impl Target {
    pub fn verdict(self, value: f64) -> &'static str {
        let reached = match self {
            Target::AtMost(most) => value <= most,
            Target::AtLeast(least) => value >= least,
        };
        if reached { "reached" } else { "missed" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Target::AtMost(value) => write!(f, "≤ {}", readable(*value)),
            Target::AtLeast(value) => write!(f, "≥ {}", readable(*value)),
        }
    }
}

/// The median of all that have the same name, where they belong to one round.
pub fn medians(figures: impl IntoIterator<Item = Figure>) -> Vec<Figure> {
    let rounds = Rounds::group(figures.into_iter().map(|figure| (1, figure)));
    rounds.into_iter().map(|rounds| Figure { value: rounds.median(), ..rounds.figure }).collect()
}

/// The same figure over several rounds.
#[derive(Clone)]
pub struct Rounds {
    pub figure: Figure,
    /// With the number of the round.
    values: Vec<(usize, f64)>,
}

impl Rounds {
    /// Groups the rounds' figures of the same name, in the order in which they came first.
    pub fn group(figures: impl IntoIterator<Item = (usize, Figure)>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (round, figure) in figures {
            match all.iter_mut().find(|rounds| rounds.figure.what == figure.what) {
                Some(rounds) => rounds.values.push((round, figure.value)),
                None => all.push(Self { values: vec![(round, figure.value)], figure }),
            }
        }
        all
    }

    /// This divided by another, round by round; nothing if they have no round in common.
    pub fn ratio(&self, other: &Self) -> Option<Self> {
        let of = |round| other.values.iter().find(|(it, value)| *it == round && *value > 0.0).map(|(_, value)| value);
        let values: Vec<_> =
            self.values.iter().filter_map(|(round, value)| Some((*round, value / of(*round)?))).collect();
        let figure = Figure { unit: "×", ..self.figure.clone() };
        (!values.is_empty()).then_some(Self { figure, values })
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
    }

    /// Nothing for a single round.
    pub fn range(&self) -> String {
        match self.sorted().as_slice() {
            [first, .., last] => format!("{} – {}", readable(*first), readable(*last)),
            _ => String::new(),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted: Vec<f64> = self.values.iter().map(|(_, value)| *value).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Three digits that count, or a whole number with its thousands set apart.
pub fn readable(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size < 0.1 => 4,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, fraction) = plain.split_once('.').map_or((plain.as_str(), ""), |(whole, fraction)| (whole, fraction));
    let fraction = fraction.trim_end_matches('0');
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let all = [0.0, 0.1234, 2.0, 2.345, 12.34, 123.4, 1234.0, 1_234_567.0, -1234.0].map(readable);
        assert_eq!(all, ["0", "0.123", "2", "2.35", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
    }

    #[test]
    fn rounds_make_a_median_and_a_range() {
        let round = |a, b| [Figure::new("a", a, "s").at_most(2.0), Figure::new("b", b, "s")];
        let rounds = [round(3.0, 10.0), round(1.0, 20.0), round(2.0, 30.0)];
        let numbered = rounds.into_iter().enumerate().flat_map(|(number, round)| round.map(|figure| (number, figure)));
        let rounds = Rounds::group(numbered);
        assert_eq!(rounds.len(), 2);
        assert_eq!((readable(rounds[0].median()), rounds[0].range()), ("2".into(), "1 – 3".into()));
        assert_eq!(readable(rounds[1].median()), "20");
        let ratio = rounds[1].ratio(&rounds[0]).unwrap();
        assert_eq!((readable(ratio.median()), ratio.range()), ("15".into(), "3.33 – 20".into()));
    }

    #[test]
    fn figures_of_one_round_become_their_median() {
        let medians = medians([5.0, 1.0, 3.0].map(|value| Figure::new("a", value, "s").at_most(2.0)));
        assert_eq!((medians.len(), readable(medians[0].value)), (1, "3".into()));
        assert!(medians[0].target.is_some());
    }

    #[test]
    fn rounds_that_never_met_have_no_ratio() {
        let rounds = |round| Rounds::group([(round, Figure::new("a", 1.0, "s"))]).remove(0);
        assert!(rounds(1).ratio(&rounds(2)).is_none());
    }

    #[test]
    fn a_target_is_reached_or_missed() {
        assert!(Figure::new("x", 13.0, "MB").at_most(12.0).to_string().ends_with("(≤ 12: missed)"));
        assert!(Target::AtLeast(12.0).verdict(13.0) == "reached");
    }
}
