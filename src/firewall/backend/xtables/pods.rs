//! The sets that stand for the targets of a dispatch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::firewall::{Direction, Dispatch, Name, SetDef, SetKind};
use crate::net::Family;

pub(super) const EGRESS: &str = "KUBE-EGR-";
pub(super) const INGRESS: &str = "KUBE-ING-";
/// What targets' names begin with, which the sets' names leave out.
const CHAIN: &str = "KUBE-NWPLCY-";

/// The addresses that a dispatch sends to one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PodSet {
    pub(super) family: Family,
    pub(super) dispatch: Dispatch,
    pub(super) chain: Name,
}

/// What stands.
#[derive(Debug, Default)]
pub(super) struct PodSets(BTreeMap<PodSet, BTreeSet<IpAddr>>);

// === impl PodSet ===

impl PodSet {
    /// The set of this name, without the prefix of its family.
    pub(super) fn named(bare: &str, family: Family, dispatches: &[Dispatch]) -> Option<Self> {
        let of = |direction| {
            let mut all = dispatches.iter();
            all.find(|dispatch| dispatch.direction == direction)
                .copied()
        };
        let (dispatch, end) = match (bare.strip_prefix(EGRESS), bare.strip_prefix(INGRESS)) {
            (Some(end), _) => (of(Direction::Source)?, end),
            (_, Some(end)) => (of(Direction::Destination)?, end),
            _ => return None,
        };
        Some(Self {
            family,
            dispatch,
            chain: Name::new(&format!("{CHAIN}{end}"))?,
        })
    }

    /// `None` for a chain whose name leaves no room for that of a set.
    pub(super) fn def(&self) -> Option<SetDef> {
        let prefix = match self.dispatch.direction {
            Direction::Source => EGRESS,
            Direction::Destination => INGRESS,
        };
        let end = self.chain.as_str().strip_prefix(CHAIN)?;
        Some(SetDef {
            name: Name::new(&format!("{prefix}{end}"))?,
            kind: SetKind::Address,
        })
    }

    pub(super) fn kernel_name(&self) -> String {
        let def = self.def();
        def.map(|def| def.kernel_name(self.family))
            .unwrap_or_default()
    }
}

// === impl PodSets ===

impl PodSets {
    pub(super) fn insert(&mut self, set: PodSet, addresses: BTreeSet<IpAddr>) {
        self.0.insert(set, addresses);
    }

    pub(super) fn has(&self, set: &PodSet) -> bool {
        self.0.contains_key(set)
    }

    pub(super) fn add(&mut self, set: PodSet, addresses: &[IpAddr]) {
        self.0.entry(set).or_default().extend(addresses);
    }

    pub(super) fn remove(&mut self, set: &PodSet, addresses: &[IpAddr]) {
        if let Some(held) = self.0.get_mut(set) {
            addresses.iter().for_each(|address| {
                held.remove(address);
            });
        }
    }

    pub(super) fn forget(&mut self, set: &PodSet) {
        self.0.remove(set);
    }

    pub(super) fn of(
        &self,
        family: Family,
        dispatch: Dispatch,
    ) -> impl Iterator<Item = (&PodSet, &BTreeSet<IpAddr>)> {
        self.0
            .iter()
            .filter(move |(set, _)| set.family == family && set.dispatch == dispatch)
    }

    pub(super) fn is_empty(&self, set: &PodSet) -> bool {
        self.0.get(set).is_none_or(BTreeSet::is_empty)
    }

    /// The sets that hold an address.
    pub(super) fn holding(&self, dispatch: Dispatch, address: IpAddr) -> Vec<PodSet> {
        let family = Family::of(address);
        self.of(family, dispatch)
            .filter(|(_, held)| held.contains(&address))
            .map(|(set, _)| *set)
            .collect()
    }

    /// The sets that hold nothing.
    pub(super) fn empty(&self) -> Vec<PodSet> {
        let empty = self.0.iter().filter(|(_, held)| held.is_empty());
        empty.map(|(set, _)| *set).collect()
    }
}
