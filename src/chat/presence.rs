//! Who is online in one room, and who is typing there. Pure: time comes in as an argument, and what is to be pushed
//! goes out as data; who it is pushed to, and over what, is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::{Author, UserId};

/// Above this many users a room's presence is told by count alone.
pub const NAMED: usize = 200;
/// A typing entry ends this long after its last command.
pub const TYPING_ENDS: Duration = Duration::from_secs(6);
/// A room's typing set names at most so many; more would tell nobody anything.
const TYPING_NAMED: usize = 20;
/// Changes are gathered, to at most one push in this time.
const GATHER_PRESENCE: Duration = Duration::from_secs(1);
const GATHER_TYPING: Duration = Duration::from_millis(250);

/// What changed since the last push.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// The names of a room that had been told by count and has become small enough.
    Whole(Vec<Author>),
    Presence {
        joined: Vec<Author>,
        left: Vec<UserId>,
        count: usize,
    },
    Typing(Vec<Author>),
}

#[derive(Default)]
pub struct Presence {
    /// Each user online: their name, and the number of their connections here.
    online: BTreeMap<UserId, (Arc<str>, u32)>,
    /// Who came, went or was renamed since the last push. Also who came and went: a reader who was sent the whole in
    /// between knows them.
    touched: BTreeSet<UserId>,
    told: Option<Instant>,
    /// The last push told the count alone.
    counted: bool,
    typing: BTreeMap<UserId, (Author, Instant)>,
    typing_touched: bool,
    typing_told: Option<Instant>,
}

impl Presence {
    /// One more connection of this user.
    pub fn enter(&mut self, user: Author) {
        let Author { id, name } = user;
        let (known, connections) = self.online.entry(id).or_insert_with(|| (name.clone(), 0));
        *connections += 1;
        if *connections == 1 || *known != name {
            *known = name;
            self.touched.insert(id);
        }
    }

    /// One connection less.
    pub fn leave(&mut self, user: UserId) {
        let Some((_, connections)) = self.online.get_mut(&user) else { return };
        *connections -= 1;
        if *connections == 0 {
            self.online.remove(&user);
            self.touched.insert(user);
            self.stop_typing(user);
        }
    }

    pub fn rename(&mut self, user: &Author) {
        if let Some((name, _)) = self.online.get_mut(&user.id) {
            *name = user.name.clone();
        }
    }

    pub fn typing(&mut self, user: Author, now: Instant) {
        let fresh = self.typing.insert(user.id, (user, now + TYPING_ENDS)).is_none();
        self.typing_touched |= fresh;
    }

    pub fn stop_typing(&mut self, user: UserId) {
        self.typing_touched |= self.typing.remove(&user).is_some();
    }

    pub fn count(&self) -> usize {
        self.online.len()
    }

    /// Everyone online; `None` where they are too many to be named.
    pub fn whole(&self) -> Option<Vec<Author>> {
        (self.online.len() <= NAMED).then(|| self.online.iter().map(author).collect())
    }

    /// The users after `after` in the order of their ids, at most `limit`, and whether there are more.
    pub fn names(&self, after: Option<UserId>, limit: usize) -> (Vec<Author>, bool) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut users = self.online.range((start, Bound::Unbounded)).map(author);
        let names = users.by_ref().take(limit).collect();
        (names, users.next().is_some())
    }

    /// When `gather` has something to tell next; `None` where nothing is going on.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let presence = (!self.touched.is_empty()).then(|| self.told.map_or(now, |told| told + GATHER_PRESENCE));
        let typing = self.typing_touched.then(|| self.typing_told.map_or(now, |told| told + GATHER_TYPING));
        let ends = self.typing.values().map(|(_, ends)| *ends).min();
        [presence, typing, ends].into_iter().flatten().min()
    }

    /// Takes what is due to be pushed now.
    pub fn gather(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.touched.is_empty() && self.told.is_none_or(|told| told + GATHER_PRESENCE <= now) {
            self.told = Some(now);
            changes.push(self.presence_change());
        }
        let before = self.typing.len();
        self.typing.retain(|_, (_, ends)| *ends > now);
        self.typing_touched |= self.typing.len() < before;
        if self.typing_touched && self.typing_told.is_none_or(|told| told + GATHER_TYPING <= now) {
            self.typing_touched = false;
            self.typing_told = Some(now);
            let users = self.typing.values().take(TYPING_NAMED).map(|(author, _)| author.clone()).collect();
            changes.push(Change::Typing(users));
        }
        changes
    }

    fn presence_change(&mut self) -> Change {
        let touched = std::mem::take(&mut self.touched);
        let count = self.online.len();
        let was_counted = std::mem::replace(&mut self.counted, count > NAMED);
        if self.counted {
            return Change::Presence { joined: Vec::new(), left: Vec::new(), count };
        }
        if was_counted && let Some(online) = self.whole() {
            return Change::Whole(online);
        }
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for id in touched {
            match self.online.get_key_value(&id) {
                Some(online) => joined.push(author(online)),
                None => left.push(id),
            }
        }
        Change::Presence { joined, left, count }
    }
}

fn author((id, (name, _)): (&UserId, &(Arc<str>, u32))) -> Author {
    Author { id: *id, name: name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Author {
        Author { id: UserId::random(), name: name.into() }
    }

    #[test]
    fn a_user_with_two_tabs_comes_once_and_goes_with_the_last() {
        let (mut presence, bob, start) = (Presence::default(), user("bob"), Instant::now());
        presence.enter(bob.clone());
        presence.enter(bob.clone());
        let joined = Change::Presence { joined: vec![bob.clone()], left: vec![], count: 1 };
        assert_eq!(presence.gather(start), [joined]);
        presence.leave(bob.id);
        assert_eq!(presence.due(start), None);
        presence.leave(bob.id);
        assert_eq!(presence.due(start), Some(start + GATHER_PRESENCE), "at most one push a second");
        let left = Change::Presence { joined: vec![], left: vec![bob.id], count: 0 };
        assert_eq!(presence.gather(start + GATHER_PRESENCE), [left]);
    }

    #[test]
    fn who_came_and_went_between_two_pushes_is_told_as_left() {
        let (mut presence, eve, start) = (Presence::default(), user("eve"), Instant::now());
        presence.enter(eve.clone());
        assert_eq!(presence.whole().unwrap(), std::slice::from_ref(&eve), "a reader who subscribes now knows eve");
        presence.leave(eve.id);
        assert_eq!(presence.gather(start), [Change::Presence { joined: vec![], left: vec![eve.id], count: 0 }]);
    }

    #[test]
    fn a_large_room_is_told_by_count() {
        let mut presence = Presence::default();
        (0..=NAMED).for_each(|_| presence.enter(user("guest")));
        assert_eq!(presence.whole(), None);
        let change = Change::Presence { joined: vec![], left: vec![], count: NAMED + 1 };
        assert_eq!(presence.gather(Instant::now()), [change]);
        let (first, more) = presence.names(None, 150);
        let (rest, end) = presence.names(first.last().map(|user| user.id), 150);
        assert_eq!((first.len(), more, rest.len(), end), (150, true, NAMED + 1 - 150, false));
        presence.leave(first[0].id);
        let change = presence.gather(Instant::now() + GATHER_PRESENCE);
        assert_eq!(change, [Change::Whole(presence.whole().unwrap())], "small again: everyone is named anew");
    }

    #[test]
    fn typing_ends_by_itself_and_with_the_message() {
        let (mut presence, bob, eve, start) = (Presence::default(), user("bob"), user("eve"), Instant::now());
        presence.typing(bob.clone(), start);
        assert_eq!(presence.gather(start), [Change::Typing(vec![bob.clone()])]);
        presence.typing(bob.clone(), start + Duration::from_secs(3));
        presence.typing(eve.clone(), start + Duration::from_secs(3));
        presence.stop_typing(eve.id);
        assert_eq!(presence.gather(start + Duration::from_secs(3)), [Change::Typing(vec![bob.clone()])]);
        assert_eq!(presence.due(start), Some(start + Duration::from_secs(9)));
        assert_eq!(presence.gather(start + Duration::from_secs(9)), [Change::Typing(vec![])]);
        assert_eq!(presence.due(start), None);
    }
}
