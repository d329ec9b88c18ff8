//! The other nodes as peers: full mesh, or route reflectors and their clients.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::peering::{anywhere, own_next_hop, session, watch};
use super::{BgpPlan, Context, policies, reachable};
use crate::bgp::fsm::PeerAs;
use crate::bgp::speaker::{Desired, PeerDesired, Transport, Ttl};
use crate::config::BfdConfig;
use crate::model::{Node, Note, ObjectRef, Reflector};
use crate::net::{ByFamily, Family};

pub(super) fn add(context: &Context<'_>, speaker: &mut Desired, planned: &mut BgpPlan) {
    if !context.bgp().enable_ibgp {
        return;
    }
    let export = Arc::new(policies::to_mesh(context));
    let import = Arc::new(policies::from_mesh(context));
    let mut named: BTreeMap<IpAddr, &Node> = BTreeMap::new();
    for node in context.snapshot.nodes.values() {
        if node.name == context.facts.name || !is_peer(context, node) {
            continue;
        }
        let Some((local, address)) = ends(context, node) else {
            planned.notes.push(note(
                node,
                "not peered: no address of a family of this node",
            ));
            continue;
        };
        let other = match named.get(&address) {
            Some(other) => Some(&*other.name),
            None if context.facts.is_local(address) => Some(&*context.facts.name),
            None => None,
        };
        if let Some(other) = other {
            let reason = format!("not peered: {address} is node {other}'s");
            planned.notes.push(note(node, reason));
            continue;
        }
        named.insert(address, node);
        let mut peer = peer(context, node, local);
        (peer.import, peer.export) = (Arc::clone(&import), Arc::clone(&export));
        speaker.peers.insert(address, Arc::new(peer));
        let bfd = BfdConfig {
            enabled: context.bgp().enable_mesh_bfd,
            ..context.bgp().bfd
        };
        watch(
            bfd,
            address,
            Some(local),
            anywhere(context, address),
            planned,
        );
    }
}

fn note(node: &Node, reason: impl Into<Arc<str>>) -> Note {
    let object = ObjectRef::new("Node", Arc::clone(&node.name));
    Note::new(object, "status.addresses", reason)
}

/// Whether both nodes want the session: the same AS, and roles in reflection that go together.
fn is_peer(context: &Context<'_>, node: &Node) -> bool {
    let same_as = context.bgp().nodes_full_mesh || node.bgp.asn == Some(context.identity.asn);
    same_as && go_together(context.own.reflector, node.bgp.reflector)
}

/// Clients peer with the servers of their cluster alone. Servers peer with each other and with
/// nodes that have no part in reflection.
fn go_together(ours: Option<Reflector>, theirs: Option<Reflector>) -> bool {
    match (ours, theirs) {
        (Some(Reflector::Client(a)), Some(Reflector::Server(b)))
        | (Some(Reflector::Server(a)), Some(Reflector::Client(b))) => a == b,
        (Some(Reflector::Client(_)), _) | (_, Some(Reflector::Client(_))) => false,
        (Some(Reflector::Server(_)) | None, Some(Reflector::Server(_)) | None) => true,
    }
}

/// Our address and the other node's: of the family of both nodes' first addresses, if that is the
/// same; else of IPv4 where both have it, else of IPv6. The other node comes to the same two.
fn ends(context: &Context<'_>, node: &Node) -> Option<(IpAddr, IpAddr)> {
    let of = |family| {
        let local = *context.facts.primary.get(family);
        let mut theirs = reachable(node, context.facts);
        local.zip(theirs.find(|address| Family::of(*address) == family))
    };
    let first = Family::of(context.identity.primary);
    let is_shared = reachable(node, context.facts)
        .next()
        .is_some_and(|address| Family::of(address) == first);
    match is_shared {
        true => of(first),
        false => of(Family::V4).or_else(|| of(Family::V6)),
    }
}

fn peer(context: &Context<'_>, node: &Node, local: IpAddr) -> PeerDesired {
    let bgp = context.bgp();
    let peer_as = PeerAs::Exactly(context.identity.asn);
    let mut session = session(context, peer_as, bgp.holdtime, bgp.graceful_restart);
    let has = |family| {
        let mut theirs = reachable(node, context.facts);
        theirs.any(|address| Family::of(address) == family)
    };
    session.families = ByFamily {
        v4: has(Family::V4),
        v6: has(Family::V6),
    };
    let mut peer = PeerDesired::new(session);
    peer.transport = Transport {
        interface: None,
        local_address: Some(local),
        port: bgp.port,
        password: bgp.mesh_password.as_ref().map(|it| Arc::clone(it.expose())),
        ttl: Ttl::Default,
    };
    peer.is_client =
        context.reflects().is_some() && matches!(node.bgp.reflector, Some(Reflector::Client(_)));
    peer.own_next_hop = own_next_hop(context, Some(local));
    peer
}
