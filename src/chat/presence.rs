//! Who is online in one room, and who is typing there. Pure: time comes in as an argument, and what is to be pushed
//! goes out as data; who it is pushed to, and over what, is not known here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::{Author, UserId};
use crate::store::NodeId;

/// Above this many users a room's presence is told by count alone.
pub const NAMED: usize = 200;
/// A typing entry ends this long after its last command.
pub const TYPING_ENDS: Duration = Duration::from_secs(6);
/// Commands to say that somebody still types are passed on to the other nodes at most so often.
const TYPING_AGAIN: Duration = Duration::from_secs(1);
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
    online: BTreeMap<UserId, Online>,
    /// Who came, went or was renamed since the last push. Also who came and went: a reader who was sent the whole in
    /// between knows them.
    touched: BTreeSet<UserId>,
    told: Option<Instant>,
    /// The last push told the count alone.
    counted: bool,
    typing: BTreeMap<UserId, (Author, Instant)>,
    typing_touched: bool,
    typing_told: Option<Instant>,
    /// Who came, went or was renamed here since the other nodes were told.
    untold: BTreeSet<UserId>,
    /// The other nodes by which users are present; nobody without one.
    elsewhere: BTreeMap<UserId, Vec<NodeId>>,
    /// What other nodes told since they were asked who is present by them, until the answer is there.
    heard: Option<Vec<Heard>>,
}

/// A user who is online, each once wherever their connections are.
struct Online {
    name: Arc<str>,
    /// The number of their connections here.
    connections: u32,
}

/// What another node tells of those who are present by it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub node: NodeId,
    pub came: Vec<Author>,
    pub left: Vec<UserId>,
}

impl Presence {
    /// One more connection of this user.
    pub fn enter(&mut self, user: Author) {
        let id = user.id;
        let online = self.shown(user);
        online.connections += 1;
        if online.connections == 1 {
            self.untold.insert(id);
        }
    }

    /// One connection less.
    pub fn leave(&mut self, user: UserId) {
        let Some(online) = self.online.get_mut(&user).filter(|online| online.connections > 0) else { return };
        online.connections -= 1;
        if online.connections == 0 {
            self.untold.insert(user);
            self.remove_if_gone(user);
        }
    }

    /// The user, by this name from now on.
    fn shown(&mut self, user: Author) -> &mut Online {
        let Author { id, name } = user;
        let online = self.online.entry(id).or_insert_with(|| {
            self.touched.insert(id);
            Online { name: name.clone(), connections: 0 }
        });
        if online.name != name {
            online.name = name;
            self.touched.insert(id);
        }
        online
    }

    fn remove_if_gone(&mut self, user: UserId) {
        let here = self.online.get(&user).is_none_or(|online| online.connections > 0);
        if !here && !self.elsewhere.contains_key(&user) {
            self.online.remove(&user);
            self.touched.insert(user);
            self.stop_typing(user);
        }
    }

    pub fn rename(&mut self, user: &Author) {
        if let Some(online) = self.online.get_mut(&user.id) {
            online.name = user.name.clone();
            if online.connections > 0 {
                self.untold.insert(user.id);
            }
        }
    }

    /// Whether the other nodes are to be told of somebody.
    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Who came here and who went, since this was asked the last time.
    pub fn tell(&mut self) -> (Vec<Author>, Vec<UserId>) {
        let (mut came, mut left) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.untold) {
            match self.online.get_key_value(&id).filter(|(_, online)| online.connections > 0) {
                Some(online) => came.push(author(online)),
                None => left.push(id),
            }
        }
        (came, left)
    }

    /// Lets everyone who is online here be told anew.
    pub fn tell_anew(&mut self) {
        self.untold.extend(self.online.iter().filter(|(_, online)| online.connections > 0).map(|(id, _)| *id));
    }

    /// Another node tells who came and went.
    pub fn hear(&mut self, heard: Heard) {
        self.take(&heard);
        if let Some(all) = &mut self.heard {
            all.push(heard);
        }
    }

    fn take(&mut self, Heard { node, came, left }: &Heard) {
        for user in came {
            self.shown(user.clone());
            let elsewhere = self.elsewhere.entry(user.id).or_default();
            if !elsewhere.contains(node) {
                elsewhere.push(node.clone());
            }
        }
        for user in left {
            self.leave_elsewhere(*user, |by| by == node);
        }
    }

    fn leave_elsewhere(&mut self, user: UserId, by: impl Fn(&NodeId) -> bool) {
        if let Some(nodes) = self.elsewhere.get_mut(&user) {
            nodes.retain(|node| !by(node));
            if nodes.is_empty() {
                self.elsewhere.remove(&user);
                self.remove_if_gone(user);
            }
        }
    }

    /// Another node has ended.
    pub fn lose(&mut self, node: &NodeId) {
        let by_it: Vec<_> =
            self.elsewhere.iter().filter(|(_, nodes)| nodes.contains(node)).map(|(id, _)| *id).collect();
        for user in by_it {
            self.leave_elsewhere(user, |by| by == node);
        }
        if let Some(all) = &mut self.heard {
            all.retain(|heard| heard.node != *node);
        }
    }

    /// The other nodes are about to be asked who is present by them.
    pub fn ask(&mut self) {
        self.heard = Some(Vec::new());
    }

    /// What they answered. What they have told since they were asked may be newer, or be in the answer already.
    pub fn learn(&mut self, others: Vec<(NodeId, Vec<Author>)>) {
        let known: Vec<_> = self.elsewhere.keys().copied().collect();
        let present: HashSet<(UserId, &NodeId)> =
            others.iter().flat_map(|(node, users)| users.iter().map(move |user| (user.id, node))).collect();
        for user in known {
            self.leave_elsewhere(user, |node| !present.contains(&(user, node)));
        }
        for (node, came) in others {
            self.take(&Heard { node, came, left: Vec::new() });
        }
        for heard in self.heard.take().unwrap_or_default() {
            self.take(&heard);
        }
    }

    /// Somebody who is present by another node.
    pub fn elsewhere(&self, user: UserId) -> Option<Author> {
        self.online.get_key_value(&user).filter(|_| self.elsewhere.contains_key(&user)).map(author)
    }

    /// A user is typing; says whether that is news, or has been for a while.
    pub fn typing(&mut self, user: Author, now: Instant) -> bool {
        let ends = now + TYPING_ENDS;
        let before = self.typing.insert(user.id, (user, ends)).map(|(_, ends)| ends);
        self.typing_touched |= before.is_none();
        before.is_none_or(|before| before + TYPING_AGAIN <= ends)
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

fn author((id, online): (&UserId, &Online)) -> Author {
    Author { id: *id, name: online.name.clone() }
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

    #[test]
    fn a_user_on_two_nodes_is_one_and_goes_with_the_last() {
        let (mut presence, bob) = (Presence::default(), user("bob"));
        let heard = |came: &[&Author], left: &[&Author]| Heard {
            node: "b".to_owned(),
            came: came.iter().map(|user| (*user).clone()).collect(),
            left: left.iter().map(|user| user.id).collect(),
        };
        presence.enter(bob.clone());
        presence.hear(heard(&[&bob], &[]));
        assert_eq!(presence.count(), 1);
        presence.leave(bob.id);
        assert_eq!(presence.count(), 1, "bob is still there by the other node");
        presence.hear(heard(&[], &[&bob]));
        assert_eq!(presence.count(), 0);
        presence.hear(heard(&[&bob], &[]));
        presence.lose(&"b".to_owned());
        assert_eq!(presence.count(), 0, "their node has ended");
    }

    #[test]
    fn others_are_told_of_those_here_alone() {
        let (mut presence, bob, eve) = (Presence::default(), user("bob"), user("eve"));
        presence.enter(bob.clone());
        presence.hear(Heard { node: "b".to_owned(), came: vec![eve.clone()], left: vec![] });
        assert_eq!(presence.tell(), (vec![bob.clone()], vec![]));
        presence.enter(bob.clone());
        assert!(!presence.has_untold(), "a second tab is no news");
        presence.leave(bob.id);
        presence.leave(bob.id);
        assert_eq!(presence.tell(), (vec![], vec![bob.id]));
        presence.tell_anew();
        assert!(!presence.has_untold(), "eve is not here");
    }

    #[test]
    fn what_was_told_while_others_were_asked_is_not_undone_by_their_answer() {
        let (mut presence, bob, eve, ann) = (Presence::default(), user("bob"), user("eve"), user("ann"));
        let node = || "b".to_owned();
        presence.hear(Heard { node: node(), came: vec![ann.clone()], left: vec![] });
        presence.ask();
        presence.hear(Heard { node: node(), came: vec![eve.clone()], left: vec![bob.id] });
        presence.learn(vec![(node(), vec![bob.clone()])]);
        assert_eq!(presence.whole().unwrap(), [eve], "bob left after the answer, ann before");
        presence.learn(vec![]);
        assert_eq!(presence.count(), 0, "nobody is there by a node that is not named");
    }
}
