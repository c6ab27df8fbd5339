//! A node that is alone on its store: there is nobody to tell, and what is kept for a while stands in memory.

use std::collections::HashMap;
use std::future::ready;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Answer, NodeId, Nodes};
use crate::protocol::{Author, RoomId, UserId};

/// More words are not kept: the one whose time is over first gives way.
const WORDS: usize = 10_000;

#[derive(Default)]
pub(super) struct Alone {
    words: Mutex<HashMap<String, (String, Instant)>>,
}

impl Nodes for Alone {
    fn node(&self) -> NodeId {
        NodeId::new()
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn tell(&self, _notice: String) {}

    fn tell_room(&self, _room: &RoomId, _notice: String) {}

    fn present(&self, _room: &RoomId, _came: Vec<Author>, _left: Vec<UserId>) {}

    fn others_present<'a>(&'a self, _room: &'a RoomId) -> Answer<'a, Vec<(NodeId, Vec<Author>)>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn claim(&self, folded: Vec<String>, _user: UserId) -> Answer<'_, Vec<bool>> {
        Box::pin(ready(Ok(vec![true; folded.len()])))
    }

    fn release(&self, _folded: &str, _user: UserId) {}

    fn held(&self, folded: Vec<String>) -> Answer<'_, Vec<Option<UserId>>> {
        Box::pin(ready(Ok(vec![None; folded.len()])))
    }

    fn leave(&self) {}

    fn keep(&self, key: String, word: String, lasts: Duration) -> Answer<'_, ()> {
        let now = Instant::now();
        let mut words = self.words.lock();
        words.retain(|_, (_, until)| *until > now);
        if words.len() >= WORDS {
            let first = words.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            first.and_then(|key| words.remove(&key));
        }
        words.insert(key, (word, now + lasts));
        Box::pin(ready(Ok(())))
    }

    fn take(&self, key: String) -> Answer<'_, Option<String>> {
        let word = self.words.lock().remove(&key);
        Box::pin(ready(Ok(word.filter(|(_, until)| *until > Instant::now()).map(|(word, _)| word))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_taken_once_and_in_time() {
        let alone = Alone::default();
        alone.keep("a".to_owned(), "in time".to_owned(), Duration::from_mins(1)).await.unwrap();
        alone.keep("b".to_owned(), "too late".to_owned(), Duration::ZERO).await.unwrap();
        assert_eq!(alone.take("a".to_owned()).await.unwrap().as_deref(), Some("in time"));
        assert_eq!(alone.take("a".to_owned()).await.unwrap(), None);
        assert_eq!(alone.take("b".to_owned()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn only_so_many_words_are_kept() {
        let alone = Alone::default();
        for n in 0..=WORDS {
            alone.keep(n.to_string(), String::new(), Duration::from_mins(1)).await.unwrap();
        }
        assert_eq!(alone.take("0".to_owned()).await.unwrap(), None, "the oldest gives way");
        assert!(alone.take(WORDS.to_string()).await.unwrap().is_some());
    }
}
