//! Steps as the commands of one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{HOOKS, Nftables, Stray};
use crate::firewall::backend::watch::Watch;
use crate::firewall::render::nft as render;
use crate::firewall::{
    Action, ChainKey, Change, Dispatch, Jump, Member, Name, Seen, TargetKey, Wanted, changes,
};
use crate::kernel::nft::object::{self as object, InvalidName};
use crate::kernel::nft::{Existing, Transaction};
use crate::net::Family;

/// A transaction that knows which step each command serves.
pub(super) struct Batch {
    pub(super) transaction: Transaction,
    /// Per command; `None` for what all steps need.
    pub(super) steps: Vec<Option<usize>>,
}

// === impl Batch ===

impl Batch {
    /// Everything that `fill` adds serves that step.
    fn of(&mut self, step: Option<usize>, fill: impl FnOnce(&mut Transaction)) {
        fill(&mut self.transaction);
        self.steps.resize(self.transaction.commands().len(), step);
    }
}
impl<T> Nftables<T> {
    /// The commands of a list of steps.
    pub(super) fn batch(
        &self,
        steps: &[Change],
        is_owned: bool,
    ) -> Result<Batch, (usize, InvalidName)> {
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
        watch: Watch::new(None),
        targets: BTreeMap::new(),
        strays: Vec::new(),
        mixed: BTreeSet::new(),
    };
    let steps = changes(wanted, &Seen::default(), false);
    let batch = room.batch(&steps, false).map_err(|(_, error)| error)?;
    Ok(batch.transaction.to_string())
}
