//! The many who come into one room and only listen, and the subject that expects them: what `idle` and `connect` share.

use anyhow::{Result, bail};

use crate::dialect::{self, Role, Seat, Talk};
use crate::server::{Launcher, Server};
use crate::session;
use crate::subject::Subject;

pub const ROOM: &str = "lobby";

/// The subject, started, and so many who are about to come. With `sessions` (Chinwag only) each has one of its own; else
/// they are guests for the life of their connection.
pub fn expecting(
    launcher: &Launcher,
    subject: Subject,
    connections: usize,
    sessions: bool,
) -> Result<(Server, Vec<Box<dyn Talk>>)> {
    let seat = |number| Seat { role: Role::Reader, room: ROOM.to_owned(), number };
    if !sessions {
        let talks = (0..connections).map(|number| subject.dialect().talk(seat(number)));
        return Ok((subject.start(launcher)?, talks.collect()));
    }
    if subject != Subject::Chinwag {
        bail!("only Chinwag has sessions: leave out --sessions");
    }
    let (server, tokens) = with_sessions(launcher, connections)?;
    let talk = |(number, token)| -> Box<dyn Talk> { Box::new(dialect::Chinwag::new(seat(number), Some(token))) };
    Ok((server, tokens.into_iter().enumerate().map(talk).collect()))
}

/// A Chinwag that was started on a log with so many sessions, and their tokens: what making them left in memory is
/// not the connections' doing.
fn with_sessions(launcher: &Launcher, sessions: usize) -> Result<(Server, Vec<String>)> {
    let folder = launcher.folder()?;
    let server = launcher.start(folder.path())?;
    let tokens = session::make(server.address, sessions)?;
    server.stop()?;
    Ok((launcher.start(folder.path())?.with_folder(folder), tokens))
}
