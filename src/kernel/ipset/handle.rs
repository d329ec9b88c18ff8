//! The socket.

use std::collections::HashMap;

use super::object::{Definition, Entry, Listed, Selector, SetName, SetType};
use super::wire::{self, Verb};
use super::{ERR_FIND_TYPE, Error, Existing, Refusal, Sets};
use crate::kernel::netlink::{Socket, Stats};
use crate::net::Family;

/// The sets of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Ipset {
    socket: Socket,
    /// The kernel's newest revision of each type, asked for once.
    revisions: HashMap<(SetType, Family), u8>,
}

// === impl Ipset ===

impl Ipset {
    pub fn open() -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open(libc::NETLINK_NETFILTER)?,
            revisions: HashMap::new(),
        })
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }

    fn revision(&mut self, kind: SetType, family: Family) -> Result<u8, Error> {
        if let Some(revision) = self.revisions.get(&(kind, family)) {
            return Ok(*revision);
        }
        let replies = self.socket.request(&wire::get_type(kind, family));
        let unknown = |source| Error::NoType {
            kind,
            family,
            source,
        };
        let revision = wire::revision(&replies.map_err(unknown)?.first()?)?;
        self.revisions.insert((kind, family), revision);
        Ok(revision)
    }

    /// All entries in few messages, but where an entry's presence is an error one message each.
    fn alter(&mut self, verb: Verb, set: &SetName, entries: &[Entry]) -> Result<(), Error> {
        let mut refused = Vec::new();
        if verb.is_exclusive() {
            self.one_by_one(verb, set, entries, &mut refused)?;
        } else {
            self.many_at_once(verb, set, entries, &mut refused)?;
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(Error::Entries {
            set: set.clone(),
            refused,
        })
    }

    /// The entries of a refused message are sent once more one by one, so that each refusal
    /// names its entry and all others get in.
    fn many_at_once(
        &mut self,
        verb: Verb,
        set: &SetName,
        entries: &[Entry],
        refused: &mut Vec<Refusal>,
    ) -> Result<(), Error> {
        let messages = wire::entries(verb, set, entries);
        let requests = messages.iter().map(|(request, _)| request);
        let verdicts = self.socket.batch(requests);
        let mut rest = entries;
        for ((_, count), verdict) in messages.iter().zip(verdicts) {
            let (part, others) = rest.split_at_checked(*count).unwrap_or((rest, &[]));
            rest = others;
            match verdict {
                Ok(()) => {}
                Err(error) if error.errno().is_some_and(is_of_entry) => {
                    self.one_by_one(verb, set, part, refused)?;
                }
                Err(error) => return Err(Error::on(set, error)),
            }
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        verb: Verb,
        set: &SetName,
        entries: &[Entry],
        refused: &mut Vec<Refusal>,
    ) -> Result<(), Error> {
        let requests = entries.iter().map(|entry| wire::single(verb, set, entry));
        for (entry, verdict) in entries.iter().zip(self.socket.batch(requests)) {
            match verdict {
                Ok(()) => {}
                Err(error) if error.errno().is_some_and(is_of_entry) => {
                    refused.push(Refusal::new(*entry, verb.is_add(), error));
                }
                Err(error) => return Err(Error::on(set, error)),
            }
        }
        Ok(())
    }
}

/// Whether an error is one entry's fault, not the set's or the socket's.
fn is_of_entry(errno: i32) -> bool {
    errno != libc::ENOENT && errno != libc::EPERM
}

impl Sets for Ipset {
    fn list(&mut self, selector: &Selector, with_members: bool) -> Result<Vec<Listed>, Error> {
        let name = match selector {
            Selector::Name(name) => Some(name),
            // Members of foreign sets may be many: headers first, then ours one by one.
            Selector::Prefix(_) if with_members => {
                let mut found = Vec::new();
                for header in self.list(selector, false)? {
                    found.extend(self.list(&Selector::Name(header.definition.name), true)?);
                }
                return Ok(found);
            }
            Selector::All | Selector::Prefix(_) => None,
        };
        let replies = match self.socket.dump(&wire::list(name, with_members)) {
            Ok(replies) => replies,
            Err(error) if error.is(libc::ENOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut sets = Vec::new();
        for message in &replies {
            wire::gather(&message, &mut sets)?;
        }
        sets.retain(|set| selector.matches(set.definition.name.as_str()));
        for set in &mut sets {
            set.entries.sort_unstable();
        }
        Ok(sets)
    }

    fn has_type(&mut self, kind: SetType, family: Family) -> Result<bool, Error> {
        match self.revision(kind, family) {
            Ok(_) => Ok(true),
            Err(Error::NoType { source, .. }) if source.errno() == Some(ERR_FIND_TYPE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, definition: &Definition) -> Result<(), Error> {
        if definition.kind == SetType::Foreign {
            return Err(Error::Foreign(definition.name.clone()));
        }
        let revision = self.revision(definition.kind, definition.family)?;
        let created = self.socket.request(&wire::create(definition, revision));
        created.map_err(|error| Error::on(&definition.name, error))?;
        Ok(())
    }

    fn add(&mut self, set: &SetName, entries: &[Entry], existing: Existing) -> Result<(), Error> {
        let exclusive = existing == Existing::Refused;
        self.alter(Verb::Add { exclusive }, set, entries)
    }

    fn del(&mut self, set: &SetName, entries: &[Entry], missing: Existing) -> Result<(), Error> {
        let exclusive = missing == Existing::Refused;
        self.alter(Verb::Del { exclusive }, set, entries)
    }

    fn flush(&mut self, set: &SetName) -> Result<(), Error> {
        let done = self.socket.request(&wire::flush(set));
        done.map(drop).map_err(|error| Error::on(set, error))
    }

    fn swap(&mut self, one: &SetName, other: &SetName) -> Result<(), Error> {
        let done = self.socket.request(&wire::swap(one, other));
        done.map(drop).map_err(|error| Error::on(one, error))
    }

    fn destroy(&mut self, set: &SetName) -> Result<(), Error> {
        let done = self.socket.request(&wire::destroy(set));
        done.map(drop).map_err(|error| Error::on(set, error))
    }
}
