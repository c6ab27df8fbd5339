//! Who somebody is: sessions, guests, names. Accounts and rights will have their place here. It knows no cookie and
//! no header: a session is its token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::limit::Permit;
use super::user::{User, Users};
use super::{Chat, News, name};
use crate::error::{Error, Result};
use crate::protocol::{CloseCode, Me, Push, RoomId, UserId};
use crate::store::{NewUser, TokenHash, UserRecord};

/// A guest who was not seen for so long has lost session and name.
pub const SESSION_LASTS: Duration = Duration::from_hours(30 * 24);
/// That a session was seen is noted at most so often.
const SEEN_EVERY: Duration = Duration::from_hours(1);
/// Names of this form are given by the server alone, so they need no look at the store.
const GIVEN: &str = "guest-";
const EMAIL_BYTES: usize = 254;

/// A session's secret, shown once to its holder; only its hash is stored.
pub struct Token(String);

impl Token {
    fn new() -> Result<Self> {
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
}

/// Somebody who came with a session.
#[derive(Clone)]
pub struct Visitor {
    pub user: UserRecord,
    pub session: TokenHash,
    /// How many sessions had been ended when this one was looked up.
    ended_before: u64,
}

impl Visitor {
    /// The user as they may see themselves.
    pub fn me(user: &UserRecord) -> Me<'_> {
        Me { id: user.id, name: &user.name, guest: user.guest, email: user.email.as_deref() }
    }

    /// The user who is online, so that all know of what they do, else one for this request alone.
    pub fn acting(self, users: &Users) -> Arc<User> {
        let UserRecord { id, name, guest, .. } = self.user;
        users.online(id).unwrap_or_else(|| Arc::new(User::new(id, name, guest, true)))
    }
}

/// Leave to hold one connection, for as long as claim and permit are held.
pub struct Admission {
    pub user: Arc<User>,
    pub session: Option<TokenHash>,
    /// How many sessions had been ended when it was looked up, for `session_lives`.
    pub ended_before: u64,
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
    /// Makes a guest with a session, who holds the name.
    pub async fn open_session(&self, name: &str, email: Option<&str>, address: IpAddr) -> Result<(UserRecord, Token)> {
        let name = own_name(name)?;
        let email = email.map(check_email).transpose()?;
        self.limiter.arrive(address)?;
        let token = Token::new()?;
        let record = UserRecord { id: UserId::random(), folded: name::fold(&name), name, email, guest: true };
        // Held in memory while the store is asked: a guest who connects meanwhile cannot take it.
        let folded = record.folded.as_str().into();
        let _claim = self.claim(folded, record.id).ok_or_else(|| Error::NameTaken(record.name.to_string()))?;
        let now = Timestamp::now();
        let user = NewUser {
            record: record.clone(),
            session: Some((hash(token.as_str()), now)),
            joins: RoomId::lobby(),
            read: self.lobby_head(),
        };
        self.directory().add_user(user, expired_before(now)).await?;
        Ok((record, token))
    }

    /// Who holds this token; `None` where it is no session's, or one that has expired.
    pub async fn visitor(&self, token: &str) -> Result<Option<Visitor>> {
        let session = hash(token);
        let now = Timestamp::now();
        let ended_before = self.ended_sessions.load(Ordering::Acquire);
        let Some(record) = self.directory().session(session).await? else { return Ok(None) };
        if record.seen < expired_before(now) {
            return Ok(None);
        }
        if record.seen < now - SEEN_EVERY {
            self.directory().touch_session(session, now).await?;
        }
        Ok(Some(Visitor { user: record.user, session, ended_before }))
    }

    pub async fn change_user(&self, visitor: &Visitor, change: Change) -> Result<UserRecord> {
        self.limiter.rare(visitor.user.id)?;
        // One change of a user at a time: two could otherwise leave one name in the store and show another.
        let _changing = self.users.begin_change(visitor.user.id).ok_or(Error::RateLimited { retry_after_ms: 100 })?;
        let before = self.directory().user(visitor.user.id).await?.ok_or(Error::NoUser)?;
        let mut record = before.clone();
        if let Some(name) = change.name {
            record.name = own_name(&name)?;
            record.folded = name::fold(&record.name);
        }
        if let Some(email) = change.email {
            record.email = email.as_deref().map(check_email).transpose()?;
        }
        let taken = || Error::NameTaken(record.name.to_string());
        let _claim = self.claim(record.folded.as_str().into(), record.id).ok_or_else(taken)?;
        self.directory().change_user(record.clone(), expired_before(Timestamp::now())).await?;
        if record.name != before.name {
            self.renamed(&record);
        }
        Ok(record)
    }

    /// Ends the session, and the connections that came in by it.
    pub async fn end_session(&self, visitor: &Visitor) -> Result<()> {
        self.ended_sessions.fetch_add(1, Ordering::AcqRel);
        self.directory().end_session(visitor.session).await?;
        // Counted again before the connections are looked for: who is not among them yet sees the count.
        self.ended_sessions.fetch_add(1, Ordering::AcqRel);
        if let Some(user) = self.users.online(visitor.user.id) {
            for (worker, connections) in user.connections(|link| link.session.as_deref() == Some(&visitor.session)) {
                self.hub.tell(worker, News::Close { connections, code: CloseCode::SessionEnded });
            }
        }
        Ok(())
    }

    /// Whether a connection's session, if it has one, has not ended since it was looked up. The store is asked only
    /// where any session ended in between.
    pub async fn session_lives(&self, session: Option<TokenHash>, ended_before: u64) -> bool {
        match session {
            Some(session) if self.ended_sessions.load(Ordering::Acquire) != ended_before => {
                matches!(self.directory().session(session).await, Ok(Some(_)))
            }
            _ => true,
        }
    }

    /// Admits a connection: the visitor's, or that of a new guest who proposes a name.
    pub async fn admit(&self, visitor: Option<Visitor>, proposed: Option<&str>, address: IpAddr) -> Result<Admission> {
        let permit = self.limiter.connect(visitor.is_none().then_some(address))?;
        if let Some(Visitor { user, session, ended_before }) = visitor {
            let user = Arc::new(User::new(user.id, user.name, user.guest, true));
            let claim = self.hold_name(&user);
            return Ok(Admission { user, session: Some(session), ended_before, claim, permit });
        }
        self.limiter.arrive(address)?;
        let (user, claim) = self.guest(proposed).await?;
        Ok(Admission { user, session: None, ended_before: 0, claim: Some(claim), permit })
    }

    /// A guest for the life of one connection, by the proposed name or one like it, and the claim on that name.
    async fn guest(&self, proposed: Option<&str>) -> Result<(Arc<User>, NameClaim)> {
        let id = UserId::random();
        let (name, claim) = match proposed {
            Some(proposed) => self.claim_like(&own_name(proposed)?, id).await?,
            None => self.claim_given(id)?,
        };
        let user = User::new(id, name, true, false);
        user.set_lobby_read(self.lobby_head());
        Ok((Arc::new(user), claim))
    }

    /// Holds a connected user's name as long as the claim lives. Where another holds it, which only can be after a
    /// session expired under a living connection, there is nothing to hold.
    fn hold_name(&self, user: &User) -> Option<NameClaim> {
        self.claim(folded(&user.name()), user.id)
    }

    /// Claims the name, or the first of name-2, name-3 … that is free.
    async fn claim_like(&self, wanted: &Arc<str>, id: UserId) -> Result<(Arc<str>, NameClaim)> {
        const AT_ONCE: u32 = 8;
        const MOST: u32 = 10_000;
        // Nearly every name is free: the others are tried only if not.
        let (mut number, mut at_once) = (1, 1);
        while number < MOST {
            let like = |n| if n == 1 { wanted.clone() } else { name::numbered(wanted, n) };
            // Claimed before the store is asked, so that no session can take one meanwhile.
            let claim = |name: Arc<str>| self.claim(folded(&name), id).map(|claim| (name, claim));
            let claimed: Vec<_> = (number..number + at_once).map(like).filter_map(claim).collect();
            let folded = claimed.iter().map(|(_, claim)| claim.folded.to_string()).collect();
            let held = if claimed.is_empty() {
                HashMap::new()
            } else {
                self.directory().holders(folded, expired_before(Timestamp::now())).await?
            };
            if let Some(free) = claimed.into_iter().find(|(_, claim)| !held.contains_key(&*claim.folded)) {
                return Ok(free);
            }
            (number, at_once) = (number + at_once, AT_ONCE);
        }
        Err(Error::NameTaken(wanted.to_string()))
    }

    fn claim_given(&self, id: UserId) -> Result<(Arc<str>, NameClaim)> {
        // The id's last bytes are its random ones.
        let digits = id.0.as_u128();
        for round in 0..8 {
            let name: Arc<str> = format!("{GIVEN}{:05x}", (digits >> (round * 8)) & 0xf_ffff).into();
            if let Some(claim) = self.claim(name.clone(), id) {
                return Ok((name, claim));
            }
        }
        Err(Error::Unavailable("no guest name is free; propose one with ?name="))
    }

    fn claim(&self, folded: Arc<str>, user: UserId) -> Option<NameClaim> {
        let users = &self.users;
        users.claim(&folded, user).then(|| NameClaim { users: users.clone(), folded })
    }

    /// Shows a new name to everyone who may be looking at the old one.
    fn renamed(&self, now: &UserRecord) {
        if let Some(user) = self.users.online(now.id) {
            user.rename(now.name.clone());
            self.hub.rename(&user.author());
        }
        let picture = format!("/avatars/{}", now.id);
        let json: Arc<str> = Push::User { id: now.id, name: &now.name, picture }.json().into();
        self.hub.tell_all(|| News::TellAll { json: json.clone() });
    }
}

/// A name that is held in memory, until dropped.
pub struct NameClaim {
    users: Arc<Users>,
    folded: Arc<str>,
}

impl Drop for NameClaim {
    fn drop(&mut self) {
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

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// A name that somebody chose for themselves.
fn own_name(raw: &str) -> Result<Arc<str>> {
    let name = name::person(raw)?;
    if name::fold(&name).starts_with(GIVEN) {
        return Err(Error::Invalid(format!("name: expected another beginning than {GIVEN:?}, which the server gives")));
    }
    Ok(name)
}

fn check_email(raw: &str) -> Result<String> {
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
