//! How an account proves who it is: registering, signing in, passwords, the second factor, programs' tokens; and its
//! end. It knows no cookie and no header.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use totp_rs::{Builder, Secret, Totp};
use uuid::Uuid;

use super::auth::{Device, Token, Visitor, check_email, expired_before, hash, new_name, new_record, new_session};
use super::nodes::Closed;
use super::place::{Join, line};
use super::user::Changing;
use super::{Chat, name};
use crate::error::{Error, Result};
use crate::protocol::{Content, Event, Kind, Role, RoomId, Scope, UserId};
use crate::store::{
    Effect, Link, LinkKind, NewSession, Right, Secrets, SessionRecord, UsedCode, UserChange, UserRecord, Which,
};

const RECOVERY_CODES: usize = 8;
/// A second factor that was offered is confirmed within this time.
const OFFER_LASTS: Duration = Duration::from_hours(1);
const TOKENS: usize = 50;
const LABEL_CHARS: usize = 64;
const PEOPLE_AT_ONCE: usize = 500;

/// What somebody registers with.
#[derive(Debug, Default)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub password: &'a str,
    pub email: Option<&'a str>,
    pub invite: Option<&'a str>,
}

/// What somebody signs in with.
#[derive(Debug, Default)]
pub struct Credentials<'a> {
    /// The name or the e-mail.
    pub login: &'a str,
    pub password: &'a str,
    /// Of the second factor, or a recovery code.
    pub code: Option<&'a str>,
}

/// A user as they may see themselves.
#[derive(Debug, Serialize)]
pub struct Profile {
    id: UserId,
    name: Arc<str>,
    guest: bool,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<Timestamp>,
    email_verified: bool,
    password: bool,
    second_factor: bool,
    providers: Vec<String>,
    picture: &'static str,
    ignored: Vec<UserId>,
}

/// A session of one's own, or a program's token.
#[derive(Debug, Serialize)]
pub struct SessionView {
    pub id: Uuid,
    /// The browser's, or the token's name.
    pub label: String,
    pub created: Timestamp,
    /// None where a token was never used.
    pub seen: Option<Timestamp>,
    pub current: bool,
    #[serde(skip)]
    pub scopes: Option<Vec<Scope>>,
}

/// What an authenticator is told.
pub struct SecondFactor {
    pub secret: String,
    pub uri: String,
}

impl Chat {
    /// Makes an account, or makes one of the guest who asks, who keeps what they are and have written. A link may
    /// lead into a room.
    pub async fn register(
        &self,
        guest: Option<&Visitor>,
        account: NewAccount<'_>,
        device: Device,
    ) -> Result<(UserRecord, Token, Option<RoomId>)> {
        let NewAccount { name, password, email, invite } = account;
        if guest.is_some_and(|visitor| !visitor.user.role.is_guest()) {
            return Err(Error::NotAllowed("you have an account already; sign out first"));
        }
        self.limiter.arrive(device.address)?;
        let invite = self.invite_for(invite, Role::Member).await?;
        if invite.is_none() {
            // A guest who was banned would else come back at once by another name.
            self.check_address(device.address)?;
        }
        self.may_register(invite.as_ref())?;
        self.may_enter_by(Role::Member, invite.as_ref()).await?;
        let name = name::account(name)?;
        let email = email.filter(|email| !email.trim().is_empty()).map(check_email).transpose()?;
        let mut record = new_record(name, email, role_by(invite.as_ref()));
        let mut changing = None;
        if let Some(guest) = guest {
            record.id = guest.user.id;
            changing = Some(self.become_account(guest).await?);
        }
        let _claim = self.claim_name(&record).await?;
        let known = [&*record.name, record.email.as_deref().unwrap_or_default(), &self.place().name];
        let password = self.passwords.hash(password, &known).await?;
        let (session, token) = new_session(&device)?;
        let secrets = Secrets { password: Some(password), ..Secrets::default() };
        if let Some(invite) = &invite {
            self.store.sessions.use_link(invite.token, Timestamp::now()).await?;
        }
        if let Some(guest) = guest {
            record = self.promote(guest, record, session, secrets).await?;
        } else {
            self.add_user(record.clone(), Some(session), secrets).await?;
        }
        drop(changing);
        let room = self.enter_by(&record, invite.as_ref()).await?;
        self.look_for_gravatar(record.id, record.email.as_deref());
        Ok((record, token, room))
    }

    /// Leave for a guest to become an account, whose session has not ended meanwhile. One at a time: of two who hold the
    /// same session, the later would else set the password of the earlier one's account.
    async fn become_account(&self, guest: &Visitor) -> Result<Changing> {
        let changing = self.users.begin_change(guest.user.id).ok_or(Error::RateLimited { retry_after_ms: 100 })?;
        let session = self.store.sessions.session(guest.session).await?;
        let is_guest = session.is_some_and(|session| session.user.role.is_guest());
        if is_guest { Ok(changing) } else { Err(Error::NoSession) }
    }

    fn may_register(&self, invite: Option<&Link>) -> Result<()> {
        self.may_make_account(invite)?;
        // The owner's link works however one is to come in afterwards: somebody must be the first.
        let is_owner = invite.is_some_and(|link| link.kind == LinkKind::Owner);
        if !self.settings.passwords && !is_owner {
            return Err(Error::NotAllowed("accounts with a password are not made here: sign in by a provider"));
        }
        Ok(())
    }

    /// Whether somebody may make an account, however they prove who they are.
    pub(super) fn may_make_account(&self, invite: Option<&Link>) -> Result<()> {
        if invite.is_none() && self.join_policy() == Join::Invite {
            return Err(Error::NotAllowed("one comes in here by a link: ask somebody for one"));
        }
        Ok(())
    }

    /// Turns a guest into an account. Its secrets come first: there is no account that nobody can sign in to.
    pub(super) async fn promote(
        &self,
        guest: &Visitor,
        wanted: UserRecord,
        session: NewSession,
        secrets: Secrets,
    ) -> Result<UserRecord> {
        self.store.accounts.set_secrets(wanted.id, secrets).await?;
        let email = wanted.email.clone().or_else(|| guest.user.email.clone());
        let change = UserChange {
            name: Some(new_name(&wanted, &guest.user)),
            email: Some(email.map(|email| (email, false))),
            role: Some(wanted.role),
            ..UserChange::default()
        };
        let now = self.store.accounts.change_user(wanted.id, change, expired_before(Timestamp::now())).await?;
        let token = session.token;
        self.store.sessions.add_session(now.id, session).await?;
        // A session that was there before, and perhaps known to somebody else, is not carried over.
        self.end_sessions(now.id, Which::OthersThan(token)).await?;
        self.user_changed(&now);
        self.shown_anew(&now);
        Ok(now)
    }

    /// Begins a session. Who has no such account is answered the same, after the same time, as who has a wrong password.
    pub async fn sign_in(&self, credentials: Credentials<'_>, device: Device) -> Result<(UserRecord, Token)> {
        let Credentials { login, password, code } = credentials;
        let folded = name::fold(login);
        self.limiter.guess_from(device.address)?;
        let found = self.store.accounts.account(&folded, login.trim()).await?;
        // An account is one, by whatever it is called.
        let at = found.as_ref().map_or(&*folded, |(user, _)| &*user.folded);
        self.limiter.guess_at(hash(at))?;
        let (user, secrets) = found.map_or((None, Secrets::default()), |(user, secrets)| (Some(user), secrets));
        let fits = self.passwords.verify(password, secrets.password.as_deref()).await?;
        let user = user.filter(|_| fits && self.settings.passwords).ok_or(Error::BadCredentials)?;
        self.check_second_factor(&user, &secrets, code).await?;
        let token = self.begin_session(&user, &device).await?;
        Ok((user, token))
    }

    async fn check_second_factor(&self, user: &UserRecord, secrets: &Secrets, code: Option<&str>) -> Result<()> {
        let Some(secret) = &secrets.totp else { return Ok(()) };
        let code = code.map(str::trim).ok_or(Error::SecondFactor)?;
        let step = authenticator(secret, user)?.check_current(code).and_then(|step| i64::try_from(step).ok());
        let shown = match step {
            Some(step) => UsedCode::Step(step),
            None => UsedCode::Recovery(hash(&code.to_lowercase())),
        };
        if self.store.accounts.use_code(user.id, shown).await? { Ok(()) } else { Err(Error::SecondFactor) }
    }

    /// Asks for the password again before what cannot be undone; who has none is believed.
    async fn check_password(&self, visitor: &Visitor, password: Option<&str>, device: &Device) -> Result<Secrets> {
        visitor.must_be_person()?;
        let secrets = self.store.accounts.secrets(visitor.user.id).await?;
        if let Some(known) = &secrets.password {
            self.limiter.guess(hash(&visitor.user.folded), device.address)?;
            if !self.passwords.verify(password.unwrap_or_default(), Some(known)).await? {
                return Err(Error::BadCredentials);
            }
        }
        Ok(secrets)
    }

    /// Sets a new password, and ends all other sessions.
    pub async fn change_password(
        &self,
        visitor: &Visitor,
        password: Option<&str>,
        new: &str,
        device: &Device,
    ) -> Result<()> {
        visitor.must_be(Role::Member)?;
        self.check_password(visitor, password, device).await?;
        let hash = self.hash_for(&visitor.user, new).await?;
        // Read after the time that hashing takes: a code that was used meanwhile stays used.
        let secrets = self.store.accounts.secrets(visitor.user.id).await?;
        self.store.accounts.set_secrets(visitor.user.id, Secrets { password: Some(hash), ..secrets }).await?;
        self.end_sessions(visitor.user.id, Which::OthersThan(visitor.session)).await?;
        Ok(())
    }

    pub(super) async fn hash_for(&self, user: &UserRecord, password: &str) -> Result<String> {
        let known = [&*user.name, user.email.as_deref().unwrap_or_default(), &self.place().name];
        self.passwords.hash(password, &known).await
    }

    /// Sets a new password by a link, and ends all sessions. A link that came by mail shows whose the address is.
    pub async fn reset_password(&self, link: &str, new: &str, device: &Device) -> Result<()> {
        self.limiter.guess_from(device.address)?;
        let good = self.good_link(link).await?;
        let token = good.token;
        let LinkKind::Reset { user, mailed_to } = good.kind else { return Err(Error::BadLink) };
        let user = self.store.accounts.user(user).await?.ok_or(Error::BadLink)?;
        let hash = self.hash_for(&user, new).await?;
        self.store.sessions.use_link(token, Timestamp::now()).await?;
        let mut secrets = self.store.accounts.secrets(user.id).await?;
        let shown = mailed_to.filter(|address| user.email.as_ref() == Some(address));
        let first_shown = shown.is_some() && !user.email_verified;
        if first_shown {
            // Whoever set the account up may not be whose address it is: nothing that they have tied to it stays.
            secrets = Secrets::default();
            for issuer in self.store.accounts.identities(user.id).await? {
                self.store.accounts.set_identity(user.id, &issuer, None).await?;
            }
        }
        self.store.accounts.set_secrets(user.id, Secrets { password: Some(hash), ..secrets }).await?;
        if let Some(address) = shown {
            let change = UserChange { email: Some(Some((address, true))), ..UserChange::default() };
            self.store.accounts.change_user(user.id, change, expired_before(Timestamp::now())).await?;
        }
        self.end_sessions(user.id, if first_shown { Which::All } else { Which::OfPeople }).await?;
        Ok(())
    }

    /// Offers a second factor, which counts once a code of it was shown.
    pub async fn offer_second_factor(
        &self,
        visitor: &Visitor,
        password: Option<&str>,
        device: &Device,
    ) -> Result<SecondFactor> {
        let secrets = self.check_password(visitor, password, device).await?;
        if secrets.password.is_none() {
            return Err(Error::NotAllowed(
                "expected an account with a password: the provider has its own second factor",
            ));
        }
        if secrets.totp.is_some() {
            return Err(Error::NotAllowed("there is a second factor already; switch it off first"));
        }
        let mut secret = vec![0; 20];
        getrandom::fill(&mut secret).map_err(|_| Error::Internal)?;
        let authenticator = self.authenticator(&secret, &visitor.user)?;
        let uri = authenticator.to_url().map_err(|_| Error::Internal)?;
        let text = authenticator.secret().to_base32();
        self.store.nodes.keep(offered_to(visitor.user.id), text.clone(), OFFER_LASTS).await?;
        Ok(SecondFactor { secret: text, uri })
    }

    /// Switches the offered second factor on. The answer is the codes that stand in for it, each once.
    pub async fn confirm_second_factor(&self, visitor: &Visitor, code: &str, device: &Device) -> Result<Vec<String>> {
        visitor.must_be_person()?;
        self.limiter.guess(hash(&visitor.user.folded), device.address)?;
        let offered = self.store.nodes.take(offered_to(visitor.user.id)).await?;
        let text = offered.ok_or(Error::NotAllowed("expected a second factor that was offered: ask for one"))?;
        let secret = Secret::try_from_base32(&text).map_err(|_| Error::Internal)?.as_bytes().to_vec();
        let Some(step) = authenticator(&secret, &visitor.user)?.check_current(code.trim()) else {
            // Who has mistyped it tries again.
            self.store.nodes.keep(offered_to(visitor.user.id), text, OFFER_LASTS).await?;
            return Err(Error::SecondFactor);
        };
        let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>>>()?;
        let known = self.store.accounts.secrets(visitor.user.id).await?;
        let recovery = codes.iter().map(|code| hash(code)).collect();
        self.store.accounts.set_secrets(visitor.user.id, Secrets { totp: Some(secret), recovery, ..known }).await?;
        let used = UsedCode::Step(i64::try_from(step).unwrap_or(i64::MAX));
        self.store.accounts.use_code(visitor.user.id, used).await?;
        self.end_sessions(visitor.user.id, Which::OthersThan(visitor.session)).await?;
        Ok(codes)
    }

    pub async fn drop_second_factor(&self, visitor: &Visitor, password: Option<&str>, device: &Device) -> Result<()> {
        let secrets = self.check_password(visitor, password, device).await?;
        let without = Secrets { totp: None, recovery: Vec::new(), ..secrets };
        self.store.accounts.set_secrets(visitor.user.id, without).await
    }

    fn authenticator(&self, secret: &[u8], user: &UserRecord) -> Result<Totp> {
        // Neither part of an otpauth address may hold a colon.
        let place = self.place().name.replace(':', " ");
        let builder = builder(secret, user).with_issuer(Some(place));
        builder.build().map_err(|_| Error::Internal)
    }

    /// One's own sessions, or the tokens of one's programs.
    pub async fn sessions(&self, visitor: &Visitor, programs: bool) -> Result<Vec<SessionView>> {
        visitor.must_be_person()?;
        let sessions = self.store.sessions.sessions(visitor.user.id, programs).await?;
        let view = |record: SessionRecord| {
            let SessionRecord { session, seen, .. } = record;
            let seen = (!programs || seen > session.at).then_some(seen);
            let current = session.token == visitor.session;
            SessionView {
                id: session.id,
                label: session.label,
                created: session.at,
                seen,
                current,
                scopes: session.scopes,
            }
        };
        Ok(sessions.into_iter().map(view).collect())
    }

    /// Ends one of one's own sessions, or a program's token; `NoPath` where there is no such one.
    pub async fn end_one_session(&self, visitor: &Visitor, id: Uuid) -> Result<()> {
        visitor.must_be_person()?;
        match self.end_sessions(visitor.user.id, Which::One(id)).await? {
            0 => Err(Error::NoPath),
            _ => Ok(()),
        }
    }

    pub async fn sign_out_everywhere(&self, visitor: &Visitor) -> Result<()> {
        visitor.must_be_person()?;
        self.end_sessions(visitor.user.id, Which::OfPeople).await.map(drop)
    }

    /// Makes a token for a program, which may do no more than its user.
    pub async fn make_token(&self, visitor: &Visitor, name: &str, scopes: &[Scope]) -> Result<(Uuid, Token)> {
        visitor.must_be_person()?;
        visitor.must_be(Role::Member)?;
        self.limiter.rare(visitor.user.id)?;
        let label = line("name", name, 1, LABEL_CHARS)?;
        if scopes.is_empty() {
            return Err(Error::Invalid("scopes: expected at least one of read, post, admin".to_owned()));
        }
        if self.store.sessions.sessions(visitor.user.id, true).await?.len() >= TOKENS {
            return Err(Error::NotAllowed("expected fewer tokens than 50; revoke some that are not used"));
        }
        let (id, token, at) = (Uuid::new_v4(), Token::new()?, Timestamp::now());
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let session = NewSession { token: token.hash(), id, label, address: String::new(), at, scopes: Some(scopes) };
        self.store.sessions.add_session(visitor.user.id, session).await?;
        Ok((id, token))
    }

    pub async fn profile(&self, user: &UserRecord) -> Result<Profile> {
        let secrets = self.store.accounts.secrets(user.id).await?;
        let issuers = self.store.accounts.identities(user.id).await?;
        Ok(Profile {
            id: user.id,
            name: user.name.clone(),
            guest: user.role.is_guest(),
            role: user.role,
            email: user.email.clone(),
            muted_until: user.muted_until.filter(|until| *until > Timestamp::now()),
            email_verified: user.email_verified,
            password: secrets.password.is_some(),
            second_factor: secrets.totp.is_some(),
            providers: self.providers_of(&issuers),
            picture: self.picture_source(user.id).await?,
            ignored: self.store.moderation.ignored(user.id).await?,
        })
    }

    /// Deletes an account, or a guest, and what they wrote: the events stay and are emptied.
    pub async fn delete_account(&self, visitor: &Visitor, password: Option<&str>, device: &Device) -> Result<()> {
        self.check_password(visitor, password, device).await?;
        let user = &visitor.user;
        if user.role == Role::Owner && !self.has_other_owner(user.id).await? {
            return Err(Error::NotAllowed("the place would have no owner: make somebody else its owner first"));
        }
        // First, so that nothing is written any more after what was written is emptied.
        self.end_sessions(user.id, Which::All).await?;
        for room in self.store.directory.written(user.id).await? {
            self.append_for(user, &room, Kind::Delete, Content::delete(Some(user.id)), Effect::RedactAll(user.id))
                .await?;
        }
        self.leave_all(user).await?;
        self.store.accounts.delete_user(user.id).await?;
        // Who signed in meanwhile has lost that session too.
        self.close_connections(user.id, Closed::SessionEnded);
        Ok(())
    }

    async fn has_other_owner(&self, user: UserId) -> Result<bool> {
        let mut after = None;
        loop {
            let people = self.store.accounts.users("", after, PEOPLE_AT_ONCE).await?;
            let Some(last) = people.last() else { return Ok(false) };
            after = Some(last.id);
            if people.iter().any(|person| person.role == Role::Owner && person.id != user) {
                return Ok(true);
            }
        }
    }

    /// Appends an event in the name of a user, whatever their rights are by now.
    pub(super) async fn append_for(
        &self,
        user: &UserRecord,
        room: &RoomId,
        kind: Kind,
        content: Content,
        effect: Effect,
    ) -> Result<()> {
        let event = Event::new(user.author(), kind, content);
        self.append(room, event, Right::Free, effect).await.map(drop)
    }
}

/// What a link makes of who registers by it.
pub(super) fn role_by(link: Option<&Link>) -> Role {
    match link.map(|link| &link.kind) {
        Some(LinkKind::Owner) => Role::Owner,
        Some(LinkKind::Invite { role, .. }) => (*role).max(Role::Member),
        _ => Role::Member,
    }
}

fn offered_to(user: UserId) -> String {
    format!("factor:{user}")
}

fn authenticator(secret: &[u8], user: &UserRecord) -> Result<Totp> {
    builder(secret, user).build().map_err(|_| Error::Internal)
}

fn builder(secret: &[u8], user: &UserRecord) -> Builder {
    Builder::new().with_secret(Secret::from(secret.to_vec())).with_account_name(user.name.replace(':', " "))
}

/// Ten letters and digits in two halves, 50 bits.
fn recovery_code() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| Error::Internal)?;
    let letters: String = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Ok(format!("{}-{}", &letters[..5], &letters[5..]))
}
