//! Peers that are told the same, together: each group evaluates the export once per changed prefix.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bgp::policy;
use crate::bgp::policy::{Condition, Policy, evaluate};
use crate::bgp::rib::{
    AdjRibOut, Exporter, Outgoing, Path, PeerId, PrefixView, Rib, Route, RouteId, Routes, Target,
    Told, Withheld,
};
use crate::net::{ByFamily, Family};

/// All that the export depends on; peers that are equal in it are in one group.
#[derive(Debug, Clone)]
pub(super) struct GroupKey {
    pub(super) target: Target,
    pub(super) policy: Arc<Policy>,
    /// One of the group; the policy says of each the same.
    peer: policy::Peer,
    /// What the policy's conditions on the neighbour's address come to, in their order.
    neighbor: Vec<bool>,
}

/// What the export of one prefix comes to.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) told: Result<Arc<Route>, Withheld>,
    /// The statement that decided; `None` for the policy's last word.
    pub(super) statement: Option<Arc<str>>,
}

#[derive(Debug)]
struct Group {
    key: GroupKey,
    exporter: Exporter,
    out: AdjRibOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GroupId(u64);

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    of: FxHashMap<PeerId, GroupId>,
    next: u64,
}

// === impl GroupKey ===

impl GroupKey {
    pub(super) fn new(target: Target, policy: Arc<Policy>, peer: policy::Peer) -> Self {
        let mut neighbor = Vec::new();
        for statement in &policy.statements {
            for condition in &statement.conditions {
                answers(condition, peer.address, &mut neighbor);
            }
        }
        Self {
            target,
            policy,
            peer,
            neighbor,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.target == other.target
            && self.neighbor == other.neighbor
            && (Arc::ptr_eq(&self.policy, &other.policy) || self.policy == other.policy)
    }
}

fn answers(condition: &Condition, address: IpAddr, into: &mut Vec<bool>) {
    match condition {
        Condition::Neighbor(set) => into.push(set.contains(address)),
        Condition::Not(condition) => answers(condition, address, into),
        _ => {}
    }
}

// === impl Group ===

impl Group {
    fn new(key: GroupKey, rib: &Rib) -> Self {
        Self {
            exporter: Exporter::new(key.target.clone()),
            out: AdjRibOut::new(rib),
            key,
        }
    }

    fn export(
        &mut self,
        view: &PrefixView<'_>,
        path: &Path,
        routes: &mut Routes<'_>,
    ) -> Result<Arc<Route>, Withheld> {
        let Self { key, exporter, .. } = self;
        exporter.export(view.id.family, path, routes, |route, source| {
            let route = policy::Route {
                prefix: &view.prefix,
                route,
                source: source.into(),
            };
            evaluate(&key.policy, &route, &key.peer).into()
        })
    }

    fn show(&mut self, view: &PrefixView<'_>, routes: &mut Routes<'_>) {
        let best = view.best();
        let told = best.and_then(|path| {
            let route = self.export(view, path, routes).ok()?;
            let source = path.peer();
            Some(Told { route, source })
        });
        self.out.set(view.id, view.prefix, told);
    }

    fn fill(&mut self, rib: &mut Rib, family: Family) {
        self.exporter.forget();
        rib.walk(family, 0, usize::MAX, |view, routes| {
            self.show(&view, routes);
        });
    }
}

// === impl Groups ===

impl Groups {
    /// A prefix as it is now.
    pub(super) fn show(&mut self, view: &PrefixView<'_>, routes: &mut Routes<'_>) {
        for group in self.groups.values_mut() {
            group.show(view, routes);
        }
    }

    /// Facts of peers, or our own, have changed: what was worked out before counts no more.
    pub(super) fn forget(&mut self) {
        for group in self.groups.values_mut() {
            group.exporter.forget();
        }
    }

    /// Evaluates everything of a family again.
    pub(super) fn refill(&mut self, rib: &mut Rib, family: Family) {
        for group in self.groups.values_mut() {
            group.fill(rib, family);
        }
    }

    /// Puts a peer into its group. Nothing is told before [`Groups::join`]; if it was in another
    /// group, it is told what differs.
    pub(super) fn enter(
        &mut self,
        peer: PeerId,
        key: GroupKey,
        rib: &mut Rib,
        chosen: ByFamily<bool>,
    ) {
        let old = self.of.get(&peer).copied();
        let is_same = |(_, group): &(&GroupId, &Group)| group.key.is_same(&key);
        let known = self.groups.iter().find(is_same).map(|(id, _)| *id);
        if known.is_some() && known == old {
            return;
        }
        let id = known.unwrap_or_else(|| self.add(key, rib, chosen));
        self.of.insert(peer, id);
        if let Some(old) = old
            && let Some(mut from) = self.groups.remove(&old)
        {
            if let Some(group) = self.groups.get_mut(&id) {
                group.out.take_over(peer, &mut from.out, rib);
            }
            self.groups.insert(old, from);
            self.drop_if_empty(old);
        }
    }

    fn add(&mut self, key: GroupKey, rib: &mut Rib, chosen: ByFamily<bool>) -> GroupId {
        let id = GroupId(self.next);
        self.next += 1;
        let mut group = Group::new(key, rib);
        for family in Family::ALL {
            if *chosen.get(family) {
                group.fill(rib, family);
            }
        }
        self.groups.insert(id, group);
        id
    }

    /// Starts to tell a peer a family.
    pub(super) fn join(&mut self, peer: PeerId, address: IpAddr, family: Family) {
        if let Some(group) = self.group_mut(peer) {
            group.out.join(peer, address, family);
        }
    }

    pub(super) fn leave(&mut self, peer: PeerId) {
        if let Some(group) = self.group_mut(peer) {
            group.out.leave(peer);
        }
        if let Some(id) = self.of.remove(&peer) {
            self.drop_if_empty(id);
        }
    }

    fn drop_if_empty(&mut self, id: GroupId) {
        if !self.of.values().any(|other| *other == id) {
            self.groups.remove(&id);
        }
    }

    pub(super) fn refresh(&mut self, peer: PeerId, family: Family, enhanced: bool) {
        if let Some(group) = self.group_mut(peer) {
            group.out.refresh(peer, family, enhanced);
        }
    }

    pub(super) fn has_pending(&self, peer: PeerId) -> bool {
        self.group(peer)
            .is_some_and(|group| group.out.has_pending(peer))
    }

    pub(super) fn drain(&mut self, peer: PeerId, rib: &Rib, limit: usize) -> Vec<Outgoing> {
        let group = self.group_mut(peer);
        group.map_or_else(Vec::new, |group| group.out.drain(peer, rib, limit))
    }

    pub(super) fn announced(&self, peer: PeerId, family: Family) -> usize {
        self.group(peer)
            .map_or(0, |group| group.out.announced(peer, family))
    }

    /// What the peer is told of a prefix, and whether it was written; `None` if nothing.
    pub(super) fn told(&self, peer: PeerId, id: RouteId) -> Option<(&Arc<Route>, bool)> {
        let out = &self.group(peer)?.out;
        let route = out.told(peer, id)?.ok()?;
        Some((route, out.is_written(peer, id)))
    }

    /// What the peer is told of a prefix, or why it is not, and the statement that decided.
    pub(super) fn explain(
        &mut self,
        peer: PeerId,
        view: &PrefixView<'_>,
        routes: &mut Routes<'_>,
    ) -> Option<Exported> {
        let path = view.best()?;
        let group = self.group_mut(peer)?;
        let route = policy::Route {
            prefix: &view.prefix,
            route: path.route(),
            source: routes.source(path).into(),
        };
        let verdict = evaluate(&group.key.policy, &route, &group.key.peer);
        let statement = verdict.decided_by.map(|by| Arc::clone(&by.name));
        let exported = group.export(view, path, routes);
        let told = match (exported, group.out.told(peer, view.id)) {
            (Ok(_), Some(Err(withheld))) => Err(withheld),
            (exported, _) => exported,
        };
        Some(Exported { told, statement })
    }

    fn group(&self, peer: PeerId) -> Option<&Group> {
        self.groups.get(self.of.get(&peer)?)
    }

    fn group_mut(&mut self, peer: PeerId) -> Option<&mut Group> {
        self.groups.get_mut(self.of.get(&peer)?)
    }
}
