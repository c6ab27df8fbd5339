//! Rooms: making, changing and deleting them, who is in them and as what. Every change is an event of the room, and
//! the log itself refuses one whose author has lost the right to it. It knows no route.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::auth::Visitor;
use super::nodes::Notice;
use super::place::line;
use super::user::User;
use super::{Chat, News, name, room_state};
use crate::error::{Error, Result};
use crate::protocol::{
    Author, Content, Event, Kind, MemberChange, MemberRole, Push, Role, RoomChange, RoomId, RoomKind, RoomState, Scope,
    Seq, UserId,
};
use crate::store::{Append, Completion, Directory, Effect, Member, Right, RoomInfo, UserRecord};

const TOPIC_CHARS: usize = 250;
/// People in a direct room, its maker among them.
const DIRECT: usize = 20;
const MEMBERS_AT_ONCE: usize = 500;
/// The longest time in seconds between two messages of one user that a room may ask for: six hours.
const SLOWEST: u32 = 6 * 60 * 60;

/// A room in the list that anyone may browse.
#[derive(Serialize)]
pub struct Browsed {
    pub room: RoomId,
    pub name: Arc<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub topic: Arc<str>,
    pub head: Seq,
    pub online: usize,
    pub joined: bool,
}

/// A room as its settings show it.
#[derive(Serialize)]
pub struct RoomView {
    room: RoomId,
    name: Arc<str>,
    kind: RoomKind,
    topic: Arc<str>,
    announcement: bool,
    archived: bool,
    slow_seconds: u32,
    guests: bool,
    /// What the user counts as in it; none where they are no member and nothing more.
    role: Option<MemberRole>,
    members: usize,
}

#[derive(Serialize)]
pub struct MemberView {
    id: UserId,
    name: Arc<str>,
    role: MemberRole,
    guest: bool,
}

/// What a user is in a room that they may read.
pub(super) struct Standing {
    pub info: RoomInfo,
    pub member: Option<MemberRole>,
    /// As a member, or by what they are in the place.
    pub role: MemberRole,
}

/// The room's own settings, and whether it is public.
#[derive(Debug, Default)]
pub struct RoomSettings {
    pub change: RoomChange,
    pub kind: Option<RoomKind>,
}

/// Everyone lands there: it is made where the store has none.
pub(super) async fn make_lobby(directory: &dyn Directory) -> Result<RoomInfo> {
    let lobby = RoomInfo::new(RoomId::lobby(), "Lobby".into(), RoomKind::Public);
    match directory.create_room(lobby.clone(), Vec::new()).await {
        Ok(()) => Ok(lobby),
        Err(Error::Exists(_)) => Ok(directory.room(&lobby.id).await?.unwrap_or(lobby)),
        Err(error) => Err(error),
    }
}

impl Chat {
    /// Makes a public room, whose owner is the user.
    pub async fn create_room(&self, user: &Arc<User>, name: &str) -> Result<RoomId> {
        let (id, name) = name::room(name)?;
        self.limiter.rare(user.id)?;
        user.check_not_muted()?;
        self.store_guest(user).await?;
        let room = RoomInfo::new(id.clone(), name, RoomKind::Public);
        self.directory().create_room(room, vec![(user.id, MemberRole::Owner)]).await?;
        self.told_member(user.id, &id, true);
        Ok(id)
    }

    /// Makes a private room, whose id nobody can guess.
    pub async fn create_private_room(&self, user: &Arc<User>, name: &str) -> Result<RoomId> {
        let (_, name) = name::room(name)?;
        account_holder(user)?;
        self.limiter.rare(user.id)?;
        user.check_not_muted()?;
        let id = random_id();
        let room = RoomInfo::new(id.clone(), name, RoomKind::Private);
        self.directory().create_room(room, vec![(user.id, MemberRole::Owner)]).await?;
        self.told_member(user.id, &id, true);
        Ok(id)
    }

    /// The direct room of the user with these others, made where there is none yet. Nobody is drawn into one with
    /// somebody whom they ignore.
    pub async fn create_direct_room(&self, user: &Arc<User>, others: &[UserId]) -> Result<RoomId> {
        account_holder(user)?;
        self.limiter.rare(user.id)?;
        user.check_not_muted()?;
        if others.len() >= DIRECT {
            return Err(Error::Invalid(format!("members: expected 1 to {} other people", DIRECT - 1)));
        }
        let mut members = vec![(user.id, MemberRole::Member)];
        for other in others {
            if members.iter().all(|(known, _)| known != other) {
                let record = self.store.accounts.user(*other).await?.ok_or(Error::NoUser)?;
                if record.role.is_guest() {
                    return Err(Error::NotAllowed("a direct room is between people who have accounts"));
                }
                if self.store.moderation.ignored(*other).await?.contains(&user.id) {
                    return Err(IGNORED);
                }
                members.push((*other, MemberRole::Member));
            }
        }
        if !(2..=DIRECT).contains(&members.len()) {
            return Err(Error::Invalid(format!("members: expected 1 to {} other people", DIRECT - 1)));
        }
        let id = random_id();
        let room = RoomInfo::new(id.clone(), "".into(), RoomKind::Direct);
        match self.directory().create_room(room, members.clone()).await {
            Ok(()) => {}
            Err(Error::Exists(id)) => return Ok(id),
            Err(error) => return Err(error),
        }
        for (member, _) in members {
            self.told_member(member, &id, true);
        }
        Ok(id)
    }

    pub async fn room_view(&self, user: &User, room: &RoomId) -> Result<RoomView> {
        let Standing { info, member, role } = self.standing(user, room).await?;
        let (_, members) = self.directory().members(room, None, 0).await?;
        let role = member.map(|member| member.max(role)).or((role > MemberRole::Member).then_some(role));
        let RoomInfo { id: room, name, kind, topic, announcement, archived, slow_seconds, guests } = info;
        Ok(RoomView { room, name, kind, topic, announcement, archived, slow_seconds, guests, role, members })
    }

    /// Changes what a room is: its name, topic and pace as a moderator of it, the rest as its owner.
    pub async fn change_room(&self, user: &Arc<User>, room: &RoomId, settings: RoomSettings) -> Result<RoomView> {
        self.limiter.rare(user.id)?;
        user.check_not_muted()?;
        let Standing { info, role, member } = self.standing(user, room).await?;
        let RoomSettings { mut change, kind } = settings;
        if kind == Some(RoomKind::Private) && member.is_none() {
            return Err(Error::NotAllowed("a private room is its members' alone: join it first"));
        }
        self.check_settings(&info, &mut change, kind)?;
        let own = kind.is_some() || change.archived.is_some() || change.guests.is_some();
        let least = if own { MemberRole::Owner } else { MemberRole::Moderator };
        must_be(role, least)?;
        let rank = user.role().in_rooms();
        if change != RoomChange::default() {
            let event = Event::new(user.author(), Kind::Topic, Content::room(&change));
            let detail = String::from(&*Content::room(&change).json);
            self.append(room, event, Right::AtLeast(least, rank), Effect::Change(Box::new(change))).await?;
            self.note(&user.author(), "room", &info.name, &detail).await?;
        }
        if let Some(kind) = kind.filter(|kind| *kind != info.kind) {
            let change = if kind == RoomKind::Public { MemberChange::Public } else { MemberChange::Private };
            let event = Event::new(user.author(), Kind::Member, Content::member(&change));
            self.append(room, event, Right::AtLeast(least, rank), Effect::Kind(kind)).await?;
            self.note(&user.author(), "room", &info.name, kind.as_str()).await?;
        }
        self.hub.stir(room);
        self.tell_nodes(&Notice::Room(room.clone()));
        self.room_view(user, room).await
    }

    fn check_settings(&self, info: &RoomInfo, change: &mut RoomChange, kind: Option<RoomKind>) -> Result<()> {
        if info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("a direct room has no settings"));
        }
        if kind == Some(RoomKind::Direct) {
            return Err(Error::Invalid("kind: expected public or private".to_owned()));
        }
        if info.id == self.lobby.id && (kind == Some(RoomKind::Private) || change.archived == Some(true)) {
            return Err(Error::NotAllowed("the lobby is where everyone comes in"));
        }
        if let Some(name) = &change.name {
            change.name = Some(name::room(name)?.1);
        }
        if let Some(topic) = &change.topic {
            change.topic = Some(line("topic", topic, 0, TOPIC_CHARS)?.into());
        }
        if change.slow_seconds.is_some_and(|seconds| seconds > SLOWEST) {
            return Err(Error::Invalid(format!("slow_seconds: expected at most {SLOWEST}")));
        }
        Ok(())
    }

    /// Deletes a room with all that was said in it.
    pub async fn delete_room(&self, user: &Arc<User>, room: &RoomId) -> Result<()> {
        self.limiter.rare(user.id)?;
        let Standing { info, role, .. } = self.standing(user, room).await?;
        if info.id == self.lobby.id || info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("the lobby and direct rooms stay"));
        }
        must_be(role, MemberRole::Owner)?;
        let gone = self.gone_to_members(room).await?;
        let right = Right::AtLeast(MemberRole::Owner, user.role().in_rooms());
        let event = Event::new(user.author(), Kind::Topic, Content::room_deleted());
        self.append(room, event, right, Effect::Delete).await?;
        for (member, gone) in gone {
            self.told_gone(member, room, gone);
        }
        self.note(&user.author(), "delete room", &info.name, "").await
    }

    /// Members in the order of their ids, and whether there are more. For everyone who may read the room.
    pub async fn members(
        &self,
        user: &User,
        room: &RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<(Vec<MemberView>, bool)> {
        self.standing(user, room).await?;
        let (mut members, _) = self.directory().members(room, after, limit + 1).await?;
        let more = members.len() > limit;
        members.truncate(limit);
        let view = |Member { user, place_role, role }| {
            let Author { id, name } = user;
            MemberView { id, name, role, guest: Role::is_guest(place_role) }
        };
        Ok((members.into_iter().map(view).collect(), more))
    }

    /// Lets somebody into a room, or gives a member another role in it.
    pub async fn set_member(
        &self,
        user: &Arc<User>,
        room: &RoomId,
        other: UserId,
        role: Option<MemberRole>,
    ) -> Result<()> {
        self.limiter.post(user.id)?;
        let Standing { info, role: own, .. } = self.standing(user, room).await?;
        if info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("a direct room stays between those it was made for"));
        }
        let record = self.store.accounts.user(other).await?.ok_or(Error::NoUser)?;
        let before = self.directory().role(room, other).await?;
        let wanted = role.or(before).unwrap_or(MemberRole::Member);
        if before == Some(wanted) {
            return Ok(());
        }
        let appoints = before.is_some() || wanted > MemberRole::Member;
        let least = if appoints { MemberRole::Owner } else { MemberRole::Moderator };
        must_be(own, least)?;
        if before == Some(MemberRole::Owner) {
            self.check_not_last_owner(room, other).await?;
        }
        let change = if before.is_some() {
            MemberChange::Role { user: record.author(), role: wanted }
        } else {
            self.guest_may_enter(record.role, room).await?;
            if self.store.moderation.ignored(other).await?.contains(&user.id) {
                return Err(IGNORED);
            }
            MemberChange::Added { user: record.author() }
        };
        let event = Event::new(user.author(), Kind::Member, Content::member(&change));
        let right = Right::AtLeast(least, user.role().in_rooms());
        self.append(room, event, right, Effect::Member(other, wanted)).await?;
        self.told_member(other, room, true);
        if appoints {
            self.note(&user.author(), "member", &record.name, &format!("{} of {}", wanted.as_str(), info.name)).await?;
        }
        Ok(())
    }

    /// Guests see public rooms only, unless a private room's owner lets them in.
    pub(super) async fn guest_may_enter(&self, role: Role, room: &RoomId) -> Result<()> {
        let info = self.directory().room(room).await?.ok_or_else(|| Error::NoRoom(room.to_string()))?;
        if role.is_guest() && info.kind != RoomKind::Public && !info.guests {
            return Err(Error::NotAllowed("guests may not be let into this room; its settings say so"));
        }
        Ok(())
    }

    async fn check_not_last_owner(&self, room: &RoomId, owner: UserId) -> Result<()> {
        let mut after = None;
        loop {
            let (members, _) = self.directory().members(room, after, MEMBERS_AT_ONCE).await?;
            let Some(last) = members.last() else { break };
            after = Some(last.user.id);
            if members.iter().any(|member| member.role == MemberRole::Owner && member.user.id != owner) {
                return Ok(());
            }
        }
        Err(Error::NotAllowed("the room would have no owner: make somebody else its owner first, or delete it"))
    }

    /// Takes somebody out of a room who is below one in it.
    pub async fn remove_member(&self, user: &Arc<User>, room: &RoomId, other: UserId) -> Result<()> {
        if other == user.id {
            return self.leave(user, room).await;
        }
        self.limiter.post(user.id)?;
        let Standing { info, role, .. } = self.standing(user, room).await?;
        if info.id == self.lobby.id || info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("nobody is taken out of the lobby, or of a direct room"));
        }
        must_be(role, MemberRole::Moderator)?;
        let joined = self.directory().member(room, other).await?.ok_or(Error::NoUser)?;
        if joined.role == MemberRole::Owner {
            self.check_not_last_owner(room, other).await?;
        }
        if joined.role >= role && role != MemberRole::Owner {
            return Err(Error::NotAllowed("expected somebody below you"));
        }
        let record = self.store.accounts.user(other).await?.ok_or(Error::NoUser)?;
        let change = MemberChange::Removed { user: record.author() };
        let event = Event::new(user.author(), Kind::Member, Content::member(&change));
        let right = Right::AtLeast(MemberRole::Moderator, user.role().in_rooms());
        self.append(room, event, right, Effect::Remove(other)).await?;
        let gone = Push::Room(RoomState { gone: true, ..room_state(&joined) }).json();
        self.told_gone(other, room, gone);
        self.note(&user.author(), "remove", &record.name, &info.name).await
    }

    pub async fn join(&self, user: &Arc<User>, room: &RoomId) -> Result<()> {
        self.limiter.post(user.id)?;
        let Standing { info, member, .. } = self.standing(user, room).await?;
        self.store_guest(user).await?;
        if member.is_none() {
            let rank = user.role().in_rooms();
            let event = Event::new(user.author(), Kind::Member, Content::member(&MemberChange::Joined));
            self.append(&info.id, event, Right::AtLeast(MemberRole::Member, rank), Effect::Join).await?;
            self.told_member(user.id, room, true);
        }
        Ok(())
    }

    pub async fn leave(&self, user: &Arc<User>, room: &RoomId) -> Result<()> {
        if *room == self.lobby.id {
            return Err(Error::NotAllowed("everyone has joined the lobby for good"));
        }
        self.limiter.post(user.id)?;
        let info = self.standing(user, room).await?.info;
        let Some(member) = self.directory().member(room, user.id).await? else { return Ok(()) };
        if info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("a direct room stays between those it was made for"));
        }
        if info.kind == RoomKind::Private && member.role == MemberRole::Owner {
            self.check_not_last_owner(room, user.id).await?;
        }
        self.append_change(&user.author(), room, &MemberChange::Left, Effect::Leave).await?;
        let gone = Push::Room(RoomState { gone: true, ..room_state(&member) }).json();
        self.told_gone(user.id, room, gone);
        Ok(())
    }

    /// Takes somebody who leaves for good out of their rooms.
    pub(super) async fn leave_all(&self, user: &UserRecord) -> Result<()> {
        for joined in self.directory().joined(user.id, usize::MAX).await? {
            if joined.room.id != self.lobby.id {
                if joined.room.kind == RoomKind::Private && joined.role == MemberRole::Owner {
                    self.appoint_heir(user, &joined.room.id).await?;
                }
                let change = MemberChange::Left;
                self.append_change(&user.author(), &joined.room.id, &change, Effect::Leave).await?;
            }
        }
        Ok(())
    }

    /// Makes somebody else the owner of a private room that would be left without one: whoever is most in it.
    async fn appoint_heir(&self, user: &UserRecord, room: &RoomId) -> Result<()> {
        let (members, _) = self.directory().members(room, None, MEMBERS_AT_ONCE).await?;
        let others = members.into_iter().filter(|member| member.user.id != user.id && !member.place_role.is_guest());
        // Of those who are the same, the one who has been here longest: ids rise with time.
        let Some(heir) = others.max_by_key(|member| (member.role, std::cmp::Reverse(member.user.id))) else {
            return Ok(());
        };
        if heir.role < MemberRole::Owner {
            let change = MemberChange::Role { user: heir.user.clone(), role: MemberRole::Owner };
            self.append_change(&user.author(), room, &change, Effect::Member(heir.user.id, MemberRole::Owner)).await?;
            self.told_member(heir.user.id, room, true);
        }
        Ok(())
    }

    /// The public rooms that match, in the order of their ids, and whether there are more.
    pub async fn browse(
        &self,
        user: Option<UserId>,
        query: &str,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<(Vec<Browsed>, bool)> {
        let mut listed = self.directory().public_rooms(query, after, limit + 1).await?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let mut rooms = Vec::with_capacity(listed.len());
        for listed in listed {
            let RoomInfo { id, name, topic, .. } = listed.room;
            let joined = match user {
                Some(user) => id == self.lobby.id || self.directory().role(&id, user).await?.is_some(),
                None => false,
            };
            let online = self.hub.room(&id).map_or(0, |room| room.with_presence(|presence| presence.count()).0);
            rooms.push(Browsed { room: id, name, topic, head: listed.head, online, joined });
        }
        Ok((rooms, more))
    }

    /// Takes a message back: one's own, or another's as a moderator. It is emptied, and its place stays.
    pub async fn delete_message(
        &self,
        visitor: &Visitor,
        room: &RoomId,
        seq: Seq,
        txn_id: Option<&str>,
    ) -> Result<Seq> {
        let user = visitor.acting(&self.users);
        self.limiter.post(user.id)?;
        let Standing { info, role, .. } = self.standing(&user, room).await?;
        let message = self.message_at(user.id, room, seq).await?;
        let own = message.author.id == user.id;
        let right = if own {
            Right::AtLeast(MemberRole::Member, MemberRole::Member)
        } else {
            must_be(role, MemberRole::Moderator)?;
            if !visitor.may(Scope::Admin) {
                return Err(Error::NotAllowed("others' messages are taken back by a token with the scope admin"));
            }
            Right::AtLeast(MemberRole::Moderator, user.role().in_rooms())
        };
        let mut event = Event::new(user.author(), Kind::Delete, Content::delete(None));
        (event.target, event.txn_id) = (Some(seq), txn_id.map(Into::into));
        let seq = self.append(room, event, right, Effect::Redact(seq)).await?;
        if !own {
            let detail = format!("{} {}", info.name, message.seq);
            self.note(&user.author(), "delete", &message.author.name, &detail).await?;
        }
        Ok(seq)
    }

    /// What a user is in a room; `NoRoom` where they may not read it, as where there is none.
    pub(super) async fn standing(&self, user: &User, room: &RoomId) -> Result<Standing> {
        let no_room = || Error::NoRoom(room.to_string());
        let info = self.directory().room(room).await?;
        // Asked in any case, so that both answers take the same time.
        let member = self.directory().role(room, user.id).await?;
        let info = info.filter(|info| info.kind == RoomKind::Public || member.is_some()).ok_or_else(no_room)?;
        let rank = user.role().in_rooms();
        Ok(Standing { info, member, role: member.map_or(rank, |role| role.max(rank)) })
    }

    /// Appends an event, and waits until it is durable.
    pub(super) async fn append(&self, room: &RoomId, event: Event, right: Right, effect: Effect) -> Result<Seq> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let done = Completion::new(move |outcome| {
            // Whoever asked may have gone; the event stands all the same.
            let _ = tell.send(outcome);
        });
        self.log().append(Append { room: room.clone(), event, right, effect, done });
        told.await.unwrap_or(Err(Error::UnknownOutcome))
    }

    /// Appends a change of members to which there needs no right.
    pub(super) async fn append_change(
        &self,
        author: &Author,
        room: &RoomId,
        change: &MemberChange,
        effect: Effect,
    ) -> Result<Seq> {
        let event = Event::new(author.clone(), Kind::Member, Content::member(change));
        self.append(room, event, Right::Free, effect).await
    }

    /// Lets a user's connections know that they have joined a room, or left it.
    pub(super) fn told_member(&self, user: UserId, room: &RoomId, joined: bool) {
        self.show_member(user, room, joined, None);
        self.tell_nodes(&Notice::Member { user, room: room.clone(), joined, gone: None });
    }

    /// Lets the user's connections to this node know, with a push that says it to those who left.
    pub(super) fn show_member(&self, user: UserId, room: &RoomId, joined: bool, gone: Option<&Arc<str>>) {
        let Some(user) = self.users.online(user) else { return };
        for (worker, connections) in user.connections(|_| true) {
            let tell = gone.map(|json| News::Tell { connections: connections.clone(), json: json.clone() });
            self.hub.tell(worker, News::Member { connections, room: room.clone(), joined });
            if let Some(tell) = tell {
                self.hub.tell(worker, tell);
            }
        }
        if joined {
            self.hub.marker_moved(room, &user);
        }
    }

    fn told_gone(&self, user: UserId, room: &RoomId, gone: String) {
        self.show_member(user, room, false, Some(&gone.as_str().into()));
        self.tell_nodes(&Notice::Member { user, room: room.clone(), joined: false, gone: Some(gone) });
    }

    /// What the members who are online are told when the room is no more.
    async fn gone_to_members(&self, room: &RoomId) -> Result<Vec<(UserId, String)>> {
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let (members, _) = self.directory().members(room, after, MEMBERS_AT_ONCE).await?;
            let Some(last) = members.last() else { return Ok(told) };
            after = Some(last.user.id);
            for member in members.iter().filter(|member| self.is_online(member.user.id)) {
                if let Some(joined) = self.directory().member(room, member.user.id).await? {
                    let gone = Push::Room(RoomState { gone: true, ..room_state(&joined) });
                    told.push((member.user.id, gone.json()));
                }
            }
        }
    }
}

pub(super) const IGNORED: Error = Error::NotAllowed("somebody among them does not want to hear from you");

fn must_be(role: MemberRole, least: MemberRole) -> Result<()> {
    match least {
        _ if role >= least => Ok(()),
        MemberRole::Owner => Err(Error::NotAllowed("expected this room's owner")),
        _ => Err(Error::NotAllowed("expected one of this room's moderators, or its owner")),
    }
}

fn account_holder(user: &User) -> Result<()> {
    if user.role().is_guest() {
        return Err(Error::NotAllowed("expected somebody with an account"));
    }
    Ok(())
}

/// Nobody can guess it, and no name makes it: else whoever knows one could find out, by making a public room of that
/// name, whether the room is there.
fn random_id() -> RoomId {
    format!("_{}", Uuid::new_v4().simple()).as_str().into()
}
