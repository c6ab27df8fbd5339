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

/// The same figure over several rounds.
pub struct Rounds {
    pub figure: Figure,
    values: Vec<f64>,
}

impl Rounds {
    /// Groups figures of the same name, in the order in which they came first.
    pub fn group(figures: impl IntoIterator<Item = Figure>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for figure in figures {
            match all.iter_mut().find(|rounds| rounds.figure.what == figure.what) {
                Some(rounds) => rounds.values.push(figure.value),
                None => all.push(Self { values: vec![figure.value], figure }),
            }
        }
        for rounds in &mut all {
            rounds.values.sort_by(f64::total_cmp);
        }
        all
    }

    pub fn median(&self) -> f64 {
        let (lower, upper) = (self.values[(self.values.len() - 1) / 2], self.values[self.values.len() / 2]);
        f64::midpoint(lower, upper)
    }

    pub fn range(&self) -> String {
        match self.values.as_slice() {
            [first, .., last] => format!("{} – {}", readable(*first), readable(*last)),
            _ => String::new(),
        }
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
        let rounds = Rounds::group([round(3.0, 10.0), round(1.0, 20.0), round(2.0, 30.0)].into_iter().flatten());
        assert_eq!(rounds.len(), 2);
        assert_eq!((readable(rounds[0].median()), rounds[0].range()), ("2".into(), "1 – 3".into()));
        assert_eq!(readable(rounds[1].median()), "20");
    }

    #[test]
    fn a_target_is_reached_or_missed() {
        assert!(Figure::new("x", 13.0, "MB").at_most(12.0).to_string().ends_with("(≤ 12: missed)"));
        assert!(Figure::new("x", 13.0, "/s").at_least(12.0).to_string().ends_with("(≥ 12: reached)"));
    }
}
