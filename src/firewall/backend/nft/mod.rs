//! nftables: one table of our own, at most two transactions per list of steps.
//!
//! Packets see all of a list or nothing of it, except that its chains come first, by themselves.
//! Where the kernel can, the table belongs to this process: nobody else can change it, and it stays
//! when the process ends.

mod batch;
mod seen;

pub use batch::script;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use self::batch::Batch;
use super::watch::{self, Watch};
use super::{Backend, Fault, Outcome};
use crate::firewall::{Change, Dispatch, Name, Seen, SetKey, TargetKey, Wanted};
use crate::kernel::nft::object::{self as object, InvalidName, Set};
use crate::kernel::nft::{self, Monitor, Observed, Ownership, Reason, Tables, Transaction};

/// The built-in chains of iptables for which there are base chains.
const HOOKS: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];

/// The packet filter through one table of nf_tables.
#[derive(Debug)]
pub struct Nftables<T> {
    pub tables: T,
    table: object::Name,
    dispatches: &'static [Dispatch],
    watch: Watch,
    /// What stands of the dispatches: an entry is replaced by deleting the old one.
    targets: BTreeMap<TargetKey, Option<Name>>,
    /// Objects of others in our table, which go with the next jumps.
    strays: Vec<Stray>,
    /// Sets with members that we never put in, to be emptied before they are filled.
    mixed: BTreeSet<SetKey>,
}

/// Something of others in our table.
#[derive(Debug, Clone)]
enum Stray {
    Chain(object::Name),
    Set(Arc<Set>),
}

/// Why our table can't be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table {table} belongs to another running process (netlink port {port})")]
struct Foreign {
    table: &'static str,
    port: u32,
}
// === impl Nftables ===

impl<T: Tables> Nftables<T> {
    /// `monitor` tells of changes by others.
    ///
    /// # Errors
    /// Where `table` is no name for a table.
    pub fn new(
        tables: T,
        table: &str,
        dispatches: &'static [Dispatch],
        monitor: Option<Monitor>,
    ) -> Result<Self, InvalidName> {
        Ok(Self {
            tables,
            table: object::Name::new(table)?,
            dispatches,
            watch: Watch::new(monitor),
            targets: BTreeMap::new(),
            strays: Vec::new(),
            mixed: BTreeSet::new(),
        })
    }
    /// After a transaction that took effect.
    fn remember(&mut self, steps: &[Change]) {
        for step in steps {
            match step {
                Change::SetTargets(_, dispatch, targets) => {
                    let dispatch = *dispatch;
                    let targets = targets.iter();
                    self.targets.extend(targets.map(|(address, chain)| {
                        let address = *address;
                        (TargetKey { dispatch, address }, Some(*chain))
                    }));
                }
                Change::DelTargets(_, dispatch, addresses) => {
                    let dispatch = *dispatch;
                    for address in addresses {
                        let address = *address;
                        self.targets.remove(&TargetKey { dispatch, address });
                    }
                }
                Change::SetJumps(_) => self.strays.clear(),
                Change::AddSet(key, _) => {
                    self.mixed.remove(key);
                }
                _ => {}
            }
        }
    }

    /// One transaction.
    fn run_at_once(&mut self, steps: &[Change]) -> Vec<Outcome> {
        if steps.is_empty() {
            return Vec::new();
        }
        let owned = self.tables.can_own();
        let is_owned = match owned {
            Ok(is_owned) => is_owned,
            Err(error) => return all_left(steps.len(), &error),
        };
        let batch = match self.batch(steps, is_owned) {
            Ok(batch) => batch,
            Err((position, error)) => {
                let mut outcomes = all_left(steps.len(), &error);
                if let Some(outcome) = outcomes.get_mut(position) {
                    *outcome = Outcome::Refused(error.into());
                }
                return outcomes;
            }
        };
        match self.commit(&batch.transaction) {
            Ok(()) => {
                self.remember(steps);
                steps.iter().map(|_| Outcome::Done).collect()
            }
            Err(error) => outcomes(steps.len(), &batch, &error),
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), nft::Error> {
        let commit = |tables: &mut T| {
            let done = tables.commit(transaction, None);
            let commits = u32::from(done.is_ok());
            (done, commits)
        };
        let done = if watch::is_large(transaction) {
            self.watch.unheard(&mut self.tables, commit)
        } else {
            commit(&mut self.tables).0
        };
        self.watch.leave_out(self.tables.port());
        done
    }

    /// Who may change our table.
    fn ownership(&mut self) -> Result<Option<Ownership>, nft::Error> {
        let tables = self.tables.tables()?;
        let ours = tables.into_iter().find(|header| header.name == self.table);
        Ok(ours.map(|header| header.ownership))
    }
}
/// What each step comes to when the transaction was refused.
fn outcomes(steps: usize, batch: &Batch, error: &nft::Error) -> Vec<Outcome> {
    let refusals = match error {
        nft::Error::Refused(refusals) => refusals.as_slice(),
        _ => &[],
    };
    let mut outcomes: Vec<Option<Outcome>> = (0..steps).map(|_| None).collect();
    for refusal in refusals {
        let step = batch.steps.get(refusal.command).copied().flatten();
        let place = step.and_then(|step| outcomes.get_mut(step));
        if let Some(place) = place {
            let fault: Fault = refusal.to_string().into();
            *place = Some(match refusal.reason {
                Reason::Exists | Reason::Missing => Outcome::Stale(fault),
                Reason::NotOwner | Reason::Busy => Outcome::Left(fault),
                Reason::Full | Reason::Loop | Reason::Kernel(_) => Outcome::Refused(fault),
            });
        }
    }
    let left = || Outcome::Left(error.to_string().into());
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(left))
        .collect()
}

fn all_left(steps: usize, reason: &dyn fmt::Display) -> Vec<Outcome> {
    let left = |_| Outcome::Left(reason.to_string().into());
    (0..steps).map(left).collect()
}

impl<T: Tables> Backend for Nftables<T> {
    fn name(&self) -> String {
        "nftables".to_owned()
    }

    fn claim(&mut self) -> Result<(), Fault> {
        if self.ownership()? == Some(Ownership::Orphan) {
            let mut transaction = Transaction::new(self.table.clone());
            transaction.add_table(true);
            self.commit(&transaction)?;
        }
        Ok(())
    }

    fn observe(&mut self, wanted: &Wanted) -> Result<Seen, Fault> {
        let Observed { table, .. } = self.tables.observe(&self.table)?;
        let mut seen = Seen::default();
        self.targets.clear();
        self.strays.clear();
        self.mixed.clear();
        let Some(table) = table else {
            seen.jumps = wanted.jumps.is_empty().then(Vec::new);
            return Ok(seen);
        };
        if let Ownership::Other(port) = table.header.ownership {
            let table = "inet kube-router-netpol";
            return Err(Foreign { table, port }.into());
        }
        for held in table.sets.values() {
            self.see_set(held, wanted, &mut seen);
        }
        self.see_chains(&table, wanted, &mut seen);
        Ok(seen)
    }

    /// Chains stand before anything leads to them: a packet that is on its way while a transaction
    /// takes effect finds the new members of sets and maps, but runs through chains as they were,
    /// which for a new chain is empty.
    fn run(&mut self, steps: &[Change], _: &Wanted) -> Vec<Outcome> {
        let is_chain = |step: &Change| matches!(step, Change::SetChain(..));
        let chains = steps.iter().rposition(is_chain).map_or(0, |last| last + 1);
        let (first, then) = steps.split_at(chains);
        let mut outcomes = self.run_at_once(first);
        let is_broken = outcomes.iter().any(|one| !matches!(one, Outcome::Done));
        outcomes.extend(if is_broken {
            all_left(then.len(), &"not tried: a step before it did not work")
        } else {
            self.run_at_once(then)
        });
        outcomes
    }

    fn is_meddled_with(&mut self) -> bool {
        self.watch.has_news()
    }

    fn remove(&mut self) -> Result<bool, Fault> {
        let is_owned = match self.ownership()? {
            None => return Ok(false),
            Some(Ownership::Nobody) => false,
            Some(_) => true,
        };
        let mut transaction = Transaction::new(self.table.clone());
        transaction.add_table(is_owned).delete_table();
        self.commit(&transaction)?;
        self.targets.clear();
        Ok(true)
    }
}
