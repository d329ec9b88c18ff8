//! The ordered steps from what stands to what is planned. Pure.
//!
//! Things come before what refers to them, and go after it: kernel settings, FOU ports, the bridge,
//! sets, rules, tunnels, policy rules, what BGP says, routes; then in reverse what is not wanted. The CNI file is
//! written last of all: from then on pods come.
//!
//! Routes and tunnels of an earlier run are removed only when it is known that nobody tells them
//! any more ([`Patience`]); what this run has planned and dropped goes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::delta::{Edit, edits};
use crate::firewall::{Member, SetDef, is_routing_chain, no_rules, own_rules};
use crate::kernel::iptables::object::{Own, Saved, Table, TableEdits};
use crate::net::{ByFamily, Family};
use crate::reconcile::Scope;
use crate::routing::plan::Plan;
use crate::routing::plan::bgp::BgpPlan;
use crate::routing::plan::cni::merged;
use crate::routing::plan::host::Wanted;
use crate::routing::plan::overlay::{FouPort, HeldTunnel, PolicyRule, TunnelName, TunnelPlan};
use crate::routing::plan::routes::{RouteKey, RoutePlan, Via};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Puts the CNI configuration aside.
    WithholdCni(PathBuf),
    SetSysctl {
        key: String,
        value: &'static str,
        was: String,
    },
    AddFou(FouPort),
    /// Creates the bridge or switches it on.
    AddBridge,
    SetBridgeMtu(u32),
    /// Sized for this many members.
    CreateSet {
        set: SetDef,
        family: Family,
        members: usize,
    },
    AddMember(SetDef, Member),
    ApplyRules {
        family: Family,
        edits: Vec<TableEdits>,
    },
    /// Anew, where there is one of this name.
    AddTunnel(TunnelName, TunnelPlan),
    AddRule(PolicyRule),
    /// Tells speaker, listeners and BFD what to be.
    SetBgp(Arc<BgpPlan>),
    SetRoute(RouteKey, Arc<RoutePlan>),
    DelRoute(RouteKey),
    DelRule(PolicyRule),
    DelTunnel(TunnelName),
    DelFou(FouPort),
    DelMember(SetDef, Member),
    DestroySet {
        set: SetDef,
        family: Family,
    },
    DelBridge,
    WriteCni {
        file: PathBuf,
        text: String,
    },
}

/// The bridge as it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bridge {
    pub is_up: bool,
    pub mtu: u32,
    /// How many links are attached to it.
    pub ports: usize,
}

/// The CNI configuration as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniFile {
    pub text: Option<String>,
    /// What was put aside.
    pub withheld: Option<String>,
}

/// What of earlier runs is to stay for now, though it is not planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// Families of which not everything may have been learned yet.
    pub keeps: ByFamily<bool>,
    /// The node has just started, and pods must not come before the network is there.
    pub withholds_pods: bool,
}

/// What the kernel is believed to hold of ours.
#[derive(Debug, Default)]
pub struct Observed {
    pub bridge: Option<Bridge>,
    pub tunnels: BTreeMap<TunnelName, HeldTunnel>,
    pub routes: BTreeMap<RouteKey, Arc<RoutePlan>>,
    pub policy: BTreeSet<PolicyRule>,
    pub fou: BTreeSet<FouPort>,
    pub members: BTreeMap<(SetDef, Member), ()>,
    pub sets: BTreeSet<(SetDef, Family)>,
    /// What `iptables-save` printed; `None` where the family has no iptables.
    pub rules: ByFamily<Option<BTreeMap<Table, Saved>>>,
    /// Values under `/proc/sys`; `None` where the kernel has no such setting.
    pub sysctls: BTreeMap<String, Option<String>>,
    pub cni: CniFile,
    /// What BGP was told last.
    pub bgp: Option<Arc<BgpPlan>>,
}

// === impl Change ===

impl Change {
    /// What sort of step it is, for the count of changes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WithholdCni(_) => "withhold-cni",
            Self::SetSysctl { .. } => "set-sysctl",
            Self::AddFou(_) => "add-fou",
            Self::AddBridge => "add-bridge",
            Self::SetBridgeMtu(_) => "set-bridge-mtu",
            Self::CreateSet { .. } => "create-set",
            Self::AddMember(..) => "add-member",
            Self::ApplyRules { .. } => "apply-rules",
            Self::AddTunnel(..) => "add-tunnel",
            Self::AddRule(_) => "add-rule",
            Self::SetBgp(_) => "set-bgp",
            Self::SetRoute(..) => "set-route",
            Self::DelRoute(_) => "del-route",
            Self::DelRule(_) => "del-rule",
            Self::DelTunnel(_) => "del-tunnel",
            Self::DelFou(_) => "del-fou",
            Self::DelMember(..) => "del-member",
            Self::DestroySet { .. } => "destroy-set",
            Self::DelBridge => "del-bridge",
            Self::WriteCni { .. } => "write-cni",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::text::write(self, f)
    }
}

/// The steps that make the node right. `lost` are routes that somebody deleted since the look.
#[must_use]
pub fn changes(
    plan: &Plan,
    seen: &Observed,
    scope: Scope,
    patience: Patience,
    lost: &BTreeSet<RouteKey>,
) -> Vec<Change> {
    let touched = scope == Scope::Touched;
    let mut steps = Vec::new();
    steps.extend(withheld(plan, seen, patience));
    host_changes(plan, seen, touched, &mut steps);
    let (fresh, gone) = tunnel_changes(plan, seen, touched, patience);
    let (set, deleted) = route_changes(plan, seen, touched, patience, lost, &fresh);
    steps.extend(fresh.steps);
    let policy = &plan.host.rules;
    steps.extend(
        policy
            .difference(&seen.policy)
            .copied()
            .map(Change::AddRule),
    );
    // Neighbours may send packets from here on: the node is ready to forward them.
    steps.extend(told(plan, seen));
    steps.extend(set);
    steps.extend(deleted);
    steps.extend(seen.policy.difference(policy).copied().map(Change::DelRule));
    steps.extend(gone);
    steps.extend(
        seen.fou
            .difference(&plan.host.fou)
            .copied()
            .map(Change::DelFou),
    );
    steps.extend(leftovers(plan, seen, touched));
    steps.extend(written(plan, seen, patience));
    steps
}

fn withheld(plan: &Plan, seen: &Observed, patience: Patience) -> Option<Change> {
    let cni = plan.host.cni.as_ref()?;
    let withholds = patience.withholds_pods && seen.cni.text.is_some();
    withholds.then(|| Change::WithholdCni(cni.file.clone()))
}

fn written(plan: &Plan, seen: &Observed, patience: Patience) -> Option<Change> {
    let cni = plan.host.cni.as_ref()?;
    if patience.withholds_pods {
        return None;
    }
    let base = seen.cni.text.as_ref().or(seen.cni.withheld.as_ref());
    // A document that nothing can be merged into is left alone, and there is a note of it.
    let text = merged(base.map(String::as_str), cni).ok()?;
    let differs = seen.cni.text.as_ref() != Some(&text);
    differs.then(|| Change::WriteCni {
        file: cni.file.clone(),
        text,
    })
}

fn told(plan: &Plan, seen: &Observed) -> Option<Change> {
    let bgp = plan.bgp.as_ref()?;
    // Where no BGP can be spoken any more what was said holds: a broken annotation ends no session.
    bgp.speaker.as_ref()?;
    let is_told = seen
        .bgp
        .as_ref()
        .is_some_and(|told| Arc::ptr_eq(told, bgp) || told == bgp);
    (!is_told).then(|| Change::SetBgp(Arc::clone(bgp)))
}

fn host_changes(plan: &Plan, seen: &Observed, touched: bool, steps: &mut Vec<Change>) {
    steps.extend(plan.host.sysctls.iter().filter_map(|sysctl| {
        let was = seen.sysctls.get(&sysctl.key)?.as_deref()?;
        let value = match sysctl.wanted {
            Wanted::Exactly(value) => (was != value).then_some(value),
            Wanted::InsteadOf { old, new } => (was == old).then_some(new),
        }?;
        Some(Change::SetSysctl {
            key: sysctl.key.clone(),
            value,
            was: was.to_owned(),
        })
    }));
    steps.extend(
        plan.host
            .fou
            .difference(&seen.fou)
            .copied()
            .map(Change::AddFou),
    );
    if plan.input().is_some() && !seen.bridge.is_some_and(|bridge| bridge.is_up) {
        steps.push(Change::AddBridge);
    }
    let held = seen.bridge.map(|bridge| bridge.mtu);
    steps.extend(
        plan.host
            .mtu
            .filter(|mtu| held != Some(*mtu))
            .map(Change::SetBridgeMtu),
    );
    for ruleset in &plan.host.rulesets {
        let family = ruleset.family;
        let missing = ruleset
            .sets
            .iter()
            .filter(|set| !seen.sets.contains(&(**set, family)));
        steps.extend(missing.map(|set| Change::CreateSet {
            set: *set,
            family,
            members: plan.member_count(*set, family),
        }));
    }
    // Who counts as inside, before packets are looked at.
    for edit in edits(&plan.members, &seen.members, touched) {
        if let Edit::Add((set, member), ()) = edit {
            steps.push(Change::AddMember(set, member));
        }
    }
    for ruleset in &plan.host.rulesets {
        let family = ruleset.family;
        let edits = rule_edits(&own_rules(ruleset), seen.rules.get(family).as_ref());
        if !edits.is_empty() {
            steps.push(Change::ApplyRules { family, edits });
        }
    }
}

/// Tunnels that come into being or change, and what of the kernel's routes goes with the old ones.
#[derive(Debug, Default)]
struct Fresh {
    steps: Vec<Change>,
    /// Links that die in between.
    cut: BTreeSet<TunnelName>,
}

fn tunnel_changes(
    plan: &Plan,
    seen: &Observed,
    touched: bool,
    patience: Patience,
) -> (Fresh, Vec<Change>) {
    let held: BTreeMap<TunnelName, TunnelPlan> = seen
        .tunnels
        .iter()
        .filter_map(|(name, tunnel)| Some((*name, tunnel.plan?)))
        .collect();
    let wanted = &plan.roads.tunnels;
    let (mut fresh, mut gone) = (Fresh::default(), Vec::new());
    for edit in edits(wanted, &held, touched) {
        match edit {
            Edit::Add(name, tunnel) | Edit::Replace(name, tunnel, _) => {
                // The kernel takes no two tunnels between the same ends: one of upstream's name.
                let twins = seen.tunnels.iter().filter(|(other, twin)| {
                    **other != name
                        && wanted.get(other).is_none()
                        && twin.ends == Some((tunnel.local, tunnel.remote))
                });
                for (twin, _) in twins {
                    fresh.cut.insert(*twin);
                    fresh.steps.push(Change::DelTunnel(*twin));
                }
                fresh.cut.insert(name);
                fresh.steps.push(Change::AddTunnel(name, tunnel));
            }
            Edit::Remove(..) => {}
        }
    }
    for (name, tunnel) in &seen.tunnels {
        let keeps = tunnel
            .family()
            .map_or(patience.keeps.v4 || patience.keeps.v6, |family| {
                *patience.keeps.get(family)
            });
        let is_wanted = wanted.get(name).is_some() || fresh.cut.contains(name);
        if !is_wanted && (!keeps || wanted.touched().contains(name)) {
            gone.push(Change::DelTunnel(*name));
        }
    }
    (fresh, gone)
}

fn route_changes(
    plan: &Plan,
    seen: &Observed,
    touched: bool,
    patience: Patience,
    lost: &BTreeSet<RouteKey>,
    fresh: &Fresh,
) -> (Vec<Change>, Vec<Change>) {
    let wanted = &plan.roads.routes;
    let is_cut = |route: &RoutePlan| {
        !fresh.cut.is_empty()
            && route
                .ways
                .iter()
                .any(|way| matches!(way, Via::Tunnel(name) if fresh.cut.contains(name)))
    };
    let (mut set, mut deleted) = (BTreeMap::new(), Vec::new());
    for edit in edits(wanted, &seen.routes, touched) {
        match edit {
            Edit::Add(key, route) | Edit::Replace(key, route, _) => {
                set.insert(key, route);
            }
            Edit::Remove(key, _) => {
                let keeps = *patience.keeps.get(Family::of_prefix(&key.destination));
                if !keeps || wanted.touched().contains(&key) {
                    deleted.push(Change::DelRoute(key));
                }
            }
        }
    }
    for key in lost {
        set.extend(wanted.get(key).map(|route| (*key, Arc::clone(route))));
    }
    // They died with the link that they went by.
    if !fresh.cut.is_empty() {
        let cut = wanted.iter().filter(|(_, route)| is_cut(route));
        set.extend(cut.map(|(key, route)| (*key, Arc::clone(route))));
    }
    // The lower table first: what leads to nodes stands before what leads to pods.
    let set = set.into_iter();
    let set = set.map(|(key, route)| Change::SetRoute(key, route));
    (set.collect(), deleted)
}

/// Members that are gone, and what is left of a family that was switched off.
fn leftovers(plan: &Plan, seen: &Observed, touched: bool) -> Vec<Change> {
    let is_on = |family| {
        let mut rulesets = plan.host.rulesets.iter();
        rulesets.any(|ruleset| ruleset.family == family)
    };
    let mut steps = Vec::new();
    for edit in edits(&plan.members, &seen.members, touched) {
        if let Edit::Remove((set, member), ()) = edit
            && is_on(member.family())
        {
            steps.push(Change::DelMember(set, member));
        }
    }
    let off = Family::ALL.into_iter().filter(|family| !is_on(*family));
    steps.extend(off.flat_map(|family| family_removal(seen, family)));
    steps
}

/// Rules first: a set that a rule names can't be destroyed.
fn family_removal(seen: &Observed, family: Family) -> Vec<Change> {
    let mut steps = Vec::new();
    let edits = rule_edits(&no_rules(), seen.rules.get(family).as_ref());
    if !edits.is_empty() {
        steps.push(Change::ApplyRules { family, edits });
    }
    let sets = seen.sets.iter().filter(|(_, of)| *of == family);
    steps.extend(sets.map(|(set, family)| Change::DestroySet {
        set: *set,
        family: *family,
    }));
    steps
}

fn rule_edits(own: &[Own], saved: Option<&BTreeMap<Table, Saved>>) -> Vec<TableEdits> {
    let nothing = Saved::default();
    own.iter()
        .map(|own| {
            let saved = saved
                .and_then(|tables| tables.get(&own.table))
                .unwrap_or(&nothing);
            saved.changes(own, is_routing_chain)
        })
        .filter(|edits| !edits.is_empty())
        .collect()
}

/// The steps that remove everything of ours. The CNI file stays as it is: without it the runtime
/// could not even take down the pods that are there. The bridge goes when nothing hangs on it.
#[must_use]
pub fn removal(seen: &Observed) -> Vec<Change> {
    let mut steps: Vec<Change> = seen.policy.iter().copied().map(Change::DelRule).collect();
    steps.extend(seen.routes.keys().copied().map(Change::DelRoute));
    steps.extend(seen.tunnels.keys().copied().map(Change::DelTunnel));
    steps.extend(seen.fou.iter().copied().map(Change::DelFou));
    let families = Family::ALL.into_iter();
    steps.extend(families.flat_map(|family| family_removal(seen, family)));
    if seen.bridge.is_some_and(|bridge| bridge.ports == 0) {
        steps.push(Change::DelBridge);
    }
    steps
}
