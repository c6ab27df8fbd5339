//! What becomes of somebody for whom a provider vouches: the account that they are known by, or a new one. Rights and
//! bans are the same as for everybody else. Asks no provider anything.

use std::sync::Arc;

use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation as _;

use super::super::account::role_by;
use super::super::auth::{
    Device, NameClaim, Token, Visitor, check_email, expired_before, new_record, new_session, own_name,
};
use super::super::{Chat, name};
use super::{Arrival, Errand, Person, Provider, Refusal};
use crate::error::{Error, Result};
use crate::protocol::{Role, RoomId, UserId};
use crate::store::{Link, Secrets, UserChange, UserRecord};

/// As much of a name as a name may have.
const NAME_CHARS: usize = 32;
/// Who has no name that could be one here.
const NAMELESS: &str = "newcomer";

impl Chat {
    /// Lets somebody in. `asker` is who they are already, and to whom the provider is to be tied.
    pub(super) async fn enter(
        &self,
        provider: &Provider,
        mut person: Person,
        errand: &Errand,
        asker: Option<Visitor>,
        device: &Device,
    ) -> Result<Arrival, Refusal> {
        // What is no address here is none.
        person.email = person.email.as_deref().and_then(|email| check_email(email).ok());
        if !provider.admits(&person) {
            return Err(Refusal::NotAllowed);
        }
        let issuer = provider.settings.issuer();
        let known = match self.store.accounts.identity(issuer, &person.subject).await? {
            Some(id) => self.store.accounts.user(id).await?,
            None => None,
        };
        let invite = errand.invite.as_deref();
        let (session, room) = match (asker, known) {
            (Some(visitor), _) if !visitor.user.role.is_guest() => {
                self.tie(issuer, &visitor.user, &person).await?;
                (None, None)
            }
            (_, Some(user)) => self.enter_as(&user, &person, invite, device).await?,
            (guest, None) => match self.account_of(issuer, &person).await? {
                Some(user) => {
                    self.tie(issuer, &user, &person).await?;
                    self.enter_as(&user, &person, invite, device).await?
                }
                None => self.enter_anew(issuer, guest.as_ref(), &person, invite, device).await?,
            },
        };
        let next = match room {
            // Nobody has asked for more than to come in.
            Some(room) if matches!(&*errand.next, "/" | "/join") => format!("/r/{room}"),
            _ => errand.next.clone(),
        };
        Ok(Arrival { session, next })
    }

    /// Ties an account to the provider; nobody else's may be tied to it already.
    async fn tie(&self, issuer: &str, user: &UserRecord, person: &Person) -> Result<(), Refusal> {
        if !self.store.accounts.set_identity(user.id, issuer, Some(&person.subject)).await? {
            return Err(Refusal::NotAllowed);
        }
        self.verify_email(user, person).await?;
        self.look_for_provided_picture(user.id, person.picture.as_deref());
        Ok(())
    }

    /// The account with this person's e-mail, where it is shown to be the person's by the provider and the account's by
    /// us: who has merely put down another's address must not get their sign-in, nor who has taken over an address
    /// from somebody whom the provider knows too.
    async fn account_of(&self, issuer: &str, person: &Person) -> Result<Option<UserRecord>> {
        let Some(user) = self.holder_of_email(person).await? else { return Ok(None) };
        if self.store.accounts.secrets(user.id).await?.totp.is_some() {
            // A further way in is tied by whoever has passed the second factor.
            return Ok(None);
        }
        let issuers = self.store.accounts.identities(user.id).await?;
        Ok(Some(user).filter(|_| !issuers.iter().any(|known| known == issuer)))
    }

    /// The account whose verified e-mail is this person's verified one.
    async fn holder_of_email(&self, person: &Person) -> Result<Option<UserRecord>> {
        let Some(email) = person.email.as_deref().filter(|_| person.email_verified) else { return Ok(None) };
        let found = self.store.accounts.account("", email).await?.map(|(user, _)| user);
        Ok(found.filter(|user| user.email_verified))
    }

    /// Begins a session of somebody who has an account. An invite adds to what they may do.
    async fn enter_as(
        &self,
        user: &UserRecord,
        person: &Person,
        invite: Option<&str>,
        device: &Device,
    ) -> Result<(Option<Token>, Option<RoomId>), Refusal> {
        let token = self.begin_session(user, device).await?;
        self.verify_email(user, person).await?;
        let mut room = None;
        if let Some(invite) = invite
            && let Some(visitor) = self.visitor(token.as_str()).await?
        {
            match self.use_link(&visitor, invite).await {
                Ok((_, led_to)) => room = led_to,
                // They are in without it.
                Err(error) => tracing::debug!(%error, "an invite was not used"),
            }
        }
        Ok((Some(token), room))
    }

    /// Makes an account, or makes one of the guest who left, if whoever comes in anew may.
    async fn enter_anew(
        &self,
        issuer: &str,
        guest: Option<&Visitor>,
        person: &Person,
        invite: Option<&str>,
        device: &Device,
    ) -> Result<(Option<Token>, Option<RoomId>), Refusal> {
        self.check_address(device.address)?;
        let invite = self.invite_for(invite, Role::Member).await?;
        self.may_make_account(invite.as_ref())?;
        let (mut record, _claim) = self.name_for(guest, person, invite.as_ref()).await?;
        // Another's verified address stays theirs.
        if self.holder_of_email(person).await?.is_none() {
            record.email.clone_from(&person.email);
        }
        let (session, token) = new_session(device)?;
        if let Some(invite) = &invite {
            self.store.sessions.use_link(invite.token, Timestamp::now()).await?;
        }
        let tie = || self.store.accounts.set_identity(record.id, issuer, Some(&person.subject));
        let user = match guest {
            Some(guest) if tie().await? => self.promote(guest, record, session, Secrets::default()).await?,
            Some(_) => return Err(Refusal::State),
            None => {
                self.add_user(record.clone(), Some(session), Secrets::default()).await?;
                if !tie().await? {
                    // They came twice at once, and are in by the other.
                    self.store.accounts.delete_user(record.id).await?;
                    return Err(Refusal::State);
                }
                record
            }
        };
        let user = self.verify_email(&user, person).await?;
        let room = self.enter_by(&user, invite.as_ref()).await?;
        self.look_for_provided_picture(user.id, person.picture.as_deref());
        self.look_for_gravatar(user.id, user.email.as_deref());
        Ok((Some(token), room))
    }

    /// The new account by a name that is free: the guest's own, else one like the provider's.
    async fn name_for(
        &self,
        guest: Option<&Visitor>,
        person: &Person,
        invite: Option<&Link>,
    ) -> Result<(UserRecord, NameClaim)> {
        let id = guest.map_or_else(UserId::random, |guest| guest.user.id);
        let named = |name| UserRecord { id, ..new_record(name, None, role_by(invite)) };
        if let Some(name) = guest.and_then(|guest| name::account(&guest.user.name).ok()) {
            let record = named(name);
            match self.claim_name(&record).await {
                Ok(claim) => return Ok((record, claim)),
                Err(Error::NameTaken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let wanted = person.names.iter().find_map(|name| account_name(name)).unwrap_or_else(|| NAMELESS.into());
        let (name, claim) = self.claim_like(&wanted, id).await?;
        Ok((named(name), claim))
    }

    /// Notes that an account's e-mail is its user's own, where the provider has shown that and it is nobody else's.
    async fn verify_email(&self, user: &UserRecord, person: &Person) -> Result<UserRecord> {
        let shown = person.email.as_ref().filter(|_| person.email_verified);
        let own = user.email.as_ref().filter(|_| !user.email_verified);
        let Some(email) = own.filter(|own| shown.is_some_and(|shown| shown.eq_ignore_ascii_case(own))) else {
            return Ok(user.clone());
        };
        if self.holder_of_email(person).await?.is_some() {
            return Ok(user.clone());
        }
        let change = UserChange { email: Some(Some((email.clone(), true))), ..UserChange::default() };
        self.store.accounts.change_user(user.id, change, expired_before(Timestamp::now())).await
    }
}

impl Provider {
    fn admits(&self, person: &Person) -> bool {
        let verified = person.email.as_deref().filter(|_| person.email_verified);
        self.settings.domains.is_empty() || verified.is_some_and(|email| self.settings.admits(email))
    }
}

/// A name that an account may have, of one from elsewhere.
fn account_name(raw: &str) -> Option<Arc<str>> {
    let cut: String = raw.replace('@', " ").trim().graphemes(true).take(NAME_CHARS).collect();
    own_name(&cut).and_then(|name| name::account(&name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_elsewhere_becomes_one_of_ours_or_none() {
        let long = "Maximiliana von und zu Hohenstein-Falkenburg";
        let cases = [
            ("Ann Lee", Some("Ann Lee")),
            ("ann@example.org", Some("ann example.org")),
            (long, Some("Maximiliana von und zu Hohenstei")),
            ("guest-12345", None),
            ("Admin", None),
            ("аnn", None), // with a Cyrillic а
            ("\u{202e}", None),
            ("", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(account_name(raw).as_deref(), expected, "{raw:?}");
        }
    }
}
