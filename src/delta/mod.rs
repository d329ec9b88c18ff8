//! Desired state that remembers what of it moved, and the differences to what is believed.
//!
//! [`Desired`] is a map that also keeps the keys touched since they were last settled, so that a
//! comparison after one change looks at one key. [`edits`] compares it with a map of what the
//! kernel is believed to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

/// The step that makes one key right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<K, V> {
    Add(K, V),
    /// New value, old value.
    Replace(K, V, V),
    /// The value that goes.
    Remove(K, V),
}

/// What should be, with the keys that moved and were not settled yet.
#[derive(Debug, Clone)]
pub struct Desired<K, V> {
    map: FxHashMap<K, V>,
    touched: FxHashSet<K>,
}

// === impl Desired ===

impl<K, V> Default for Desired<K, V> {
    fn default() -> Self {
        Self {
            map: FxHashMap::default(),
            touched: FxHashSet::default(),
        }
    }
}

impl<K: Ord + Hash + Clone, V: PartialEq> Desired<K, V> {
    /// Wants `value` under `key`; touches the key where that is new.
    pub fn set(&mut self, key: K, value: V) {
        if self.map.get(&key) != Some(&value) {
            self.touched.insert(key.clone());
            self.map.insert(key, value);
        }
    }

    /// Wants nothing under `key`.
    pub fn unset(&mut self, key: &K) {
        if self.map.remove(key).is_some() {
            self.touched.insert(key.clone());
        }
    }

    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The key must be looked at again.
    pub fn touch(&mut self, key: K) {
        self.touched.insert(key);
    }

    /// What was done about the key is done.
    pub fn settle(&mut self, key: &K) {
        self.touched.remove(key);
    }

    /// Nothing is to be looked at any more.
    pub fn settle_all(&mut self) {
        self.touched.clear();
    }

    #[must_use]
    pub fn touched(&self) -> &FxHashSet<K> {
        &self.touched
    }

    /// Makes the whole map right, touching only what differs.
    pub fn replace_all(&mut self, wanted: BTreeMap<K, V>) {
        let gone: Vec<K> = self
            .map
            .keys()
            .filter(|key| !wanted.contains_key(key))
            .cloned()
            .collect();
        for key in gone {
            self.unset(&key);
        }
        for (key, value) in wanted {
            self.set(key, value);
        }
    }
}

/// The edits that turn `seen` into `desired`, in the order of keys; with `touched_only` no other
/// key is looked at.
pub fn edits<K: Ord + Hash + Clone, V: PartialEq + Clone>(
    desired: &Desired<K, V>,
    seen: &BTreeMap<K, V>,
    touched_only: bool,
) -> Vec<Edit<K, V>> {
    if touched_only {
        let keys: BTreeSet<&K> = desired.touched.iter().collect();
        return keys
            .into_iter()
            .filter_map(|key| edit(key, desired, seen))
            .collect();
    }
    let keys: BTreeSet<&K> = desired.map.keys().chain(seen.keys()).collect();
    keys.into_iter()
        .filter_map(|key| edit(key, desired, seen))
        .collect()
}

fn edit<K: Ord + Hash + Clone, V: PartialEq + Clone>(
    key: &K,
    desired: &Desired<K, V>,
    seen: &BTreeMap<K, V>,
) -> Option<Edit<K, V>> {
    match (desired.map.get(key), seen.get(key)) {
        (Some(wanted), None) => Some(Edit::Add(key.clone(), wanted.clone())),
        (None, Some(held)) => Some(Edit::Remove(key.clone(), held.clone())),
        (Some(wanted), Some(held)) if wanted != held => {
            Some(Edit::Replace(key.clone(), wanted.clone(), held.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn applying_the_edits_of_touched_keys_gives_the_desired_map(
            steps in proptest::collection::vec((0u8..8, proptest::option::of(0u8..3)), 0..80),
            settle_every in 1usize..9,
        ) {
            let mut desired = Desired::<u8, u8>::default();
            let mut seen = BTreeMap::new();
            for (index, (key, value)) in steps.into_iter().enumerate() {
                match value {
                    Some(value) => desired.set(key, value),
                    None => desired.unset(&key),
                }
                if index % settle_every == 0 {
                    prop_assert_eq!(edits(&desired, &seen, true), edits(&desired, &seen, false));
                    for edit in edits(&desired, &seen, true) {
                        match edit {
                            Edit::Add(key, value) | Edit::Replace(key, value, _) => { seen.insert(key, value); }
                            Edit::Remove(key, _) => { seen.remove(&key); }
                        }
                    }
                    for key in desired.touched().clone() {
                        desired.settle(&key);
                    }
                    let held: BTreeMap<u8, u8> = desired.iter().map(|(k, v)| (*k, *v)).collect();
                    prop_assert_eq!(&held, &seen);
                }
            }
        }
    }
}
