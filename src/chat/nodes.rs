//! What this node tells the other nodes on its store, and does when they tell it something: whatever it holds in memory
//! of people, rights and presence. It must not know how notices travel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use super::limit::network;
use super::presence::{Heard, Presence};
use super::user::{Link, User};
use super::{Chat, News, auth, rooms};
use crate::error::{Error, Result};
use crate::protocol::{Author, CloseCode, Push, RoomId, UserId};
use crate::store::{Tiding, TokenHash, UserRecord};

/// How often the other nodes are told who came and went.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// After this time what went wrong is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// More notices are not kept that cannot be heeded: the store is away then, and when it is back all is looked at.
const UNHEEDED: usize = 1_000;
/// So many people are looked up at once when the store is back.
const LOOKED_UP: usize = 32;

/// To every other node. Each has been written to the store where it belongs there, so it says what to read anew.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    /// What somebody may do was changed.
    User(UserId),
    /// Somebody has another name or picture.
    Shown(UserId),
    /// Sessions of this user were ended.
    Ended(UserId, Vec<TokenHash>),
    /// All connections of this user are closed.
    Closed(UserId, Closed),
    /// A guest was banned, and with them the addresses from which they come.
    Banned { user: Author, until: Timestamp, reason: String },
    /// The bans of addresses were changed.
    Bans,
    /// The settings of the place were changed.
    Place,
    /// Somebody has joined a room, or left it, with the push that tells them so.
    Member { user: UserId, room: RoomId, joined: bool, gone: Option<String> },
    /// Read markers were moved.
    Markers(Vec<(RoomId, UserId)>),
    /// A room was changed, which those know who do not read along.
    Room(RoomId),
}

/// Why connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Closed {
    SessionEnded,
    Banned,
}

impl Closed {
    pub(super) fn code(self) -> CloseCode {
        match self {
            Self::SessionEnded => CloseCode::SessionEnded,
            Self::Banned => CloseCode::Policy,
        }
    }
}

/// To the nodes that have readers of a room.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoomNotice {
    Typing(Author),
}

impl Chat {
    pub(super) fn tell_nodes(&self, notice: &Notice) {
        self.store.nodes.tell(json(notice));
    }

    /// Lets the other nodes know that somebody is typing.
    pub(super) fn tell_typing(&self, room: &RoomId, user: Author) {
        self.store.nodes.tell_room(room, json(&RoomNotice::Typing(user)));
    }

    /// Hears what the store and the other nodes tell, for ever.
    pub(super) async fn hear_tidings(&self) {
        let mut tidings = self.tidings.lock().await;
        let mut unheeded = VecDeque::new();
        let mut again = tokio::time::interval(AGAIN_AFTER);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                tiding = tidings.recv() => match tiding {
                    Some(tiding) => unheeded.extend(self.hear(tiding).await),
                    None => return,
                },
                _ = again.tick(), if !unheeded.is_empty() => {
                    while let Some(notice) = unheeded.pop_front() {
                        if let Some(notice) = self.heed_if_possible(notice).await {
                            unheeded.push_front(notice);
                            break;
                        }
                    }
                }
            }
            unheeded.truncate(UNHEEDED);
        }
    }

    /// Gives back a notice that could not be heeded yet.
    async fn hear(&self, tiding: Tiding) -> Option<Notice> {
        match tiding {
            // The hub has seen to it.
            Tiding::Stirred(_) => {}
            Tiding::Notice(json) => match serde_json::from_str(&json) {
                Ok(notice) => return self.heed_if_possible(notice).await,
                // Of a newer version, during an update.
                Err(error) => tracing::debug!(%error, "a notice that is not understood"),
            },
            Tiding::RoomNotice { room, notice } => self.heed_in_room(&room, &notice),
            Tiding::Present { node, room, came, left } => self.hub.hear_present(&room, Heard { node, came, left }),
            Tiding::NodeGone(node) => self.hub.lose_node(&node),
            Tiding::Away => {
                tracing::warn!("the store cannot be reached; new messages are refused until it can");
                self.set_away(true);
            }
            Tiding::Back => self.come_back().await,
            Tiding::Lapsed => {
                self.look_until_seen().await;
                self.tell_presence_anew();
            }
        }
        None
    }

    /// Gives back a notice for which the store is needed and cannot be asked just now.
    async fn heed_if_possible(&self, notice: Notice) -> Option<Notice> {
        match self.heed(&notice).await {
            Ok(()) => None,
            Err(Error::Internal) => {
                tracing::warn!(?notice, "cannot do what another node asks for");
                None
            }
            Err(error) => {
                tracing::debug!(%error, "cannot do yet what another node asks for");
                Some(notice)
            }
        }
    }

    async fn heed(&self, notice: &Notice) -> Result<()> {
        match notice {
            Notice::User(user) => {
                // Counted first: whose connection is on its way in looks again.
                self.changes.fetch_add(1, Ordering::AcqRel);
                if let Some(online) = self.users.online(*user)
                    && let Some(now) = self.store.accounts.user(*user).await?
                {
                    online.set_stored();
                    self.show_rights(&now);
                }
            }
            Notice::Shown(user) => {
                if let Some(now) = self.store.accounts.user(*user).await? {
                    self.show_anew(&now);
                }
            }
            Notice::Ended(user, sessions) => {
                self.changes.fetch_add(1, Ordering::AcqRel);
                self.close_sessions(*user, sessions);
            }
            Notice::Closed(user, why) => {
                self.changes.fetch_add(1, Ordering::AcqRel);
                self.close_here(*user, |_| true, why.code());
            }
            Notice::Banned { user, until, reason } => {
                if let Some(online) = self.users.online(user.id) {
                    self.ban_from(&online, *until, reason).await?;
                }
            }
            Notice::Bans => self.learn_bans().await?,
            Notice::Place => self.learn_place().await?,
            Notice::Member { user, room, joined, gone } => {
                self.show_member(*user, room, *joined, gone.as_deref().map(Into::into).as_ref());
            }
            Notice::Markers(moved) => {
                for (room, user) in moved {
                    if let Some(user) = self.users.online(*user) {
                        self.hub.marker_moved(room, &user);
                    }
                }
            }
            Notice::Room(room) => self.hub.stir(room),
        }
        Ok(())
    }

    /// Bans the addresses from which a guest has come to this node.
    async fn ban_from(&self, guest: &User, until: Timestamp, reason: &str) -> Result<()> {
        let addresses = guest.addresses().into_iter().map(|address| network(address).to_string()).collect();
        self.ban_addresses(&guest.author(), addresses, until, reason).await
    }

    fn heed_in_room(&self, room: &RoomId, notice: &str) {
        let Some(room) = self.hub.room(room) else { return };
        match serde_json::from_str(notice) {
            Ok(RoomNotice::Typing(user)) => {
                let (_, due) = room.with_presence(|presence| presence.typing(user, Instant::now()));
                self.hub.schedule(&room.id, due);
            }
            Err(error) => tracing::debug!(%error, "a notice that is not understood"),
        }
    }

    /// Tells the other nodes who came here and who went, for ever.
    pub(super) async fn tell_presence(&self) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            for room in self.hub.take_untold() {
                let ((came, left), _) = room.with_presence(Presence::tell);
                if !(came.is_empty() && left.is_empty()) {
                    self.store.nodes.present(&room.id, came, left);
                }
            }
        }
    }

    /// Asks who is present by the other nodes in rooms that have become live, for ever.
    pub(super) async fn ask_presence(&self) {
        let mut newly_live = self.newly_live.1.lock().await;
        while let Some(id) = newly_live.recv().await {
            let Some(room) = self.hub.room(&id) else { continue };
            room.with_presence(Presence::ask);
            match self.store.nodes.others_present(&id).await {
                Ok(others) => {
                    let ((), due) = room.with_presence(|presence| presence.learn(others));
                    self.hub.schedule(&id, due);
                }
                Err(error) => {
                    tracing::debug!(room = %id, %error, "cannot ask yet who is present elsewhere");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    self.ask_presence_in(&id);
                }
            }
        }
    }

    /// Lets `ask_presence` ask about this room.
    pub(super) fn ask_presence_in(&self, room: &RoomId) {
        // Who would hear it ends with the process.
        let _ = self.newly_live.0.send(room.clone());
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        let json: Arc<str> = Push::Store { away }.json().into();
        self.hub.tell_all(|| News::TellAll { json: json.clone() });
    }

    /// The store is back: whatever may have changed meanwhile is looked at before anything is delivered.
    async fn come_back(&self) {
        self.look_until_seen().await;
        self.hub.let_go();
        self.set_away(false);
        tracing::info!("the store can be reached again");
        self.tell_presence_anew();
    }

    fn tell_presence_anew(&self) {
        for room in self.hub.live_rooms() {
            room.with_presence(Presence::tell_anew);
            self.hub.presence_changed(&room, None);
            self.ask_presence_in(&room.id);
        }
    }

    async fn look_until_seen(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let mut tries = 0;
        while let Err(error) = self.look_again().await {
            tries += 1;
            tracing::warn!(%error, tries, "cannot look at what has changed while the store was away");
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn look_again(&self) -> Result<()> {
        rooms::make_lobby(self.directory()).await?;
        // What is known of these stays as it is.
        unless_unreadable(self.learn_place().await)?;
        unless_unreadable(self.learn_bans().await)?;
        let looks = stream::iter(self.users.all()).map(|user| async move {
            let looked = self.look_at(&user).await;
            if looked == Err(Error::Internal) {
                // Nobody knows what they may do.
                self.close_here(user.id, |_| true, CloseCode::GoingAway);
            }
            unless_unreadable(looked)
        });
        let mut looks = looks.buffer_unordered(LOOKED_UP);
        while let Some(looked) = looks.next().await {
            looked?;
        }
        Ok(())
    }

    /// Whether this user's connections may go on, and as what.
    async fn look_at(&self, user: &Arc<User>) -> Result<()> {
        // A guest who has said nothing may have been stored by another node, with what they may not do.
        if let Some(now) = self.store.accounts.user(user.id).await? {
            user.set_stored();
            self.look_at_record(user, &now).await?;
        }
        if user.addresses().into_iter().any(|address| self.check_address(address).is_err()) {
            self.close_here(user.id, |link| link.source.is_some(), CloseCode::Policy);
        }
        for session in user.sessions() {
            if self.store.sessions.session(session).await?.is_none() {
                self.close_here(
                    user.id,
                    |link: &Link| link.session.as_deref() == Some(&session),
                    CloseCode::SessionEnded,
                );
            }
        }
        Ok(())
    }

    async fn look_at_record(&self, user: &User, now: &UserRecord) -> Result<()> {
        // Who came without a session keeps the name that was free then.
        if !user.sessions().is_empty() && now.name != user.name() {
            self.show_anew(now);
        }
        if user.update(now) {
            self.show_rights(now);
        }
        if auth::check_not_banned(now).is_err() {
            if let Some(until) = now.banned_until.filter(|_| now.role.is_guest()) {
                self.ban_from(user, until, "").await?;
            }
            self.close_here(user.id, |_| true, CloseCode::Policy);
        }
        Ok(())
    }
}

/// What cannot be read would not be read the next time either, and must hold nobody up.
fn unless_unreadable(looked: Result<()>) -> Result<()> {
    if looked == Err(Error::Internal) {
        tracing::error!("what the store holds of a user, the bans or the place cannot be read");
        return Ok(());
    }
    looked
}

fn json(notice: &impl Serialize) -> String {
    serde_json::to_string(notice).expect("a notice always serialises")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_understood_as_it_was_told() {
        let (user, room) = (UserId::random(), RoomId::lobby());
        let notices = [
            Notice::Ended(user, vec![[7; 32]]),
            Notice::Closed(user, Closed::Banned),
            Notice::Place,
            Notice::Member { user, room: room.clone(), joined: false, gone: Some("{}".to_owned()) },
            Notice::Markers(vec![(room, user)]),
        ];
        for notice in notices {
            let heard: Notice = serde_json::from_str(&json(&notice)).unwrap();
            assert_eq!(format!("{heard:?}"), format!("{notice:?}"));
        }
    }
}
