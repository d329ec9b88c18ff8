//! nftables: one table of our own, at most two transactions per list of steps.
//!
//! Packets see all of a list or nothing of it, except that its chains come first, by themselves.
//! Where the kernel can, the table belongs to this process: nobody else can change it, and it stays
//! when the process ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Backend, Fault, Outcome};
use crate::firewall::render::nft as render;
use crate::firewall::{
    Action, ChainKey, Change, Dispatch, Jump, Member, Name, Seen, SetDef, SetKey, TargetKey,
    Wanted, changes,
};
use crate::kernel::nft::object::{self as object, InvalidName, Set};
use crate::kernel::nft::{
    self, Existing, Monitor, Notice, Observed, ObservedSet, ObservedTable, Ownership, Reason,
    Tables, Transaction,
};
use crate::net::Family;

/// The built-in chains of iptables for which there are base chains.
const HOOKS: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];

/// How many notices of changes by others are looked at in one go.
const NOTICES: usize = 1000;

/// The packet filter through one table of nf_tables.
#[derive(Debug)]
pub struct Nftables<T> {
    pub tables: T,
    table: object::Name,
    dispatches: &'static [Dispatch],
    monitor: Option<Monitor>,
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

/// A transaction that knows which step each command serves.
struct Batch {
    transaction: Transaction,
    /// Per command; `None` for what all steps need.
    steps: Vec<Option<usize>>,
}

// === impl Batch ===

impl Batch {
    /// Everything that `fill` adds serves that step.
    fn of(&mut self, step: Option<usize>, fill: impl FnOnce(&mut Transaction)) {
        fill(&mut self.transaction);
        self.steps.resize(self.transaction.commands().len(), step);
    }
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
            monitor,
            targets: BTreeMap::new(),
            strays: Vec::new(),
            mixed: BTreeSet::new(),
        })
    }

    fn see_chains(&mut self, table: &ObservedTable, wanted: &Wanted, seen: &mut Seen) {
        let mut jumps_stand = true;
        for from in HOOKS {
            let held = render::base(from).and_then(|base| {
                let held = table.chains.get(&base.name)?;
                (held.chain == base && !held.is_foreign).then_some(held)
            });
            let here = wanted.jumps.iter().filter(|(_, jump)| jump.from == from);
            let is_right = match (held, render::jumps(here)) {
                (Some(held), Ok(rules)) => held.rules().eq(&rules),
                _ => false,
            };
            jumps_stand &= is_right;
        }
        for (name, held) in &table.chains {
            let is_base = HOOKS
                .iter()
                .any(|from| render::base(from).is_some_and(|base| base.name == *name));
            match render::parse(name) {
                Some((name, family)) if held.chain.base.is_none() => {
                    let key = ChainKey { family, name };
                    let right = wanted.chains.get(&key).filter(|chain| {
                        let rules = render::rules(chain, family);
                        !held.is_foreign && rules.is_ok_and(|rules| held.rules().eq(&rules))
                    });
                    seen.chains.insert(key, right.cloned());
                }
                _ if is_base => {}
                _ => self.strays.push(Stray::Chain(name.clone())),
            }
        }
        jumps_stand &= self.strays.is_empty();
        seen.jumps = jumps_stand.then(|| wanted.jumps.clone());
    }

    fn see_set(&mut self, held: &ObservedSet, wanted: &Wanted, seen: &mut Seen) {
        let named = render::parse(&held.set.name).filter(|_| !held.is_foreign);
        let dispatch = named.and_then(|(name, _)| {
            let mut all = self.dispatches.iter();
            all.find(|dispatch| dispatch.name == name).copied()
        });
        if let Some(dispatch) = dispatch.filter(|_| held.set.is_map) {
            return self.see_targets(held, dispatch, seen);
        }
        let kind = render::kind(&held.set).filter(|_| !held.set.is_map);
        let (Some((name, family)), Some(kind)) = (named, kind) else {
            self.strays.push(Stray::Set(Arc::clone(&held.set)));
            return;
        };
        let key = SetKey::new(family, SetDef { name, kind });
        let members: BTreeSet<Member> = held
            .elements
            .iter()
            .filter_map(|element| render::member(element, &held.set))
            .collect();
        let is_mixed = members.len() < held.elements.len() || held.foreign_elements > 0;
        if is_mixed && wanted.members.get(&key).is_some() {
            // Left out of what is seen, so that it is made anew.
            self.mixed.insert(key);
        } else {
            seen.sets.insert(key, members);
        }
    }

    fn see_targets(&mut self, held: &ObservedSet, dispatch: Dispatch, seen: &mut Seen) {
        for element in &held.elements {
            match render::read_target(element, &held.set) {
                Some((address, chain)) => {
                    let key = TargetKey { dispatch, address };
                    self.targets.insert(key, Some(chain));
                    seen.targets.insert(key, chain);
                }
                // Somebody else's verdict for one of our addresses: replaced when it is wanted.
                None => {
                    let terms = element.terms(&held.set.key);
                    if let Some([object::Term::Address(address)]) = terms.as_deref() {
                        let address = *address;
                        let key = TargetKey { dispatch, address };
                        self.targets.insert(key, None);
                        seen.targets.insert(key, Name::of("?"));
                    }
                }
            }
        }
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
        match self.tables.commit(&batch.transaction, None) {
            Ok(()) => {
                self.remember(steps);
                steps.iter().map(|_| Outcome::Done).collect()
            }
            Err(error) => outcomes(steps.len(), &batch, &error),
        }
    }

    /// Who may change our table.
    fn ownership(&mut self) -> Result<Option<Ownership>, nft::Error> {
        let tables = self.tables.tables()?;
        let ours = tables.into_iter().find(|header| header.name == self.table);
        Ok(ours.map(|header| header.ownership))
    }
}

impl<T> Nftables<T> {
    /// The commands of a list of steps.
    fn batch(&self, steps: &[Change], is_owned: bool) -> Result<Batch, (usize, InvalidName)> {
        let mut batch = Batch {
            transaction: Transaction::new(self.table.clone()),
            steps: Vec::new(),
        };
        batch.of(None, |transaction| {
            transaction.add_table(is_owned);
        });
        // Names first, so that chains and maps may refer to one another in any order.
        for (position, step) in steps.iter().enumerate() {
            let named = self.names(step, position, &mut batch);
            named.map_err(|error| (position, error))?;
        }
        for (position, step) in steps.iter().enumerate() {
            let filled = self.contents(step, position, &mut batch);
            filled.map_err(|error| (position, error))?;
        }
        Ok(batch)
    }

    fn names(&self, step: &Change, position: usize, batch: &mut Batch) -> Result<(), InvalidName> {
        match step {
            Change::SetChain(family, chain) => {
                let key = ChainKey {
                    family: *family,
                    name: chain.name,
                };
                let name = render::chain_name(key)?;
                batch.of(Some(position), |transaction| {
                    transaction.add_chain(render::regular(name));
                });
                for rule in &chain.rules {
                    if let Action::Dispatch(dispatch) = rule.action {
                        let map = render::map(dispatch, *family)?;
                        batch.of(Some(position), |transaction| {
                            transaction.add_set(&map);
                        });
                    }
                }
            }
            Change::SetTargets(family, dispatch, _) => {
                let map = render::map(*dispatch, *family)?;
                batch.of(Some(position), |transaction| {
                    transaction.add_set(&map);
                });
            }
            Change::AddSet(key, _) => {
                let set = render::set(key)?;
                let is_mixed = self.mixed.contains(key);
                batch.of(Some(position), |transaction| {
                    transaction.add_set(&set);
                    if is_mixed {
                        transaction.flush_set(&set);
                    }
                });
            }
            // Chains that go may jump to one another.
            Change::DelChain(key) => {
                let name = render::chain_name(*key)?;
                batch.of(Some(position), |transaction| {
                    transaction.flush_chain(&name);
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn contents(
        &self,
        step: &Change,
        position: usize,
        batch: &mut Batch,
    ) -> Result<(), InvalidName> {
        match step {
            Change::AddSet(key, members) | Change::AddMembers(key, members) => {
                let set = render::set(key)?;
                let elements = members.iter().map(render::element).collect();
                batch.of(Some(position), |transaction| {
                    transaction.add_elements(&set, elements, Existing::Ignored);
                });
            }
            Change::SetChain(family, chain) => {
                let key = ChainKey {
                    family: *family,
                    name: chain.name,
                };
                let name = render::chain_name(key)?;
                let rules = render::rules(chain, *family)?;
                batch.of(Some(position), |transaction| {
                    transaction.replace_chain(&name, rules);
                });
            }
            Change::SetTargets(family, dispatch, targets) => {
                self.retarget(*family, *dispatch, targets, position, batch)?;
            }
            Change::SetJumps(jumps) => self.hook(jumps, position, batch)?,
            Change::DelTargets(family, dispatch, addresses) => {
                let map = render::map(*dispatch, *family)?;
                let addresses = addresses.iter();
                let elements = addresses.map(|address| render::element(&Member::Address(*address)));
                batch.of(Some(position), |transaction| {
                    transaction.delete_elements(&map, elements.collect());
                });
            }
            Change::DelMembers(key, members) => {
                let set = render::set(key)?;
                let elements = members.iter().map(render::element).collect();
                batch.of(Some(position), |transaction| {
                    transaction.delete_elements(&set, elements);
                });
            }
            Change::DelChain(key) => {
                let name = render::chain_name(*key)?;
                batch.of(Some(position), |transaction| {
                    transaction.delete_chain(&name);
                });
            }
            Change::DelSet(key) => {
                let set = render::set(key)?;
                batch.of(Some(position), |transaction| {
                    transaction.delete_set(&set);
                });
            }
        }
        Ok(())
    }

    fn retarget(
        &self,
        family: Family,
        dispatch: Dispatch,
        targets: &[(IpAddr, Name)],
        position: usize,
        batch: &mut Batch,
    ) -> Result<(), InvalidName> {
        let map = render::map(dispatch, family)?;
        let is_held = |address: IpAddr| {
            let key = TargetKey { dispatch, address };
            self.targets.contains_key(&key)
        };
        let old = targets.iter().filter(|(address, _)| is_held(*address));
        let old = old.map(|(address, _)| render::element(&Member::Address(*address)));
        let old = old.collect();
        let new: Result<Vec<_>, _> = targets
            .iter()
            .map(|(address, chain)| render::target(*address, *chain))
            .collect();
        let new = new?;
        batch.of(Some(position), |transaction| {
            transaction.delete_elements(&map, old);
            transaction.add_elements(&map, new, Existing::Refused);
        });
        Ok(())
    }

    /// Base chains with their jumps; what others put into our table goes.
    fn hook(
        &self,
        jumps: &[(Family, Jump)],
        position: usize,
        batch: &mut Batch,
    ) -> Result<(), InvalidName> {
        for from in HOOKS {
            let Some(base) = render::base(from) else {
                continue;
            };
            let here = jumps.iter().filter(|(_, jump)| jump.from == from);
            let rules = render::jumps(here)?;
            batch.of(Some(position), |transaction| {
                let name = base.name.clone();
                transaction.add_chain(base).replace_chain(&name, rules);
            });
        }
        batch.of(Some(position), |transaction| {
            for stray in &self.strays {
                if let Stray::Chain(name) = stray {
                    transaction.flush_chain(name);
                }
            }
            for stray in &self.strays {
                match stray {
                    Stray::Chain(name) => transaction.delete_chain(name),
                    Stray::Set(set) => transaction.delete_set(set),
                };
            }
        });
        Ok(())
    }
}

/// All that is wanted, in an empty table, as `nft -f` reads it.
///
/// # Errors
/// Where a name is none of nf_tables.
pub fn script(
    table: &str,
    dispatches: &'static [Dispatch],
    wanted: &Wanted,
) -> Result<String, InvalidName> {
    let room = Nftables {
        tables: (),
        table: object::Name::new(table)?,
        dispatches,
        monitor: None,
        targets: BTreeMap::new(),
        strays: Vec::new(),
        mixed: BTreeSet::new(),
    };
    let steps = changes(wanted, &Seen::default(), false);
    let batch = room.batch(&steps, false).map_err(|(_, error)| error)?;
    Ok(batch.transaction.to_string())
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
        let Some(monitor) = &mut self.monitor else {
            return false;
        };
        for _ in 0..NOTICES {
            match monitor.next(Some(Duration::ZERO)) {
                Ok(Notice::Quiet) => return false,
                Ok(Notice::Elsewhere) => {}
                Ok(Notice::Changed | Notice::Overflow) | Err(_) => return true,
            }
        }
        false
    }

    fn remove(&mut self) -> Result<bool, Fault> {
        let is_owned = match self.ownership()? {
            None => return Ok(false),
            Some(Ownership::Nobody) => false,
            Some(_) => true,
        };
        let mut transaction = Transaction::new(self.table.clone());
        transaction.add_table(is_owned).delete_table();
        self.tables.commit(&transaction, None)?;
        self.targets.clear();
        Ok(true)
    }
}
