//! Groups of pods by a label, so that a change looks only at groups it may concern.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Requirement, Selector};
use crate::netpol::plan::peers::PeerId;

/// Groups by one label that they insist on.
#[derive(Debug, Default)]
pub(super) struct Index {
    labels: FxHashMap<Arc<str>, FxHashMap<Arc<str>, Vec<PeerId>>>,
    keys: FxHashMap<Arc<str>, Vec<PeerId>>,
    rest: Vec<PeerId>,
}

/// The first label that a selector insists on.
pub(super) fn demand(selector: &Selector) -> Option<&Requirement> {
    let requirements = selector.requirements();
    let by_value = |one: &&Requirement| matches!(one, Requirement::In(..));
    let by_key = |one: &&Requirement| matches!(one, Requirement::Exists(_));
    let exact = requirements.iter().find(by_value);
    exact.or_else(|| requirements.iter().find(by_key))
}

// === impl Index ===

impl Index {
    fn lists(&mut self, selector: &Selector, mut act: impl FnMut(&mut Vec<PeerId>)) {
        match demand(selector) {
            Some(Requirement::In(key, values)) => {
                let of_key = self.labels.entry(Arc::clone(key)).or_default();
                for value in values {
                    let list = of_key.entry(Arc::clone(value)).or_default();
                    act(list);
                    if list.is_empty() {
                        of_key.remove(value);
                    }
                }
                if of_key.is_empty() {
                    self.labels.remove(key);
                }
            }
            Some(requirement) => {
                let list = self.keys.entry(Arc::clone(requirement.key())).or_default();
                act(list);
                if list.is_empty() {
                    self.keys.remove(requirement.key());
                }
            }
            None => act(&mut self.rest),
        }
    }

    pub(super) fn add(&mut self, id: PeerId, selector: &Selector) {
        self.lists(selector, |list| list.push(id));
    }

    pub(super) fn remove(&mut self, id: PeerId, selector: &Selector) {
        self.lists(selector, |list| list.retain(|held| *held != id));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.keys.is_empty() && self.rest.is_empty()
    }

    pub(super) fn each(&self, labels: &Labels, look: &mut impl FnMut(PeerId)) {
        for (key, value) in labels.iter() {
            let of_value = self.labels.get(key).and_then(|of_key| of_key.get(value));
            let of_key = self.keys.get(key);
            let ids = of_value.into_iter().chain(of_key).flatten();
            ids.for_each(|id| look(*id));
        }
        self.rest.iter().for_each(|id| look(*id));
    }
}
