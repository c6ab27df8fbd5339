//! Links: what their holder may do who shows their secret. The owner's first link, invites, forgotten passwords.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::auth::{Token, Visitor, check_not_banned, expired_before, hash};
use super::place::Join;
use super::user::User;
use super::{Chat, name};
use crate::error::{Error, Result};
use crate::protocol::{Author, MemberChange, MemberRole, Role, RoomId, RoomKind, UserId};
use crate::store::{Effect, Link, LinkKind, UserChange, UserRecord};

const OWNER_LASTS: Duration = Duration::from_hours(24);
const RESET_LASTS: Duration = Duration::from_hours(24);
/// Of a link that went by mail, which others may come to read.
const MAILED_LASTS: Duration = Duration::from_hours(1);
/// A name or an e-mail is not longer.
const LOGIN_BYTES: usize = 256;
const MOST_HOURS: u32 = 24 * 365;

/// What somebody who holds a link's secret may know of it.
#[derive(Debug, Serialize)]
pub struct LinkView {
    kind: &'static str,
    place: Called,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<Called>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Called>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Called>,
}

#[derive(Debug, Serialize)]
struct Called {
    name: Arc<str>,
}

/// An invite as whoever may give it sees it.
#[derive(Debug, Serialize)]
pub struct InviteView {
    id: Uuid,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<RoomView>,
    uses: u32,
    max_uses: Option<u32>,
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Author>,
}

#[derive(Debug, Serialize)]
struct RoomView {
    room: RoomId,
    name: Arc<str>,
}

/// What an invite is to be.
#[derive(Debug)]
pub struct NewInvite {
    pub role: Role,
    pub room: Option<RoomId>,
    pub max_uses: Option<u32>,
    pub expires_hours: Option<u32>,
}

/// A link that makes its visitor the owner, and its secret.
pub fn owner_link() -> Result<(Link, Token)> {
    new_link(LinkKind::Owner, None, Some(OWNER_LASTS), Some(1))
}

impl Chat {
    /// The secret of a new owner's link, where there is no owner yet.
    pub async fn offer_ownership(&self) -> Result<Option<Token>> {
        if self.place().owned {
            return Ok(None);
        }
        let (link, token) = owner_link()?;
        self.store.sessions.add_link(link).await?;
        Ok(Some(token))
    }

    /// What a link is for; `BadLink` where it is none, or not good any more.
    pub async fn look_at_link(&self, secret: &str) -> Result<LinkView> {
        let link = self.good_link(secret).await?;
        let called = |name: Arc<str>| Called { name };
        let place = called(self.place().name.as_str().into());
        let by = link.by.map(|by| called(by.name));
        let mut view = LinkView { kind: "owner", place, role: None, room: None, user: None, by };
        match link.kind {
            LinkKind::Owner => {}
            LinkKind::Invite { role, room } => {
                (view.kind, view.role) = ("invite", Some(role));
                if let Some(room) = room {
                    view.room = Some(called(self.store.directory.room(&room).await?.ok_or(Error::BadLink)?.name));
                }
            }
            LinkKind::Reset { user, .. } => {
                view.kind = "reset";
                view.user = Some(called(self.store.accounts.user(user).await?.ok_or(Error::BadLink)?.name));
            }
        }
        Ok(view)
    }

    pub(super) async fn good_link(&self, secret: &str) -> Result<Link> {
        let link = self.store.sessions.link(hash(secret), Timestamp::now()).await?.ok_or(Error::BadLink)?;
        if self.could_be_made_now(&link).await? { Ok(link) } else { Err(Error::BadLink) }
    }

    /// Whoever has lost the right to give a link lets nobody in by one that they gave before.
    async fn could_be_made_now(&self, link: &Link) -> Result<bool> {
        let Some(by) = &link.by else { return Ok(true) };
        let Some(maker) = self.store.accounts.user(by.id).await? else { return Ok(false) };
        if check_not_banned(&maker).is_err() {
            return Ok(false);
        }
        let may = match &link.kind {
            LinkKind::Owner => Ok(()),
            LinkKind::Invite { role, room } => self.may_invite(&maker, room.as_ref(), *role).await,
            LinkKind::Reset { user, .. } => {
                let user = self.store.accounts.user(*user).await?;
                user.ok_or(Error::NoUser).and_then(|user| may_reset(&maker, &user))
            }
        };
        match may {
            Ok(()) => Ok(true),
            Err(Error::NotAllowed(_) | Error::NoRoom(_) | Error::NoUser) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The invite that somebody comes in by, who becomes at least this. A guest's invite makes nobody a member.
    pub(super) async fn invite_for(&self, secret: Option<&str>, least: Role) -> Result<Option<Link>> {
        let Some(secret) = secret else { return Ok(None) };
        let link = self.good_link(secret).await?;
        match &link.kind {
            LinkKind::Invite { role, .. } if *role >= least => Ok(Some(link)),
            LinkKind::Invite { .. } if self.join_policy() != Join::Invite => Ok(Some(link)),
            LinkKind::Invite { .. } => Err(Error::NotAllowed("this link lets in guests: come in by a name")),
            LinkKind::Owner if least == Role::Guest => {
                Err(Error::NotAllowed("the owner has an account: make one with this link"))
            }
            LinkKind::Owner => Ok(Some(link)),
            LinkKind::Reset { .. } => Err(Error::BadLink),
        }
    }

    /// Whoever came in by a link joins its room; and there is an owner once there is one.
    pub(super) async fn enter_by(&self, user: &UserRecord, link: Option<&Link>) -> Result<Option<RoomId>> {
        match link.map(|link| (&link.kind, &link.by)) {
            Some((LinkKind::Owner, _)) => {
                self.set_owned().await?;
                self.note(&user.author(), "owner", &user.name, "by the owner's link").await?;
                Ok(None)
            }
            Some((LinkKind::Invite { room: Some(room), .. }, by)) => match self.let_in(user, room, by.as_ref()).await {
                Ok(()) => Ok(Some(room.clone())),
                // Deleted meanwhile: whoever came in by it is in all the same.
                Err(Error::NoRoom(_)) => Ok(None),
                Err(error) => Err(error),
            },
            _ => Ok(None),
        }
    }

    /// Refuses a guest by whose link they would come into a room that takes no guests.
    pub(super) async fn may_enter_by(&self, role: Role, link: Option<&Link>) -> Result<()> {
        match link.map(|link| &link.kind) {
            Some(LinkKind::Invite { room: Some(room), .. }) => self.guest_may_enter(role, room).await,
            _ => Ok(()),
        }
    }

    /// Adds a user to a room in the name of whoever made the link.
    async fn let_in(&self, user: &UserRecord, room: &RoomId, by: Option<&Author>) -> Result<()> {
        if self.store.directory.role(room, user.id).await?.is_some() {
            return Ok(());
        }
        let change = MemberChange::Added { user: user.author() };
        let effect = Effect::Member(user.id, MemberRole::Member);
        self.append_change(by.unwrap_or(&user.author()), room, &change, effect).await?;
        self.told_member(user.id, room, true);
        Ok(())
    }

    /// Uses a link for somebody who is in already. The answer is who they are now, and the room that it led to.
    pub async fn use_link(&self, visitor: &Visitor, secret: &str) -> Result<(UserRecord, Option<RoomId>)> {
        visitor.must_be_person()?;
        self.limiter.rare(visitor.user.id)?;
        let link = self.good_link(secret).await?;
        let before = &visitor.user;
        let role = match &link.kind {
            LinkKind::Reset { .. } => return Err(Error::NotAllowed("expected a new password with this link")),
            LinkKind::Owner if before.role.is_guest() => {
                return Err(Error::NotAllowed("the owner has an account: make one with this link"));
            }
            LinkKind::Owner => Role::Owner,
            // A guest stays one until they make an account.
            LinkKind::Invite { role, .. } if before.role.is_guest() => {
                if *role > Role::Member {
                    return Err(Error::NotAllowed("expected an account: make one with this link"));
                }
                Role::Guest
            }
            LinkKind::Invite { role, .. } => (*role).max(before.role),
        };
        self.may_enter_by(before.role, Some(&link)).await?;
        self.store.sessions.use_link(link.token, Timestamp::now()).await?;
        let mut now = before.clone();
        if role != before.role {
            let change = UserChange { role: Some(role), ..UserChange::default() };
            now = self.store.accounts.change_user(before.id, change, expired_before(Timestamp::now())).await?;
            self.user_changed(&now);
        }
        let room = self.enter_by(&now, Some(&link)).await?;
        Ok((now, room))
    }

    /// Makes an invite: admins of the place, to any role below their own; a private room's owner and moderators, to it.
    pub async fn invite(&self, visitor: &Visitor, new: NewInvite) -> Result<(Uuid, Token)> {
        let NewInvite { role, room, max_uses, expires_hours } = new;
        visitor.must_be(Role::Member)?;
        self.limiter.rare(visitor.user.id)?;
        self.may_invite(&visitor.user, room.as_ref(), role).await?;
        if max_uses == Some(0) || expires_hours.is_some_and(|hours| hours == 0 || hours > MOST_HOURS) {
            return Err(Error::Invalid(format!("expected at least one use, and 1 to {MOST_HOURS} hours")));
        }
        let lasts = expires_hours.map(|hours| Duration::from_hours(hours.into()));
        let kind = LinkKind::Invite { role, room };
        let (link, token) = new_link(kind, Some(visitor.user.author()), lasts, max_uses)?;
        let id = link.id;
        self.store.sessions.add_link(link).await?;
        self.note(&visitor.user.author(), "invite", role.as_str(), &id.to_string()).await?;
        Ok((id, token))
    }

    async fn may_invite(&self, maker: &UserRecord, room: Option<&RoomId>, role: Role) -> Result<()> {
        match room {
            Some(room) => self.may_invite_to(maker, room, role).await?,
            None if maker.role < Role::Admin => return Err(Error::NotAllowed("expected an admin")),
            None => {}
        }
        if role >= maker.role && role > Role::Member {
            return Err(Error::NotAllowed("expected a role below your own"));
        }
        Ok(())
    }

    async fn may_invite_to(&self, maker: &UserRecord, room: &RoomId, role: Role) -> Result<()> {
        let standing = self.standing(&User::stored(maker), room).await?;
        if standing.info.kind == RoomKind::Direct {
            return Err(Error::NotAllowed("a direct room stays between those it was made for"));
        }
        if standing.info.kind == RoomKind::Public && maker.role < Role::Admin {
            return Err(Error::NotAllowed(
                "a public room is open to all who are here: an admin invites into the place",
            ));
        }
        if standing.role < MemberRole::Moderator {
            return Err(Error::NotAllowed("expected one of this room's moderators, or its owner"));
        }
        if role > Role::Member && maker.role < Role::Admin {
            return Err(Error::NotAllowed("expected an admin"));
        }
        if role.is_guest() && standing.info.kind == RoomKind::Private && !standing.info.guests {
            return Err(Error::NotAllowed("guests may not be let into this room; its settings say so"));
        }
        Ok(())
    }

    /// The invites that are good, of a room or of all: an admin sees all of them, others their own.
    pub async fn invites(&self, visitor: &Visitor, room: Option<&RoomId>) -> Result<Vec<InviteView>> {
        match room {
            Some(room) => self.may_invite_to(&visitor.user, room, Role::Member).await?,
            None => visitor.must_be(Role::Member)?,
        }
        let mut views = Vec::new();
        let links = self.store.sessions.invites(room, Timestamp::now()).await?.into_iter();
        let own = |link: &Link| link.by.as_ref().is_some_and(|by| by.id == visitor.user.id);
        for link in links.filter(|link| room.is_some() || visitor.user.role >= Role::Admin || own(link)) {
            let LinkKind::Invite { role, room } = link.kind else { continue };
            let room = match room {
                Some(room) => match self.store.directory.room(&room).await? {
                    Some(info) => Some(RoomView { room, name: info.name }),
                    None => continue,
                },
                None => None,
            };
            let Link { id, used: uses, max_uses, expires, by, .. } = link;
            views.push(InviteView { id, role, room, uses, max_uses, expires, by });
        }
        Ok(views)
    }

    /// Takes back an invite: an admin any, others their own.
    pub async fn revoke_invite(&self, visitor: &Visitor, id: Uuid) -> Result<()> {
        let invites = self.store.sessions.invites(None, Timestamp::now()).await?;
        let invite = invites.into_iter().find(|invite| invite.id == id).ok_or(Error::NoPath)?;
        if visitor.user.role < Role::Admin && invite.by.is_none_or(|by| by.id != visitor.user.id) {
            return Err(Error::NoPath);
        }
        self.store.sessions.revoke_link(id).await?;
        self.note(&visitor.user.author(), "revoke", "invite", &id.to_string()).await
    }

    /// Mails somebody a link by which they set a new password, by and by: so nobody learns from the answer, or from how
    /// long it takes, whether there is such an account.
    pub fn forgotten(&self, login: &str, address: IpAddr) -> Result<()> {
        if self.settings.mailer.is_none() || !self.settings.passwords {
            return Err(Error::NotAllowed("no mail is sent here, for which CHINWAG_SMTP_URL is missing: ask an admin"));
        }
        self.limiter.guess(hash(&format!("forgotten {}", name::fold(login))), address)?;
        if login.len() <= LOGIN_BYTES && self.mails_wanted.0.try_send(login.to_owned()).is_err() {
            tracing::warn!("too many forgotten passwords at once: one is passed over");
        }
        Ok(())
    }

    /// Mails the links that are wanted, for ever.
    pub(super) async fn mail_links(&self) {
        loop {
            let login = self.mails_wanted.1.lock().await.recv().await;
            let Some(login) = login else { return };
            if let Err(error) = self.mail_reset_link(&login).await {
                tracing::warn!(%error, "a link was not mailed");
            }
        }
    }

    async fn mail_reset_link(&self, login: &str) -> Result<()> {
        let (Some(mailer), Some(base)) = (&self.settings.mailer, &self.settings.public_url) else { return Ok(()) };
        let found = self.store.accounts.account(&name::fold(login), login.trim()).await?;
        let Some((user, secrets)) = found else { return Ok(()) };
        let Some(address) = &user.email else { return Ok(()) };
        if secrets.totp.is_some() && !user.email_verified {
            // An address that nobody has shown to be theirs must not undo a second factor.
            return Ok(());
        }
        if self.limiter.mail(user.id).is_err() {
            return Ok(());
        }
        let kind = LinkKind::Reset { user: user.id, mailed_to: Some(address.clone()) };
        let (link, token) = new_link(kind, None, Some(MAILED_LASTS), Some(1))?;
        self.store.sessions.add_link(link).await?;
        let place = self.place().name.replace(char::is_control, " ");
        let text = format!(
            "Somebody asked for a new password for your account at {place}.\n\n\
             To set one, open this page within an hour:\n{base}/join#{}\n\n\
             If it was not you, do nothing: your password stays as it is.\n",
            token.as_str()
        );
        if let Err(error) = mailer.send(address, &format!("A new password for {place}"), text).await {
            tracing::warn!(%error, "a letter was not sent");
        }
        Ok(())
    }

    /// A link by which somebody sets a new password, for an admin to hand over. Nobody gets one for who is above them.
    pub async fn reset_link(&self, visitor: &Visitor, other: UserId) -> Result<Token> {
        let other = self.below(visitor, other).await?;
        may_reset(&visitor.user, &other)?;
        let kind = LinkKind::Reset { user: other.id, mailed_to: None };
        let (link, token) = new_link(kind, Some(visitor.user.author()), Some(RESET_LASTS), Some(1))?;
        self.store.sessions.add_link(link).await?;
        self.note(&visitor.user.author(), "reset", &other.name, "").await?;
        Ok(token)
    }
}

fn may_reset(maker: &UserRecord, user: &UserRecord) -> Result<()> {
    if user.role.is_guest() {
        return Err(Error::NotAllowed("a guest has no password"));
    }
    if maker.role < Role::Admin || user.role >= maker.role && maker.role != Role::Owner {
        return Err(Error::NotAllowed("expected an admin, and somebody below them"));
    }
    Ok(())
}

fn new_link(
    kind: LinkKind,
    by: Option<Author>,
    lasts: Option<Duration>,
    max_uses: Option<u32>,
) -> Result<(Link, Token)> {
    let (token, made) = (Token::new()?, Timestamp::now());
    let expires = lasts.map(|lasts| made + lasts);
    let link = Link { id: Uuid::new_v4(), token: token.hash(), kind, by, made, expires, used: 0, max_uses };
    Ok((link, token))
}
