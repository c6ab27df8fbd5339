//! What somebody is in the place and in a room, and what kind of room it is: words of the wire that the store keeps.
//! It must not know what each of them may do.

use std::borrow::Cow;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// What a user is in the whole place, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Has a name, and perhaps a session, but no account.
    Guest,
    Member,
    Moderator,
    Admin,
    Owner,
}

/// What a member is in one room, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    Member,
    Moderator,
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Anyone may find it, read it and write in it.
    Public,
    /// For its members alone, who were let in.
    Private,
    /// Between the people with whom it was made.
    Direct,
}

/// What a program's token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Post,
    Admin,
}

/// The words of an enum, the same on the wire and in the store.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|known| known.as_str() == word);
                found.ok_or_else(|| format!("expected one of {}, found {word:?}", [$($word),+].join(", ")))
            }
        }

        // From a string alone; derived, it would be read from an object too.
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

words!(Role { Guest = "guest", Member = "member", Moderator = "moderator", Admin = "admin", Owner = "owner" });
words!(MemberRole { Member = "member", Moderator = "moderator", Owner = "owner" });
words!(RoomKind { Public = "public", Private = "private", Direct = "direct" });
words!(Scope { Read = "read", Post = "post", Admin = "admin" });

impl Role {
    pub fn is_guest(self) -> bool {
        self == Self::Guest
    }

    /// What somebody of this role counts as in a public room, and in any other that they are a member of.
    pub fn in_rooms(self) -> MemberRole {
        match self {
            Self::Guest | Self::Member => MemberRole::Member,
            Self::Moderator => MemberRole::Moderator,
            Self::Admin | Self::Owner => MemberRole::Owner,
        }
    }
}
