//! ipset and iptables.
//!
//! Sets are changed member by member by netlink, chains replaced whole by one
//! `iptables-restore --noflush` per family. A dispatch is a chain with one rule per distinct
//! target, each with the set of the addresses that go there: as many rules as there are different
//! targets, not as there are addresses.
//!
//! The kernel tells of changes by others where the tools keep chains in nf_tables; nobody tells of
//! sets, nor of the tables of the legacy variant.
//!
//! Sets and chains can't change together, so the order is everything: an address enters the set
//! of its new target before it leaves that of the old one, and chains are replaced in between.

mod pods;
mod run;
mod script;

pub use script::script;

use self::pods::{PodSet, PodSets};
use super::watch::Watch;
use super::{Backend, Fault, Outcome};
use crate::firewall::render::{ipset as sets, iptables as rules};
use crate::firewall::{
    Action, Chain, ChainKey, Change, Dispatch, Jump, Match, Member, Name, Seen, SetDef, SetKey,
    SetKind, TargetKey, Wanted,
};
use crate::kernel::ipset::{Listed, Selector, SetType, Sets};
use crate::kernel::iptables::{
    Chain as TableChain, Edit, Own, RuleHash, RuleTables, Saved, Table, TableEdits,
};
use crate::kernel::nft::{Monitor, Nft};
use crate::net::{ByFamily, Family};

/// Sets whose names begin so are this owner's; upstream's have the first two as well.
const SET_PREFIXES: [&str; 4] = ["KUBE-SRC-", "KUBE-DST-", pods::EGRESS, pods::INGRESS];

/// The fixed names by which an owner recognises what is its own.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub chains: &'static [Name],
    /// Chains whose names begin so, too.
    pub chain_prefixes: &'static [&'static str],
    pub dispatches: &'static [Dispatch],
    pub sets: &'static [SetDef],
}

/// The packet filter through ipset and the tools of both families.
#[derive(Debug)]
pub struct Xtables<S, T> {
    pub ipset: S,
    /// `None` where the host has no iptables of the family.
    pub iptables: ByFamily<Option<T>>,
    names: Names,
    /// What stands of the dispatches.
    pods: PodSets,
    /// Whether the kernel has sets of pairs (`hash:net,net`); some are built without.
    has_pairs: ByFamily<bool>,
    ear: Option<Ear>,
    /// How often a tool changed a table.
    restores: u32,
}

/// Hears what others do to chains that the tools keep in nf_tables.
#[derive(Debug)]
struct Ear {
    watch: Watch,
    /// Asked for the ruleset's generation only.
    nft: Nft,
}

/// The chains with jumps of ours.
const BUILT_IN: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];

/// No tools for a family that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no iptables for {0}: install the package iptables")]
struct NoTools(Family);

// === impl Names ===

impl Names {
    /// Whether what happens to a chain of the filter table matters to this owner.
    #[must_use]
    pub fn concerns(&self, chain: &str) -> bool {
        BUILT_IN.contains(&chain) || self.is_chain(chain)
    }

    fn is_chain(&self, name: &str) -> bool {
        let dispatches = self.dispatches.iter().map(|dispatch| dispatch.name);
        let mut fixed = self.chains.iter().copied().chain(dispatches);
        fixed.any(|known| known.as_str() == name)
            || self
                .chain_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix))
    }

    fn is_dispatch(&self, name: &str) -> bool {
        let mut dispatches = self.dispatches.iter();
        dispatches.any(|dispatch| dispatch.name.as_str() == name)
    }
}

// === impl Xtables ===

impl<S: Sets, T: RuleTables> Xtables<S, T> {
    #[must_use]
    pub fn new(ipset: S, iptables: ByFamily<Option<T>>, names: Names) -> Self {
        Self {
            ipset,
            iptables,
            names,
            pods: PodSets::default(),
            has_pairs: ByFamily::default(),
            ear: None,
            restores: 0,
        }
    }

    /// From now on changes by others are told that `monitor` hears of: for tools that keep chains
    /// in nf_tables. The tools' own processes change them in our name, so it hears nothing while
    /// they run; `nft` is asked whether anybody else changed something meanwhile.
    #[must_use]
    pub fn listening(mut self, nft: Nft, monitor: Monitor) -> Self {
        let watch = Watch::new(Some(monitor));
        self.ear = Some(Ear { watch, nft });
        self
    }

    fn restore(&mut self, family: Family, edits: TableEdits) -> Result<(), Fault> {
        self.tools(family)?.restore(&[edits])?;
        self.restores = self.restores.saturating_add(1);
        Ok(())
    }

    /// The chain without the rules for which the kernel has no sets: those only admit a pod to
    /// itself, so that what is left refuses more.
    fn fitted(&self, chain: &Chain, family: Family) -> Option<TableChain> {
        if *self.has_pairs.get(family) {
            return rules::chain_of(chain, family);
        }
        let mut chain = chain.clone();
        chain.rules.retain(|rule| {
            let asks_pairs = |condition: &Match| matches!(condition, Match::InSet { set, .. } if set.kind == SetKind::AddressPair);
            !rule.matches.iter().any(asks_pairs)
        });
        rules::chain_of(&chain, family)
    }

    /// Sets that can't be made here count as standing.
    fn see_missing_kinds(&mut self, wanted: &Wanted, seen: &mut Seen) -> Result<(), Fault> {
        for family in Family::ALL {
            let has = self.ipset.has_type(SetType::HashNetNet, family)?;
            *self.has_pairs.get_mut(family) = has;
        }
        for (key, members) in wanted.members.iter() {
            if !self.can_hold(key) {
                seen.sets.insert(*key, members.iter().copied().collect());
            }
        }
        Ok(())
    }

    fn can_hold(&self, key: &SetKey) -> bool {
        key.def.kind != SetKind::AddressPair || *self.has_pairs.get(key.family)
    }

    fn tools(&mut self, family: Family) -> Result<&mut T, Fault> {
        let tools = self.iptables.get_mut(family).as_mut();
        tools.ok_or_else(|| NoTools(family).into())
    }

    /// The filter table; `None` where there are no tools and nothing is wanted of them.
    fn saved(&mut self, family: Family, is_wanted: bool) -> Result<Option<Saved>, Fault> {
        match self.iptables.get_mut(family) {
            Some(tools) => Ok(Some(tools.save(Table::Filter)?)),
            None if is_wanted => Err(NoTools(family).into()),
            None => Ok(None),
        }
    }

    /// All sets of ours with their members.
    fn own_sets(&mut self) -> Result<Vec<Listed>, Fault> {
        let mut found = Vec::new();
        for listed in self.ipset.list(&Selector::All, false)? {
            if self.is_own_set(listed.definition.name.as_str()) {
                let one = Selector::Name(listed.definition.name);
                found.extend(self.ipset.list(&one, true)?);
            }
        }
        Ok(found)
    }

    fn is_own_set(&self, name: &str) -> bool {
        let bare = name.strip_prefix("inet6:").unwrap_or(name);
        let bare = bare.strip_suffix(run::TEMPORARY).unwrap_or(bare);
        self.names.sets.iter().any(|set| set.name.as_str() == bare)
            || SET_PREFIXES.iter().any(|prefix| bare.starts_with(prefix))
    }

    fn see_sets(&mut self, seen: &mut Seen) -> Result<(), Fault> {
        self.pods = PodSets::default();
        for listed in self.own_sets()? {
            let (definition, entries) = (&listed.definition, &listed.entries);
            let family = definition.family;
            let name = definition.name.as_str();
            let bare = name.strip_prefix("inet6:").unwrap_or(name);
            let members = entries.iter().filter_map(sets::member);
            if let Some(set) = PodSet::named(bare, family, self.names.dispatches) {
                let addresses = members.filter_map(|member| match member {
                    Member::Address(address) => Some(address),
                    _ => None,
                });
                self.pods.insert(set, addresses.collect());
            } else if let (Some(kind), Some(name)) =
                (sets::kind_of(definition.kind), Name::new(bare))
            {
                let key = SetKey::new(family, SetDef { name, kind });
                seen.sets.insert(key, members.collect());
            }
        }
        Ok(())
    }

    fn see_rules(&self, family: Family, saved: &Saved, wanted: &Wanted, seen: &mut Seen) {
        for (name, held) in &saved.chains {
            let Some(name) = Name::new(name) else {
                continue;
            };
            if !self.names.is_chain(name.as_str()) || self.names.is_dispatch(name.as_str()) {
                continue;
            }
            let key = ChainKey { family, name };
            let right = wanted.chains.get(&key).filter(|chain| {
                let rendered = self.fitted(chain, family);
                rendered.is_some_and(|chain| stands(&chain, held.hashes()))
            });
            seen.chains.insert(key, right.cloned());
        }
        for dispatch in self.names.dispatches {
            let expected = self.dispatch_chain(family, *dispatch);
            let held = saved.chains.get(dispatch.name.as_str());
            let is_right = match (&expected, held) {
                (Some(expected), Some(held)) => stands(expected, held.hashes()),
                _ => false,
            };
            for (set, addresses) in self.pods.of(family, *dispatch) {
                // An address in two sets is on its way; one that leads nowhere has no target.
                for address in addresses.iter().filter(|_| is_right) {
                    let key = TargetKey {
                        dispatch: *dispatch,
                        address: *address,
                    };
                    let twice = seen.targets.insert(key, set.chain).is_some();
                    if twice {
                        seen.targets.remove(&key);
                    }
                }
            }
            if !is_right {
                forget_users(seen, family, *dispatch);
            }
        }
    }

    /// The rules that lead to the targets of a dispatch, from the sets that hold addresses.
    fn dispatch_chain(&self, family: Family, dispatch: Dispatch) -> Option<TableChain> {
        let targets = self
            .pods
            .of(family, dispatch)
            .filter(|(_, addresses)| !addresses.is_empty())
            .map(|(set, _)| (set.kernel_name(), set.chain));
        rules::dispatch(dispatch, targets)
    }

    fn own_jumps(&self, wanted: &[(Family, Jump)], family: Family) -> Own {
        let jumps = wanted.iter().filter(|(of, _)| *of == family);
        Own {
            table: Table::Filter,
            chains: Vec::new(),
            guests: jumps
                .filter_map(|(_, jump)| rules::guest(jump, family))
                .collect(),
        }
    }

    /// What would have to change in the built-in chains.
    fn jump_edits(&self, wanted: &[(Family, Jump)], family: Family, saved: &Saved) -> TableEdits {
        let own = self.own_jumps(wanted, family);
        let names = self.names;
        let mut edits = saved.changes(&own, |chain| names.is_chain(chain));
        edits
            .edits
            .retain(|edit| matches!(edit, Edit::InsertRule { .. } | Edit::DeleteRule { .. }));
        edits
    }
}

/// Chains that use a dispatch that is not as it should be are to be written again, with it.
fn forget_users(seen: &mut Seen, family: Family, dispatch: Dispatch) {
    for (key, chain) in &mut seen.chains {
        let uses = chain.as_ref().is_some_and(|chain| {
            chain
                .rules
                .iter()
                .any(|rule| rule.action == Action::Dispatch(dispatch))
        });
        if key.family == family && uses {
            *chain = None;
        }
    }
}

fn stands(wanted: &TableChain, held: impl Iterator<Item = Option<RuleHash>>) -> bool {
    held.eq(wanted.rules.iter().map(|rule| Some(rule.hash())))
}

impl<S: Sets, T: RuleTables> Backend for Xtables<S, T> {
    fn name(&self) -> String {
        "iptables".to_owned()
    }

    fn observe(&mut self, wanted: &Wanted) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
        self.see_sets(&mut seen)?;
        self.see_missing_kinds(wanted, &mut seen)?;
        let mut jumps_stand = true;
        for family in Family::ALL {
            let is_wanted = wanted.jumps.iter().any(|(of, _)| *of == family);
            let Some(saved) = self.saved(family, is_wanted)? else {
                continue;
            };
            self.see_rules(family, &saved, wanted, &mut seen);
            jumps_stand &= self.jump_edits(&wanted.jumps, family, &saved).is_empty();
        }
        seen.jumps = jumps_stand.then(|| wanted.jumps.clone());
        Ok(seen)
    }

    fn run(&mut self, steps: &[Change], wanted: &Wanted) -> Vec<Outcome> {
        let Some(mut ear) = self.ear.take() else {
            return run::run(self, steps, wanted);
        };
        self.restores = 0;
        let outcomes = ear.watch.unheard(&mut ear.nft, |_| {
            let outcomes = run::run(self, steps, wanted);
            (outcomes, self.restores)
        });
        self.ear = Some(ear);
        outcomes
    }

    fn is_meddled_with(&mut self) -> bool {
        self.ear.as_mut().is_some_and(|ear| ear.watch.has_news())
    }

    fn remove(&mut self) -> Result<bool, Fault> {
        let mut found = false;
        for family in Family::ALL {
            let Some(saved) = self.saved(family, false)? else {
                continue;
            };
            let nothing = Own {
                table: Table::Filter,
                chains: Vec::new(),
                guests: Vec::new(),
            };
            let names = self.names;
            let edits = saved.changes(&nothing, |chain| names.is_chain(chain));
            if !edits.is_empty() {
                found = true;
                self.restore(family, edits)?;
            }
        }
        for listed in self.own_sets()? {
            found = true;
            self.ipset.destroy(&listed.definition.name)?;
        }
        self.pods = PodSets::default();
        Ok(found)
    }
}
