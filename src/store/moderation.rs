//! What the store keeps of the place as a whole and of how order is kept in it: settings, bans of addresses, reports,
//! who ignores whom, and the audit log. The comments are the contract, as in mod.rs.

use jiff::Timestamp;

use super::Answer;
use crate::protocol::{Author, RoomId, Seq, UserId};

pub trait Moderation: Send + Sync {
    /// The place's settings as they were set last, in JSON; empty where they never were.
    fn settings(&self) -> Answer<'_, String>;

    fn set_settings(&self, json: String) -> Answer<'_, ()>;

    /// Bans an address, in place of an older ban of it.
    fn ban(&self, ban: Ban) -> Answer<'_, ()>;

    /// The bans of addresses that hold at this time, the newest first.
    fn bans(&self, now: Timestamp) -> Answer<'_, Vec<Ban>>;

    /// Lifts all bans of addresses that were given for this user.
    fn lift_bans(&self, user: UserId) -> Answer<'_, ()>;

    /// Adds a report; the same person's report of the same event counts once.
    fn report(&self, report: Report) -> Answer<'_, ()>;

    /// Open reports, the oldest first.
    fn reports(&self, limit: usize) -> Answer<'_, Vec<Report>>;

    /// Takes a report away; none where there was none.
    fn settle_report(&self, id: u64) -> Answer<'_, Option<Report>>;

    /// Lets a user ignore another, or hear them again.
    fn ignore(&self, user: UserId, other: UserId, ignored: bool) -> Answer<'_, ()>;

    /// Whom the user ignores.
    fn ignored(&self, user: UserId) -> Answer<'_, Vec<UserId>>;

    /// Adds to the audit log, which nothing takes from.
    fn note(&self, entry: AuditEntry) -> Answer<'_, ()>;

    /// Entries of the audit log before this one, the newest first.
    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditEntry>>;
}

/// An address from which nobody comes in as a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub address: String,
    /// The guest for whom it was given.
    pub user: Author,
    pub until: Option<Timestamp>,
    pub reason: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Given by the store.
    pub id: u64,
    pub room: RoomId,
    pub seq: Seq,
    /// What was reported, as it stood then: its author may take it back.
    pub text: String,
    pub author: Author,
    pub by: Author,
    pub reason: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Given by the store, rising.
    pub id: u64,
    pub at: Timestamp,
    pub by: Author,
    /// What was done, a word.
    pub act: String,
    /// To whom, or to which room.
    pub subject: String,
    pub detail: String,
}
