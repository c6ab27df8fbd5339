//! Read markers: where each user stands in each room they have joined. They move in memory and are written behind,
//! about once a second, since posting moves them too: a crash may cost a second's worth of them, never a message.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::protocol::{RoomId, Seq, UserId};
use crate::store::{Directory, Marker};

#[derive(Default)]
pub struct Markers {
    /// Moved and not yet written. What stands here is truer than the store.
    moved: Mutex<HashMap<(RoomId, UserId), Marker>>,
}

impl Markers {
    /// Moves a marker to exactly this event, forward or back.
    pub fn set(&self, room: &RoomId, user: UserId, seq: Seq) {
        self.moved.lock().insert((room.clone(), user), Marker::Exactly(seq));
    }

    /// Moves a marker forward, as the user's own message does.
    pub fn advance(&self, room: &RoomId, user: UserId, seq: Seq) {
        let mut moved = self.moved.lock();
        let marker = moved.entry((room.clone(), user)).or_insert(Marker::Forward(seq));
        *marker = match *marker {
            Marker::Forward(before) => Marker::Forward(before.max(seq)),
            Marker::Exactly(before) => Marker::Exactly(before.max(seq)),
        };
    }

    /// How a marker has moved since it was last written.
    pub fn moved(&self, room: &RoomId, user: UserId) -> Option<Marker> {
        self.moved.lock().get(&(room.clone(), user)).copied()
    }

    /// Writes what moved. On an error it is kept for the next time.
    pub async fn write(&self, directory: &dyn Directory) -> Result<()> {
        let moved = self.moved.lock().clone();
        if moved.is_empty() {
            return Ok(());
        }
        directory.set_markers(moved.clone()).await?;
        let mut now = self.moved.lock();
        for (key, written) in moved {
            if now.get(&key) == Some(&written) {
                now.remove(&key);
            }
        }
        Ok(())
    }
}
