//! The list in which the classic chat on Redis keeps its messages. It is only read.

use redis::{Client, Commands, Connection};

use super::link::CONNECT_TIME;
use crate::error::Fatal;

pub struct ClassicList {
    connection: Connection,
    key: String,
}

impl ClassicList {
    pub fn open(url: &str, key: &str) -> Result<Self, Fatal> {
        let explain = |error: redis::RedisError| Fatal::Import(error.to_string());
        let connection = Client::open(url).and_then(|client| client.get_connection_with_timeout(CONNECT_TIME));
        Ok(Self { connection: connection.map_err(explain)?, key: key.to_owned() })
    }

    /// Entries from this place on, the oldest first, at most so many.
    pub fn read(&mut self, from: usize, limit: usize) -> Result<Vec<Vec<u8>>, Fatal> {
        let (from, to) = (signed(from), signed(from.saturating_add(limit)) - 1);
        self.connection.lrange(&self.key, from, to).map_err(|error| Fatal::Import(error.to_string()))
    }
}

fn signed(place: usize) -> isize {
    isize::try_from(place).unwrap_or(isize::MAX)
}
