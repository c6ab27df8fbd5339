//! Every word on the wire: ids, events, commands, replies, pushes, close codes. docs/protocol.md is its prose.
//! No I/O, and no knowledge of rooms that live, of stores or of sockets: only shapes and their JSON.

mod command;
mod event;
mod id;
mod push;
mod role;

pub use command::{
    Command, Create, Fault, History, Post, Present, Read, Ref, Start, Subscribe, Typing, Unsubscribe, check_room,
    check_txn_id,
};
pub use event::{Author, Content, Event, Kind, MemberChange, RoomChange};
pub use id::{Cursor, Epoch, Position, RoomId, Seq, UserId};
pub use push::{
    CloseCode, Hello, Limits, Me, PlaceLook, Presence, Push, RoomState, history_json, reply_error, reply_ok,
};
pub use role::{MemberRole, Role, RoomKind, Scope};

/// The version that `hello` names. A client passes over fields and kinds that it does not know, so only a change
/// that breaks clients raises it.
pub const VERSION: u32 = 1;
