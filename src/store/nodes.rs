//! What the nodes on one store tell each other and hold for each other. The comments are the contract, as in mod.rs.
//! What a notice means is not known here: it is chat's.

use std::time::Duration;

use super::Answer;
use crate::protocol::{Author, RoomId, UserId};

/// One running process, for as long as it runs.
pub type NodeId = String;

/// What a node's watcher is told beside what was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tiding {
    /// There is something new in a room that is followed and not watched.
    Stirred(RoomId),
    /// From another node, to all.
    Notice(String),
    /// From another node, to those that watch this room.
    RoomNotice { room: RoomId, notice: String },
    /// Users of another node are present in a room that is watched, or are not any more.
    Present { node: NodeId, room: RoomId, came: Vec<Author>, left: Vec<UserId> },
    /// Another node has ended; nobody is present by it any more.
    NodeGone(NodeId),
    /// The store cannot be reached.
    Away,
    /// It can be reached again: notices may have been missed, and rights may have ended meanwhile.
    Back,
    /// The others may have taken this node for dead, or the store may have lost what it holds for it: what was told of
    /// this node is to be told anew. It does not end `Away`.
    Lapsed,
}

/// The other nodes. A backend that one process has for itself answers as if there were none.
///
/// Notices get lost only while this node is cut off from the store, which `Tiding::Back` ends, and where the store does not
/// permit them.
pub trait Nodes: Send + Sync {
    /// This node's own id.
    fn node(&self) -> NodeId;

    /// Whether there can be no other node.
    fn is_alone(&self) -> bool {
        false
    }

    /// From here on this is one of the nodes: what it says reaches the others. Who only works on the store never is.
    fn join(&self) {}

    /// Tells every other node.
    fn tell(&self, notice: String);

    /// Tells the other nodes that watch this room.
    fn tell_room(&self, room: &RoomId, notice: String);

    /// Notes who is present in a room by this node, and who is not any more, and tells those that watch it. It holds as
    /// long as this node lives: a dead one's users are gone within 30 seconds, with `Tiding::NodeGone`.
    fn present(&self, room: &RoomId, came: Vec<Author>, left: Vec<UserId>);

    /// Who is present in a room by each of the other living nodes.
    fn others_present<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Vec<(NodeId, Vec<Author>)>>;

    /// Takes hold of those of these folded names that no other user holds by another living node; the answer says of
    /// each whether it is held now. Whatever the answer, and even if nobody waits for it, each is to be released, as
    /// often as it was claimed; until then it is held, or until this node ends.
    fn claim(&self, folded: Vec<String>, user: UserId) -> Answer<'_, Vec<bool>>;

    fn release(&self, folded: &str, user: UserId);

    /// Which of these folded names is held by a connection to another living node, and by whom.
    fn held(&self, folded: Vec<String>) -> Answer<'_, Vec<Option<UserId>>>;

    /// This node stops: nobody is present by it any more, and it holds no name. The others are told at once.
    fn leave(&self);

    /// Keeps a word for a while, for whichever node is asked for it, in place of an older one.
    fn keep(&self, key: String, word: String, lasts: Duration) -> Answer<'_, ()>;

    /// Takes a word that is kept, once; `None` where there is none, or its time is over.
    fn take(&self, key: String) -> Answer<'_, Option<String>>;
}
