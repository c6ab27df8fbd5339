//! What the store keeps of people: who they are, how they prove it, their sessions, and the links that let them in.
//! The comments are the contract, as in mod.rs. Nothing here knows who may do what.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::Answer;
use crate::protocol::{Author, Role, RoomId, Scope, Seq, UserId};

/// SHA-256 of a secret (a session's, a program's, a link's), which itself is never stored.
pub type TokenHash = [u8; 32];

/// Users: accounts and guests.
pub trait Accounts: Send + Sync {
    /// Adds a user who has joined `joins` and read it up to `read`. An account holds its name for good, a guest by
    /// sessions: `NameTaken` where another user holds it, by an account, by a reservation, or by a session seen since
    /// `expired_before`; or where it looks like an account's. A guest not seen since then loses the name and their
    /// sessions. A guest without a session claims no name. Adding a user that is there already changes nothing.
    fn add_user(&self, user: NewUser, expired_before: Timestamp) -> Answer<'_, ()>;

    /// Changes what is given, all or nothing. A new name is claimed as above, and the old one stays reserved for its
    /// user until `reserved_until`. An e-mail that becomes verified is no other account's any more, where it was not
    /// verified there. `NoUser` where there is none. The answer is the user as they are now.
    fn change_user(&self, user: UserId, change: UserChange, expired_before: Timestamp) -> Answer<'_, UserRecord>;

    fn user(&self, id: UserId) -> Answer<'_, Option<UserRecord>>;

    /// Those who hold a name, in its order, after the user `after`, whose name holds `query` (in any case of ASCII
    /// letters).
    fn users<'a>(&'a self, query: &'a str, after: Option<UserId>, limit: usize) -> Answer<'a, Vec<UserRecord>>;

    /// Who holds these folded names, for those that are held by an account, by a reservation, or by a session seen
    /// since `expired_before`. Also the accounts' whose skeleton is one of these words.
    fn holders(&self, folded: Vec<String>, expired_before: Timestamp) -> Answer<'_, HashMap<String, UserId>>;

    /// The account of this folded name, else the one whose verified e-mail this is in any case of ASCII letters, else
    /// the only one whose e-mail this is.
    fn account<'a>(&'a self, folded: &'a str, email: &'a str) -> Answer<'a, Option<(UserRecord, Secrets)>>;

    /// How a user proves who they are.
    fn secrets(&self, user: UserId) -> Answer<'_, Secrets>;

    fn set_secrets(&self, user: UserId, secrets: Secrets) -> Answer<'_, ()>;

    /// Notes that a one-time code was used; false where it, or a later one, was used before.
    fn use_code(&self, user: UserId, code: UsedCode) -> Answer<'_, bool>;

    /// The user who is known to this issuer by this subject.
    fn identity<'a>(&'a self, issuer: &'a str, subject: &'a str) -> Answer<'a, Option<UserId>>;

    /// Ties a user to an issuer's subject; false where another user is tied to it. One subject an issuer and user: a
    /// new one takes the old one's place, and none unties them.
    fn set_identity<'a>(&'a self, user: UserId, issuer: &'a str, subject: Option<&'a str>) -> Answer<'a, bool>;

    /// The issuers to whom the user is tied, in their order.
    fn identities(&self, user: UserId) -> Answer<'_, Vec<String>>;

    /// Takes away a user with all that is theirs alone: name, secrets, sessions, identities, pictures, memberships,
    /// whom they ignore. Their events stay. False where there was none.
    fn delete_user(&self, user: UserId) -> Answer<'_, bool>;

    /// A user's picture, the one from the first of these sources that has one: upload, provider, Gravatar.
    fn picture(&self, user: UserId) -> Answer<'_, Option<Picture>>;

    /// Sets or takes away the picture that a user has from this source.
    fn set_picture(&self, user: UserId, source: PictureSource, picture: Option<Picture>) -> Answer<'_, ()>;
}

/// Sessions of people, tokens of programs, and links.
pub trait Sessions: Send + Sync {
    /// `NoUser` where there is no such user.
    fn add_session(&self, user: UserId, session: NewSession) -> Answer<'_, ()>;

    /// The session with this token and its user; `None` where there is none.
    fn session(&self, token: TokenHash) -> Answer<'_, Option<SessionRecord>>;

    /// Notes that a session was seen.
    fn touch_session(&self, token: TokenHash, seen: Timestamp) -> Answer<'_, ()>;

    /// A user's sessions or tokens, the newest first.
    fn sessions(&self, user: UserId, programs: bool) -> Answer<'_, Vec<SessionRecord>>;

    /// Ends sessions of a user; a guest's name is free with the last one. The answer names those that were ended.
    fn end_sessions(&self, user: UserId, which: Which) -> Answer<'_, Vec<TokenHash>>;

    /// Ends all sessions of people last seen before this, and frees their guests' names; takes away links that are used
    /// up or expired before this, and reservations of names that ended.
    fn expire_sessions(&self, before: Timestamp) -> Answer<'_, ()>;

    fn add_link(&self, link: Link) -> Answer<'_, ()>;

    /// A link that is good at this time; `None` where it is unknown, used up, expired or revoked.
    fn link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Option<Link>>;

    /// Uses a link once; `BadLink` where it is not good. With an owner's link all others of that kind go.
    fn use_link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Link>;

    /// Invites that are good at this time, of a room or of the place, the newest first.
    fn invites<'a>(&'a self, room: Option<&'a RoomId>, now: Timestamp) -> Answer<'a, Vec<Link>>;

    /// Takes a link away; false where there was none.
    fn revoke_link(&self, id: Uuid) -> Answer<'_, bool>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub record: UserRecord,
    pub session: Option<NewSession>,
    pub secrets: Secrets,
    pub joins: RoomId,
    pub read: Seq,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    pub id: UserId,
    pub name: Arc<str>,
    /// The name as it is compared, so that no two users' names differ in case alone.
    pub folded: String,
    /// What the name looks like; no two accounts' are the same, and no guest takes an account's.
    pub skeleton: String,
    pub email: Option<String>,
    /// That the e-mail is the user's own was shown, by its issuer or by a mail that was answered.
    pub email_verified: bool,
    pub role: Role,
    pub muted_until: Option<Timestamp>,
    pub banned_until: Option<Timestamp>,
    /// Changes with the picture.
    pub picture: u32,
}

impl UserRecord {
    pub fn author(&self) -> Author {
        Author { id: self.id, name: self.name.clone() }
    }
}

/// A user's name in its three forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewName {
    pub name: Arc<str>,
    pub folded: String,
    pub skeleton: String,
    /// How long the old name stays its user's.
    pub reserved_until: Option<Timestamp>,
}

/// What is changed of a user; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    pub name: Option<NewName>,
    /// The address and whether it is verified.
    pub email: Option<Option<(String, bool)>>,
    pub role: Option<Role>,
    pub muted_until: Option<Option<Timestamp>>,
    pub banned_until: Option<Option<Timestamp>>,
}

/// How a user proves who they are. All absent: by no password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The password's hash in PHC form.
    pub password: Option<String>,
    /// The secret of the second factor.
    pub totp: Option<Vec<u8>>,
    /// Hashes of the codes that stand in for the second factor, each once.
    pub recovery: Vec<TokenHash>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedCode {
    /// The time step of a code of the second factor (RFC 6238 §5.2: each is taken once).
    Step(i64),
    Recovery(TokenHash),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    pub token: TokenHash,
    pub id: Uuid,
    /// What it is known by: the browser, or the name of a program's token.
    pub label: String,
    /// From where it was begun.
    pub address: String,
    pub at: Timestamp,
    /// What a program may do; none where this is a person's session.
    pub scopes: Option<Vec<Scope>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    pub user: UserRecord,
    pub session: NewSession,
    pub seen: Timestamp,
}

/// Which sessions are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one, or this token of a program.
    One(Uuid),
    /// Those of people, but for this one.
    OthersThan(TokenHash),
    /// Those of people.
    OfPeople,
    /// Tokens of programs too.
    All,
}

/// What somebody may do who holds its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: Uuid,
    pub token: TokenHash,
    pub kind: LinkKind,
    /// Who made it; none where the server did.
    pub by: Option<Author>,
    pub made: Timestamp,
    pub expires: Option<Timestamp>,
    pub used: u32,
    pub max_uses: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Makes its visitor the owner.
    Owner,
    /// Lets its visitor in with this role, and into the room.
    Invite { role: Role, room: Option<RoomId> },
    /// Sets a new password for this user; by mail where it came so, which verifies this address.
    Reset { user: UserId, mailed_to: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PictureSource {
    Upload,
    Provider,
    Gravatar,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub source: PictureSource,
    /// A type of media, such as image/webp.
    pub kind: String,
    pub bytes: Vec<u8>,
    pub at: Timestamp,
}
