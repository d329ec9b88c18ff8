//! Nodes, node facts and learned paths to everything routing wants of this node.
//!
//! ```text
//! BestPaths ──Roads: what changed since the last──► routes, tunnels (counted by the routes through them)
//! Nodes ──members──► kube-router-pod-subnets, kube-router-node-ips
//! NodeFacts + Settings ──plan_host──► kernel settings, bridge, rules, FOU ports, rulesets, CNI
//! Nodes, Services, NodeFacts ──bgp::desired──► what is said by BGP, and to whom
//! ```
//!
//! The [`Plan`] depends on the present inputs only; what it remembers saves work and never changes
//! the result.

pub mod bgp;
pub mod cni;
pub mod firewall;
pub mod host;
pub mod overlay;
pub mod routes;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::delta::Desired;
use crate::firewall::{Member, SetDef};
use crate::model::{NodeFacts, Note};
use crate::net::Family;
use crate::routing::Input;
use crate::routing::plan::bgp::{BgpPlan, BgpSettings, desired};
use crate::routing::plan::firewall::members;
use crate::routing::plan::host::{HostPlan, plan_host};
use crate::routing::plan::routes::{Context, Planned, Roads, other_nodes};

/// Everything routing wants of this node.
#[derive(Debug, Default)]
pub struct Plan {
    pub roads: Planned,
    pub members: Desired<(SetDef, Member), ()>,
    pub host: HostPlan,
    /// The same value as long as it says the same.
    pub bgp: Option<Arc<BgpPlan>>,
    sources: Roads,
    nodes: BTreeSet<IpAddr>,
    last: Option<Input>,
}

// === impl Plan ===

impl Plan {
    /// Brings the plan up to the input. Cost: what changed of the learned paths; everything where
    /// the facts, the settings or the addresses of nodes did.
    pub fn update(&mut self, input: &Input) {
        let last = self.last.replace(input.clone());
        if last.as_ref().is_none_or(|last| says_more(last, input)) {
            self.update_bgp(input);
        }
        let anew = last.as_ref().is_none_or(|last| {
            !is_same(&last.facts, &input.facts) || last.settings != input.settings
        });
        let moved = last
            .as_ref()
            .is_none_or(|last| last.snapshot.nodes != input.snapshot.nodes);
        let mut nodes_moved = false;
        if anew || moved {
            self.host = plan_host(&input.snapshot, &input.facts, &input.settings);
            let members = members(&input.snapshot, &input.facts);
            self.members
                .replace_all(members.into_iter().map(|member| (member, ())).collect());
            let nodes = other_nodes(&input.snapshot, &input.facts);
            nodes_moved = nodes != self.nodes;
            self.nodes = nodes;
        }
        let context = Context {
            facts: &input.facts,
            settings: &input.settings,
            nodes: &self.nodes,
        };
        let best = &input.learned.best;
        match last.filter(|_| !anew && !nodes_moved) {
            Some(last) => {
                for change in best.changes_since(&last.learned.best) {
                    let (before, after) = (change.before.as_ref(), change.after.as_ref());
                    self.sources
                        .update(change.prefix, before, after, &context, &mut self.roads);
                }
            }
            None => self.sources.rebuild(best, &context, &mut self.roads),
        }
    }

    fn update_bgp(&mut self, input: &Input) {
        let settings = input.bgp.as_ref();
        let planned = settings.map(|bgp| desired(&input.snapshot, &input.facts, bgp));
        if self.bgp.as_deref() != planned.as_ref() {
            self.bgp = planned.map(Arc::new);
        }
    }

    /// What users got wrong, and what was learned that can't be used.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let learned = self.sources.notes();
        let of_bgp = self.bgp.iter().flat_map(|bgp| bgp.notes.iter().cloned());
        let host = self.host.notes.iter().cloned();
        host.chain(of_bgp).chain(learned).collect()
    }

    /// How many members a set of one family is to have.
    #[must_use]
    pub fn member_count(&self, set: SetDef, family: Family) -> usize {
        let members = self.members.iter();
        members
            .filter(|((s, m), ())| *s == set && m.family() == family)
            .count()
    }

    /// Learned routes, without those to nodes through their tunnels.
    #[must_use]
    pub fn learned_count(&self) -> usize {
        self.roads.routes.len() - self.roads.tunnels.len()
    }

    /// Nothing is to be looked at again before the next update.
    pub fn settle_all(&mut self) {
        self.roads.routes.settle_all();
        self.roads.tunnels.settle_all();
        self.members.settle_all();
    }

    /// The input of the last update.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.last.as_ref()
    }
}

/// Whether BGP may have anything else to say.
fn says_more(last: &Input, input: &Input) -> bool {
    let (a, b) = (&last.snapshot, &input.snapshot);
    let is_other = |a: &Option<Arc<BgpSettings>>, b: &Option<Arc<BgpSettings>>| match (a, b) {
        (Some(a), Some(b)) => !Arc::ptr_eq(a, b) && a != b,
        (None, None) => false,
        _ => true,
    };
    is_other(&last.bgp, &input.bgp)
        || !is_same(&last.facts, &input.facts)
        || !Arc::ptr_eq(&a.nodes, &b.nodes) && a.nodes != b.nodes
        || !b.services.changed_since(&a.services).is_empty()
        || !b.slices.changed_since(&a.slices).is_empty()
}

/// Whether two facts mean the same for routing: links of pods come and go all the time.
fn is_same(a: &Arc<NodeFacts>, b: &Arc<NodeFacts>) -> bool {
    let relevant = |facts: &NodeFacts| NodeFacts {
        links: Vec::new(),
        ..facts.clone()
    };
    Arc::ptr_eq(a, b) || relevant(a) == relevant(b)
}

#[cfg(test)]
pub(in crate::routing) mod tests;
