//! Reading the rooms' logs on Redis.
use super::Backend;
use crate::protocol::{Position, RoomId, Seq, UserId};
use crate::store::{Answer, Append, Log, Messages, Page, Span, Unread, Watch, Window};

impl Log for Backend {
    fn append(&self, append: Append) {
        self.feed.append(append);
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Watch> {
        self.feed.watch(room)
    }

    fn follow(&self, room: &RoomId) -> Watch {
        self.feed.follow(room)
    }

    fn position<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Option<Position>> {
        Box::pin(self.read_position(room))
    }

    fn read<'a>(&'a self, room: &'a RoomId, reader: Option<UserId>, span: Span) -> Answer<'a, Page> {
        Box::pin(self.read_log(room, reader, span))
    }

    fn messages<'a>(
        &'a self,
        room: &'a RoomId,
        reader: Option<UserId>,
        window: Window,
        limit: usize,
    ) -> Answer<'a, Messages> {
        Box::pin(self.read_messages(room, reader, window, limit))
    }

    fn unread<'a>(&'a self, room: &'a RoomId, user: UserId, after: Seq) -> Answer<'a, Unread> {
        Box::pin(self.count_unread(room, user, after))
    }

    fn worth(&self) -> String {
        self.worth.lock().clone()
    }

    fn close(&self) {
        Self::close(self);
    }
}
