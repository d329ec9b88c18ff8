//! Learned prefixes to routes of the kernel and the tunnels they need.
//!
//! - A next hop on one of the node's own networks is a gateway; one of another network is reached
//!   by a tunnel where the overlay is on and it is another node's address. Otherwise there is no
//!   route: the fabric between the nodes has to know the way.
//! - With the overlay `full` every node is reached by a tunnel.
//! - Several next hops make one route of several ways (ECMP); those that can't be used are left out.
//! - A tunnel is there as long as a route goes through it: it is counted, not remembered.
//!
//! Prefixes with the same next hops share one resolution.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bgp::rib::{BestPaths, Hop, NextHops};
use crate::bgp::wire::NextHop;
use crate::delta::Desired;
use crate::kernel::rtnl::object::TABLE_MAIN;
use crate::model::{NodeFacts, Note, ObjectRef, Snapshot};
use crate::net::{Family, Prefix, host_prefix, is_usable};
use crate::routing::plan::overlay::{Reach, TABLE, TunnelName, TunnelPlan};
use crate::routing::{METRIC, Settings};

/// Which route it is. One per table and destination is planned; of earlier versions there may be
/// others with another metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    pub table: u32,
    pub destination: Prefix,
    pub metric: u32,
}

/// One way of a route. Links are known by name: an index dies with its link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    Gateway { address: IpAddr, link: Arc<str> },
    Tunnel(TunnelName),
}

/// Where packets go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePlan {
    /// At least one; sorted, each once.
    pub ways: Vec<Via>,
    /// Where the node's own packets come from; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
}

/// What next hops are resolved against.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) facts: &'a NodeFacts,
    pub(super) settings: &'a Settings,
    /// Addresses of the other nodes.
    pub(super) nodes: &'a BTreeSet<IpAddr>,
}

/// All routes and tunnels that follow from what was learned.
#[derive(Debug, Default)]
pub(super) struct Roads {
    groups: FxHashMap<(Family, Arc<NextHops>), Group>,
    tunnels: FxHashMap<TunnelName, (TunnelPlan, usize)>,
    refused: BTreeMap<Prefix, &'static str>,
}

/// What next hops come to for prefixes of one family.
#[derive(Debug)]
struct Group {
    route: Option<Arc<RoutePlan>>,
    tunnels: Vec<(TunnelName, TunnelPlan)>,
    notes: Vec<Note>,
    users: usize,
}

/// The planned routes and tunnels.
#[derive(Debug, Default)]
pub struct Planned {
    pub routes: Desired<RouteKey, Arc<RoutePlan>>,
    pub tunnels: Desired<TunnelName, TunnelPlan>,
}

// === impl Roads ===

impl Roads {
    /// Carries one prefix over from its old next hops to its new ones.
    pub(super) fn update(
        &mut self,
        prefix: Prefix,
        before: Option<&Arc<NextHops>>,
        after: Option<&Arc<NextHops>>,
        context: &Context<'_>,
        planned: &mut Planned,
    ) {
        let key = RouteKey {
            table: TABLE_MAIN,
            destination: prefix,
            metric: METRIC,
        };
        let refused = after.and_then(|_| refusal(&prefix, context));
        let was_refused = match refused {
            Some(reason) => self.refused.insert(prefix, reason),
            None => self.refused.remove(&prefix),
        };
        let family = Family::of_prefix(&prefix);
        // Taken before the old one is left: a tunnel that both need never goes.
        let route = match after.filter(|_| refused.is_none()) {
            Some(hops) => self.take(family, hops, context, planned),
            None => None,
        };
        if let Some(hops) = before.filter(|_| was_refused.is_none()) {
            self.leave(family, hops, planned);
        }
        match route {
            Some(route) => planned.routes.set(key, route),
            None => planned.routes.unset(&key),
        }
    }

    fn take(
        &mut self,
        family: Family,
        hops: &Arc<NextHops>,
        context: &Context<'_>,
        planned: &mut Planned,
    ) -> Option<Arc<RoutePlan>> {
        let key = (family, Arc::clone(hops));
        let group = self
            .groups
            .entry(key)
            .or_insert_with(|| Group::new(family, hops, context));
        group.users += 1;
        if group.users == 1 {
            for (name, tunnel) in &group.tunnels {
                let (_, users) = self.tunnels.entry(*name).or_insert((*tunnel, 0));
                *users += 1;
                if *users == 1 {
                    planned.tunnels.set(*name, *tunnel);
                    let (key, route) = to_node(*name, tunnel);
                    planned.routes.set(key, Arc::new(route));
                }
            }
        }
        group.route.clone()
    }

    fn leave(&mut self, family: Family, hops: &Arc<NextHops>, planned: &mut Planned) {
        let key = (family, Arc::clone(hops));
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.users = group.users.saturating_sub(1);
        if group.users > 0 {
            return;
        }
        let group = self.groups.remove(&key);
        for (name, tunnel) in group.into_iter().flat_map(|group| group.tunnels) {
            let Some((_, users)) = self.tunnels.get_mut(&name) else {
                continue;
            };
            *users = users.saturating_sub(1);
            if *users == 0 {
                self.tunnels.remove(&name);
                planned.tunnels.unset(&name);
                planned.routes.unset(&to_node(name, &tunnel).0);
            }
        }
    }

    /// Everything anew, touching only what comes out otherwise than before.
    pub(super) fn rebuild(
        &mut self,
        best: &BestPaths,
        context: &Context<'_>,
        planned: &mut Planned,
    ) {
        *self = Self::default();
        let mut fresh = Planned::default();
        for (prefix, hops) in best.iter() {
            self.update(*prefix, None, Some(hops), context, &mut fresh);
        }
        let routes = fresh.routes.iter();
        planned.routes.replace_all(
            routes
                .map(|(key, route)| (*key, Arc::clone(route)))
                .collect(),
        );
        let tunnels = fresh.tunnels.iter();
        planned
            .tunnels
            .replace_all(tunnels.map(|(name, tunnel)| (*name, *tunnel)).collect());
    }

    pub(super) fn notes(&self) -> BTreeSet<Note> {
        let groups = self.groups.values();
        let mut notes: BTreeSet<Note> = groups.flat_map(|group| group.notes.clone()).collect();
        notes.extend(self.refused.iter().map(|(prefix, reason)| {
            Note::new(ObjectRef::new("route", prefix.to_string()), "", *reason)
        }));
        notes
    }
}

// === impl Group ===

impl Group {
    fn new(family: Family, hops: &NextHops, context: &Context<'_>) -> Self {
        let mut group = Self {
            route: None,
            tunnels: Vec::new(),
            notes: Vec::new(),
            users: 0,
        };
        let mut ways = BTreeSet::new();
        for hop in hops.hops() {
            match resolve(family, hop, context) {
                Ok(Some(Resolved::Gateway(via))) => {
                    ways.insert(via);
                }
                Ok(Some(Resolved::Tunnel(tunnel))) => {
                    let name = TunnelName::of(tunnel.remote);
                    ways.insert(Via::Tunnel(name));
                    group.tunnels.push((name, tunnel));
                }
                Ok(None) => {}
                Err((address, reason)) => {
                    let object = ObjectRef::new("next hop", address.to_string());
                    group.notes.push(Note::new(object, "", reason));
                }
            }
        }
        group.tunnels.sort_unstable();
        group.tunnels.dedup();
        if !ways.is_empty() {
            // By a tunnel the kernel would choose any address, or none: it has none of its own.
            let tunnelled = ways.iter().any(|way| matches!(way, Via::Tunnel(_)));
            let own =
                (*context.facts.primary.get(family)).filter(|own| context.facts.is_local(*own));
            group.route = Some(Arc::new(RoutePlan {
                ways: ways.into_iter().collect(),
                source: own.filter(|_| tunnelled),
            }));
        }
        group
    }
}

enum Resolved {
    Gateway(Via),
    Tunnel(TunnelPlan),
}

/// The way to a next hop; none where the fabric has to know it.
fn resolve(
    family: Family,
    hop: &Hop,
    context: &Context<'_>,
) -> Result<Option<Resolved>, (IpAddr, &'static str)> {
    let facts = context.facts;
    let (address, link) = match hop.next_hop {
        NextHop::V4(address) => (IpAddr::V4(address), None),
        NextHop::V6 { global, link_local } => {
            let is_local = global.is_unspecified() || global.is_unicast_link_local();
            match link_local.or(is_local.then_some(global)) {
                // Good on the link towards the peer alone.
                Some(local) if is_local => (IpAddr::V6(local), Some(network(facts, hop.peer))),
                _ => (IpAddr::V6(global), None),
            }
        }
    };
    if let Some(link) = link {
        let link = link.ok_or((
            address,
            "is link-local, and its peer is on no link of this node",
        ))?;
        return gateway(family, address, link).map(Some);
    }
    if !is_usable(address) {
        return Err((address, "can be no next hop"));
    }
    if facts.is_local(address) {
        return Err((address, "is an address of this node"));
    }
    let network = network(facts, address);
    let reach = context.settings.overlay.map(|overlay| overlay.reach);
    let wanted = match reach {
        Some(Reach::Full) => true,
        Some(Reach::Subnet) => network.is_none(),
        None => false,
    };
    match (context.settings.overlay, network) {
        (Some(overlay), _) if wanted && context.nodes.contains(&address) => {
            let far = Family::of(address);
            if far != family {
                return Err((
                    address,
                    "is of another family than the prefix: no tunnel can be used",
                ));
            }
            let local = (*facts.primary.get(far)).ok_or((
                address,
                "this node has no address of that family for a tunnel",
            ))?;
            Ok(Some(Resolved::Tunnel(TunnelPlan {
                local,
                remote: address,
                encap: overlay.encap,
            })))
        }
        (_, Some(link)) => gateway(family, address, link).map(Some),
        (_, None) => Ok(None),
    }
}

fn gateway(
    family: Family,
    address: IpAddr,
    link: Arc<str>,
) -> Result<Resolved, (IpAddr, &'static str)> {
    // An IPv6 gateway of an IPv4 prefix is fine (RFC 8950); the reverse nobody can send.
    if family == Family::V6 && address.is_ipv4() {
        return Err((address, "is of family IPv4, but the prefix is IPv6"));
    }
    Ok(Resolved::Gateway(Via::Gateway { address, link }))
}

/// The link of the own network that holds an address; of several the narrowest.
fn network(facts: &NodeFacts, address: IpAddr) -> Option<Arc<str>> {
    let holds = facts.addresses.iter().filter(|own| {
        let network = Prefix::new(own.address, own.prefix_length);
        is_usable(own.address) && network.is_ok_and(|network| network.contains(&address))
    });
    holds
        .max_by_key(|own| own.prefix_length)
        .map(|own| Arc::clone(&own.link))
}

/// Why nothing that a peer says of a prefix counts.
fn refusal(prefix: &Prefix, context: &Context<'_>) -> Option<&'static str> {
    let facts = context.facts;
    let is_within = |outer: &Prefix| outer.contains(prefix);
    let is_network = |own: &crate::model::LocalAddress| {
        let network = Prefix::new(own.address, own.prefix_length);
        network.is_ok_and(|network| network.trunc() == *prefix)
    };
    if facts.pod_cidrs.iter().any(is_within) {
        Some("lies within the pods' range of this node")
    } else if context.settings.service_ranges.iter().any(is_within) {
        Some("lies within the cluster's range of Services")
    } else if facts.addresses.iter().any(is_network) {
        Some("is a network of one of this node's links")
    } else if facts
        .addresses
        .iter()
        .any(|own| host_prefix(own.address) == *prefix)
    {
        Some("is an address of this node")
    } else if !is_routable(prefix) {
        Some("is no prefix that packets could be routed to")
    } else {
        None
    }
}

/// Wide prefixes begin with the unspecified address: the default route, and its halves.
fn is_routable(prefix: &Prefix) -> bool {
    let is_wide = prefix.addr().is_unspecified() && prefix.prefix_len() < 8;
    is_wide || is_usable(prefix.addr())
}

/// The route by which packets of pods reach the node at the far end itself.
fn to_node(name: TunnelName, tunnel: &TunnelPlan) -> (RouteKey, RoutePlan) {
    let key = RouteKey {
        table: TABLE,
        destination: host_prefix(tunnel.remote),
        metric: METRIC,
    };
    let route = RoutePlan {
        ways: vec![Via::Tunnel(name)],
        source: None,
    };
    (key, route)
}

/// Addresses of all nodes but this one.
#[must_use]
pub(super) fn other_nodes(snapshot: &Snapshot, facts: &NodeFacts) -> BTreeSet<IpAddr> {
    let others = snapshot
        .nodes
        .iter()
        .filter(|(name, _)| **name != facts.name);
    others
        .flat_map(|(_, node)| node.addresses.iter().copied())
        .collect()
}
