//! Read markers: where each user stands in each room they have joined. They move in memory and are written behind,
//! about once a second, since posting moves them too: a crash may cost a second's worth of them, never a message.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::protocol::{RoomId, Seq, UserId};
use crate::store::{Directory, Marker};

#[derive(Default)]
pub struct Markers {
    /// Moved of late. What stands here is truer than the store.
    moved: Mutex<HashMap<(RoomId, UserId), Moved>>,
}

#[derive(Clone, Copy)]
struct Moved {
    marker: Marker,
    /// Kept for one round of writing more: who asked the store just before it was written has yet to look here.
    written: bool,
}

impl Markers {
    /// Moves a marker to exactly this event, forward or back.
    pub fn set(&self, room: &RoomId, user: UserId, seq: Seq) {
        let moved = Moved { marker: Marker::Exactly(seq), written: false };
        self.moved.lock().insert((room.clone(), user), moved);
    }

    /// Moves a marker forward, as the user's own message does.
    pub fn advance(&self, room: &RoomId, user: UserId, seq: Seq) {
        let mut all = self.moved.lock();
        let moved = all.entry((room.clone(), user)).or_insert(Moved { marker: Marker::Forward(seq), written: false });
        let marker = match moved.marker {
            Marker::Forward(before) => Marker::Forward(before.max(seq)),
            Marker::Exactly(before) => Marker::Exactly(before.max(seq)),
        };
        if marker != moved.marker {
            *moved = Moved { marker, written: false };
        }
    }

    /// How a marker has moved of late.
    pub fn moved(&self, room: &RoomId, user: UserId) -> Option<Marker> {
        self.moved.lock().get(&(room.clone(), user)).map(|moved| moved.marker)
    }

    /// Writes what moved, and says whose markers those were. On an error it is kept for the next time.
    pub async fn write(&self, directory: &dyn Directory) -> Result<Vec<(RoomId, UserId)>> {
        let moved = self.take_stock();
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        directory.set_markers(moved.clone()).await?;
        let mut all = self.moved.lock();
        for (key, marker) in &moved {
            if let Some(moved) = all.get_mut(key).filter(|moved| moved.marker == *marker) {
                moved.written = true;
            }
        }
        Ok(moved.into_keys().collect())
    }

    /// Forgets what was written the last time; gives what is to be written now.
    fn take_stock(&self) -> HashMap<(RoomId, UserId), Marker> {
        let mut all = self.moved.lock();
        all.retain(|_, moved| !moved.written);
        all.iter().map(|(key, moved)| (key.clone(), moved.marker)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::hub::{Hub, TailLimits};
    use crate::store::{self, Durability, Options};

    #[tokio::test]
    async fn what_was_just_written_is_known_for_one_round_more() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { dir: dir.path().into(), durability: Durability::Full, redis: None };
        let hub = Hub::new(1, TailLimits { room_bytes: 1, all_bytes: 1 });
        let store = store::open(&options, Arc::new(hub)).unwrap();
        let (markers, lobby, bob) = (Markers::default(), RoomId::lobby(), UserId::random());
        markers.set(&lobby, bob, 4);
        markers.write(&*store.directory).await.unwrap();
        assert_eq!(markers.moved(&lobby, bob), Some(Marker::Exactly(4)), "who asked the store before looks here after");
        markers.write(&*store.directory).await.unwrap();
        assert_eq!(markers.moved(&lobby, bob), None);
    }
}
