//! A set of things that are found by an id which they carry, for the tables that have an entry for every connection: a
//! map would hold each id once more. It knows nothing of what it holds.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashSet};

/// Something that carries its id, which never changes.
pub trait Identified {
    type Id: Hash + Eq;

    fn id(&self) -> Self::Id;
}

pub struct ById<T: Identified>(HashSet<Carrier<T>>);

struct Carrier<T>(T);

#[derive(Hash)]
struct Key<Id>(Id);

impl<T: Identified> ById<T> {
    pub fn get(&self, id: T::Id) -> Option<&T> {
        self.0.get(&Key(id)).map(|carrier| &carrier.0)
    }

    /// Takes the place of what carries the same id.
    pub fn insert(&mut self, thing: T) {
        self.0.replace(Carrier(thing));
    }

    pub fn remove(&mut self, id: T::Id) {
        self.0.remove(&Key(id));
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|carrier| &carrier.0)
    }
}

impl<T: Identified> Default for ById<T> {
    fn default() -> Self {
        Self(HashSet::default())
    }
}

impl<T: Identified> Hash for Carrier<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Key(self.0.id()).hash(state);
    }
}

impl<T: Identified> PartialEq for Carrier<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl<T: Identified> Eq for Carrier<T> {}

impl<T: Identified> Equivalent<Carrier<T>> for Key<T::Id> {
    fn equivalent(&self, carrier: &Carrier<T>) -> bool {
        self.0 == carrier.0.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Identified for (u8, char) {
        type Id = u8;

        fn id(&self) -> u8 {
            self.0
        }
    }

    #[test]
    fn each_thing_is_found_by_its_id_and_there_is_one_of_an_id() {
        let mut things = ById::default();
        things.insert((1, 'a'));
        things.insert((2, 'b'));
        things.insert((1, 'c'));
        assert_eq!((things.get(1), things.get(2), things.get(3)), (Some(&(1, 'c')), Some(&(2, 'b')), None));
        things.remove(1);
        assert_eq!(things.iter().collect::<Vec<_>>(), [&(2, 'b')]);
    }
}
