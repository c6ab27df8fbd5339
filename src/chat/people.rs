//! People and order among them: who is here, what each may do, mutes, kicks and bans, reports, the audit log.
//! Nobody acts on who is not below them. It knows no route.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::auth::{Visitor, expired_before, new_record};
use super::limit::network;
use super::nodes::{Closed, Notice};
use super::place::line;
use super::user::{FOR_EVER, User};
use super::{Chat, News};
use crate::error::{Error, Result};
use crate::protocol::{Author, Content, Event, Kind, Push, Role, RoomId, Seq, UserId};
use crate::store::{AuditEntry, Ban, Report, Span, UserChange, UserRecord, Which};

const REASON_CHARS: usize = 500;
const REPORTS: usize = 200;
const MOST_MINUTES: u32 = 60 * 24 * 365 * 10;

/// One of the people here, as others see them.
#[derive(Debug, Serialize)]
pub struct Person {
    id: UserId,
    name: Arc<str>,
    role: Role,
    online: bool,
    /// For moderators.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    banned_until: Option<Timestamp>,
}

/// A ban of an address.
#[derive(Debug, Serialize)]
pub struct BanView {
    id: UserId,
    name: Arc<str>,
    until: Option<Timestamp>,
    reason: String,
}

#[derive(Debug, Serialize)]
pub struct ReportView {
    id: u64,
    room: RoomId,
    room_name: Arc<str>,
    seq: Seq,
    text: String,
    author: Author,
    by: Author,
    reason: String,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct AuditView {
    id: u64,
    at: Timestamp,
    by: Author,
    act: String,
    subject: String,
    detail: String,
}

impl Chat {
    /// Those who hold a name, in its order, and whether there are more. For people with an account.
    pub async fn people(
        &self,
        visitor: &Visitor,
        query: &str,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<(Vec<Person>, bool)> {
        visitor.must_be(Role::Member)?;
        let mut users = self.store.accounts.users(query, after, limit + 1).await?;
        let more = users.len() > limit;
        users.truncate(limit);
        Ok((users.into_iter().map(|user| self.person_for(visitor, user)).collect(), more))
    }

    /// Somebody whose id the visitor has met.
    pub async fn person(&self, visitor: &Visitor, user: UserId) -> Result<Person> {
        Ok(self.person_for(visitor, self.known(user).await?))
    }

    fn person_for(&self, visitor: &Visitor, user: UserRecord) -> Person {
        let (moderates, now) = (visitor.user.role >= Role::Moderator, Timestamp::now());
        let shown = |until: Option<Timestamp>| until.filter(|until| moderates && *until > now);
        Person {
            id: user.id,
            name: user.name,
            role: user.role,
            online: self.is_online(user.id),
            muted_until: shown(user.muted_until),
            banned_until: shown(user.banned_until),
        }
    }

    /// Whether somebody is connected to this node, or present by another.
    pub(super) fn is_online(&self, user: UserId) -> bool {
        self.users.online(user).is_some() || self.elsewhere(user).is_some()
    }

    /// Somebody who is present by another node: looked for in all live rooms, and not at all where there is no other.
    fn elsewhere(&self, user: UserId) -> Option<Author> {
        if self.store.nodes.is_alone() { None } else { self.hub.elsewhere(user) }
    }

    /// A user; a guest who has said nothing yet is known by being connected.
    async fn known(&self, user: UserId) -> Result<UserRecord> {
        if let Some(record) = self.store.accounts.user(user).await? {
            return Ok(record);
        }
        let here = self.users.online(user).map(|guest| guest.author());
        let guest = here.or_else(|| self.elsewhere(user)).ok_or(Error::NoUser)?;
        Ok(UserRecord { id: user, ..new_record(guest.name, None, Role::Guest) })
    }

    /// Gives somebody a role in the place: an admin one below their own to whom is below them; the owner any.
    pub async fn set_role(&self, visitor: &Visitor, other: UserId, role: Role) -> Result<()> {
        visitor.must_be(Role::Admin)?;
        let other = self.below(visitor, other).await?;
        if other.role.is_guest() || role.is_guest() {
            return Err(Error::NotAllowed("a guest becomes more by making an account"));
        }
        if role >= visitor.user.role && visitor.user.role != Role::Owner {
            return Err(Error::NotAllowed("expected a role below your own"));
        }
        let change = UserChange { role: Some(role), ..UserChange::default() };
        self.change_other(other.id, change).await?;
        self.note(&visitor.user.author(), "role", &other.name, role.as_str()).await
    }

    /// Lets nobody hear somebody for so long (without an end: until it is lifted), or hear them again.
    pub async fn mute(&self, visitor: &Visitor, other: UserId, minutes: Option<Option<u32>>) -> Result<()> {
        visitor.must_be(Role::Moderator)?;
        let other = self.below(visitor, other).await?;
        let until = minutes.map(until).transpose()?;
        let change = UserChange { muted_until: Some(until), ..UserChange::default() };
        self.change_other(other.id, change).await?;
        let act = if minutes.is_some() { "mute" } else { "unmute" };
        self.note(&visitor.user.author(), act, &other.name, &in_minutes(minutes.flatten())).await
    }

    /// Ends somebody's connections, and a guest's sessions. They may come back.
    pub async fn kick(&self, visitor: &Visitor, other: UserId) -> Result<()> {
        visitor.must_be(Role::Moderator)?;
        let other = self.below(visitor, other).await?;
        if other.role.is_guest() {
            self.end_sessions(other.id, Which::OfPeople).await?;
        }
        self.close_connections(other.id, Closed::SessionEnded);
        self.note(&visitor.user.author(), "kick", &other.name, "").await
    }

    /// Lets somebody come in no more: an account as such, a guest by their session and from where they come.
    pub async fn ban(&self, visitor: &Visitor, other: UserId, minutes: Option<u32>, reason: &str) -> Result<()> {
        visitor.must_be(Role::Moderator)?;
        let reason = line("reason", reason, 0, REASON_CHARS)?;
        let other = self.below(visitor, other).await?;
        let until = until(minutes)?;
        let change = UserChange { banned_until: Some(Some(until)), ..UserChange::default() };
        // A guest who has said nothing yet stands in no store.
        match self.change_other(other.id, change).await {
            Err(Error::NoUser) if other.role.is_guest() => {}
            outcome => outcome?,
        }
        if other.role.is_guest() {
            self.ban_addresses_of(&other, until, &reason).await?;
        }
        // First, so that they are told not to come back; who has just come in is told that the session ended.
        self.close_connections(other.id, Closed::Banned);
        self.end_sessions(other.id, Which::All).await?;
        let detail = if reason.is_empty() { in_minutes(minutes) } else { format!("{}: {reason}", in_minutes(minutes)) };
        self.note(&visitor.user.author(), "ban", &other.name, &detail).await
    }

    async fn ban_addresses_of(&self, guest: &UserRecord, until: Timestamp, reason: &str) -> Result<()> {
        let by_session = self.store.sessions.sessions(guest.id, false).await?;
        let mut addresses: Vec<String> = by_session.into_iter().map(|record| record.session.address).collect();
        if let Some(user) = self.users.online(guest.id) {
            addresses.extend(user.addresses().into_iter().map(|address| network(address).to_string()));
        }
        self.tell_nodes(&Notice::Banned { user: guest.author(), until, reason: reason.to_owned() });
        self.ban_addresses(&guest.author(), addresses, until, reason).await
    }

    /// Bans addresses for a guest who comes from there.
    pub(super) async fn ban_addresses(
        &self,
        guest: &Author,
        mut addresses: Vec<String>,
        until: Timestamp,
        reason: &str,
    ) -> Result<()> {
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses.into_iter().filter(|address| !address.is_empty()) {
            let until = (until < FOR_EVER).then_some(until);
            let (user, reason) = (guest.clone(), reason.to_owned());
            self.store.moderation.ban(Ban { address, user, until, reason, at: Timestamp::now() }).await?;
        }
        self.bans_changed().await
    }

    async fn bans_changed(&self) -> Result<()> {
        self.tell_nodes(&Notice::Bans);
        self.learn_bans().await
    }

    pub async fn lift_ban(&self, visitor: &Visitor, other: UserId) -> Result<()> {
        visitor.must_be(Role::Moderator)?;
        let change = UserChange { banned_until: Some(None), ..UserChange::default() };
        let name = match self.below(visitor, other).await {
            Ok(user) => {
                self.change_other(user.id, change).await?;
                user.name
            }
            // A guest without a session is known by the ban alone.
            Err(Error::NoUser) => {
                let bans = self.store.moderation.bans(Timestamp::now()).await?;
                bans.into_iter().find(|ban| ban.user.id == other).ok_or(Error::NoUser)?.user.name
            }
            Err(error) => return Err(error),
        };
        self.store.moderation.lift_bans(other).await?;
        self.bans_changed().await?;
        self.note(&visitor.user.author(), "unban", &name, "").await
    }

    /// Bans of addresses; those of accounts stand with the people.
    pub async fn bans(&self, visitor: &Visitor) -> Result<Vec<BanView>> {
        visitor.must_be(Role::Moderator)?;
        let bans = self.store.moderation.bans(Timestamp::now()).await?;
        let mut views: Vec<BanView> = Vec::new();
        for Ban { user, until, reason, .. } in bans {
            if views.iter().all(|view| view.id != user.id) {
                views.push(BanView { id: user.id, name: user.name, until, reason });
            }
        }
        Ok(views)
    }

    /// Somebody on whom the visitor may act: they are below, or the visitor is the owner.
    pub(super) async fn below(&self, visitor: &Visitor, other: UserId) -> Result<UserRecord> {
        if other == visitor.user.id {
            return Err(Error::NotAllowed("expected somebody else"));
        }
        let record = self.known(other).await?;
        if record.role >= visitor.user.role && visitor.user.role != Role::Owner {
            return Err(Error::NotAllowed("expected somebody below you"));
        }
        Ok(record)
    }

    async fn change_other(&self, other: UserId, change: UserChange) -> Result<()> {
        if let Some(guest) = self.users.online(other) {
            self.store_guest(&guest).await?;
        } else if let Some(guest) = self.elsewhere(other) {
            let guest = User::guest(guest.id, guest.name);
            guest.set_lobby_read(self.lobby_head());
            self.store_guest(&guest).await?;
        }
        let now = self.store.accounts.change_user(other, change, expired_before(Timestamp::now())).await?;
        self.user_changed(&now);
        Ok(())
    }

    /// Lets the user's connections know what they may do now.
    pub(super) fn user_changed(&self, now: &UserRecord) {
        // Counted before the user is looked for: whose connection is on its way in sees the count.
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.show_rights(now);
        self.tell_nodes(&Notice::User(now.id));
    }

    /// Lets the user's connections to this node know.
    pub(super) fn show_rights(&self, now: &UserRecord) {
        let Some(user) = self.users.online(now.id) else { return };
        user.update(now);
        let json: Arc<str> = Push::Me { role: now.role, muted_until: user.muted_until() }.json().into();
        for (worker, connections) in user.connections(|_| true) {
            self.hub.tell(worker, News::Tell { connections, json: json.clone() });
        }
    }

    /// Ignores another person, or hears them again.
    pub async fn ignore(&self, visitor: &Visitor, other: UserId, ignored: bool) -> Result<()> {
        self.limiter.command(visitor.user.id)?;
        if other == visitor.user.id {
            return Err(Error::NotAllowed("expected somebody else"));
        }
        if ignored && self.store.accounts.user(other).await?.is_none() && !self.is_online(other) {
            return Err(Error::NoUser);
        }
        self.store.moderation.ignore(visitor.user.id, other, ignored).await
    }

    /// Tells the moderators of a message that the visitor may read.
    pub async fn report(&self, visitor: &Visitor, room: &RoomId, seq: Seq, reason: &str) -> Result<()> {
        self.limiter.rare(visitor.user.id)?;
        let reason = line("reason", reason, 1, REASON_CHARS)?;
        let event = self.message_at(visitor.user.id, room, seq).await?;
        let text = event.content.as_ref().and_then(Content::as_message).map(|(text, _)| text);
        let text = text.ok_or(Error::NotAllowed("the message was taken back already"))?;
        let report = Report {
            id: 0,
            room: room.clone(),
            seq,
            text,
            author: event.author,
            by: visitor.user.author(),
            reason,
            at: Timestamp::now(),
        };
        self.store.moderation.report(report).await
    }

    pub async fn reports(&self, visitor: &Visitor) -> Result<Vec<ReportView>> {
        visitor.must_be(Role::Moderator)?;
        let mut views = Vec::new();
        for report in self.store.moderation.reports(REPORTS).await? {
            let Report { id, room, seq, text, author, by, reason, at } = report;
            let room_name =
                self.store.directory.room(&room).await?.map_or_else(|| room.as_str().into(), |info| info.name);
            views.push(ReportView { id, room, room_name, seq, text, author, by, reason, at });
        }
        Ok(views)
    }

    pub async fn settle_report(&self, visitor: &Visitor, id: u64) -> Result<()> {
        visitor.must_be(Role::Moderator)?;
        let report = self.store.moderation.settle_report(id).await?.ok_or(Error::NoPath)?;
        self.note(&visitor.user.author(), "settle", &report.author.name, &report.reason).await
    }

    pub async fn audit(&self, visitor: &Visitor, before: Option<u64>, limit: usize) -> Result<(Vec<AuditView>, bool)> {
        visitor.must_be(Role::Admin)?;
        let mut entries = self.store.moderation.audit(before, limit + 1).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let view = |entry: AuditEntry| {
            let AuditEntry { id, at, by, act, subject, detail } = entry;
            AuditView { id, at, by, act, subject, detail }
        };
        Ok((entries.into_iter().map(view).collect(), more))
    }

    /// Adds to the audit log.
    pub(super) async fn note(&self, by: &Author, act: &str, subject: &str, detail: &str) -> Result<()> {
        let (act, subject, detail) = (act.to_owned(), subject.to_owned(), detail.to_owned());
        let entry = AuditEntry { id: 0, at: Timestamp::now(), by: by.clone(), act, subject, detail };
        self.store.moderation.note(entry).await
    }

    /// A message that this user may read, as it stands in the log.
    pub(super) async fn message_at(&self, user: UserId, room: &RoomId, seq: Seq) -> Result<Event> {
        let span = Span { after: seq.saturating_sub(1), limit: 1, bytes: usize::MAX };
        let page = self.read_page(room, user, span).await?;
        let found = page.events.into_iter().find(|event| event.seq == seq && event.kind == Kind::Message);
        found.ok_or_else(|| Error::Invalid(format!("seq: expected a message of this room, found {seq}")))
    }
}

fn until(minutes: Option<u32>) -> Result<Timestamp> {
    match minutes {
        None => Ok(FOR_EVER),
        Some(minutes @ 1..=MOST_MINUTES) => Ok(Timestamp::now() + Duration::from_mins(minutes.into())),
        Some(_) => Err(Error::Invalid(format!("minutes: expected 1 to {MOST_MINUTES}, or null"))),
    }
}

fn in_minutes(minutes: Option<u32>) -> String {
    minutes.map_or_else(|| "until lifted".to_owned(), |minutes| format!("{minutes} minutes"))
}
