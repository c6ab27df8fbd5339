//! A set of things that are found by an id which they carry, for the tables that have an entry for every connection: a
//! map would hold each id once more. It knows nothing of what it holds.

use std::hash::{BuildHasher, Hash};

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

/// Something that carries its id, which never changes.
pub trait Identified {
    type Id: Copy + Eq + Hash;

    fn id(&self) -> Self::Id;
}

pub struct ById<T: Identified> {
    things: HashTable<T>,
    hasher: DefaultHashBuilder,
}

impl<T: Identified> ById<T> {
    pub fn get(&self, id: T::Id) -> Option<&T> {
        self.things.find(self.hasher.hash_one(id), |thing| thing.id() == id)
    }

    pub fn get_mut(&mut self, id: T::Id) -> Option<&mut T> {
        self.things.find_mut(self.hasher.hash_one(id), |thing| thing.id() == id)
    }

    /// Takes the place of what carries the same id.
    pub fn insert(&mut self, thing: T) {
        let (hasher, id) = (&self.hasher, thing.id());
        match self.things.entry(hasher.hash_one(id), |other| other.id() == id, |other| hasher.hash_one(other.id())) {
            Entry::Occupied(mut place) => *place.get_mut() = thing,
            Entry::Vacant(place) => {
                place.insert(thing);
            }
        }
    }

    pub fn remove(&mut self, id: T::Id) {
        if let Ok(place) = self.things.find_entry(self.hasher.hash_one(id), |thing| thing.id() == id) {
            place.remove();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }
}

impl<T: Identified> Default for ById<T> {
    fn default() -> Self {
        Self { things: HashTable::new(), hasher: DefaultHashBuilder::default() }
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
        *things.get_mut(2).unwrap() = (2, 'd');
        things.remove(1);
        assert_eq!((things.iter().collect::<Vec<_>>(), things.is_empty()), (vec![&(2, 'd')], false));
    }
}
