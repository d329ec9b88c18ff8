//! Services, slices and node facts to everything the proxy wants of this node.
//!
//! ```text
//! Service + slices + Context ──plan_service──► Fragment (memoised by identity of its inputs)
//! fragments ──claims: the oldest Service wins a key──► virtual servers, VIPs, members of sets
//! NodeFacts + Settings ──plan_host──► sysctls, timeouts, rulesets
//! ```
//!
//! The [`Plan`] depends on the present inputs only. What it remembers (fragments, touched keys)
//! saves work and never changes the result; `tests/walks.rs` holds that against random histories.

pub mod admission;
mod claims;
pub mod endpoints;
pub mod firewall;
pub mod host;
pub mod node_ports;
pub mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::delta::Desired;
use crate::firewall::{Member, SetDef};
use crate::kernel::ipvs::object::{VirtualKey, VirtualTable};
use crate::model::{NodeFacts, Note, ObjectName, SliceSet, Snapshot};
use crate::net::Family;
use crate::proxy::plan::claims::Claims;
use crate::proxy::plan::firewall::{SVIP, entry_members, node_members};
use crate::proxy::plan::host::{HostPlan, plan_host};
use crate::proxy::plan::service::{Context, Entry, Fragment, plan_service};
use crate::proxy::{Input, Settings};

/// An address of a Service on the dummy link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vip {
    /// What this node's own connections to the address come from; `None` was seen, never planned.
    pub source: Option<IpAddr>,
}

/// Everything the proxy wants of this node.
#[derive(Debug, Default)]
pub struct Plan {
    pub virtuals: Desired<VirtualKey, Arc<VirtualTable>>,
    pub vips: Desired<IpAddr, Vip>,
    pub members: Desired<(SetDef, Member), ()>,
    pub host: HostPlan,
    entries: FxHashMap<VirtualKey, Arc<Entry>>,
    users: FxHashMap<IpAddr, Users>,
    node_members: BTreeSet<(SetDef, Member)>,
    claims: Claims,
    fragments: FxHashMap<ObjectName, Arc<Fragment>>,
    noted: BTreeMap<ObjectName, Arc<Fragment>>,
    services: usize,
    endpoints: usize,
    last: Option<Input>,
}

/// How many virtual servers stand on an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Users {
    all: u32,
    /// Those that need it on the dummy link.
    vip: u32,
}

// === impl Plan ===

impl Plan {
    /// Brings the plan up to the input. Cost: one comparison per namespace and per object of
    /// namespaces that changed, and the work for the Services that changed.
    pub fn update(&mut self, input: &Input) {
        let afresh = match &self.last {
            Some(last) => last.facts != input.facts || last.settings != input.settings,
            None => true,
        };
        if afresh {
            self.update_host(&input.facts, &input.settings);
        }
        let context = Context {
            facts: &input.facts,
            settings: &input.settings,
            node_ports: node_ports::addresses(
                &input.settings.proxy.node_port_addresses,
                &input.facts,
            ),
        };
        let mut moved = FxHashSet::default();
        for name in self.stale_names(&input.snapshot, afresh) {
            self.update_service(&name, &input.snapshot, &context, &mut moved);
        }
        for key in moved {
            self.update_winner(key, &input.facts);
        }
        self.last = Some(input.clone());
    }

    /// Services to plan again; one may be named twice, which costs a comparison.
    fn stale_names(&self, snapshot: &Snapshot, afresh: bool) -> Vec<ObjectName> {
        match &self.last {
            Some(last) if !afresh => {
                let mut names = snapshot.services.changed_since(&last.snapshot.services);
                names.extend(snapshot.slices.changed_since(&last.snapshot.slices));
                names
            }
            _ => {
                let present = snapshot.services.iter().map(|(name, _)| name);
                let gone = self
                    .fragments
                    .keys()
                    .filter(|name| snapshot.services.get(name).is_none());
                present.chain(gone.cloned()).collect()
            }
        }
    }

    fn update_host(&mut self, facts: &NodeFacts, settings: &Settings) {
        self.host = plan_host(facts, settings);
        let members = node_members(facts);
        for gone in self.node_members.difference(&members) {
            self.members.unset(gone);
        }
        for member in &members {
            self.members.set(*member, ());
        }
        self.node_members = members;
        // The source of every address may have moved with the node's own.
        let addresses: Vec<IpAddr> = self.users.keys().copied().collect();
        for address in addresses {
            self.update_vip(address, facts);
        }
    }

    fn update_service(
        &mut self,
        name: &ObjectName,
        snapshot: &Snapshot,
        context: &Context<'_>,
        moved: &mut FxHashSet<VirtualKey>,
    ) {
        let none = SliceSet::new();
        let fragment = snapshot.services.get(name).map(|service| {
            let slices = snapshot.slices.get(name).map_or(&none, |slices| &**slices);
            Arc::new(plan_service(service, slices, context))
        });
        let old = self.fragments.get(name).cloned();
        if old == fragment {
            return;
        }
        if let Some(old) = &old {
            moved.extend(old.entries.iter().map(|entry| entry.key()));
            self.claims.retract(old);
            self.services = self
                .services
                .saturating_sub(usize::from(!old.entries.is_empty()));
            self.fragments.remove(name);
            self.noted.remove(name);
        }
        if let Some(fragment) = fragment {
            moved.extend(fragment.entries.iter().map(|entry| entry.key()));
            self.claims.assert(&fragment);
            self.services += usize::from(!fragment.entries.is_empty());
            if !fragment.notes.is_empty() {
                self.noted.insert(name.clone(), Arc::clone(&fragment));
            }
            self.fragments.insert(name.clone(), fragment);
        }
    }

    /// Carries the winner of a key into virtual servers, members and addresses.
    fn update_winner(&mut self, key: VirtualKey, facts: &NodeFacts) {
        let winner = self.claims.winner(&key).cloned();
        let old = match &winner {
            Some(entry) => self.entries.insert(key, Arc::clone(entry)),
            None => self.entries.remove(&key),
        };
        if old == winner {
            return;
        }
        let wanted = winner.as_deref().map(entry_members).unwrap_or_default();
        let had = old.as_deref().map(entry_members).unwrap_or_default();
        for member in had.iter().filter(|member| !wanted.contains(member)) {
            self.members.unset(member);
        }
        for member in wanted {
            self.members.set(member, ());
        }
        self.count(old.as_deref(), winner.as_deref());
        match winner {
            Some(entry) => self.virtuals.set(key, Arc::clone(&entry.table)),
            None => self.virtuals.unset(&key),
        }
        if let VirtualKey::Address { address, .. } = key {
            self.update_vip(address, facts);
        }
    }

    fn count(&mut self, old: Option<&Entry>, new: Option<&Entry>) {
        for (entry, grows) in [(new, true), (old, false)] {
            let Some(entry) = entry else { continue };
            let VirtualKey::Address { address, .. } = entry.key() else {
                continue;
            };
            let users = self.users.entry(address).or_default();
            let step = |count: u32| {
                if grows {
                    count + 1
                } else {
                    count.saturating_sub(1)
                }
            };
            users.all = step(users.all);
            let reals = entry.table.reals.len();
            self.endpoints = if grows {
                self.endpoints + reals
            } else {
                self.endpoints.saturating_sub(reals)
            };
            if entry.is_vip {
                users.vip = step(users.vip);
            }
        }
    }

    fn update_vip(&mut self, address: IpAddr, facts: &NodeFacts) {
        let users = self.users.get(&address).copied().unwrap_or_default();
        if users.all == 0 {
            self.users.remove(&address);
            self.members.unset(&(SVIP, Member::Address(address)));
        } else {
            self.members.set((SVIP, Member::Address(address)), ());
        }
        if users.vip == 0 {
            self.vips.unset(&address);
        } else {
            let source = *facts.primary.get(Family::of(address));
            self.vips.set(address, Vip { source });
        }
    }

    /// A virtual server with what the firewall says of it.
    #[must_use]
    pub fn entry(&self, key: &VirtualKey) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// What users got wrong, in the order of their Services; conflicts last.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let own = self
            .noted
            .values()
            .flat_map(|fragment| fragment.notes.iter().cloned());
        own.chain(self.claims.notes()).collect()
    }

    /// Services with at least one virtual server on this node.
    #[must_use]
    pub fn service_count(&self) -> usize {
        self.services
    }

    /// Real servers behind all virtual servers.
    #[must_use]
    pub fn endpoint_count(&self) -> usize {
        self.endpoints
    }

    /// Whether a key belongs to the API server's own Service.
    #[must_use]
    pub fn is_api_server(&self, key: &VirtualKey) -> bool {
        let name = ObjectName::new("default", "kubernetes");
        let fragment = self.fragments.get(&name);
        fragment.is_some_and(|f| f.entries.iter().any(|entry| entry.key() == *key))
    }

    /// How many members a set of one family is to have.
    #[must_use]
    pub fn member_count(&self, set: SetDef, family: Family) -> usize {
        self.members
            .iter()
            .filter(|((s, m), ())| *s == set && m.family() == family)
            .count()
    }

    /// Nothing is to be looked at again before the next update.
    pub fn settle_all(&mut self) {
        self.virtuals.settle_all();
        self.vips.settle_all();
        self.members.settle_all();
    }

    /// The input of the last update.
    #[must_use]
    pub fn input(&self) -> Option<&Input> {
        self.last.as_ref()
    }
}
