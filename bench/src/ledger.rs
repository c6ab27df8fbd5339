//! Who got which event: every reader must get every seq once, in order. The usual case is one comparison; what
//! arrives out of turn is remembered and told apart as lost, duplicated or reordered.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

pub struct Ledger {
    next: Vec<u64>,
    /// The seqs that a reader was not given in their turn.
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
    /// `next`: the first seq that each reader must get.
    pub fn new(readers: usize, next: u64) -> Self {
        Self { next: vec![next; readers], missing: HashMap::new(), duplicated: 0, reordered: 0 }
    }

    /// Notes a delivery; true if it is this reader's first of that seq.
    pub fn delivered(&mut self, reader: usize, seq: u64) -> bool {
        let next = &mut self.next[reader];
        if seq == *next {
            *next += 1;
            return true;
        }
        if seq > *next {
            self.missing.entry(reader).or_default().extend(*next..seq);
            *next = seq + 1;
            return true;
        }
        let late = self.missing.get_mut(&reader).is_some_and(|missing| missing.remove(&seq));
        if late {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
        late
    }

    /// What went wrong, if every reader should by now have all up to `head`.
    pub fn faults(&self, head: u64) -> Faults {
        let skipped: usize = self.missing.values().map(BTreeSet::len).sum();
        let behind: u64 = self.next.iter().map(|next| (head + 1).saturating_sub(*next)).sum();
        Faults { lost: skipped as u64 + behind, duplicated: self.duplicated, reordered: self.reordered }
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
        for seq in 5..9 {
            assert!(ledger.delivered(0, seq) && ledger.delivered(1, seq));
        }
        assert!(!ledger.faults(8).any());
        assert_eq!(ledger.faults(9).lost, 2);
    }

    #[test]
    fn each_fault_has_its_name() {
        let mut ledger = Ledger::new(1, 1);
        assert!(ledger.delivered(0, 1));
        assert!(ledger.delivered(0, 4), "2 and 3 are skipped");
        assert_eq!(ledger.faults(4), Faults { lost: 2, duplicated: 0, reordered: 0 });
        assert!(ledger.delivered(0, 2), "2 comes late");
        assert_eq!(ledger.faults(4), Faults { lost: 1, duplicated: 0, reordered: 1 });
        assert!(!ledger.delivered(0, 2) && !ledger.delivered(0, 4), "both twice");
        assert_eq!(ledger.faults(4), Faults { lost: 1, duplicated: 2, reordered: 1 });
    }
}
