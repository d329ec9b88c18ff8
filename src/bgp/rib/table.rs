//! Prefixes of one family with their paths: entries in a row, found by an index of 4 octets each.
//!
//! ```text
//! index: hash of the prefix ─► id ─► entries[id]: key (5 or 17 octets), dirty, one path inline
//! ```
//!
//! An id is valid while its prefix has a path or is dirty; ids of gone prefixes are used again.

use hashbrown::HashTable;

use super::hash::Seed;
use super::path::Paths;
use crate::net::{Family, Prefix};

/// A prefix as compact as it can be.
pub(super) trait Key: Copy + Eq {
    const FAMILY: Family;

    /// `None` for the other family.
    fn of(prefix: &Prefix) -> Option<Self>;
    fn prefix(&self) -> Prefix;
    fn hash(&self, seed: Seed) -> u64;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct V4Key([u8; 4], u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct V6Key([u8; 16], u8);

#[derive(Debug, Clone)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    /// In the list of what has changed.
    dirty: bool,
    pub(super) paths: Paths,
}

#[derive(Debug)]
pub(super) struct Table<K> {
    seed: Seed,
    index: HashTable<u32>,
    entries: Vec<Entry<K>>,
    free: Vec<u32>,
    dirty: Vec<u32>,
}

// === impl V4Key ===

impl Key for V4Key {
    const FAMILY: Family = Family::V4;

    fn of(prefix: &Prefix) -> Option<Self> {
        match prefix {
            Prefix::V4(prefix) => Some(Self(prefix.network().octets(), prefix.prefix_len())),
            Prefix::V6(_) => None,
        }
    }

    fn prefix(&self) -> Prefix {
        let net = ipnet::Ipv4Net::new(self.0.into(), self.1);
        Prefix::V4(net.unwrap_or_default())
    }

    fn hash(&self, seed: Seed) -> u64 {
        seed.of_word(u64::from(u32::from_be_bytes(self.0)) << 8 | u64::from(self.1))
    }
}

// === impl V6Key ===

impl Key for V6Key {
    const FAMILY: Family = Family::V6;

    fn of(prefix: &Prefix) -> Option<Self> {
        match prefix {
            Prefix::V6(prefix) => Some(Self(prefix.network().octets(), prefix.prefix_len())),
            Prefix::V4(_) => None,
        }
    }

    fn prefix(&self) -> Prefix {
        let net = ipnet::Ipv6Net::new(self.0.into(), self.1);
        Prefix::V6(net.unwrap_or_default())
    }

    fn hash(&self, seed: Seed) -> u64 {
        let address = u128::from_be_bytes(self.0);
        let low = address as u64 ^ u64::from(self.1).rotate_right(8);
        seed.of_words(low, (address >> 64) as u64)
    }
}

// === impl Table ===

impl<K: Key> Table<K> {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            index: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
        }
    }

    /// How many prefixes have a path, or had one until just now.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, key: &K) -> Option<u32> {
        let is_it = |id: &u32| self.get(*id).is_some_and(|entry| entry.key == *key);
        self.index.find(key.hash(self.seed), is_it).copied()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Entry<K>> {
        self.entries.get(id as usize)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Entry<K>> {
        self.entries.get_mut(id as usize)
    }

    /// The prefix's id, given out anew if it has none; `None` once 2³² are given out.
    pub(super) fn find_or_insert(&mut self, key: K) -> Option<u32> {
        let Self {
            seed,
            index,
            entries,
            free,
            ..
        } = self;
        let is_it = |id: &u32| entries.get(*id as usize).is_some_and(|e| e.key == key);
        let rehash = |id: &u32| {
            let entry = entries.get(*id as usize);
            entry.map_or(0, |entry| entry.key.hash(*seed))
        };
        let slot = match index.entry(key.hash(*seed), is_it, rehash) {
            hashbrown::hash_table::Entry::Occupied(found) => return Some(*found.get()),
            hashbrown::hash_table::Entry::Vacant(slot) => slot,
        };
        let entry = Entry {
            key,
            dirty: false,
            paths: Paths::None,
        };
        let id = match free.pop() {
            Some(id) => {
                *entries.get_mut(id as usize)? = entry;
                id
            }
            None => {
                let id = u32::try_from(entries.len()).ok()?;
                entries.push(entry);
                id
            }
        };
        slot.insert(id);
        Some(id)
    }

    /// Puts the prefix on the list of what has changed, once.
    pub(super) fn mark_dirty(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(id as usize)
            && !entry.dirty
        {
            entry.dirty = true;
            self.dirty.push(id);
        }
    }

    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Shows what has changed since the last time, each prefix once, and forgets it and the
    /// prefixes that have no path left.
    pub(super) fn drain_dirty(&mut self, mut show: impl FnMut(u32, &Entry<K>)) {
        let dirty = std::mem::take(&mut self.dirty);
        for &id in &dirty {
            if let Some(entry) = self.entries.get_mut(id as usize) {
                entry.dirty = false;
                show(id, entry);
            }
            self.remove_if_empty(id);
        }
    }

    /// Gives the id back if nobody needs it any more.
    pub(super) fn remove_if_empty(&mut self, id: u32) {
        let Some(entry) = self.entries.get(id as usize) else {
            return;
        };
        if entry.dirty || !entry.paths.as_slice().is_empty() {
            return;
        }
        let found = self
            .index
            .find_entry(entry.key.hash(self.seed), |other| *other == id);
        if let Ok(found) = found {
            found.remove();
            self.free.push(id);
        }
        if self.index.is_empty() {
            *self = Self::new(self.seed);
        }
    }

    /// Entries from `id` on that have a path, in the order of ids.
    pub(super) fn iter_from(&self, id: u32) -> impl Iterator<Item = (u32, &Entry<K>)> {
        let entries = self.entries.iter().enumerate().skip(id as usize);
        entries
            .filter(|(_, entry)| !entry.paths.as_slice().is_empty())
            .filter_map(|(id, entry)| Some((u32::try_from(id).ok()?, entry)))
    }
}
