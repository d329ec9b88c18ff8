//! Peers outside the cluster: of the configuration, else of the own Node's annotations; and those
//! that nobody listed.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::identity::local_address;
use super::peering::{anywhere, own_next_hop, watch, within};
use super::{BgpPlan, Context, peering, policies};
use crate::bfd::Reach;
use crate::bgp::fsm::{MaxPrefixes, PeerAs};
use crate::bgp::speaker::{Desired, ListenRange, PeerDesired, Transport, Ttl};
use crate::config::{BfdConfig, BgpHops, BgpPeer, BgpSession};
use crate::model::{AnnotatedPeer, Note, ObjectRef};
use crate::net::{ByFamily, Family};

pub(super) fn add(context: &Context<'_>, speaker: &mut Desired, planned: &mut BgpPlan) {
    for peer in peers(context).iter() {
        if let Some(reason) = refusal(context, speaker, peer.address) {
            planned.notes.push(note(peer.address.to_string(), reason));
            continue;
        }
        let wanted = listed(context, peer);
        speaker.peers.insert(peer.address, Arc::new(wanted));
        watch_listed(context, peer, planned);
    }
    for range in &context.bgp().listen {
        let family = Family::of_prefix(&range.prefix);
        if !context.facts.has(family) {
            let reason = format!("left out: the node has no {family} address");
            planned.notes.push(note(range.prefix.to_string(), reason));
            continue;
        }
        let peer_as = range.asn.map_or(PeerAs::External, PeerAs::Exactly);
        let name = range.prefix.to_string();
        let mut peer = unlisted(context, &range.session, &name, family, peer_as);
        peer.session.passive = true;
        speaker.ranges.push(ListenRange {
            prefix: range.prefix,
            peer: Arc::new(peer),
            limit: range.limit.into(),
        });
    }
}

/// Why a peer of this address can't be one.
fn refusal(context: &Context<'_>, speaker: &Desired, address: IpAddr) -> Option<String> {
    let family = Family::of(address);
    if !context.facts.has(family) {
        return Some(format!("left out: the node has no {family} address"));
    }
    if context.facts.is_local(address) {
        return Some("left out: it is an address of this node".to_owned());
    }
    let is_node = speaker.peers.contains_key(&address);
    is_node.then(|| "left out: it is another node, and a peer as that".to_owned())
}

fn note(peer: String, reason: String) -> Note {
    Note::new(ObjectRef::new("peer", peer), "", reason)
}

/// Those of the configuration; the Node's own only without any there.
fn peers<'a>(context: &Context<'a>) -> Cow<'a, [BgpPeer]> {
    let settings = context.settings;
    let annotated = match &context.own.peers {
        Some(annotated) if settings.bgp.peers.is_empty() => annotated,
        _ => return Cow::Borrowed(&settings.bgp.peers),
    };
    let peers = annotated.iter().map(|peer| of_annotation(context, peer));
    Cow::Owned(peers.collect())
}

fn of_annotation(context: &Context<'_>, peer: &AnnotatedPeer) -> BgpPeer {
    let mut session = context.bgp().session();
    session.local_address = peer.local_address;
    session.password.clone_from(&peer.password);
    if let Some(bfd) = peer.bfd {
        session.bfd = BfdConfig {
            enabled: bfd.enabled,
            port: bfd.port,
            desired_min_tx: bfd.desired_min_tx,
            required_min_rx: bfd.required_min_rx,
            multiplier: bfd.multiplier,
        };
    }
    BgpPeer {
        address: peer.address,
        asn: peer.asn,
        port: peer.port.unwrap_or(Transport::PORT),
        passive: false,
        shutdown: None,
        session,
    }
}

fn listed(context: &Context<'_>, peer: &BgpPeer) -> PeerDesired {
    let family = Family::of(peer.address);
    let peer_as = PeerAs::Exactly(peer.asn);
    let name = peer.address.to_string();
    let mut wanted = unlisted(context, &peer.session, &name, family, peer_as);
    wanted.transport.port = peer.port;
    wanted.session.passive = peer.passive;
    wanted.shutdown.clone_from(&peer.shutdown);
    wanted
}

/// A peer of which only the session is known.
fn unlisted(
    context: &Context<'_>,
    said: &BgpSession,
    name: &str,
    family: Family,
    peer_as: PeerAs,
) -> PeerDesired {
    let mut session = peering::session(context, peer_as, said.holdtime, said.graceful_restart);
    session.keepalive = said.keepalive;
    session.add_path_receive = ByFamily {
        v4: said.add_path,
        v6: said.add_path,
    };
    session.enforce_first_as = said.enforce_first_as;
    let limit = said.max_prefixes.map(|limit| MaxPrefixes {
        limit,
        warn_at: Some(limit - limit / 4),
        restart: said.max_prefixes_restart,
    });
    session.max_prefixes = ByFamily {
        v4: limit,
        v6: limit,
    };
    let local = said
        .local_address
        .or_else(|| local_address(context, family));
    let mut peer = PeerDesired::new(session);
    peer.transport = Transport {
        interface: None,
        local_address: local,
        port: Transport::PORT,
        password: said.password.as_ref().map(|it| Arc::clone(it.expose())),
        ttl: ttl(said.hops, is_internal(context, peer_as)),
    };
    peer.own_next_hop = own_next_hop(context, local);
    peer.import = Arc::new(policies::from_external(context, said, name));
    peer.export = Arc::new(policies::to_external(context, said, name));
    peer
}

/// Whether the peer is of our own AS, although it is no node.
fn is_internal(context: &Context<'_>, peer_as: PeerAs) -> bool {
    peer_as == PeerAs::Exactly(context.identity.asn)
}

fn ttl(hops: BgpHops, is_internal: bool) -> Ttl {
    match hops {
        BgpHops::Link if is_internal => Ttl::Default,
        BgpHops::Link => Ttl::Send(1),
        BgpHops::Multihop(ttl) => Ttl::Send(ttl),
        BgpHops::Security(hops) => Ttl::Security { hops },
    }
}

/// Peers that nobody listed have no address to be watched at.
fn watch_listed(context: &Context<'_>, peer: &BgpPeer, planned: &mut BgpPlan) {
    let said = &peer.session;
    let family = Family::of(peer.address);
    let local: Option<IpAddr> = said
        .local_address
        .or_else(|| local_address(context, family));
    let reach = match said.hops {
        BgpHops::Link if is_internal(context, PeerAs::Exactly(peer.asn)) => {
            anywhere(context, peer.address)
        }
        BgpHops::Link => Reach::SingleHop,
        BgpHops::Multihop(links) | BgpHops::Security(links) => within(links),
    };
    watch(said.bfd, peer.address, local, reach, planned);
}
