//! A copy-on-write table of named objects, sharded by namespace.
//!
//! A clone is one reference count. Changing one object copies the list of namespaces and the one
//! namespace it stands in; everything else stays shared, which is what makes
//! [`Table::changed_since`] cheap.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::ObjectName;

type Shard<T> = BTreeMap<Arc<str>, Arc<T>>;

/// Objects by `namespace/name`.
#[derive(Debug)]
pub struct Table<T> {
    shards: Arc<BTreeMap<Arc<str>, Arc<Shard<T>>>>,
}

// === impl Table ===

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self {
            shards: Arc::clone(&self.shards),
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            shards: Arc::default(),
        }
    }
}

impl<T> Table<T> {
    #[must_use]
    pub fn get(&self, name: &ObjectName) -> Option<&Arc<T>> {
        self.shards.get(&name.namespace)?.get(&name.name)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.values().map(|shard| shard.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// In order of namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectName, &Arc<T>)> {
        self.shards.iter().flat_map(|(namespace, shard)| {
            shard.iter().map(|(name, value)| {
                (
                    ObjectName {
                        namespace: Arc::clone(namespace),
                        name: Arc::clone(name),
                    },
                    value,
                )
            })
        })
    }

    /// Puts an object in; returns the one it replaces.
    pub fn insert(&mut self, name: &ObjectName, value: Arc<T>) -> Option<Arc<T>> {
        let shards = Arc::make_mut(&mut self.shards);
        let shard = shards.entry(Arc::clone(&name.namespace)).or_default();
        Arc::make_mut(shard).insert(Arc::clone(&name.name), value)
    }

    /// Takes an object out; an empty namespace goes with it.
    pub fn remove(&mut self, name: &ObjectName) -> Option<Arc<T>> {
        self.get(name)?;
        let shards = Arc::make_mut(&mut self.shards);
        let shard = shards.get_mut(&name.namespace)?;
        let removed = Arc::make_mut(shard).remove(&name.name);
        if shard.is_empty() {
            shards.remove(&name.namespace);
        }
        removed
    }

    /// Names of objects that were added, replaced or removed since `old`, in order.
    ///
    /// By identity: an equal object behind another `Arc` counts as changed. Cost: one comparison
    /// per namespace, and one per object in namespaces that changed.
    #[must_use]
    pub fn changed_since(&self, old: &Self) -> Vec<ObjectName> {
        let mut changed = Vec::new();
        if Arc::ptr_eq(&self.shards, &old.shards) {
            return changed;
        }
        let empty = Arc::new(Shard::new());
        merge(&self.shards, &old.shards, |namespace, new, old| {
            let (new, old) = (new.unwrap_or(&empty), old.unwrap_or(&empty));
            if Arc::ptr_eq(new, old) {
                return;
            }
            merge(new, old, |name, new, old| {
                let same = matches!((new, old), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
                if !same {
                    changed.push(ObjectName {
                        namespace: Arc::clone(namespace),
                        name: Arc::clone(name),
                    });
                }
            });
        });
        changed
    }
}

/// Walks two ordered maps together.
fn merge<K: Ord, V>(
    new: &BTreeMap<K, V>,
    old: &BTreeMap<K, V>,
    mut visit: impl FnMut(&K, Option<&V>, Option<&V>),
) {
    let (mut new, mut old) = (new.iter().peekable(), old.iter().peekable());
    loop {
        let order = match (new.peek(), old.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return,
        };
        let left = order.is_le().then(|| new.next()).flatten();
        let right = order.is_ge().then(|| old.next()).flatten();
        if let Some((key, _)) = left.or(right) {
            visit(key, left.map(|(_, v)| v), right.map(|(_, v)| v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(namespace: u8, name: u8) -> ObjectName {
        ObjectName::new(format!("ns{namespace}"), format!("n{name}"))
    }

    proptest! {
        #[test]
        fn a_table_behaves_like_a_plain_map_and_names_exactly_what_changed(
            steps in proptest::collection::vec((0u8..4, 0u8..6, proptest::option::of(0u8..3)), 0..60),
            cut in 0usize..60,
        ) {
            let mut table = Table::<u8>::default();
            let mut plain = BTreeMap::<ObjectName, Arc<u8>>::new();
            let mut old = (table.clone(), plain.clone());
            for (index, (namespace, object, value)) in steps.into_iter().enumerate() {
                if index == cut {
                    old = (table.clone(), plain.clone());
                }
                let key = name(namespace, object);
                if let Some(value) = value {
                    let value = Arc::new(value);
                    plain.insert(key.clone(), Arc::clone(&value));
                    table.insert(&key, value);
                } else {
                    prop_assert_eq!(plain.remove(&key).is_some(), table.remove(&key).is_some());
                }
            }
            prop_assert_eq!(table.len(), plain.len());
            let listed: Vec<_> = table.iter().map(|(k, v)| (k, **v)).collect();
            let wanted: Vec<_> = plain.iter().map(|(k, v)| (k.clone(), **v)).collect();
            prop_assert_eq!(listed, wanted);
            let keys: std::collections::BTreeSet<_> = plain.keys().chain(old.1.keys()).cloned().collect();
            let naive: Vec<_> = keys.into_iter().filter(|key| {
                !matches!((plain.get(key), old.1.get(key)), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
            }).collect();
            prop_assert_eq!(table.changed_since(&old.0), naive);
        }
    }
}
