//! Which endpoints answer for a Service port (KEP-1669, KEP-2433, KEP-4444).

use crate::kernel::ipvs::object::RealKey;
use crate::model::{Endpoint, NodeFacts, Service, ServicePort, SliceSet, TrafficDistribution};
use crate::net::Family;

/// The endpoints of one Service port and family, each list sorted and without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// For the policy Cluster: the ready ones (near ones where the Service asks for it), else those
    /// that still serve while they terminate.
    pub cluster: Vec<RealKey>,
    /// For the policy Local: the same choice among the endpoints of this node.
    pub local: Vec<RealKey>,
}

/// One endpoint with the number the slice gives its port.
struct Candidate<'a> {
    key: RealKey,
    endpoint: &'a Endpoint,
    local: bool,
}

/// Chooses the endpoints of one port. Slices are joined by port name and protocol.
#[must_use]
pub fn select(
    service: &Service,
    port: &ServicePort,
    slices: &SliceSet,
    family: Family,
    facts: &NodeFacts,
) -> Selection {
    let candidates = candidates(port, slices, family, facts);
    let local = || candidates.iter().filter(|candidate| candidate.local);
    let mut ready: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|c| c.endpoint.is_ready())
        .collect();
    if let Some(near) = near(service, &ready, facts) {
        ready = near;
    }
    Selection {
        cluster: or_terminating(ready, candidates.iter()),
        local: or_terminating(local().filter(|c| c.endpoint.is_ready()).collect(), local()),
    }
}

fn candidates<'a>(
    port: &ServicePort,
    slices: &'a SliceSet,
    family: Family,
    facts: &NodeFacts,
) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let numbers = slice
            .ports
            .iter()
            .filter(|p| p.name == port.name && p.protocol == port.protocol)
            .map(|p| p.port);
        for number in numbers {
            found.extend(slice.endpoints.iter().map(|endpoint| {
                Candidate {
                    key: RealKey {
                        address: endpoint.address,
                        port: number,
                    },
                    endpoint,
                    local: endpoint
                        .node
                        .as_ref()
                        .is_some_and(|node| *node == facts.name),
                }
            }));
        }
    }
    found
}

/// The ready ones; where there are none, those that serve while they terminate.
fn or_terminating<'a>(
    ready: Vec<&Candidate<'a>>,
    all: impl Iterator<Item = &'a Candidate<'a>>,
) -> Vec<RealKey> {
    let mut keys: Vec<RealKey> = if ready.is_empty() {
        all.filter(|c| c.endpoint.is_last_resort())
            .map(|c| c.key)
            .collect()
    } else {
        ready.iter().map(|c| c.key).collect()
    };
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The ready endpoints near this node, or `None` where all are to be used.
///
/// Hints count only when every ready endpoint has one and one of them is for us; otherwise a node
/// could overload the few hinted endpoints, or find none (kube-proxy's rule). Where nothing writes
/// hints, `trafficDistribution` is followed by the endpoints' own node and zone.
fn near<'a, 'b>(
    service: &Service,
    ready: &[&'b Candidate<'a>],
    facts: &NodeFacts,
) -> Option<Vec<&'b Candidate<'a>>> {
    let for_node = |c: &Candidate<'_>| c.endpoint.for_nodes.contains(&facts.name);
    let for_zone = |c: &Candidate<'_>| {
        facts
            .zone
            .as_ref()
            .is_some_and(|zone| c.endpoint.for_zones.contains(zone))
    };
    let pick = |choose: &dyn Fn(&Candidate<'_>) -> bool| {
        let chosen: Vec<_> = ready.iter().copied().filter(|c| choose(c)).collect();
        (!chosen.is_empty()).then_some(chosen)
    };
    let hinted_by = |hinted: &dyn Fn(&Candidate<'_>) -> bool| {
        !ready.is_empty() && ready.iter().all(|c| hinted(c))
    };
    let wants_node = service.traffic_distribution == Some(TrafficDistribution::PreferSameNode);
    if wants_node
        && hinted_by(&|c| !c.endpoint.for_nodes.is_empty())
        && let Some(chosen) = pick(&for_node)
    {
        return Some(chosen);
    }
    if hinted_by(&|c| !c.endpoint.for_zones.is_empty()) {
        return pick(&for_zone);
    }
    let unhinted = ready
        .iter()
        .all(|c| c.endpoint.for_zones.is_empty() && c.endpoint.for_nodes.is_empty());
    if !unhinted {
        return None;
    }
    let same_node = |c: &Candidate<'_>| c.local;
    let same_zone = |c: &Candidate<'_>| facts.zone.is_some() && c.endpoint.zone == facts.zone;
    match service.traffic_distribution? {
        TrafficDistribution::PreferSameNode => pick(&same_node).or_else(|| pick(&same_zone)),
        TrafficDistribution::PreferSameZone => pick(&same_zone),
    }
}
