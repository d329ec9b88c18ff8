//! nf_tables in memory, for tests of those who use them.
//!
//! Models, each proved against the kernel in `tests/netns_kernel.rs`: transactions that take
//! effect as a whole, what commands are refused and why, owned tables, and the way of a packet
//! through base chains (in `walk`). Stricter than the kernel in one thing: ranges that overlap
//! others are always refused, while the kernel overlooks some and then loses or mixes up members.

use std::collections::BTreeMap;

use super::fake_table::{FakeTable, refused, whole};
use super::object::{Name, Table};
use super::observed::{Generation, Observed, Ownership, TableHeader};
use super::transaction::{Command, Transaction};
use super::{Error, Reason, Refusal, Tables};

/// A kernel's tables without a kernel.
#[derive(Debug, Clone)]
pub struct FakeNft {
    pub(super) tables: BTreeMap<Name, FakeTable>,
    generation: u32,
    next_handle: u64,
    /// Whether tables can be owned, as from Linux 6.9 on.
    pub is_able_to_own: bool,
    /// Transactions that changed something or tried to.
    pub commits: usize,
}

// === impl FakeNft ===

impl Default for FakeNft {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            generation: 1,
            next_handle: 1,
            is_able_to_own: true,
            commits: 0,
        }
    }
}

impl FakeNft {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says who may change a table, as if its owner had gone or another process had taken it.
    pub fn set_ownership(&mut self, table: &Name, ownership: Ownership) {
        if let Some(table) = self.tables.get_mut(table) {
            table.ownership = ownership;
        }
    }

    /// Carries out what can be; tells what cannot.
    fn run_all(&mut self, transaction: &Transaction, is_following: bool) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (index, command) in transaction.commands.iter().enumerate() {
            let done = self.run(&transaction.table, command);
            let done = done.and_then(|()| match is_following {
                true => self.check_loops(&transaction.table).map_err(whole),
                false => Ok(()),
            });
            if let Err((element, reason)) = done {
                refusals.push(Refusal::new(transaction, index, element, reason));
            }
        }
        refusals
    }

    fn check_loops(&self, table: &Name) -> Result<(), Reason> {
        let table = self.tables.get(table);
        table.map_or(Ok(()), FakeTable::check_loops)
    }

    fn run(&mut self, name: &Name, command: &Command) -> Result<(), (Option<usize>, Reason)> {
        match command {
            Command::AddTable(table) => return self.add_table(table).map_err(whole),
            Command::DeleteTable(table) => {
                self.allowed(table).map_err(whole)?;
                self.tables.remove(table);
                return Ok(());
            }
            _ => {}
        }
        let handle = self.next_handle;
        self.next_handle += 1;
        let table = self.allowed(name).map_err(whole)?;
        match command {
            Command::AddTable(_) | Command::DeleteTable(_) => Ok(()),
            Command::AddChain(chain) => table.add_chain(chain).map_err(whole),
            Command::DeleteChain(chain) => table.delete_chain(chain).map_err(whole),
            Command::FlushChain(chain) => {
                table.chain(chain).map_err(whole)?.rules.clear();
                Ok(())
            }
            Command::AddRule(chain, rule) => table.add_rule(chain, rule, handle).map_err(whole),
            Command::AddSet(set) => table.add_set(set).map_err(whole),
            Command::DeleteSet(set) => table.delete_set(&set.name).map_err(whole),
            Command::FlushSet(set) => {
                table.set(&set.name).map_err(whole)?.elements.clear();
                Ok(())
            }
            Command::AddElements(set, elements, existing) => {
                table.add_elements(&set.name, elements, *existing)
            }
            Command::DeleteElements(set, elements) => table.delete_elements(&set.name, elements),
        }
    }

    fn add_table(&mut self, wanted: &Table) -> Result<(), Reason> {
        if wanted.is_owned && !self.is_able_to_own {
            return Err(refused(libc::EOPNOTSUPP));
        }
        if self.tables.contains_key(&wanted.name) {
            let table = self.allowed(&wanted.name)?;
            match (table.ownership, wanted.is_owned) {
                (Ownership::Orphan, true) => table.ownership = Ownership::Mine,
                (Ownership::Mine | Ownership::Orphan, false) | (Ownership::Nobody, true) => {
                    return Err(refused(libc::EOPNOTSUPP));
                }
                _ => {}
            }
            return Ok(());
        }
        let ownership = if wanted.is_owned {
            Ownership::Mine
        } else {
            Ownership::Nobody
        };
        let table = FakeTable::new(ownership);
        self.tables.insert(wanted.name.clone(), table);
        Ok(())
    }

    /// A table that is there and that we may change.
    fn allowed(&mut self, name: &Name) -> Result<&mut FakeTable, Reason> {
        let table = self.tables.get_mut(name).ok_or(Reason::Missing)?;
        if matches!(table.ownership, Ownership::Other(_)) {
            return Err(Reason::NotOwner);
        }
        Ok(table)
    }
}

impl Tables for FakeNft {
    fn commit(
        &mut self,
        transaction: &Transaction,
        since: Option<Generation>,
    ) -> Result<(), Error> {
        self.commits += 1;
        if since.is_some_and(|since| since != Generation(self.generation)) {
            return Err(Error::Outdated);
        }
        let before = self.tables.clone();
        let mut refusals = self.run_all(transaction, false);
        // Chains are followed when all else is well, and only then is the guilty command looked for.
        if refusals.is_empty() && self.check_loops(&transaction.table).is_err() {
            self.tables = before.clone();
            refusals = self.run_all(transaction, true);
        }
        if !refusals.is_empty() {
            self.tables = before;
            return Err(Error::Refused(refusals));
        }
        if self.tables != before {
            self.generation += 1;
        }
        Ok(())
    }

    fn observe(&mut self, name: &Name) -> Result<Observed, Error> {
        let table = self.tables.get(name).map(|table| table.observed(name));
        Ok(Observed {
            generation: Generation(self.generation),
            table,
        })
    }

    fn tables(&mut self) -> Result<Vec<TableHeader>, Error> {
        let headers = self.tables.iter().map(|(name, table)| TableHeader {
            name: name.clone(),
            ownership: table.ownership,
        });
        Ok(headers.collect())
    }

    fn generation(&mut self) -> Result<Generation, Error> {
        Ok(Generation(self.generation))
    }

    fn can_own(&mut self) -> Result<bool, Error> {
        Ok(self.is_able_to_own)
    }

    fn port(&self) -> Result<u32, Error> {
        Ok(1)
    }
}
