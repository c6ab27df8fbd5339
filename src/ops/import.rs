//! Takes over the history of a classic chat: a list in Redis of `{"username":"…","text":"…"}`, oldest first. Run again it goes
//! on where it stopped, for each entry has its own `txn_id`.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::Quiet;
use crate::chat::auth::new_record;
use crate::chat::{message, name};
use crate::error::{Error, Fatal, Result};
use crate::protocol::{Author, Content, Event, Kind, Role, RoomId, UserId};
use crate::store::{
    self, Append, ClassicList, Completion, Effect, NewUser, Options, Right, Secrets, Store, UserRecord,
};

const ENTRIES: usize = 1_000;
/// As long as a message may be at most.
const TEXT_BYTES: usize = 65_536;

/// What became of the list's entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub messages: usize,
    /// Not an object with a text, or longer than any message.
    pub passed_over: usize,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    text: String,
}

/// Appends the list's messages to a room, in order. `progress` is told in words how far it is.
pub fn classic(
    options: &Options,
    list: &mut ClassicList,
    room: &RoomId,
    progress: impl Fn(&str),
) -> Result<Imported, Fatal> {
    let store = store::open(options, Arc::new(Quiet))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut taking = Importer { store: &store, room, authors: HashMap::new(), imported: Imported::default() };
    let outcome = runtime.block_on(taking.all(list, &progress));
    let imported = taking.imported;
    store.log.close();
    outcome.map(|()| imported)
}

struct Importer<'a> {
    store: &'a Store,
    room: &'a RoomId,
    authors: HashMap<String, Author>,
    imported: Imported,
}

impl Importer<'_> {
    async fn all(&mut self, list: &mut ClassicList, progress: &impl Fn(&str)) -> Result<(), Fatal> {
        let explain = |error: Error| Fatal::Import(error.to_string());
        if self.store.directory.room(self.room).await.map_err(explain)?.is_none() {
            return Err(Fatal::Import(format!(
                "no room {:?}; start the server once, or choose another with --room",
                self.room.as_str()
            )));
        }
        let mut from = 0;
        loop {
            let entries = list.read(from, ENTRIES)?;
            if entries.is_empty() {
                return Ok(());
            }
            self.append(from, &entries).await.map_err(explain)?;
            from += entries.len();
            progress(&format!("{from} entries"));
        }
    }

    async fn append(&mut self, from: usize, entries: &[Vec<u8>]) -> Result<()> {
        let (told, outcomes) = mpsc::channel();
        for (place, entry) in (from..).zip(entries) {
            let entry = serde_json::from_slice::<Entry>(entry).ok();
            let fits = |entry: &Entry| !entry.text.trim().is_empty() && entry.text.len() <= TEXT_BYTES;
            let Some(Entry { username, text }) = entry.filter(fits) else {
                self.imported.passed_over += 1;
                continue;
            };
            let author = self.author(&username).await?;
            let text = text.trim_end();
            let content = Content::message(text, message::render(text).as_deref(), &[], message::RENDERER);
            let txn_id = Some(format!("classic-{place}").into());
            let event = Event { txn_id, ..Event::new(author, Kind::Message, content) };
            let told = told.clone();
            // Nobody waits any more after the first failure.
            let done = Completion::new(move |outcome| drop(told.send(outcome)));
            let room = self.room.clone();
            self.store.log.append(Append { room, event, right: Right::Free, effect: Effect::None, done });
            self.imported.messages += 1;
        }
        drop(told);
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// A guest of that name, the same one each time. Nobody speaks as an account.
    async fn author(&mut self, username: &str) -> Result<Author> {
        if let Some(known) = self.authors.get(username) {
            return Ok(known.clone());
        }
        let wanted = name::person(username).or_else(|_| name::person("someone"))?;
        let forms = vec![name::fold(&wanted), name::skeleton(&wanted)];
        let held = !self.store.accounts.holders(forms, Timestamp::MIN).await?.is_empty();
        let name = if held { name::numbered(&wanted, 2) } else { wanted };
        let hash = Sha256::digest(format!("classic {} {username}", self.room));
        let bytes = <[u8; 16]>::try_from(&hash[..16]).expect("a hash has 32 bytes");
        let id = UserId(Builder::from_custom_bytes(bytes).into_uuid());
        let record = UserRecord { id, ..new_record(name.clone(), None, Role::Guest) };
        let secrets = Secrets::default();
        let new = NewUser { record, session: None, secrets, joins: RoomId::lobby(), read: 0 };
        self.store.accounts.add_user(new, Timestamp::MIN).await?;
        let author = Author { id, name };
        self.authors.insert(username.to_owned(), author.clone());
        Ok(author)
    }
}
