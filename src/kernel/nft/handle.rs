//! The socket.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use super::object::{Name, Table};
use super::observed::{Generation, Observed, ObservedSet, ObservedTable, TableHeader};
use super::transaction::{Command, Transaction};
use super::wire::{self, Part};
use super::{Error, Reason, Refusal, Tables, wire_rule_read, wire_set};
use crate::kernel::netlink::{NetlinkError, Socket, Stats};

/// How often a table is read anew when the ruleset changed in the meantime.
const OBSERVE_TRIES: u32 = 8;

/// The nf_tables of the network namespace in which it was opened.
///
/// Tables are owned by the socket: what one handle owns no other can change, not even one of the
/// same process.
#[derive(Debug)]
pub struct Nft {
    pub(super) socket: Socket,
    can_own: Option<bool>,
}

// === impl Nft ===

impl Nft {
    pub fn open() -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open(libc::NETLINK_NETFILTER)?,
            can_own: None,
        })
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.socket.stats()
    }

    /// Sends the messages of a transaction; returns those that were refused, and why.
    fn send(
        &mut self,
        transaction: &Transaction,
        since: Option<Generation>,
    ) -> Result<Vec<(Part, NetlinkError)>, NetlinkError> {
        let (open, close) = wire::envelope(since);
        let mut parts = wire::commands(transaction);
        let requests = parts.iter().map(|part| &part.request);
        let refused = self.socket.transact(&open, requests, &close)?;
        let named = refused.into_iter().rev().filter_map(|(position, error)| {
            parts.truncate(position + 1);
            Some((parts.pop()?, error))
        });
        let mut named: Vec<_> = named.collect();
        named.reverse();
        Ok(named)
    }

    fn observe_once(&mut self, name: &Name) -> Result<Option<ObservedTable>, NetlinkError> {
        let Some(header) = self.header(name)? else {
            return Ok(None);
        };
        let mut chains = BTreeMap::new();
        for message in &self.socket.dump(&wire::request(wire::MSG_GETCHAIN, 0))? {
            if let Some(chain) = wire::chain(&message, name)? {
                chains.insert(chain.chain.name.clone(), chain);
            }
        }
        for message in &self
            .socket
            .dump(&wire::request_in(wire::MSG_GETRULE, 0, name))?
        {
            if let Some((chain, rule)) = wire_rule_read::rule(&message, name)?
                && let Some(chain) = chains.get_mut(&chain)
            {
                chain.rules.push(rule);
            }
        }
        let mut sets = BTreeMap::new();
        for message in &self
            .socket
            .dump(&wire::request_in(wire::MSG_GETSET, 0, name))?
        {
            if let Some(set) = wire_set::set(&message, name)? {
                sets.insert(set.set.name.clone(), set);
            }
        }
        for observed in sets.values_mut().filter(|set| !set.is_foreign) {
            self.read_members(name, observed)?;
        }
        Ok(Some(ObservedTable {
            header,
            chains,
            sets,
        }))
    }

    /// Reads the members of a set, anew if its hash table grew meanwhile: the kernel then tells some
    /// members twice and leaves out as many others.
    fn read_members(
        &mut self,
        table: &Name,
        observed: &mut ObservedSet,
    ) -> Result<(), NetlinkError> {
        let set = &observed.set;
        for _ in 0..OBSERVE_TRIES {
            let replies = self
                .socket
                .dump(&wire_set::get_elements(table, &set.name))?;
            (observed.elements, observed.foreign_elements) = wire_set::members(set, &replies)?;
            let mut pairs = observed.elements.windows(2);
            if !pairs.any(|pair| matches!(pair, [one, next] if one == next)) {
                return Ok(());
            }
        }
        Err(NetlinkError::Interrupted {
            tries: OBSERVE_TRIES,
        })
    }

    fn header(&mut self, name: &Name) -> Result<Option<TableHeader>, NetlinkError> {
        let port = self.socket.port()?;
        let request = wire::request_in(wire::MSG_GETTABLE, 0, name);
        match self.socket.request(&request) {
            Ok(replies) => wire::table(&replies.first()?, port),
            Err(error) if error.is(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Nft {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tables for Nft {
    fn commit(
        &mut self,
        transaction: &Transaction,
        since: Option<Generation>,
    ) -> Result<(), Error> {
        let refused = match self.send(transaction, since) {
            Ok(refused) => refused,
            Err(error) if error.is(libc::ERESTART) => return Err(Error::Outdated),
            Err(error) => return Err(error.into()),
        };
        if refused.is_empty() {
            return Ok(());
        }
        let refusals = refused.into_iter().map(|(part, error)| {
            let element = wire_set::refused_element(&part.request, &error);
            let element = element.map(|index| part.first + index);
            Refusal::new(transaction, part.command, element, Reason::new(error))
        });
        Err(Error::Refused(refusals.collect()))
    }

    fn observe(&mut self, table: &Name) -> Result<Observed, Error> {
        for _ in 0..OBSERVE_TRIES {
            let generation = self.generation()?;
            let observed = self.observe_once(table);
            if self.generation()? != generation {
                continue;
            }
            return Ok(Observed {
                generation,
                table: observed?,
            });
        }
        Err(Error::Unsettled {
            tries: OBSERVE_TRIES,
        })
    }

    fn tables(&mut self) -> Result<Vec<TableHeader>, Error> {
        let port = self.socket.port()?;
        let mut tables = Vec::new();
        for message in &self.socket.dump(&wire::request(wire::MSG_GETTABLE, 0))? {
            tables.extend(wire::table(&message, port)?);
        }
        Ok(tables)
    }

    fn generation(&mut self) -> Result<Generation, Error> {
        let replies = self.socket.request(&wire::get_generation())?;
        Ok(wire::generation(&replies.first()?)?)
    }

    /// Asks by a transaction that cannot succeed: it makes an owned table and deletes what is not
    /// there.
    fn can_own(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.can_own {
            return Ok(known);
        }
        let name = |text: &str| Name::from_kernel(text);
        let table = Table {
            name: name("can-this-kernel-own"),
            is_owned: true,
        };
        let mut question = Transaction::new(table.name.clone());
        question.extend([
            Command::AddTable(table),
            Command::DeleteChain(name("never-made")),
        ]);
        let refused = self.send(&question, None)?;
        let known = refused.iter().all(|(part, _)| part.command != 0);
        self.can_own = Some(known);
        Ok(known)
    }

    fn port(&self) -> Result<u32, Error> {
        Ok(self.socket.port()?)
    }
}
