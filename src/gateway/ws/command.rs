//! The commands of the socket, carried out: each is asked of `chat`, and its reply put into the outbox. What needs no
//! waiting (nearly every post) is done at once; the rest is a future, and the next command waits for it.

use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::life::{Life, Task};
use crate::chat::connection::Connection;
use crate::chat::hub::News;
use crate::chat::room::Room;
use crate::chat::user::User;
use crate::chat::worker::Worker;
use crate::chat::{Chat, Done};
use crate::error::{Error, Result};
use crate::protocol::{
    Author, Command, Epoch, History, Position, Post, Present, Read, Ref, RoomId, RoomKind, Seq, Subscribe, Typing,
    history_json,
};

const READ_ONLY: Error = Error::NotAllowed("this token is not good for that: expected one with the scope post");

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Created {
    room: RoomId,
}

#[derive(Serialize)]
struct Subscribed {
    epoch: Epoch,
    seq: Seq,
    head: Seq,
    oldest: Seq,
}

#[derive(Serialize)]
struct PresentUsers {
    users: Vec<Author>,
    count: usize,
    more: bool,
}

impl Life {
    /// Takes one text frame: done at once, begun, or deferred until the posts before it are settled.
    pub(super) fn take_command(&mut self, text: &str) {
        let (reference, command) = Command::parse(text);
        match command {
            Err(fault) => {
                // What cannot be read costs as much as what can.
                let allowed = self.worker().chat.limiter.command(self.connection.user.id);
                self.connection.refuse(reference.as_ref(), &allowed.err().unwrap_or_else(|| fault.into()));
            }
            Ok(Command::Post(post)) if self.connection.posts => match self.room_for(&post) {
                Some(room) => self.post(reference, &room, &post),
                None => self.begin_in_order(text),
            },
            Ok(Command::Typing(typing)) => match self.typing(&typing) {
                Ok(()) => self.connection.reply(reference.as_ref(), &Nothing {}),
                Err(error) => self.connection.refuse(reference.as_ref(), &error),
            },
            Ok(_) => self.begin_in_order(text),
        }
    }

    /// A command that takes its time begins once the posts before it are settled.
    fn begin_in_order(&mut self, text: &str) {
        if self.connection.posts_under_way.get() > 0 {
            self.defer(text);
        } else {
            let command = self.carry_out(text.into());
            self.begin(command);
        }
    }

    /// The future of a command that takes its time.
    pub(super) fn carry_out(&self, text: Box<str>) -> Task<()> {
        let (worker, connection) = (self.worker().clone(), self.connection.clone());
        Box::pin(async move {
            let (reference, command) = Command::parse(&text);
            let outcome = match command {
                Ok(command) => answer(&worker, &connection, reference.as_ref(), command).await,
                Err(fault) => Err(fault.into()),
            };
            if let Err(error) = outcome {
                connection.refuse(reference.as_ref(), &error);
            }
        })
    }

    fn worker(&self) -> &Rc<Worker> {
        &self.door.worker
    }

    /// The room, where the post can be carried out at once. Nearly always one that is subscribed to, and so is at hand.
    fn room_for(&self, post: &Post<'_>) -> Option<Arc<Room>> {
        let (chat, user) = (&self.worker().chat, &self.connection.user);
        let at_hand = self.connection.reader(&post.room).map(|reader| reader.room().clone());
        // Whether a private room is live is nobody's to find out who does not read it.
        let public = || chat.hub.room(&RoomId::from(&*post.room)).filter(|room| room.info().kind == RoomKind::Public);
        let room = at_hand.or_else(public)?;
        chat.posts_at_once(user, &room, &post.text).then_some(room)
    }

    fn post(&self, reference: Option<Ref>, room: &Room, post: &Post<'_>) {
        let done = settled_by(self.worker(), &self.connection, reference, room.id.clone());
        self.worker().chat.post(&self.connection.user, &room.id, &post.txn_id, &post.text, done);
        self.worker().ring();
    }

    fn typing(&self, typing: &Typing<'_>) -> Result<()> {
        let chat = &self.worker().chat;
        chat.limiter.command(self.connection.user.id)?;
        if !self.connection.posts {
            return Err(READ_ONLY);
        }
        self.connection.user.check_not_muted()?;
        let Some(reader) = self.connection.reader(&typing.room) else {
            return Err(Error::NotAllowed("expected a room that you are subscribed to"));
        };
        chat.typing(&self.connection.user, reader.room());
        Ok(())
    }
}

/// Carries out a command that may take its time, and says the reply.
async fn answer(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    reference: Option<&Ref>,
    command: Command<'_>,
) -> Result<()> {
    let chat = &worker.chat;
    if !matches!(command, Command::Post(_)) {
        chat.limiter.command(connection.user.id)?;
    }
    if !connection.posts && matches!(command, Command::Post(_) | Command::Create(_)) {
        return Err(READ_ONLY);
    }
    match command {
        Command::Create(create) => {
            let room = chat.create_room(&connection.user, &create.name).await?;
            connection.reply(reference, &Created { room });
        }
        Command::Subscribe(subscribe) => subscribe_to(worker, connection, reference, subscribe).await?,
        Command::Unsubscribe(unsubscribe) => {
            worker.unsubscribe(connection, &RoomId::from(&*unsubscribe.room));
            connection.reply(reference, &Nothing {});
        }
        Command::Post(post) => {
            let room = RoomId::from(&*post.room);
            // Whoever posts there will post again. If it may not be opened, the post is refused for the same reason.
            if let Ok(open) = chat.open(&connection.user, &room).await {
                worker.keep(open.room);
            }
            let done = settled_by(worker, connection, reference.cloned(), room.clone());
            chat.post_any(&connection.user, &room, &post.txn_id, &post.text, done).await;
            worker.ring();
        }
        Command::History(history) => connection.reply(reference, &page(chat, &connection.user, &history).await?),
        Command::Read(Read { room, seq, back }) => {
            chat.read(&connection.user, &RoomId::from(&*room), seq, back).await?;
            connection.reply(reference, &Nothing {});
        }
        Command::Present(present) => {
            connection.reply(reference, &present_users(chat, &connection.user, &present).await?);
        }
        Command::Typing(_) => {}
    }
    Ok(())
}

async fn subscribe_to(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    reference: Option<&Ref>,
    subscribe: Subscribe<'_>,
) -> Result<()> {
    let open = worker.chat.open(&connection.user, &RoomId::from(&*subscribe.room)).await?;
    let cursor = worker.chat.starts(&open.room.id, open.position, subscribe.start).await?;
    if connection.closing().is_some() {
        return Ok(());
    }
    // The reply is said first: the events come when the connection is next pumped.
    let Position { epoch, oldest, head } = open.position;
    connection.reply(reference, &Subscribed { epoch, seq: cursor.seq, head, oldest });
    worker.subscribe(connection, &open, cursor);
    tracing::debug!(connection = connection.id, room = %open.room.id, after = cursor.seq, "subscribed");
    Ok(())
}

async fn page(chat: &Chat, user: &User, history: &History<'_>) -> Result<Box<RawValue>> {
    let page = chat.history(Some(user.id), history).await?;
    RawValue::from_string(history_json(page.position, &page.events, page.more)).map_err(|error| {
        tracing::error!(%error, "a page of history is not valid JSON");
        Error::Internal
    })
}

async fn present_users(chat: &Chat, user: &User, present: &Present<'_>) -> Result<PresentUsers> {
    let room = chat.open(user, &RoomId::from(&*present.room)).await?.room;
    let (answer, _) = room.with_presence(|presence| {
        let (users, more) = presence.names(present.after, present.limit);
        PresentUsers { users, count: presence.count(), more }
    });
    Ok(answer)
}

/// Counts a post as under way, and brings its outcome back to the connection's worker.
fn settled_by(worker: &Worker, connection: &Connection, reference: Option<Ref>, room: RoomId) -> impl Done + use<> {
    connection.posts_under_way.set(connection.posts_under_way.get() + 1);
    let (inbox, connection, user) = (worker.inbox().clone(), connection.id, connection.user.clone());
    let chat = worker.chat.clone();
    move |outcome: Result<Seq>| {
        if let Ok(seq) = outcome {
            chat.posted(&user, &room, seq);
        }
        inbox.put(News::Settled { connection, reference, room, outcome });
    }
}
