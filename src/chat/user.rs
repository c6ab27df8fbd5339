//! The users who are connected to this node, each once however many connections they have, and the names that they
//! hold by being connected. It knows no store: names held by sessions are asked for in auth.rs.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::by_id::{ById, Identified};
use super::limit::Source;
use crate::error::{Error, Result};
use crate::protocol::{Author, Role, Seq, UserId};
use crate::store::{TokenHash, UserRecord};

/// Names a connection within this process.
pub type ConnectionId = u64;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Ids are given in the order in which connections come, over all workers: rounds walk them in this order.
pub fn next_connection() -> ConnectionId {
    NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed)
}

/// A user with at least one connection here, or who is asking for something.
pub struct User {
    pub id: UserId,
    /// A place in `Role::ALL`.
    role: AtomicU8,
    /// In milliseconds of Unix time; 0 where the user is not muted.
    muted_until: AtomicI64,
    /// Stands in the store. A guest without a session is written there when first needed.
    stored: AtomicBool,
    /// How far a guest who is not stored has read the lobby.
    pub lobby_read: AtomicU64,
    shown: Mutex<Shown>,
}

/// How a user is known at the moment, and by which connections.
struct Shown {
    name: Arc<str>,
    links: SmallVec<[Link; 1]>,
}

impl Identified for Arc<User> {
    type Id = UserId;

    fn id(&self) -> UserId {
        self.id
    }
}

/// One connection of a user.
pub struct Link {
    pub worker: usize,
    pub connection: ConnectionId,
    /// The session by which it came in; boxed, since most guests have none.
    pub session: Option<Box<TokenHash>>,
    /// From where it came without one.
    pub source: Option<Arc<Source>>,
}

impl User {
    /// A guest for the life of a connection, who stands in no store yet.
    pub fn guest(id: UserId, name: Arc<str>) -> Self {
        Self {
            id,
            role: AtomicU8::new(Role::Guest as u8),
            muted_until: AtomicI64::new(0),
            stored: AtomicBool::new(false),
            lobby_read: AtomicU64::new(0),
            shown: Mutex::new(Shown { name, links: SmallVec::new() }),
        }
    }

    /// Somebody who stands in the store.
    pub fn stored(record: &UserRecord) -> Self {
        let user = Self::guest(record.id, record.name.clone());
        user.set_stored();
        user.update(record);
        user
    }

    pub fn role(&self) -> Role {
        Role::ALL[usize::from(self.role.load(Ordering::Relaxed))]
    }

    /// Takes over what the store says that the user may do; says whether that is something else than before.
    pub fn update(&self, record: &UserRecord) -> bool {
        let role = record.role as u8;
        let muted_until = record.muted_until.map_or(0, Timestamp::as_millisecond);
        let role_before = self.role.swap(role, Ordering::Relaxed);
        let muted_before = self.muted_until.swap(muted_until, Ordering::Relaxed);
        (role, muted_until) != (role_before, muted_before)
    }

    pub fn muted_until(&self) -> Option<Timestamp> {
        let until = Timestamp::from_millisecond(self.muted_until.load(Ordering::Relaxed)).ok();
        until.filter(|until| *until > Timestamp::now())
    }

    pub fn check_not_muted(&self) -> Result<()> {
        if self.muted_until.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.muted_until().map_or(Ok(()), |until| Err(Error::Muted(in_words(until))))
    }

    pub fn name(&self) -> Arc<str> {
        self.shown.lock().name.clone()
    }

    pub fn rename(&self, name: Arc<str>) {
        self.shown.lock().name = name;
    }

    pub fn author(&self) -> Author {
        Author { id: self.id, name: self.name() }
    }

    pub fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    pub fn set_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }

    /// Moves the mark of a guest who is not stored.
    pub fn set_lobby_read(&self, seq: Seq) {
        self.lobby_read.store(seq, Ordering::Relaxed);
    }

    pub fn has_several_connections(&self) -> bool {
        self.shown.lock().links.len() > 1
    }

    /// From where those connections come that have no session.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let shown = self.shown.lock();
        shown.links.iter().filter_map(|link| link.source.as_ref().map(|source| source.address)).collect()
    }

    /// The sessions by which the user's connections came in, each once.
    pub fn sessions(&self) -> Vec<TokenHash> {
        let shown = self.shown.lock();
        let mut sessions: Vec<_> = shown.links.iter().filter_map(|link| link.session.as_deref().copied()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// The user's connections by worker, those that `which` picks.
    pub fn connections(&self, which: impl Fn(&Link) -> bool) -> HashMap<usize, Vec<ConnectionId>> {
        let mut by_worker: HashMap<usize, Vec<ConnectionId>> = HashMap::new();
        for link in self.shown.lock().links.iter().filter(|link| which(link)) {
            by_worker.entry(link.worker).or_default().push(link.connection);
        }
        by_worker
    }
}

/// A time as errors say it; the last one that there is stands for ever.
pub fn in_words(until: Timestamp) -> String {
    if until >= FOR_EVER { "this is lifted".to_owned() } else { format!("{until:.0}") }
}

/// Mutes and bans that end when somebody lifts them.
pub const FOR_EVER: Timestamp = Timestamp::constant(253_000_000_000, 0);

#[derive(Default)]
pub struct Users {
    online: Mutex<ById<Arc<User>>>,
    /// Folded names, and who holds them by a connection (or is about to).
    names: Mutex<HashMap<Arc<str>, (UserId, u32)>>,
    /// Whose name or e-mail is just being changed.
    changing: Mutex<HashSet<UserId>>,
}

/// Leave to change a user, until dropped.
pub struct Changing {
    users: Arc<Users>,
    user: UserId,
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.users.changing.lock().remove(&self.user);
    }
}

impl Users {
    pub fn online(&self, id: UserId) -> Option<Arc<User>> {
        self.online.lock().get(id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<User>> {
        self.online.lock().iter().cloned().collect()
    }

    /// Adds a connection; the user that is online already stands for the one given.
    pub fn connect(&self, user: Arc<User>, link: Link) -> Arc<User> {
        let mut online = self.online.lock();
        let user = online.get(user.id).cloned().unwrap_or(user);
        user.shown.lock().links.push(link);
        online.insert(user.clone());
        user
    }

    /// Takes a connection away; says whether it was the user's last.
    pub fn disconnect(&self, user: &User, connection: ConnectionId) -> bool {
        let mut online = self.online.lock();
        let links = &mut user.shown.lock().links;
        links.retain(|link| link.connection != connection);
        let last = links.is_empty();
        if last {
            online.remove(user.id);
        }
        last
    }

    /// Leave to change this user; `None` while another has it.
    pub fn begin_change(self: &Arc<Self>, user: UserId) -> Option<Changing> {
        self.changing.lock().insert(user).then(|| Changing { users: self.clone(), user })
    }

    /// Takes hold of a folded name for this user; false where someone else has it.
    pub fn claim(&self, folded: &Arc<str>, user: UserId) -> bool {
        let mut names = self.names.lock();
        match names.get_mut(&**folded) {
            Some((holder, claims)) if *holder == user => *claims += 1,
            Some(_) => return false,
            None => {
                names.insert(folded.clone(), (user, 1));
            }
        }
        true
    }

    /// Lets go of a name that `claim` took hold of.
    pub fn release(&self, folded: &str) {
        let mut names = self.names.lock();
        if let Some((_, claims)) = names.get_mut(folded) {
            *claims -= 1;
            if *claims == 0 {
                names.remove(folded);
            }
        }
    }

    /// Who holds this folded name by a connection.
    pub fn holder(&self, folded: &str) -> Option<UserId> {
        self.names.lock().get(folded).map(|(user, _)| *user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_until_its_last_claim_is_let_go() {
        let (users, bob, eve) = (Users::default(), UserId::random(), UserId::random());
        let name: Arc<str> = "bob".into();
        assert!(users.claim(&name, bob) && users.claim(&name, bob));
        users.release("bob");
        assert!(!users.claim(&name, eve));
        users.release("bob");
        assert!(users.claim(&name, eve));
    }

    #[test]
    fn a_user_is_online_with_the_first_connection_and_gone_with_the_last() {
        let (users, id) = (Users::default(), UserId::random());
        let tab = |connection| Link { worker: 0, connection, session: None, source: None };
        let user = || Arc::new(User::guest(id, "bob".into()));
        let first = users.connect(user(), tab(1));
        let second = users.connect(user(), tab(2));
        assert!(Arc::ptr_eq(&first, &second), "two tabs are one user");
        assert!(!users.disconnect(&first, 1));
        assert!(users.disconnect(&second, 2));
        assert!(users.online(id).is_none());
    }
}
