//! Who somebody is: sessions, guests, names. How an account proves who it is stands in account.rs. It knows no cookie
//! and no header: a session is its token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use uuid::Uuid;

use super::limit::{Permit, network};
use super::nodes::{Closed, Notice};
use super::user::{Link, User, Users, in_words};
use super::{Chat, News, name};
use crate::error::{Error, Result};
use crate::protocol::{CloseCode, Push, Role, RoomId, Scope, UserId};
use crate::store::{
    NewName, NewSession, NewUser, Nodes, Secrets, SessionRecord, TokenHash, UserChange, UserRecord, Which,
};

/// A session that was not seen for so long is over; a guest loses their name with it.
pub const SESSION_LASTS: Duration = Duration::from_hours(30 * 24);
/// That a session was seen is noted at most so often.
const SEEN_EVERY: Duration = Duration::from_hours(1);
/// Names of this form are given by the server alone, so they need no look at the store.
const GIVEN: &str = "guest-";
/// How long a name that was given up stays its user's.
const NAME_RESERVED: Duration = Duration::from_hours(24);
const EMAIL_BYTES: usize = 254;

/// A secret that is shown once to its holder: a session's, a program's, a link's. Only its hash is stored.
pub struct Token(String);

impl Token {
    pub(super) fn new() -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| {
            tracing::error!(%error, "the system gives no random numbers");
            Error::Internal
        })?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(secret)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> TokenHash {
        hash(&self.0)
    }
}

/// From where and by what somebody comes.
#[derive(Clone, Debug)]
pub struct Device {
    pub address: IpAddr,
    /// Such as "Firefox on Linux".
    pub label: String,
}

/// Somebody who came with a session, or a program with a token.
#[derive(Clone)]
pub struct Visitor {
    pub user: UserRecord,
    pub session: TokenHash,
    pub session_id: Uuid,
    /// What a program may do; none where a person asks.
    scopes: Option<Vec<Scope>>,
    /// How many changes there had been when this one was looked up.
    changed_before: u64,
}

impl Visitor {
    /// Whether a person asks, or a program that may do this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// What concerns the account itself is for people alone.
    pub fn must_be_person(&self) -> Result<()> {
        if self.scopes.is_none() { Ok(()) } else { Err(Error::NotAllowed("expected a person's session, not a token")) }
    }

    /// Has at least this role.
    pub fn must_be(&self, role: Role) -> Result<()> {
        match role {
            _ if self.user.role >= role => Ok(()),
            Role::Guest | Role::Member => Err(Error::NotAllowed("expected somebody with an account")),
            Role::Moderator => Err(Error::NotAllowed("expected a moderator")),
            Role::Admin => Err(Error::NotAllowed("expected an admin")),
            Role::Owner => Err(Error::NotAllowed("expected the owner")),
        }
    }

    /// The user who is online, so that all know of what they do, else one for this request alone.
    pub fn acting(&self, users: &Users) -> Arc<User> {
        users.online(self.user.id).unwrap_or_else(|| Arc::new(User::stored(&self.user)))
    }
}

/// Leave to hold one connection, for as long as claim and permit are held.
pub struct Admission {
    pub user: Arc<User>,
    pub session: Option<TokenHash>,
    /// How many changes there had been when it was looked up, for `session_lives`.
    pub changed_before: u64,
    /// Whether it may post; a program's token may be good for reading alone.
    pub posts: bool,
    /// None where there is no name to hold.
    pub claim: Option<NameClaim>,
    pub permit: Permit,
}

/// What a visitor wants to be changed; None leaves it as it is.
#[derive(Default)]
pub struct Change {
    pub name: Option<String>,
    /// `Some(None)` takes the e-mail away.
    pub email: Option<Option<String>>,
}

impl Chat {
    /// Makes a guest with a session, who holds the name. A link lets in who else might not come, perhaps into a room.
    pub async fn open_session(
        &self,
        name: &str,
        email: Option<&str>,
        invite: Option<&str>,
        device: Device,
    ) -> Result<(UserRecord, Token, Option<RoomId>)> {
        let name = own_name(name)?;
        let email = email.map(check_email).transpose()?;
        self.limiter.arrive(device.address)?;
        let invite = self.invite_for(invite, Role::Guest).await?;
        self.admit_guest(device.address, invite.is_some())?;
        self.may_enter_by(Role::Guest, invite.as_ref()).await?;
        let record = new_record(name, email, Role::Guest);
        // Held in memory while the store is asked: a guest who connects meanwhile cannot take it.
        let _claim = self.claim_name(&record).await?;
        let (session, token) = new_session(&device)?;
        if let Some(invite) = &invite {
            self.store.sessions.use_link(invite.token, Timestamp::now()).await?;
        }
        self.add_user(record.clone(), Some(session), Secrets::default()).await?;
        let room = self.enter_by(&record, invite.as_ref()).await?;
        if record.email.is_some() {
            self.look_for_gravatar(record.id, record.email.as_deref());
        }
        Ok((record, token, room))
    }

    /// Adds a user who has joined the lobby.
    pub(super) async fn add_user(
        &self,
        record: UserRecord,
        session: Option<NewSession>,
        secrets: Secrets,
    ) -> Result<()> {
        let user = NewUser { record, session, secrets, joins: RoomId::lobby(), read: self.lobby_head() };
        self.store.accounts.add_user(user, expired_before(Timestamp::now())).await
    }

    /// Begins another session of a user who has proved who they are.
    pub(super) async fn begin_session(&self, user: &UserRecord, device: &Device) -> Result<Token> {
        check_not_banned(user)?;
        let (session, token) = new_session(device)?;
        self.store.sessions.add_session(user.id, session).await?;
        Ok(token)
    }

    /// Who holds this token; `None` where it is no session's, or one that has expired.
    pub async fn visitor(&self, token: &str) -> Result<Option<Visitor>> {
        let session = hash(token);
        let now = Timestamp::now();
        let changed_before = self.changes.load(Ordering::Acquire);
        let Some(record) = self.store.sessions.session(session).await? else { return Ok(None) };
        check_not_banned(&record.user)?;
        let is_program = record.session.scopes.is_some();
        if !is_program && record.seen < expired_before(now) {
            return Ok(None);
        }
        if record.seen < now - SEEN_EVERY || is_program && record.seen == record.session.at {
            self.store.sessions.touch_session(session, now).await?;
        }
        let SessionRecord { user, session: NewSession { id: session_id, scopes, .. }, .. } = record;
        Ok(Some(Visitor { user, session, session_id, scopes, changed_before }))
    }

    pub async fn change_user(&self, visitor: &Visitor, change: Change) -> Result<UserRecord> {
        visitor.must_be_person()?;
        self.limiter.rare(visitor.user.id)?;
        // One change of a user at a time: two could otherwise leave one name in the store and show another.
        let _changing = self.users.begin_change(visitor.user.id).ok_or(Error::RateLimited { retry_after_ms: 100 })?;
        let before = self.store.accounts.user(visitor.user.id).await?.ok_or(Error::NoUser)?;
        let mut wanted = before.clone();
        let mut changes = UserChange::default();
        if let Some(name) = change.name {
            let name = if before.role.is_guest() { own_name(&name)? } else { name::account(&name)? };
            wanted = new_record(name, None, before.role);
            wanted.id = before.id;
            changes.name = Some(new_name(&wanted, &before));
        }
        if let Some(email) = change.email {
            let email = email.as_deref().map(check_email).transpose()?;
            // The same address as before is still verified.
            if email != before.email {
                changes.email = Some(email.map(|email| (email, false)));
            }
        }
        let _claim = self.claim_name(&wanted).await?;
        let now = self.store.accounts.change_user(before.id, changes, expired_before(Timestamp::now())).await?;
        if now.name != before.name {
            self.shown_anew(&now);
        }
        if now.email != before.email {
            self.look_for_gravatar(now.id, now.email.as_deref());
        }
        Ok(now)
    }

    /// Ends the visitor's own session.
    pub async fn end_session(&self, visitor: &Visitor) -> Result<()> {
        self.end_sessions(visitor.user.id, Which::One(visitor.session_id)).await.map(drop)
    }

    /// Ends sessions, and the connections that came in by them. The answer is how many.
    pub(super) async fn end_sessions(&self, user: UserId, which: Which) -> Result<usize> {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let ended = self.store.sessions.end_sessions(user, which).await?;
        // Counted again before the connections are looked for: who is not among them yet sees the count.
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.close_sessions(user, &ended);
        let count = ended.len();
        if count > 0 {
            self.tell_nodes(&Notice::Ended(user, ended));
        }
        Ok(count)
    }

    /// Closes the connections to this node that came in by one of these sessions.
    pub(super) fn close_sessions(&self, user: UserId, ended: &[TokenHash]) {
        let by_one_of_them = |link: &Link| link.session.as_deref().is_some_and(|session| ended.contains(session));
        self.close_here(user, by_one_of_them, CloseCode::SessionEnded);
    }

    /// Closes all of a user's connections, to whichever node.
    pub(super) fn close_connections(&self, user: UserId, why: Closed) {
        self.close_here(user, |_| true, why.code());
        self.tell_nodes(&Notice::Closed(user, why));
    }

    pub(super) fn close_here(&self, user: UserId, which: impl Fn(&Link) -> bool, code: CloseCode) {
        let Some(user) = self.users.online(user) else { return };
        for (worker, connections) in user.connections(which) {
            self.hub.tell(worker, News::Close { connections, code });
        }
    }

    /// Whether a connection's session, if it has one, has not ended since it was looked up; the user takes over what
    /// they may do by now. The store is asked only where anybody's sessions or rights have changed in between.
    pub async fn session_lives(&self, user: &User, session: Option<TokenHash>, changed_before: u64) -> bool {
        let Some(session) = session.filter(|_| self.changes.load(Ordering::Acquire) != changed_before) else {
            return true;
        };
        match self.store.sessions.session(session).await {
            Ok(Some(record)) => {
                if user.update(&record.user) {
                    self.show_rights(&record.user);
                }
                true
            }
            _ => false,
        }
    }

    /// Admits a connection: the visitor's, or that of a new guest who proposes a name.
    pub async fn admit(&self, visitor: Option<Visitor>, proposed: Option<&str>, address: IpAddr) -> Result<Admission> {
        let permit = self.limiter.connect(visitor.is_none().then_some(address))?;
        if let Some(visitor) = visitor {
            if !visitor.may(Scope::Read) {
                return Err(Error::NotAllowed("expected a token with the scope read"));
            }
            let posts = visitor.may(Scope::Post);
            let user = Arc::new(User::stored(&visitor.user));
            let claim = self.hold_name(&user);
            let Visitor { session, changed_before, .. } = visitor;
            return Ok(Admission { user, session: Some(session), changed_before, posts, claim, permit });
        }
        self.limiter.arrive(address)?;
        self.admit_guest(address, false)?;
        let (user, claim) = self.guest(proposed).await?;
        Ok(Admission { user, session: None, changed_before: 0, posts: true, claim: Some(claim), permit })
    }

    /// Admits a guest who is known by an e-mail that nobody has verified: as long as this process lives, the same one
    /// whenever they come from the same network, and somebody else than whoever claims that address elsewhere.
    pub async fn admit_by_email(&self, email: &str, address: IpAddr) -> Result<Admission> {
        let email = check_email(email)?;
        let permit = self.limiter.connect(Some(address))?;
        self.limiter.arrive(address)?;
        self.admit_guest(address, false)?;
        let known = Sha256::new().chain_update(self.guest_key).chain_update(network(address).to_string());
        let known: [u8; 32] = known.chain_update(" ").chain_update(email.to_lowercase()).finalize().into();
        let id = UserId(Uuid::from_u128(u128::from_be_bytes(*known.first_chunk().expect("16 of 32 bytes"))));
        let (name, claim) = match own_name(email.split('@').next().unwrap_or_default()) {
            Ok(name) => self.claim_like(&name, id).await?,
            Err(_) => self.claim_given(id).await?,
        };
        let user = User::guest(id, name);
        if let Some(record) = self.store.accounts.user(id).await? {
            check_not_banned(&record)?;
            user.set_stored();
            user.update(&record);
        }
        let (user, claim) = (Arc::new(user), Some(claim));
        Ok(Admission { user, session: None, changed_before: 0, posts: true, claim, permit })
    }

    /// One more guest who speaks over a connection that was admitted from this address: by the proposed name, without
    /// what stands after an `@`, or one like it.
    pub async fn another_guest(&self, proposed: &str, address: IpAddr) -> Result<(Arc<User>, NameClaim)> {
        let name = own_name(proposed.split('@').next().unwrap_or_default())?;
        self.limiter.arrive(address)?;
        self.guest(Some(&name)).await
    }

    /// A guest for the life of one connection, by the proposed name or one like it, and the claim on that name.
    async fn guest(&self, proposed: Option<&str>) -> Result<(Arc<User>, NameClaim)> {
        let id = UserId::random();
        let (name, claim) = match proposed {
            Some(proposed) => self.claim_like(&own_name(proposed)?, id).await?,
            None => self.claim_given(id).await?,
        };
        let user = User::guest(id, name);
        user.set_lobby_read(self.lobby_head());
        Ok((Arc::new(user), claim))
    }

    /// Holds a connected user's name as long as the claim lives. Where another holds it, which only can be after a
    /// session expired under a living connection, there is nothing to hold.
    fn hold_name(&self, user: &User) -> Option<NameClaim> {
        self.claim(folded(&user.name()), user.id)
    }

    /// Claims the name, or the first of name-2, name-3 … that is free.
    pub(super) async fn claim_like(&self, wanted: &Arc<str>, id: UserId) -> Result<(Arc<str>, NameClaim)> {
        const AT_ONCE: u32 = 8;
        const MOST: u32 = 10_000;
        // Nearly every name is free: the others are tried only if not.
        let (mut number, mut at_once) = (1, 1);
        while number < MOST {
            let like = |n| if n == 1 { wanted.clone() } else { name::numbered(wanted, n) };
            // Claimed before the store is asked, so that no session can take one meanwhile.
            let claim = |name: Arc<str>| self.claim(folded(&name), id).map(|claim| (name, claim));
            let claimed = (number..number + at_once).map(like).filter_map(claim).collect();
            let claimed = self.claim_everywhere(claimed, id).await?;
            // What looks like an account's name is not free either.
            let forms = |(name, claim): &(Arc<str>, NameClaim)| [claim.folded.to_string(), name::skeleton(name)];
            let asked: Vec<_> = claimed.iter().flat_map(forms).collect();
            let held = if claimed.is_empty() {
                HashMap::new()
            } else {
                self.store.accounts.holders(asked, expired_before(Timestamp::now())).await?
            };
            let is_free = |claimed: &(Arc<str>, NameClaim)| !forms(claimed).iter().any(|form| held.contains_key(form));
            if let Some(free) = claimed.into_iter().find(is_free) {
                return Ok(free);
            }
            (number, at_once) = (number + at_once, AT_ONCE);
        }
        Err(Error::NameTaken(wanted.to_string()))
    }

    /// Of names that are held here, those that nobody holds by another node, held there too.
    async fn claim_everywhere(
        &self,
        mut claimed: Vec<(Arc<str>, NameClaim)>,
        id: UserId,
    ) -> Result<Vec<(Arc<str>, NameClaim)>> {
        if claimed.is_empty() || self.store.nodes.is_alone() {
            return Ok(claimed);
        }
        // Let go of however this ends, and where it is not held.
        for (_, claim) in &mut claimed {
            claim.elsewhere = Some(Box::new((self.store.nodes.clone(), id)));
        }
        let names = claimed.iter().map(|(_, claim)| claim.folded.to_string()).collect();
        let held = self.store.nodes.claim(names, id).await?;
        Ok(claimed.into_iter().zip(held).filter(|(_, held)| *held).map(|(claim, _)| claim).collect())
    }

    async fn claim_given(&self, id: UserId) -> Result<(Arc<str>, NameClaim)> {
        // The id's last bytes are its random ones.
        let digits = id.0.as_u128();
        for round in 0..8 {
            let name: Arc<str> = format!("{GIVEN}{:05x}", (digits >> (round * 8)) & 0xf_ffff).into();
            let claimed = self.claim(name.clone(), id).map(|claim| (name, claim)).into_iter().collect();
            if let Some(claimed) = self.claim_everywhere(claimed, id).await?.pop() {
                return Ok(claimed);
            }
        }
        Err(Error::Unavailable("no guest name is free; propose one with ?name="))
    }

    fn claim(&self, folded: Arc<str>, user: UserId) -> Option<NameClaim> {
        let users = &self.users;
        users.claim(&folded, user).then(|| NameClaim { users: users.clone(), folded, elsewhere: None })
    }

    /// Holds a name in memory for a user who is to have it, if nobody else does in memory or in the store.
    pub(super) async fn claim_name(&self, user: &UserRecord) -> Result<NameClaim> {
        let taken = || Error::NameTaken(user.name.to_string());
        let claim = self.claim(user.folded.as_str().into(), user.id).ok_or_else(taken)?;
        let claimed = self.claim_everywhere(vec![(user.name.clone(), claim)], user.id).await?.pop();
        let (_, claim) = claimed.ok_or_else(taken)?;
        let forms = vec![user.folded.clone(), user.skeleton.clone()];
        let held = self.store.accounts.holders(forms, expired_before(Timestamp::now())).await?;
        if held.values().all(|holder| *holder == user.id) { Ok(claim) } else { Err(taken()) }
    }

    /// Shows a new name or picture to everyone who may be looking at the old one.
    pub(super) fn shown_anew(&self, now: &UserRecord) {
        self.show_anew(now);
        self.tell_nodes(&Notice::Shown(now.id));
    }

    pub(super) fn show_anew(&self, now: &UserRecord) {
        if let Some(user) = self.users.online(now.id) {
            user.rename(now.name.clone());
            self.hub.rename(&user.author());
        }
        let picture = match now.picture {
            0 => format!("/avatars/{}", now.id),
            version => format!("/avatars/{}?v={version}", now.id),
        };
        let json: Arc<str> = Push::User { id: now.id, name: &now.name, picture }.json().into();
        self.hub.tell_all(|| News::TellAll { json: json.clone() });
    }
}

/// A name that is held in memory, until dropped.
pub struct NameClaim {
    users: Arc<Users>,
    folded: Arc<str>,
    /// Where the other nodes know of it.
    elsewhere: Option<Box<(Arc<dyn Nodes>, UserId)>>,
}

impl Drop for NameClaim {
    fn drop(&mut self) {
        // Here last: until then nobody else claims it here.
        if let Some(elsewhere) = &self.elsewhere {
            let (nodes, user) = &**elsewhere;
            nodes.release(&self.folded, *user);
        }
        self.users.release(&self.folded);
    }
}

/// The name folded; the same piece of memory where that changes nothing.
fn folded(name: &Arc<str>) -> Arc<str> {
    let folded = name::fold(name);
    if folded == **name { name.clone() } else { folded.into() }
}

/// A session that was not seen since then is over.
pub fn expired_before(now: Timestamp) -> Timestamp {
    now - SESSION_LASTS
}

pub(super) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

pub fn new_record(name: Arc<str>, email: Option<String>, role: Role) -> UserRecord {
    UserRecord {
        id: UserId::random(),
        folded: name::fold(&name),
        skeleton: name::skeleton(&name),
        name,
        email,
        email_verified: false,
        role,
        muted_until: None,
        banned_until: None,
        picture: 0,
    }
}

/// The name that `now` has in place of the one before.
pub(super) fn new_name(now: &UserRecord, before: &UserRecord) -> NewName {
    let reserved_until = (now.folded != before.folded).then(|| Timestamp::now() + NAME_RESERVED);
    let UserRecord { name, folded, skeleton, .. } = now.clone();
    NewName { name, folded, skeleton, reserved_until }
}

pub(super) fn new_session(device: &Device) -> Result<(NewSession, Token)> {
    let token = Token::new()?;
    let session = NewSession {
        token: token.hash(),
        id: Uuid::new_v4(),
        label: device.label.clone(),
        address: network(device.address).to_string(),
        at: Timestamp::now(),
        scopes: None,
    };
    Ok((session, token))
}

pub(super) fn check_not_banned(user: &UserRecord) -> Result<()> {
    match user.banned_until.filter(|until| *until > Timestamp::now()) {
        Some(until) => Err(Error::Banned(in_words(until))),
        None => Ok(()),
    }
}

/// A name that somebody chose for themselves.
pub(super) fn own_name(raw: &str) -> Result<Arc<str>> {
    let name = name::person(raw)?;
    if name::fold(&name).starts_with(GIVEN) {
        return Err(Error::Invalid(format!("name: expected another beginning than {GIVEN:?}, which the server gives")));
    }
    if name::is_reserved(&name) {
        return Err(Error::NameTaken(name.to_string()));
    }
    Ok(name)
}

pub(super) fn check_email(raw: &str) -> Result<String> {
    let email = raw.trim();
    let plausible = email.len() <= EMAIL_BYTES
        && email.split_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty() && !at.contains('@'))
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    if !plausible {
        return Err(Error::Invalid(format!(
            "email: expected an address like ann@example.org, at most {EMAIL_BYTES} bytes"
        )));
    }
    Ok(email.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_needs_two_sides_and_no_spaces() {
        for good in ["ann@example.org", " ann+chat@example.org ", "ü@localhost"] {
            check_email(good).unwrap();
        }
        for bad in ["", "ann", "@example.org", "ann@", "a@b@c", "an n@example.org", "ann@exa\nmple.org"] {
            check_email(bad).unwrap_err();
        }
    }

    #[test]
    fn nobody_chooses_a_name_that_the_server_gives() {
        own_name("Guest-12345").unwrap_err();
        own_name("guesthouse").unwrap();
    }
}
