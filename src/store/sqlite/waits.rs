//! Until when each user waits who wrote in a room in slow mode. It stands in memory: after a restart nobody waits. It
//! must not know what was written, nor who is free of waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::protocol::{Epoch, UserId};

/// Fewer are not worth looking through for those that are over.
const FEW: usize = 1024;

#[derive(Default)]
pub(super) struct Waits {
    /// By the life of a room: one that is made anew under an old id has its own.
    ends: HashMap<(Epoch, UserId), Instant>,
    /// Begun in the transaction that is under way.
    begun: Vec<(Epoch, UserId)>,
}

impl Waits {
    /// Refuses a user who waits still, though never longer than the room asks for now.
    pub fn check(&self, room: Epoch, user: UserId, longest: Duration) -> Result<()> {
        let Some(ends) = self.ends.get(&(room, user)) else { return Ok(()) };
        let left = ends.saturating_duration_since(Instant::now()).min(longest);
        if left.is_zero() {
            return Ok(());
        }
        Err(Error::SlowMode { retry_after_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1) })
    }

    pub fn begin(&mut self, room: Epoch, user: UserId, lasts: Duration) {
        let now = Instant::now();
        if self.ends.len() >= FEW && self.ends.len().is_power_of_two() {
            self.ends.retain(|_, ends| *ends > now);
        }
        self.ends.insert((room, user), now + lasts);
        self.begun.push((room, user));
    }

    /// What was begun is committed.
    pub fn keep(&mut self) {
        self.begun.clear();
    }

    /// What was begun was not written after all.
    pub fn undo(&mut self) {
        for wait in self.begun.drain(..) {
            self.ends.remove(&wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_taken_back_with_the_message_that_began_it() {
        let (mut waits, room, longest) = (Waits::default(), Epoch(1), Duration::from_mins(5));
        let [bob, eve] = [UserId::random(), UserId::random()];
        waits.begin(room, bob, longest);
        waits.keep();
        waits.begin(room, eve, longest);
        waits.undo();
        assert!(matches!(waits.check(room, bob, longest), Err(Error::SlowMode { .. })));
        assert_eq!(waits.check(room, eve, longest), Ok(()), "she has written nothing");
        assert_eq!(waits.check(Epoch(2), bob, longest), Ok(()));
    }

    #[test]
    fn nobody_waits_longer_than_the_room_asks_for_now() {
        let (mut waits, room, bob) = (Waits::default(), Epoch(1), UserId::random());
        waits.begin(room, bob, Duration::from_mins(5));
        let Err(Error::SlowMode { retry_after_ms }) = waits.check(room, bob, Duration::from_secs(5)) else {
            panic!("he waits still");
        };
        assert_eq!(retry_after_ms, 5_000);
    }
}
