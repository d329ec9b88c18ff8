//! Sets in memory, for tests of those who use them.
//!
//! Models, each proved against the kernel in `tests/netns_kernel.rs`: full sets, entries that
//! exist or don't, prefixes of length 0, referenced sets, and that swap needs one type.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{Definition, Entry, Listed, Selector, SetName, SetType};
use super::{Error, Existing, Reason, Refusal, Sets};
use crate::net::Family;

/// A kernel's sets without a kernel.
#[derive(Debug, Clone, Default)]
pub struct FakeIpset {
    sets: BTreeMap<SetName, (Definition, BTreeSet<Entry>)>,
    /// Sets that rules refer to: they cannot be destroyed.
    pub referenced: BTreeSet<SetName>,
    /// Types that the kernel was built without.
    pub missing_types: BTreeSet<SetType>,
    /// Calls that changed something or tried to.
    pub calls: usize,
}

// === impl FakeIpset ===

impl FakeIpset {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The members of a set; nothing if there is no such set.
    #[must_use]
    pub fn entries(&self, set: &SetName) -> Option<&BTreeSet<Entry>> {
        self.sets.get(set).map(|(_, entries)| entries)
    }

    fn get(&mut self, set: &SetName) -> Result<&mut (Definition, BTreeSet<Entry>), Error> {
        self.calls += 1;
        let found = self.sets.get_mut(set);
        found.ok_or_else(|| Error::NoSet(set.clone()))
    }
}

fn verdict(set: &SetName, refused: Vec<Refusal>) -> Result<(), Error> {
    if refused.is_empty() {
        return Ok(());
    }
    let set = set.clone();
    Err(Error::Entries { set, refused })
}

fn has_zero_length(entry: &Entry) -> bool {
    match entry {
        Entry::Net(net) | Entry::NetPort(net, ..) | Entry::IpPortNet(.., net) => {
            net.prefix_len() == 0
        }
        Entry::NetNet(one, other) => one.prefix_len() == 0 || other.prefix_len() == 0,
        Entry::Ip(_) | Entry::IpPort(..) => false,
    }
}

impl Sets for FakeIpset {
    fn list(&mut self, selector: &Selector, with_members: bool) -> Result<Vec<Listed>, Error> {
        let chosen = self.sets.values();
        let chosen = chosen.filter(|(set, _)| selector.matches(set.name.as_str()));
        let listed = chosen.map(|(definition, entries)| Listed {
            definition: definition.clone(),
            references: u32::from(self.referenced.contains(&definition.name)),
            entry_count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
            entries: entries.iter().filter(|_| with_members).copied().collect(),
        });
        Ok(listed.collect())
    }

    fn has_type(&mut self, kind: SetType, _: Family) -> Result<bool, Error> {
        Ok(!self.missing_types.contains(&kind))
    }

    fn create(&mut self, definition: &Definition) -> Result<(), Error> {
        self.calls += 1;
        if self.sets.contains_key(&definition.name) {
            return Err(Error::Exists(definition.name.clone()));
        }
        let set = (definition.clone(), BTreeSet::new());
        self.sets.insert(definition.name.clone(), set);
        Ok(())
    }

    fn add(&mut self, set: &SetName, entries: &[Entry], existing: Existing) -> Result<(), Error> {
        let (definition, members) = self.get(set)?;
        let mut refused = Vec::new();
        for entry in entries {
            let reason = if has_zero_length(entry) {
                Reason::PrefixLength
            } else if members.contains(entry) {
                if existing == Existing::Ignored {
                    continue;
                }
                Reason::Exists
            } else if members.len() >= definition.max_entries as usize {
                Reason::Full
            } else {
                members.insert(*entry);
                continue;
            };
            let entry = *entry;
            refused.push(Refusal { entry, reason });
        }
        verdict(set, refused)
    }

    fn del(&mut self, set: &SetName, entries: &[Entry], missing: Existing) -> Result<(), Error> {
        let (_, members) = self.get(set)?;
        let mut refused = Vec::new();
        for entry in entries {
            if !members.remove(entry) && missing == Existing::Refused {
                let (entry, reason) = (*entry, Reason::Missing);
                refused.push(Refusal { entry, reason });
            }
        }
        verdict(set, refused)
    }

    fn flush(&mut self, set: &SetName) -> Result<(), Error> {
        self.get(set)?.1.clear();
        Ok(())
    }

    fn swap(&mut self, one: &SetName, other: &SetName) -> Result<(), Error> {
        let (mut first, second) = (self.get(one)?.clone(), self.get(other)?);
        if (first.0.kind, first.0.family) != (second.0.kind, second.0.family) {
            return Err(Error::TypeMismatch(one.clone()));
        }
        std::mem::swap(&mut first, second);
        // Names and references stay where they are, all else goes with the contents.
        std::mem::swap(&mut first.0.name, &mut second.0.name);
        self.sets.insert(one.clone(), first);
        Ok(())
    }

    fn destroy(&mut self, set: &SetName) -> Result<(), Error> {
        self.get(set)?;
        if self.referenced.contains(set) {
            return Err(Error::Busy(set.clone()));
        }
        self.sets.remove(set);
        Ok(())
    }
}
