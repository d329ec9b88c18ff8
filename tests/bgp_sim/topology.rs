//! Meshes and reflectors, and what everybody has to know in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::fsm::{GracefulConfig, PeerAs, PeerConfig, State};
use kube_router::bgp::rib::{BestPaths, RouteKind, Speaker};
use kube_router::bgp::speaker::{Desired, Originated, PeerDesired};
use kube_router::bgp::wire::{Attributes, NextHop};
use kube_router::net::{ByFamily, Prefix};

use crate::world::{World, address};

pub(crate) const AS: u32 = 64_512;

pub(crate) fn router_id(node: usize) -> Ipv4Addr {
    match address(node) {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::BROADCAST,
    }
}

pub(crate) fn prefix(number: usize) -> Prefix {
    format!("10.{}.{}.0/24", 100 + number / 256, number % 256)
        .parse()
        .expect("a prefix")
}

pub(crate) fn originated(node: usize) -> Originated {
    Originated {
        kind: RouteKind::PodCidr,
        next_hop: NextHop::from(address(node)),
        attributes: Attributes::default(),
    }
}

pub(crate) fn speaker(node: usize, asn: u32) -> Desired {
    Desired::new(Speaker {
        asn,
        confederation: None,
        router_id: router_id(node),
        cluster_id: None,
        addresses: BTreeSet::from([address(node)]),
    })
}

pub(crate) fn peer(node: usize, local_as: u32, peer_as: u32) -> PeerDesired {
    let mut config = PeerConfig::new(local_as, router_id(node), PeerAs::Exactly(peer_as));
    config.graceful = Some(GracefulConfig {
        restart_time: Duration::from_secs(120),
        stale_time: Duration::from_secs(120),
        notification: true,
        long_lived: None,
    });
    let mut peer = PeerDesired::new(config);
    peer.own_next_hop = ByFamily {
        v4: Some(NextHop::from(address(node))),
        v6: None,
    };
    peer
}

/// Everybody with everybody; each node originates the prefix of its number.
pub(crate) fn mesh(count: usize) -> Vec<Desired> {
    let nodes = 0..count;
    nodes
        .map(|node| {
            let mut desired = speaker(node, AS);
            for other in (0..count).filter(|other| *other != node) {
                let peer = Arc::new(peer(node, AS, AS));
                desired.peers.insert(address(other), peer);
            }
            desired.originate.insert(prefix(node), originated(node));
            desired
        })
        .collect()
}

/// The first `servers` nodes reflect for all others, who speak with them alone.
pub(crate) fn reflected(servers: usize, clients: usize) -> Vec<Desired> {
    let mut nodes = mesh(servers + clients);
    for (node, desired) in nodes.iter_mut().enumerate() {
        if node < servers {
            desired.speaker.cluster_id = Some(Ipv4Addr::new(1, 1, 1, 1));
            for client in servers..servers + clients {
                let mut client_peer = peer(node, AS, AS);
                client_peer.is_client = true;
                desired.peers.insert(address(client), Arc::new(client_peer));
            }
        } else {
            for other in servers..servers + clients {
                desired.peers.remove(&address(other));
            }
        }
    }
    nodes
}

/// Each in an AS of its own, speaking with the next and the one before; what comes from the one is
/// told the other.
pub(crate) fn ring(count: usize) -> Vec<Desired> {
    let asn = |node: usize| 64_600 + u32::try_from(node % count).expect("few nodes");
    let nodes = 0..count;
    nodes
        .map(|node| {
            let mut desired = speaker(node, asn(node));
            for other in [node + 1, node + count - 1] {
                let peer = Arc::new(peer(node, asn(node), asn(other)));
                desired.peers.insert(address(other % count), peer);
            }
            desired.originate.insert(prefix(node), originated(node));
            desired
        })
        .collect()
}

/// What a node has learned: prefixes with the next hops used.
pub(crate) fn learned(best: &BestPaths) -> BTreeMap<Prefix, BTreeSet<IpAddr>> {
    let paths = best.iter();
    paths
        .map(|(prefix, hops)| {
            let hops = hops.hops().iter().map(|hop| hop.next_hop.address());
            (*prefix, hops.collect())
        })
        .collect()
}

/// By the settings alone: all who originate a prefix are its next hops, but for those who do so
/// themselves.
pub(crate) fn expected_in_mesh(world: &World, node: usize) -> BTreeMap<Prefix, BTreeSet<IpAddr>> {
    let mut expected: BTreeMap<Prefix, BTreeSet<IpAddr>> = BTreeMap::new();
    for other in &world.nodes {
        for prefix in other.desired.originate.keys() {
            expected.entry(*prefix).or_default().insert(other.address);
        }
    }
    for prefix in world.nodes[node].desired.originate.keys() {
        expected.remove(prefix);
    }
    expected
}

pub(crate) fn assert_mesh_converged(world: &World) {
    for (at, node) in world.nodes.iter().enumerate() {
        assert_eq!(
            learned(&node.best),
            expected_in_mesh(world, at),
            "node {at}"
        );
    }
}

pub(crate) fn is_up(world: &World, node: usize, peer: usize) -> bool {
    let status = world.nodes[node].core.neighbor_status(address(peer));
    status.is_some_and(|status| status.state == State::Established)
}

pub(crate) fn all_up(world: &World) -> bool {
    world.nodes.iter().all(|node| {
        let neighbors = node.core.status().neighbors;
        neighbors
            .iter()
            .all(|neighbor| neighbor.state == State::Established && !neighbor.has_pending)
    })
}

/// How often the session was established, of node and peer.
pub(crate) fn established(world: &World, node: usize, peer: usize) -> u64 {
    let status = world.nodes[node].core.neighbor_status(address(peer));
    status.map_or(0, |status| status.counters.established)
}
