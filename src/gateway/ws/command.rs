//! The commands of the socket, carried out: each is asked of `chat`, and its reply put into the outbox. What needs no
//! waiting (nearly every post) is done at once; the rest is a future, and the next command waits for it.

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::life::{Life, Task};
use crate::chat::connection::Connection;
use crate::chat::hub::News;
use crate::chat::worker::Worker;
use crate::chat::{Chat, Done};
use crate::error::{Error, Result};
use crate::protocol::{
    Author, Command, Epoch, History, Position, Post, Present, Read, Ref, RoomId, Seq, Subscribe, Typing, history_json,
};

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
            Ok(Command::Post(post)) if self.worker().chat.posts_at_once(&self.connection.user, &post.text) => {
                self.post(reference, &post);
            }
            Ok(Command::Typing(typing)) => match self.typing(&typing) {
                Ok(()) => self.connection.reply(reference.as_ref(), &Nothing {}),
                Err(error) => self.connection.refuse(reference.as_ref(), &error),
            },
            Ok(_) if self.connection.posts_under_way.get() > 0 => self.defer(text),
            Ok(_) => {
                let command = self.carry_out(text.into());
                self.begin(command);
            }
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

    fn post(&self, reference: Option<Ref>, post: &Post<'_>) {
        // Nearly always a room that is subscribed to, whose id is at hand.
        let known = self.connection.reader(&post.room).map(|reader| reader.room().id.clone());
        let room = known.unwrap_or_else(|| RoomId::from(&*post.room));
        let done = settled_by(self.worker(), &self.connection, reference, room.clone());
        self.worker().chat.post(&self.connection.user, &room, &post.txn_id, &post.text, done);
        self.worker().ring();
    }

    fn typing(&self, typing: &Typing<'_>) -> Result<()> {
        let chat = &self.worker().chat;
        chat.limiter.command(self.connection.user.id)?;
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
            let done = settled_by(worker, connection, reference.cloned(), room.clone());
            chat.post_any(&connection.user, &room, &post.txn_id, &post.text, done).await;
            worker.ring();
        }
        Command::History(history) => connection.reply(reference, &page(chat, &history).await?),
        Command::Read(Read { room, seq, back }) => {
            chat.read(&connection.user, &RoomId::from(&*room), seq, back).await?;
            connection.reply(reference, &Nothing {});
        }
        Command::Present(present) => connection.reply(reference, &present_users(chat, &present).await?),
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
    let (room, position) = worker.chat.open(&RoomId::from(&*subscribe.room)).await?;
    let cursor = worker.chat.starts(&room.id, position, subscribe.start).await?;
    if connection.closing().is_some() {
        return Ok(());
    }
    // The reply is said first: the events come when the connection is next pumped.
    let Position { epoch, oldest, head } = position;
    connection.reply(reference, &Subscribed { epoch, seq: cursor.seq, head, oldest });
    worker.subscribe(connection, &room, cursor);
    tracing::debug!(connection = connection.id, room = %room.id, after = cursor.seq, "subscribed");
    Ok(())
}

async fn page(chat: &Chat, history: &History<'_>) -> Result<Box<RawValue>> {
    let page = chat.history(history).await?;
    RawValue::from_string(history_json(page.position, &page.events, page.more)).map_err(|error| {
        tracing::error!(%error, "a page of history is not valid JSON");
        Error::Internal
    })
}

async fn present_users(chat: &Chat, present: &Present<'_>) -> Result<PresentUsers> {
    let (room, _) = chat.open(&RoomId::from(&*present.room)).await?;
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
