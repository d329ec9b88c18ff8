//! What one owner wants in the packet filter, with what of it moved since it was last settled.

use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::delta::Desired;
use crate::firewall::{Chain, Dispatch, Jump, Member, Name, SetDef};
use crate::net::Family;

/// A set of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    pub family: Family,
    pub def: SetDef,
}

/// A chain of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    pub family: Family,
    pub name: Name,
}

/// An address that a dispatch sends to a chain of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    pub dispatch: Dispatch,
    pub address: IpAddr,
}

/// Sets and their members.
#[derive(Debug, Clone, Default)]
pub struct Members {
    sets: FxHashMap<SetKey, FxHashSet<Member>>,
    /// A set that is named without members came or went itself.
    touched: FxHashMap<SetKey, FxHashSet<Member>>,
}

/// All sets, chains and dispatches of one owner in both families.
///
/// Chains are replaced whole and hardly ever; members and targets one by one and often. Cost
/// follows what was touched.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub chains: Desired<ChainKey, Arc<Chain>>,
    pub members: Members,
    pub targets: Desired<TargetKey, Name>,
    /// In the order in which they are to stand.
    pub jumps: Vec<(Family, Jump)>,
    /// The set whose members are judged at all: they enter after everything that judges them.
    pub gate: SetDef,
    /// The chain that refuses everything: for addresses whose own chain the kernel will not take.
    pub closed: Name,
}

// === impl SetKey ===

impl SetKey {
    #[must_use]
    pub fn new(family: Family, def: SetDef) -> Self {
        Self { family, def }
    }

    /// The kernel's name of the set in ipset.
    #[must_use]
    pub fn kernel_name(&self) -> String {
        self.def.kernel_name(self.family)
    }
}

// === impl TargetKey ===

impl TargetKey {
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

// === impl Members ===

impl Members {
    /// Wants a set, with or without members.
    pub fn declare(&mut self, key: SetKey) {
        if let Entry::Vacant(vacant) = self.sets.entry(key) {
            vacant.insert(FxHashSet::default());
            self.touched.entry(key).or_default();
        }
    }

    /// Wants the set no more.
    pub fn drop_set(&mut self, key: &SetKey) {
        if self.sets.remove(key).is_some() {
            self.touched.entry(*key).or_default();
        }
    }

    /// Wants a member, and its set.
    pub fn add(&mut self, key: SetKey, member: Member) {
        self.declare(key);
        if self.sets.entry(key).or_default().insert(member) {
            self.touched.entry(key).or_default().insert(member);
        }
    }

    /// Wants the member no more.
    pub fn remove(&mut self, key: &SetKey, member: &Member) {
        let removed = self.sets.get_mut(key).is_some_and(|set| set.remove(member));
        if removed {
            self.touched.entry(*key).or_default().insert(*member);
        }
    }

    /// Wants exactly these members; touches only what differs.
    pub fn replace(&mut self, key: SetKey, wanted: FxHashSet<Member>) {
        self.declare(key);
        let held = self.sets.entry(key).or_default();
        let differing: Vec<Member> = held.symmetric_difference(&wanted).copied().collect();
        if !differing.is_empty() {
            *held = wanted;
            self.touched.entry(key).or_default().extend(differing);
        }
    }

    #[must_use]
    pub fn get(&self, key: &SetKey) -> Option<&FxHashSet<Member>> {
        self.sets.get(key)
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&SetKey, &FxHashSet<Member>)> {
        self.sets.iter()
    }

    #[must_use]
    pub fn touched(&self) -> &FxHashMap<SetKey, FxHashSet<Member>> {
        &self.touched
    }

    /// What was done about the set is done.
    pub fn settle(&mut self, key: &SetKey) {
        self.touched.remove(key);
    }
}

// === impl Wanted ===

impl Wanted {
    #[must_use]
    pub fn new(gate: SetDef, closed: Name) -> Self {
        Self {
            chains: Desired::default(),
            members: Members::default(),
            targets: Desired::default(),
            jumps: Vec::new(),
            gate,
            closed,
        }
    }

    /// Wants a chain.
    pub fn set_chain(&mut self, family: Family, chain: Arc<Chain>) {
        let name = chain.name;
        self.chains.set(ChainKey { family, name }, chain);
    }
}
