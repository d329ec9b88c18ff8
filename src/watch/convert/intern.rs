//! One copy of each text that many objects repeat.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashSet;

/// Lists of names, most of them empty or equal.
type Names = Arc<[Arc<str>]>;

/// Names of nodes, zones, ports and namespaces, and lists of them, shared by all who bear them.
#[derive(Debug)]
pub(crate) struct Interner {
    texts: FxHashSet<Arc<str>>,
    lists: FxHashSet<Names>,
    empty: Names,
    /// Above this many entries the unused ones are dropped.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 1024;

// === impl Interner ===

impl Default for Interner {
    fn default() -> Self {
        Self {
            texts: FxHashSet::default(),
            lists: FxHashSet::default(),
            empty: Arc::from([]),
            sweep_at: FIRST_SWEEP,
        }
    }
}

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.sweep();
        let text = Arc::<str>::from(text);
        self.texts.insert(Arc::clone(&text));
        text
    }

    pub(crate) fn list(&mut self, names: &[Arc<str>]) -> Names {
        if names.is_empty() {
            return Arc::clone(&self.empty);
        }
        if let Some(known) = self.lists.get(names) {
            return Arc::clone(known);
        }
        let names = Names::from(names);
        self.lists.insert(Arc::clone(&names));
        names
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.texts.len() + self.lists.len()
    }

    /// Drops what only we hold, whenever the number of entries has doubled.
    fn sweep(&mut self) {
        if self.texts.len() + self.lists.len() < self.sweep_at {
            return;
        }
        retain_used(&mut self.lists);
        retain_used(&mut self.texts);
        self.sweep_at = FIRST_SWEEP.max(2 * (self.texts.len() + self.lists.len()));
    }
}

fn retain_used<T: ?Sized + Eq + Hash>(set: &mut FxHashSet<Arc<T>>) {
    set.retain(|entry| Arc::strong_count(entry) > 1);
}
