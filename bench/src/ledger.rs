//! Who got which message: every reader must get every number once, in order. The usual case is one comparison; what
//! arrives out of turn is remembered and told apart as lost, duplicated or reordered.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::iter::Sum;

pub struct Ledger {
    next: Vec<u64>,
    /// The numbers that a reader was not given in their turn.
    missing: HashMap<usize, BTreeSet<u64>>,
    duplicated: u64,
    reordered: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Faults {
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
}

impl Ledger {
    /// `next`: the first number that each reader must get. A reader of several lanes counts as several readers.
    pub fn new(readers: usize, next: u64) -> Self {
        Self { next: vec![next; readers], missing: HashMap::new(), duplicated: 0, reordered: 0 }
    }

    /// Notes a delivery; true if it is this reader's first of that number.
    pub fn delivered(&mut self, reader: usize, number: u64) -> bool {
        let next = &mut self.next[reader];
        if number == *next {
            *next += 1;
            return true;
        }
        if number > *next {
            self.missing.entry(reader).or_default().extend(*next..number);
            *next = number + 1;
            return true;
        }
        let late = self.missing.get_mut(&reader).is_some_and(|missing| missing.remove(&number));
        if late {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
        late
    }

    /// The newest number that this reader has; one less than its first before that.
    pub fn newest(&self, reader: usize) -> u64 {
        self.next[reader] - 1
    }

    /// What went wrong, if every reader should by now have all before these numbers: one for each lane, where the
    /// lanes of a reader stand side by side.
    pub fn faults(&self, ends: &[u64]) -> Faults {
        let skipped: usize = self.missing.values().map(BTreeSet::len).sum();
        let behind: u64 = self.next.iter().zip(ends.iter().cycle()).map(|(next, end)| end.saturating_sub(*next)).sum();
        Faults { lost: skipped as u64 + behind, duplicated: self.duplicated, reordered: self.reordered }
    }
}

impl Sum for Faults {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            lost: a.lost + b.lost,
            duplicated: a.duplicated + b.duplicated,
            reordered: a.reordered + b.reordered,
        })
    }
}

impl Faults {
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} lost, {} duplicated, {} reordered", self.lost, self.duplicated, self.reordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_kept_is_no_fault() {
        let mut ledger = Ledger::new(2, 5);
        for number in 5..9 {
            assert!(ledger.delivered(0, number) && ledger.delivered(1, number));
        }
        assert!(!ledger.faults(&[9]).any());
        assert_eq!(ledger.faults(&[10]).lost, 2);
    }

    #[test]
    fn each_fault_has_its_name() {
        let mut ledger = Ledger::new(1, 1);
        assert!(ledger.delivered(0, 1));
        assert!(ledger.delivered(0, 4), "2 and 3 are skipped");
        assert_eq!(ledger.faults(&[5]), Faults { lost: 2, duplicated: 0, reordered: 0 });
        assert!(ledger.delivered(0, 2), "2 comes late");
        assert_eq!(ledger.faults(&[5]), Faults { lost: 1, duplicated: 0, reordered: 1 });
        assert!(!ledger.delivered(0, 2) && !ledger.delivered(0, 4), "both twice");
        assert_eq!(ledger.faults(&[5]), Faults { lost: 1, duplicated: 2, reordered: 1 });
    }
}
