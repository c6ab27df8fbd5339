//! Rooms, and their members with their markers. The lists under `{chinwag}` (all rooms, who has joined which, which
//! direct room is whose) are written before a room, and may name one that never came to be or is no more: who reads
//! them asks the room itself. Of the rooms in `deleted` something may be left on them; `left` names who were a room's
//! members.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult, Script, cmd, pipe};

use super::healing;
use super::read::{UNREAD_REACH, room_script, run_each};
use super::{Backend, key, room_key};
use crate::error::{Error, Result};
use crate::protocol::{Author, Epoch, MemberRole, Position, Role, RoomId, RoomKind, Seq, UserId};
use crate::store::{Answer, Directory, Joined, Listed, Marker, Member, RoomInfo, UNREAD_CAP, Unread};

/// Rooms or members that are asked about at one go.
const CHUNK: usize = 500;

/// The fields that `room_info` reads.
const INFO: [&str; 8] = ["id", "name", "kind", "topic", "announcement", "archived", "slow_seconds", "guests"];

static CREATE: LazyLock<Script> = LazyLock::new(|| room_script!("create.lua"));
static MEMBER: LazyLock<Script> = LazyLock::new(|| room_script!("member.lua"));
static MARKERS: LazyLock<Script> = LazyLock::new(|| room_script!("markers.lua"));

/// What member.lua answers.
type Membership = (Vec<String>, u64, Seq, Seq, String, Seq, u32, u32, Vec<String>);

impl Directory for Backend {
    fn create_room(&self, room: RoomInfo, members: Vec<(UserId, MemberRole)>) -> Answer<'_, ()> {
        Box::pin(self.create(room, members))
    }

    fn room<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Option<RoomInfo>> {
        Box::pin(async move {
            let mut query = pipe();
            query.cmd("HMGET").arg(room_key(id, "room")).arg(&INFO);
            let (found,): (Vec<Option<String>>,) = self.ask(query).await?;
            found.into_iter().collect::<Option<Vec<_>>>().map(|fields| room_info(&fields)).transpose()
        })
    }

    fn public_rooms<'a>(&'a self, query: &'a str, after: Option<&'a RoomId>, limit: usize) -> Answer<'a, Vec<Listed>> {
        Box::pin(async move {
            let (query, mut listed) = (query.to_ascii_lowercase(), Vec::new());
            let mut after = after.cloned();
            let named = |text: &str| text.to_ascii_lowercase().contains(&query);
            while listed.len() < limit {
                let ids = self.rooms_after(after.as_ref()).await?;
                let Some(last) = ids.last().cloned() else { break };
                let public = self.listed(&ids).await?.into_iter().filter(|found| found.room.kind == RoomKind::Public);
                listed.extend(public.filter(|found| named(&found.room.name) || named(found.room.id.as_str())));
                after = Some(last);
            }
            listed.truncate(limit);
            Ok(listed)
        })
    }

    fn joined(&self, user: UserId, limit: usize) -> Answer<'_, Vec<Joined>> {
        Box::pin(async move {
            let mut rooms = self.touched(user).await?;
            rooms.sort_unstable_by(|one, other| other.cmp(one));
            rooms.truncate(limit);
            let mut joined = Vec::new();
            for rooms in rooms.chunks(CHUNK) {
                joined.extend(self.memberships(rooms.iter().map(|(_, room)| room), user).await?);
            }
            Ok(joined)
        })
    }

    fn member<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<Joined>> {
        Box::pin(async move { Ok(self.memberships([room], user).await?.pop()) })
    }

    fn role<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<MemberRole>> {
        Box::pin(async move {
            let mut query = pipe();
            query.atomic().cmd("ZRANK").arg(room_key(room, "members")).arg(user.to_string());
            query.cmd("HGET").arg(room_key(room, "roles")).arg(user.to_string());
            let (score, role): (Option<u64>, Option<String>) = self.ask(query).await?;
            score.map(|_| role.map_or(Ok(MemberRole::Member), |role| word(&role))).transpose()
        })
    }

    fn members<'a>(
        &'a self,
        room: &'a RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, (Vec<Member>, usize)> {
        Box::pin(async move {
            let mut after = after;
            let mut members = Vec::new();
            loop {
                let (roles, count) = self.roles_after(room, after, limit).await?;
                after = roles.last().map(|(user, _)| *user);
                let people = self.people(roles.iter().map(|(user, _)| *user)).await?;
                let present = roles.iter().zip(people).filter_map(|((_, role), person)| Some((*role, person?)));
                members.extend(present.map(|(role, (user, place_role))| Member { user, place_role, role }));
                if after.is_none() || members.len() >= limit {
                    members.truncate(limit);
                    return Ok((members, count));
                }
            }
        })
    }

    fn set_markers(&self, markers: HashMap<(RoomId, UserId), Marker>) -> Answer<'_, ()> {
        let mut rooms: HashMap<RoomId, Vec<String>> = HashMap::new();
        for ((room, user), marker) in markers {
            let (seq, forward) = match marker {
                Marker::Forward(seq) => (seq, "1"),
                Marker::Exactly(seq) => (seq, "0"),
            };
            rooms.entry(room).or_default().extend([user.to_string(), seq.to_string(), forward.to_owned()]);
        }
        let calls: Vec<_> = rooms.into_iter().map(|(room, markers)| (room_key(&room, "room"), markers)).collect();
        self.link
            .change(|mut redis| async move { run_each::<Option<u8>>(&mut redis, &MARKERS, &calls).await.map(drop) })
    }

    fn written(&self, user: UserId) -> Answer<'_, Vec<RoomId>> {
        Box::pin(async move {
            let (mut written, mut after) = (Vec::new(), None);
            loop {
                let ids = self.rooms_after(after.as_ref()).await?;
                let Some(last) = ids.last().cloned() else { return Ok(written) };
                after = Some(last);
                let mut query = pipe();
                for id in &ids {
                    query.cmd("EXISTS").arg(room_key(id, &format!("by:{user}")));
                }
                let found: Vec<bool> = self.ask(query).await?;
                written.extend(ids.into_iter().zip(found).filter_map(|(id, found)| found.then_some(id)));
            }
        })
    }

    /// A deleted room has left nothing behind but its id in the lists, which is passed over there until it is taken
    /// away.
    fn purge(&self) -> Answer<'_, bool> {
        self.link.change(purge)
    }
}

impl Backend {
    /// What is taken already is found again when a node went away halfway: a direct room is made under the id that its
    /// people were given first.
    async fn create(&self, room: RoomInfo, members: Vec<(UserId, MemberRole)>) -> Result<()> {
        let mut taken = None;
        if room.kind == RoomKind::Direct {
            let people = key(&format!("direct:{}", people(&members)));
            let mut claim = cmd("SET");
            claim.arg(people).arg(room.id.as_str()).arg("NX").arg("GET");
            taken = self
                .link
                .change(|mut redis| async move { claim.query_async::<Option<String>>(&mut redis).await })
                .await?;
        }
        let id = taken.as_deref().map_or_else(|| room.id.clone(), RoomId::from);
        let mut lists = pipe();
        lists.cmd("ZADD").arg(key("rooms")).arg(0).arg(id.as_str());
        for (user, _) in &members {
            lists.cmd("SADD").arg(key(&format!("joined:{user}"))).arg(id.as_str());
        }
        let call = creation(&id, &room, &members);
        let made = self.link.change(|mut redis| async move {
            lists.query_async::<()>(&mut redis).await?;
            let made = run_each::<bool>(&mut redis, &CREATE, &[call]).await?;
            // Again, since `purge` may just have taken away what a former room of this id had left.
            lists.query_async::<()>(&mut redis).await?;
            Ok(made)
        });
        if made.await? == [true] && taken.is_none() { Ok(()) } else { Err(Error::Exists(id)) }
    }

    /// A chunk of all rooms in the order of their ids.
    async fn rooms_after(&self, after: Option<&RoomId>) -> Result<Vec<RoomId>> {
        let first = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let mut query = pipe();
        query.cmd("ZRANGEBYLEX").arg(key("rooms")).arg(first).arg("+").arg("LIMIT").arg(0).arg(CHUNK);
        let (ids,): (Vec<String>,) = self.ask(query).await?;
        Ok(ids.iter().map(|id| RoomId::from(&**id)).collect())
    }

    async fn listed(&self, ids: &[RoomId]) -> Result<Vec<Listed>> {
        let mut query = pipe();
        for id in ids {
            query.cmd("HMGET").arg(room_key(id, "room")).arg("head").arg(&INFO);
        }
        let found: Vec<Vec<Option<String>>> = self.ask(query).await?;
        let rooms = found.into_iter().filter_map(|fields| fields.into_iter().collect::<Option<Vec<_>>>());
        rooms.map(|fields| Ok(Listed { head: word(&fields[0])?, room: room_info(&fields[1..])? })).collect()
    }

    /// The rooms whose member the user is, and when something last happened there.
    async fn touched(&self, user: UserId) -> Result<Vec<(u64, RoomId)>> {
        let mut query = pipe();
        query.cmd("SMEMBERS").arg(key(&format!("joined:{user}")));
        let (ids,): (Vec<String>,) = self.ask(query).await?;
        let ids: Vec<RoomId> = ids.iter().map(|id| RoomId::from(&**id)).collect();
        let mut rooms = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut query = pipe();
            for id in ids {
                query.cmd("HGET").arg(room_key(id, "room")).arg("touched");
                query.cmd("ZRANK").arg(room_key(id, "members")).arg(user.to_string());
            }
            let found: Vec<Option<u64>> = self.ask(query).await?;
            let touched = ids.iter().zip(found.chunks_exact(2)).filter(|(_, found)| found[1].is_some());
            rooms.extend(touched.filter_map(|(id, found)| Some((found[0]?, id.clone()))));
        }
        Ok(rooms)
    }

    async fn memberships<'r>(&self, rooms: impl IntoIterator<Item = &'r RoomId>, user: UserId) -> Result<Vec<Joined>> {
        let args = [user.to_string(), UNREAD_CAP.to_string(), UNREAD_REACH.to_string()];
        let calls: Vec<_> = rooms.into_iter().map(|room| (room_key(room, "room"), args.to_vec())).collect();
        let found = self
            .link
            .read(|mut redis| async move { run_each::<Option<Membership>>(&mut redis, &MEMBER, &calls).await });
        let found: Vec<Membership> = found.await?.into_iter().flatten().collect();
        let others = found.iter().flat_map(|(.., others)| others).map(|user| word(user)).collect::<Result<Vec<_>>>()?;
        let people: HashMap<UserId, Author> =
            self.people(others).await?.into_iter().flatten().map(|(author, _)| (author.id, author)).collect();
        found.into_iter().map(|found| joined(found, &people)).collect()
    }

    /// A chunk of a room's members, and how many there are.
    async fn roles_after(
        &self,
        room: &RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<(Vec<(UserId, MemberRole)>, usize)> {
        let members = room_key(room, "members");
        let first = after.map_or_else(|| "-".to_owned(), |user| format!("({user}"));
        let mut query = pipe();
        query.atomic().cmd("ZRANGEBYLEX").arg(&members).arg(first).arg("+").arg("LIMIT").arg(0).arg(limit.min(CHUNK));
        query.cmd("ZCARD").arg(&members);
        query.cmd("HGETALL").arg(room_key(room, "roles"));
        let (ids, count, roles): (Vec<String>, usize, HashMap<String, String>) = self.ask(query).await?;
        let role = |id: &String| roles.get(id).map_or(Ok(MemberRole::Member), |role| word(role));
        let members = ids.iter().map(|id| Ok((word(id)?, role(id)?)));
        Ok((members.collect::<Result<_>>()?, count))
    }

    /// What these users are called, and what they are in the place; none of who has left us.
    async fn people(&self, users: impl IntoIterator<Item = UserId>) -> Result<Vec<Option<(Author, Role)>>> {
        let users: Vec<UserId> = users.into_iter().collect();
        let mut people = Vec::with_capacity(users.len());
        for users in users.chunks(CHUNK) {
            let mut query = pipe();
            for user in users {
                query.cmd("HMGET").arg(key(&format!("user:{user}"))).arg(&["name", "role"]);
            }
            let found: Vec<(Option<String>, Option<String>)> = self.ask(query).await?;
            for (id, found) in users.iter().zip(found) {
                let person = found
                    .0
                    .zip(found.1)
                    .map(|(name, role)| Ok::<_, Error>((Author { id: *id, name: name.into() }, word(&role)?)));
                people.push(person.transpose()?);
            }
        }
        Ok(people)
    }

    fn ask<T: FromRedisValue + Send + 'static>(&self, query: Pipeline) -> Answer<'static, T> {
        self.link.read(|mut redis| async move { query.query_async(&mut redis).await })
    }
}

/// Takes the id of a deleted room from some lists, and in the end from that of all rooms. A room that has this id
/// again, or got it meanwhile, stays on them.
async fn purge(mut redis: MultiplexedConnection) -> RedisResult<bool> {
    let deleted: Option<String> = cmd("SRANDMEMBER").arg(key("deleted")).query_async(&mut redis).await?;
    let Some(id) = deleted else { return Ok(false) };
    let room = RoomId::from(&*id);
    let (hash, left) = (room_key(&room, "room"), room_key(&room, "left"));
    let mut ask = pipe();
    ask.cmd("EXISTS").arg(&hash).cmd("ZRANGE").arg(&left).arg(0).arg(CHUNK - 1);
    let (there, members): (bool, Vec<String>) = ask.query_async(&mut redis).await?;
    let (mut take, mut put_back) = (pipe(), pipe());
    if !there {
        for user in &members {
            take.cmd("SREM").arg(key(&format!("joined:{user}"))).arg(&id).ignore();
            put_back.cmd("SADD").arg(key(&format!("joined:{user}"))).arg(&id);
        }
    }
    if there || members.len() < CHUNK {
        take.cmd("UNLINK").arg(&left).ignore().cmd("SREM").arg(key("deleted")).arg(&id).ignore();
    } else {
        take.cmd("ZREM").arg(&left).arg(&members).ignore();
    }
    if !there && members.len() < CHUNK {
        take.cmd("ZREM").arg(key("rooms")).arg(&id).ignore();
        put_back.cmd("ZADD").arg(key("rooms")).arg(0).arg(&id);
    }
    take.cmd("EXISTS").arg(&hash);
    let (there_now,): (bool,) = take.query_async(&mut redis).await?;
    if there_now && !there {
        put_back.query_async::<()>(&mut redis).await?;
    }
    Ok(true)
}

/// The ids of a direct room's people, each once and in order.
fn people(members: &[(UserId, MemberRole)]) -> String {
    let mut ids: Vec<String> = members.iter().map(|(user, _)| user.to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(",")
}

/// How create.lua is called.
fn creation(id: &RoomId, room: &RoomInfo, members: &[(UserId, MemberRole)]) -> (String, Vec<String>) {
    let RoomInfo { name, kind, topic, announcement, archived, slow_seconds, guests, .. } = room;
    let flag = |set: bool| u8::from(set).to_string();
    let values = [
        id.to_string(),
        name.to_string(),
        kind.as_str().to_owned(),
        topic.to_string(),
        flag(*announcement),
        flag(*archived),
        slow_seconds.to_string(),
        flag(*guests),
    ];
    let epoch = healing::new_epoch().0;
    let mut args = vec![epoch.to_string(), INFO.len().to_string()];
    args.extend(INFO.iter().zip(values).flat_map(|(field, value)| [(*field).to_owned(), value]));
    args.extend(members.iter().flat_map(|(user, role)| [user.to_string(), role.as_str().to_owned()]));
    (room_key(id, "room"), args)
}

/// Reads the values of `INFO`.
fn room_info(fields: &[String]) -> Result<RoomInfo> {
    let [id, name, kind, topic, announcement, archived, slow_seconds, guests] = fields else {
        tracing::error!(?fields, "Redis holds a room that cannot be read");
        return Err(Error::Internal);
    };
    Ok(RoomInfo {
        id: (&**id).into(),
        name: (&**name).into(),
        kind: word(kind)?,
        topic: (&**topic).into(),
        announcement: announcement == "1",
        archived: archived == "1",
        slow_seconds: word(slow_seconds)?,
        guests: guests == "1",
    })
}

fn joined(found: Membership, people: &HashMap<UserId, Author>) -> Result<Joined> {
    let (info, epoch, oldest, head, role, read, messages, mentions, others) = found;
    let others = others.iter().map(|user| word(user)).collect::<Result<Vec<UserId>>>()?;
    Ok(Joined {
        room: room_info(&info)?,
        position: Position { epoch: Epoch(epoch), oldest, head },
        role: word(&role)?,
        read,
        unread: Unread { messages, mentions },
        with: others.iter().filter_map(|user| people.get(user).cloned()).collect(),
    })
}

fn word<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|fault| {
        tracing::error!(%fault, text, "Redis holds a word that cannot be read");
        Error::Internal
    })
}
