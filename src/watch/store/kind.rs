//! What is known of one kind besides its objects: who was listed, and what was wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Note, ObjectName};
use crate::watch::convert::{Converted, Interner};
use crate::watch::source::Event;
use crate::watch::wire::{self, Decoded, Object};

/// Notes on more nameless objects than this are not kept.
const MOST_NAMELESS: usize = 100;

/// How objects of a kind become values.
pub(super) struct Door<W, T> {
    pub(super) convert: fn(&ObjectName, &W, &mut Interner) -> Converted<T>,
    /// What stands in the place of an object that is no JSON inside.
    pub(super) unreadable: fn(&ObjectName) -> Option<T>,
}

/// The names of one kind.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// A list was complete at least once.
    pub(super) synced: bool,
    /// Every object known to the cluster, also those that mean nothing to us.
    names: BTreeSet<ObjectName>,
    /// Names met since the list that is under way began.
    seen: Option<BTreeSet<ObjectName>>,
    notes: BTreeMap<ObjectName, Vec<Note>>,
    /// Notes on objects of the last list that have no name.
    nameless: Vec<Note>,
}

/// What an event comes to.
pub(super) struct Step<T> {
    /// New values; `None` takes the object away.
    pub(super) objects: Vec<(ObjectName, Option<T>)>,
    pub(super) notes_changed: bool,
    /// The first complete list.
    pub(super) synced: bool,
    /// A list was complete before or with this event; until then nothing is worth telling.
    pub(super) known: bool,
}

// === impl Door ===

impl<W, T> Door<W, T> {
    /// Nothing stands in the place of what cannot be read.
    pub(super) fn of(convert: fn(&ObjectName, &W, &mut Interner) -> Converted<T>) -> Self {
        Self {
            convert,
            unreadable: |_| None,
        }
    }
}

// === impl Listed ===

impl Listed {
    pub(super) fn step<W: Object, T>(
        &mut self,
        event: Event<W>,
        intern: &mut Interner,
        door: &Door<W, T>,
    ) -> Step<T> {
        let mut step = Step {
            objects: Vec::new(),
            notes_changed: false,
            synced: false,
            known: false,
        };
        match event {
            Event::Init => {
                self.seen = Some(BTreeSet::new());
                step.notes_changed = !std::mem::take(&mut self.nameless).is_empty();
            }
            Event::InitApply(object) | Event::Apply(object) => {
                self.apply(object, intern, door, &mut step);
            }
            Event::Delete(name) => {
                self.seen.iter_mut().for_each(|seen| {
                    seen.remove(&name);
                });
                self.remove(&name, &mut step);
            }
            Event::InitDone => self.end_list(&mut step),
        }
        step.known = self.synced;
        step
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.values().flatten().chain(&self.nameless)
    }

    fn apply<W: Object, T>(
        &mut self,
        object: Decoded<W>,
        intern: &mut Interner,
        door: &Door<W, T>,
        step: &mut Step<T>,
    ) {
        let (name, converted) = match object {
            Ok(wire) => match wire::name_of(&*wire) {
                Some(name) => {
                    let name = self.shared(name, intern);
                    let converted = (door.convert)(&name, &wire, intern);
                    (Some(name), converted)
                }
                None => (None, Converted::nameless(&*wire)),
            },
            Err(error) => {
                let mut converted = Converted::unreadable::<W>(&error);
                let name = error.name.map(|name| self.shared(name, intern));
                converted.object = name.as_ref().and_then(door.unreadable);
                (name, converted)
            }
        };
        let Some(name) = name else {
            step.notes_changed = true;
            self.nameless.extend(converted.notes);
            self.nameless.truncate(MOST_NAMELESS);
            return;
        };
        step.notes_changed = self.set_notes(&name, converted.notes);
        self.names.insert(name.clone());
        if let Some(seen) = &mut self.seen {
            seen.insert(name.clone());
        }
        step.objects.push((name, converted.object));
    }

    /// The name as it is stored already, or with a shared namespace.
    fn shared(&self, name: ObjectName, intern: &mut Interner) -> ObjectName {
        let known = self.names.get(&name).cloned();
        known.unwrap_or_else(|| ObjectName {
            namespace: intern.text(&name.namespace),
            name: name.name,
        })
    }

    fn remove<T>(&mut self, name: &ObjectName, step: &mut Step<T>) {
        self.names.remove(name);
        step.notes_changed |= self.notes.remove(name).is_some();
        step.objects.push((name.clone(), None));
    }

    /// Takes away what the list did not name.
    fn end_list<T>(&mut self, step: &mut Step<T>) {
        let Some(seen) = self.seen.take() else {
            return;
        };
        step.synced = !std::mem::replace(&mut self.synced, true);
        let gone: Vec<ObjectName> = self.names.difference(&seen).cloned().collect();
        for name in &gone {
            self.remove(name, step);
        }
    }

    fn set_notes(&mut self, name: &ObjectName, notes: Vec<Note>) -> bool {
        if self.notes.get(name).map_or(&[][..], Vec::as_slice) == notes {
            return false;
        }
        if notes.is_empty() {
            self.notes.remove(name);
        } else {
            self.notes.insert(name.clone(), notes);
        }
        true
    }
}
