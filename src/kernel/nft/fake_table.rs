//! One table of a [`FakeNft`](super::FakeNft).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reason;
use super::element::Key;
use super::object::{Chain, Element, Expr, Name, Rule, Set, Verdict};
use super::observed::{
    ObservedChain, ObservedRule, ObservedSet, ObservedTable, Ownership, TableHeader,
};
use super::transaction::Existing;
use crate::kernel::netlink::NetlinkError;

/// Chains within one another at most (`NFT_JUMP_STACK_SIZE`).
const JUMPS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FakeTable {
    pub(super) ownership: Ownership,
    pub(super) chains: BTreeMap<Name, FakeChain>,
    pub(super) sets: BTreeMap<Name, FakeSet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FakeChain {
    pub(super) chain: Chain,
    pub(super) rules: Vec<ObservedRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FakeSet {
    pub(super) set: Arc<Set>,
    /// By first and last key.
    pub(super) elements: BTreeMap<(Key, Key), Element>,
}

pub(super) fn whole(reason: Reason) -> (Option<usize>, Reason) {
    (None, reason)
}

pub(super) fn refused(errno: i32) -> Reason {
    Reason::new(NetlinkError::Refused {
        errno,
        message: None,
        offset: None,
    })
}

// === impl FakeTable ===

impl FakeTable {
    pub(super) fn new(ownership: Ownership) -> Self {
        Self {
            ownership,
            chains: BTreeMap::new(),
            sets: BTreeMap::new(),
        }
    }

    pub(super) fn observed(&self, name: &Name) -> ObservedTable {
        let chains = self.chains.iter().map(|(name, chain)| {
            let observed = ObservedChain {
                chain: chain.chain.clone(),
                is_foreign: false,
                rules: chain.rules.clone(),
            };
            (name.clone(), observed)
        });
        let sets = self.sets.iter().map(|(name, set)| {
            let observed = ObservedSet {
                set: Arc::clone(&set.set),
                is_foreign: false,
                elements: set.elements.values().cloned().collect(),
                foreign_elements: 0,
            };
            (name.clone(), observed)
        });
        ObservedTable {
            header: TableHeader {
                name: name.clone(),
                ownership: self.ownership,
            },
            chains: chains.collect(),
            sets: sets.collect(),
        }
    }

    pub(super) fn chain(&mut self, name: &Name) -> Result<&mut FakeChain, Reason> {
        self.chains.get_mut(name).ok_or(Reason::Missing)
    }

    pub(super) fn set(&mut self, name: &Name) -> Result<&mut FakeSet, Reason> {
        self.sets.get_mut(name).ok_or(Reason::Missing)
    }

    pub(super) fn add_chain(&mut self, wanted: &Chain) -> Result<(), Reason> {
        let Some(found) = self.chains.get_mut(&wanted.name) else {
            let chain = FakeChain {
                chain: wanted.clone(),
                rules: Vec::new(),
            };
            self.chains.insert(wanted.name.clone(), chain);
            return Ok(());
        };
        match (&mut found.chain.base, &wanted.base) {
            (Some(old), Some(new)) if (old.hook, old.priority) == (new.hook, new.priority) => {
                old.policy = new.policy;
                Ok(())
            }
            (_, None) => Ok(()),
            _ => Err(refused(libc::EOPNOTSUPP)),
        }
    }

    pub(super) fn delete_chain(&mut self, name: &Name) -> Result<(), Reason> {
        self.chain(name)?;
        // Its own jumps to itself count as well.
        let mut by_rules = self.chains.values().flat_map(|chain| &chain.rules);
        let by_rules = by_rules.any(|observed| jumps_of(&observed.rule).any(|to| to == name));
        let mut members = self.sets.values().flat_map(|set| set.elements.values());
        if by_rules || members.any(|member| member.verdict().and_then(target) == Some(name)) {
            return Err(Reason::Busy);
        }
        self.chains.remove(name);
        Ok(())
    }

    pub(super) fn add_rule(
        &mut self,
        chain: &Name,
        rule: &Rule,
        handle: u64,
    ) -> Result<(), Reason> {
        self.chain(chain)?;
        for expr in rule.exprs() {
            self.check(expr)?;
        }
        let rule = rule.clone();
        self.chain(chain)?.rules.push(ObservedRule { handle, rule });
        Ok(())
    }

    /// Whether everything that an expression names is there.
    pub(super) fn check(&self, expr: &Expr) -> Result<(), Reason> {
        match expr {
            Expr::Verdict(verdict) => self.check_target(verdict),
            Expr::Lookup { set: name, .. } | Expr::VerdictMap { map: name, .. } => {
                let set = &self.sets.get(name).ok_or(Reason::Missing)?.set;
                let wants_map = matches!(expr, Expr::VerdictMap { .. });
                if wants_map != set.is_map {
                    return Err(refused(libc::EINVAL));
                }
                Ok(())
            }
            Expr::Limit(limit) if limit.rate == 0 => Err(refused(libc::EINVAL)),
            Expr::Foreign(_) => Err(Reason::Missing),
            _ => Ok(()),
        }
    }

    pub(super) fn check_target(&self, verdict: &Verdict) -> Result<(), Reason> {
        let Some(name) = target(verdict) else {
            return Ok(());
        };
        let chain = self.chains.get(name).ok_or(Reason::Missing)?;
        if chain.chain.base.is_some() {
            return Err(refused(libc::EOPNOTSUPP));
        }
        Ok(())
    }

    /// Whether a packet that enters at a base chain could jump without end.
    pub(super) fn check_loops(&self) -> Result<(), Reason> {
        let mut chains = self.chains.iter();
        let is_base = |chain: &FakeChain| chain.chain.base.is_some();
        chains.try_for_each(|(name, chain)| match is_base(chain) {
            true => self.check_depth(name, 0),
            false => Ok(()),
        })
    }

    pub(super) fn check_depth(&self, name: &Name, depth: usize) -> Result<(), Reason> {
        if depth == JUMPS_MAX {
            return Err(Reason::Loop);
        }
        let rules = self.chains.get(name).map(|chain| chain.rules.as_slice());
        for observed in rules.unwrap_or_default() {
            for to in jumps_of(&observed.rule) {
                self.check_depth(to, depth + 1)?;
            }
            for to in self.targets_of_maps(&observed.rule) {
                self.check_depth(to, depth + 1)?;
            }
        }
        Ok(())
    }

    /// The chains that the rule's verdict maps lead to, each once.
    pub(super) fn targets_of_maps(&self, rule: &Rule) -> Vec<&Name> {
        let maps = rule.exprs().iter().filter_map(|expr| match expr {
            Expr::VerdictMap { map, .. } => self.sets.get(map),
            _ => None,
        });
        let members = maps.flat_map(|set| set.elements.values());
        let mut targets: Vec<&Name> = members
            .filter_map(|member| member.verdict().and_then(target))
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    pub(super) fn add_set(&mut self, wanted: &Arc<Set>) -> Result<(), Reason> {
        if wanted.key.is_empty() {
            return Err(refused(libc::EINVAL));
        }
        let kind = |set: &Set| (set.key.clone(), set.is_interval, set.is_map);
        match self.sets.get(&wanted.name) {
            Some(found) if kind(&found.set) != kind(wanted) => Err(Reason::Exists),
            Some(_) => Ok(()),
            None => {
                let set = FakeSet {
                    set: Arc::clone(wanted),
                    elements: BTreeMap::new(),
                };
                self.sets.insert(wanted.name.clone(), set);
                Ok(())
            }
        }
    }

    pub(super) fn delete_set(&mut self, name: &Name) -> Result<(), Reason> {
        self.set(name)?;
        let mut rules = self.chains.values().flat_map(|chain| &chain.rules);
        let names = |expr: &Expr| match expr {
            Expr::Lookup { set, .. } | Expr::VerdictMap { map: set, .. } => set == name,
            _ => false,
        };
        if rules.any(|observed| observed.rule.exprs().iter().any(names)) {
            return Err(Reason::Busy);
        }
        self.sets.remove(name);
        Ok(())
    }

    pub(super) fn add_elements(
        &mut self,
        name: &Name,
        elements: &[Element],
        existing: Existing,
    ) -> Result<(), (Option<usize>, Reason)> {
        self.set(name).map_err(whole)?;
        for (index, element) in elements.iter().enumerate() {
            let checked = element.verdict().map(|verdict| self.check_target(verdict));
            let added = checked.unwrap_or(Ok(()));
            let added = added.and_then(|()| self.set(name)?.add(element, existing));
            added.map_err(|reason| (Some(index), reason))?;
        }
        Ok(())
    }

    pub(super) fn delete_elements(
        &mut self,
        name: &Name,
        elements: &[Element],
    ) -> Result<(), (Option<usize>, Reason)> {
        let set = self.set(name).map_err(whole)?;
        for (index, element) in elements.iter().enumerate() {
            let at = set.to_delete(element);
            let removed = at.and_then(|at| set.elements.remove(&at));
            removed.ok_or((Some(index), Reason::Missing))?;
        }
        Ok(())
    }
}

fn target(verdict: &Verdict) -> Option<&Name> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Continue => None,
    }
}

/// The chains that a rule jumps or goes to by itself.
fn jumps_of(rule: &Rule) -> impl Iterator<Item = &Name> {
    rule.exprs().iter().filter_map(|expr| match expr {
        Expr::Verdict(verdict) => target(verdict),
        _ => None,
    })
}

// === impl FakeSet ===

impl FakeSet {
    fn add(&mut self, element: &Element, existing: Existing) -> Result<(), Reason> {
        let is_range = element.low != element.high;
        let fits = element.terms(&self.set.key).is_some();
        let has_verdict = element.verdict().is_some();
        if !fits || has_verdict != self.set.is_map || (is_range && !self.set.is_interval) {
            return Err(refused(libc::EINVAL));
        }
        if let Some(found) = self.elements.get(&(element.low, element.high)) {
            let is_same = found.verdict == element.verdict && existing == Existing::Ignored;
            return if is_same { Ok(()) } else { Err(Reason::Exists) };
        }
        if self.overlaps(element) {
            return Err(Reason::Exists);
        }
        let size = self.set.size.map_or(usize::MAX, |size| size as usize);
        if self.elements.len() >= size {
            return Err(Reason::Full);
        }
        let at = (element.low, element.high);
        self.elements.insert(at, element.clone());
        Ok(())
    }

    fn overlaps(&self, element: &Element) -> bool {
        let meets = |other: &Element| element.overlaps(&self.set.key, other);
        if !self.set.is_interval {
            return false;
        }
        if self.set.key.len() > 1 {
            return self.elements.values().any(meets);
        }
        // Members of one field do not overlap each other: only neighbours can.
        let at = (element.low, element.high);
        let before = self.elements.range(..at).next_back();
        let after = self.elements.range(at..).next();
        let mut neighbours = before.into_iter().chain(after);
        neighbours.any(|(_, other)| meets(other))
    }

    /// Where the member is that goes when this one is to be deleted: among ranges of fields the
    /// kernel looks for one that covers the first key, whatever its own ends.
    fn to_delete(&self, element: &Element) -> Option<(Key, Key)> {
        if self.set.has_ranges_of_fields() {
            return self.find(&element.low).map(|found| (found.low, found.high));
        }
        Some((element.low, element.high))
    }

    /// The member that a packet's key hits.
    pub(super) fn find(&self, key: &Key) -> Option<&Element> {
        let covers = |element: &&Element| element.covers(&self.set.key, key);
        match (self.set.is_interval, self.set.key.len()) {
            (false, _) => self.elements.get(&(*key, *key)),
            (true, 1) => {
                let until = (*key, Key::last(KEY_BYTES));
                let last = self.elements.range(..=until).next_back();
                last.map(|(_, element)| element).filter(covers)
            }
            (true, _) => self.elements.values().find(covers),
        }
    }
}

/// Longer than any key, so that it sorts behind all of them.
const KEY_BYTES: usize = super::element::KEY_MAX;
