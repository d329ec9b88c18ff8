//! The steps from what stands to what is wanted, in an order in which nothing opens. Pure.
//!
//! Sets and their new members, then chains, then dispatches, then the gate that lets traffic into
//! them, then the jumps from the kernel's hooks; after that what is no longer wanted, users before
//! what they use. A backend that can make all of it true at once does; one that can't is right
//! after every step: a member that moves between sets stands in both for a moment, never in none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{Chain, ChainKey, Dispatch, Jump, Member, Name, SetKey, TargetKey, Wanted};
use crate::net::Family;

/// What stands, in the same words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub sets: BTreeMap<SetKey, BTreeSet<Member>>,
    /// `None` for one that is not what we would have written.
    pub chains: BTreeMap<ChainKey, Option<Arc<Chain>>>,
    pub targets: BTreeMap<TargetKey, Name>,
    /// `None` where they do not stand as they should.
    pub jumps: Option<Vec<(Family, Jump)>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new set with its members.
    AddSet(SetKey, Vec<Member>),
    AddMembers(SetKey, Vec<Member>),
    /// Makes a chain, or replaces what stands in it.
    SetChain(Family, Arc<Chain>),
    /// Sends addresses to chains, also such as went elsewhere.
    SetTargets(Family, Dispatch, Vec<(IpAddr, Name)>),
    SetJumps(Vec<(Family, Jump)>),
    DelTargets(Family, Dispatch, Vec<IpAddr>),
    DelMembers(SetKey, Vec<Member>),
    DelChain(ChainKey),
    DelSet(SetKey),
}

/// The ordered steps; with `touched_only` nothing else is looked at.
#[must_use]
pub fn changes(wanted: &Wanted, seen: &Seen, touched_only: bool) -> Vec<Change> {
    let mut steps = Steps::default();
    steps.sets(wanted, seen, touched_only);
    steps.chains(wanted, seen, touched_only);
    steps.targets(wanted, seen, touched_only);
    if seen.jumps.as_ref() != Some(&wanted.jumps) {
        steps.jumps.push(Change::SetJumps(wanted.jumps.clone()));
    }
    steps.in_order()
}

/// Steps by their place in the order.
#[derive(Debug, Default)]
struct Steps {
    sets: Vec<Change>,
    members: Vec<Change>,
    chains: Vec<Change>,
    targets: Vec<Change>,
    gate: Vec<Change>,
    jumps: Vec<Change>,
    old_gate: Vec<Change>,
    old_targets: Vec<Change>,
    old_members: Vec<Change>,
    old_chains: Vec<Change>,
    old_sets: Vec<Change>,
}

// === impl Steps ===

impl Steps {
    fn sets(&mut self, wanted: &Wanted, seen: &Seen, touched_only: bool) {
        let keys: BTreeSet<SetKey> = if touched_only {
            wanted.members.touched().keys().copied().collect()
        } else {
            let all = wanted.members.iter().map(|(key, _)| key);
            all.chain(seen.sets.keys()).copied().collect()
        };
        for key in keys {
            self.set(key, wanted, seen, touched_only);
        }
    }

    fn set(&mut self, key: SetKey, wanted: &Wanted, seen: &Seen, touched_only: bool) {
        let is_gate = key.def == wanted.gate;
        let (want, held) = match (wanted.members.get(&key), seen.sets.get(&key)) {
            (None, None) => return,
            (None, Some(_)) => return self.old_sets.push(Change::DelSet(key)),
            (Some(want), None) => {
                let mut members: Vec<Member> = want.iter().copied().collect();
                members.sort_unstable();
                if is_gate {
                    self.sets.push(Change::AddSet(key, Vec::new()));
                    if !members.is_empty() {
                        self.gate.push(Change::AddMembers(key, members));
                    }
                } else {
                    self.sets.push(Change::AddSet(key, members));
                }
                return;
            }
            (Some(want), Some(held)) => (want, held),
        };
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let mut look = |member: Member| match (want.contains(&member), held.contains(&member)) {
            (true, false) => added.push(member),
            (false, true) => removed.push(member),
            _ => {}
        };
        if touched_only {
            let touched = wanted.members.touched().get(&key);
            touched.into_iter().flatten().for_each(|one| look(*one));
        } else {
            let all: BTreeSet<Member> = want.iter().chain(held).copied().collect();
            all.into_iter().for_each(look);
        }
        added.sort_unstable();
        removed.sort_unstable();
        if !added.is_empty() {
            let list = if is_gate {
                &mut self.gate
            } else {
                &mut self.members
            };
            list.push(Change::AddMembers(key, added));
        }
        if !removed.is_empty() {
            let list = if is_gate {
                &mut self.old_gate
            } else {
                &mut self.old_members
            };
            list.push(Change::DelMembers(key, removed));
        }
    }

    fn chains(&mut self, wanted: &Wanted, seen: &Seen, touched_only: bool) {
        let keys: BTreeSet<ChainKey> = if touched_only {
            wanted.chains.touched().iter().copied().collect()
        } else {
            let all = wanted.chains.iter().map(|(key, _)| key);
            all.chain(seen.chains.keys()).copied().collect()
        };
        for key in keys {
            match (wanted.chains.get(&key), seen.chains.get(&key)) {
                (None, Some(_)) => self.old_chains.push(Change::DelChain(key)),
                (Some(want), held) if held.and_then(Option::as_ref) != Some(want) => {
                    let step = Change::SetChain(key.family, Arc::clone(want));
                    self.chains.push(step);
                }
                _ => {}
            }
        }
    }

    fn targets(&mut self, wanted: &Wanted, seen: &Seen, touched_only: bool) {
        let keys: BTreeSet<TargetKey> = if touched_only {
            wanted.targets.touched().iter().copied().collect()
        } else {
            let all = wanted.targets.iter().map(|(key, _)| key);
            all.chain(seen.targets.keys()).copied().collect()
        };
        let mut set: BTreeMap<(Family, Dispatch), Vec<(IpAddr, Name)>> = BTreeMap::new();
        let mut gone: BTreeMap<(Family, Dispatch), Vec<IpAddr>> = BTreeMap::new();
        for key in keys {
            let group = (key.family(), key.dispatch);
            match (wanted.targets.get(&key), seen.targets.get(&key)) {
                (Some(want), held) if held != Some(want) => {
                    set.entry(group).or_default().push((key.address, *want));
                }
                (None, Some(_)) => gone.entry(group).or_default().push(key.address),
                _ => {}
            }
        }
        let set = set.into_iter();
        self.targets.extend(
            set.map(|((family, dispatch), list)| Change::SetTargets(family, dispatch, list)),
        );
        let gone = gone.into_iter();
        self.old_targets.extend(
            gone.map(|((family, dispatch), list)| Change::DelTargets(family, dispatch, list)),
        );
    }

    fn in_order(self) -> Vec<Change> {
        [
            self.sets,
            self.members,
            self.chains,
            self.targets,
            self.gate,
            self.jumps,
            self.old_gate,
            self.old_targets,
            self.old_members,
            self.old_chains,
            self.old_sets,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

// === impl Seen ===

impl Seen {
    /// Takes in a step that worked.
    pub fn take(&mut self, step: &Change) {
        match step {
            Change::AddSet(key, members) => {
                self.sets.insert(*key, members.iter().copied().collect());
            }
            Change::AddMembers(key, members) => {
                self.sets.entry(*key).or_default().extend(members);
            }
            Change::SetChain(family, chain) => {
                let key = ChainKey {
                    family: *family,
                    name: chain.name,
                };
                self.chains.insert(key, Some(Arc::clone(chain)));
            }
            Change::SetTargets(_, dispatch, targets) => {
                let dispatch = *dispatch;
                for (address, name) in targets {
                    let address = *address;
                    self.targets.insert(TargetKey { dispatch, address }, *name);
                }
            }
            Change::SetJumps(jumps) => self.jumps = Some(jumps.clone()),
            Change::DelTargets(_, dispatch, addresses) => {
                let dispatch = *dispatch;
                for address in addresses {
                    let address = *address;
                    self.targets.remove(&TargetKey { dispatch, address });
                }
            }
            Change::DelMembers(key, members) => {
                if let Some(held) = self.sets.get_mut(key) {
                    members.iter().for_each(|member| {
                        held.remove(member);
                    });
                }
            }
            Change::DelChain(key) => {
                self.chains.remove(key);
            }
            Change::DelSet(key) => {
                self.sets.remove(key);
            }
        }
    }
}

// === impl Change ===

impl Change {
    /// What sort of step it is, for the count of changes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddSet(..) => "add-set",
            Self::AddMembers(..) => "add-members",
            Self::SetChain(..) => "set-chain",
            Self::SetTargets(..) => "set-targets",
            Self::SetJumps(..) => "set-jumps",
            Self::DelTargets(..) => "del-targets",
            Self::DelMembers(..) => "del-members",
            Self::DelChain(..) => "del-chain",
            Self::DelSet(..) => "del-set",
        }
    }
}

/// How many members a printed step names.
const SHOWN: usize = 8;

struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in self.0.iter().take(SHOWN) {
            write!(f, " {one}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddSet(key, members) => {
                let name = key.kernel_name();
                write!(f, "add set {name}{}", Listed(members))
            }
            Self::AddMembers(key, members) => {
                write!(f, "add to set {}{}", key.kernel_name(), Listed(members))
            }
            Self::SetChain(family, chain) => {
                let (name, rules) = (chain.name, chain.rules.len());
                write!(f, "set chain {name} ({family}, {rules} rules)")
            }
            Self::SetTargets(_, dispatch, targets) => {
                write!(f, "in {}", dispatch.name)?;
                for (address, name) in targets.iter().take(SHOWN) {
                    write!(f, " {address} to {name}")?;
                }
                match targets.len().saturating_sub(SHOWN) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::SetJumps(jumps) if jumps.is_empty() => f.write_str("remove jumps"),
            Self::SetJumps(jumps) => {
                f.write_str("set jumps")?;
                for (family, jump) in jumps {
                    write!(f, " {} to {} ({family})", jump.from, jump.to)?;
                }
                Ok(())
            }
            Self::DelTargets(_, dispatch, addresses) => {
                write!(f, "out of {}{}", dispatch.name, Listed(addresses))
            }
            Self::DelMembers(key, members) => {
                write!(
                    f,
                    "delete from set {}{}",
                    key.kernel_name(),
                    Listed(members)
                )
            }
            Self::DelChain(key) => write!(f, "delete chain {} ({})", key.name, key.family),
            Self::DelSet(key) => write!(f, "delete set {}", key.kernel_name()),
        }
    }
}
