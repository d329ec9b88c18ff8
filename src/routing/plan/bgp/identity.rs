//! Who this node is in BGP: AS, identifier, addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{BgpSettings, Context, node_note};
use crate::config::RouterId;
use crate::model::{Node, NodeFacts, Note};
use crate::net::Family;

const ASN: &str = "metadata.annotations[kube-router.io/node.asn]";
const LOCAL_ADDRESSES: &str = "metadata.annotations[kube-router.io/bgp-local-addresses]";

/// FNV-1a, 32 bits.
const OFFSET_BASIS: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// What every session of this node says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) asn: u32,
    /// Never 0.0.0.0.
    pub(super) router_id: Ipv4Addr,
    /// The first address of the Node in a family that is on.
    pub(super) primary: IpAddr,
}

/// The node's identity.
///
/// # Errors
/// Why BGP can't be spoken.
pub(super) fn identity(
    node: Option<&Node>,
    facts: &NodeFacts,
    settings: &BgpSettings,
) -> Result<Identity, Note> {
    let Some(primary) = primary(node, facts) else {
        let reason = "no address in a family that is on: BGP cannot be spoken";
        return Err(node_note(facts, "status.addresses", reason));
    };
    let annotated = node.and_then(|node| node.bgp.asn);
    let asn = match (settings.bgp.nodes_full_mesh, annotated) {
        (true, _) => settings.bgp.cluster_asn,
        (false, Some(asn)) => asn,
        (false, None) => {
            let reason = "missing or wrong, but bgp.nodes_full_mesh is off: BGP cannot be spoken";
            return Err(node_note(facts, ASN, reason));
        }
    };
    let router_id = match (settings.bgp.router_id, facts.primary.v4) {
        (RouterId::Fixed(id), _) => id,
        (RouterId::Generate, _) => generated(primary),
        (RouterId::Auto, Some(IpAddr::V4(address))) => address,
        (RouterId::Auto, _) => {
            let reason = "no IPv4 address to be the BGP identifier: BGP cannot be spoken before \
                          bgp.router_id is \"generate\" or an identifier";
            return Err(node_note(facts, "status.addresses", reason));
        }
    };
    Ok(Identity {
        asn,
        router_id,
        primary,
    })
}

/// The Node's first address that stands for it.
fn primary(node: Option<&Node>, facts: &NodeFacts) -> Option<IpAddr> {
    let mut stands = Family::ALL
        .into_iter()
        .filter_map(|f| *facts.primary.get(f));
    let addresses = node
        .into_iter()
        .flat_map(|node| super::reachable(node, facts));
    addresses.into_iter().next().or_else(|| stands.next())
}

/// FNV-1a over the 16 octets of an address (IPv4 ones mapped), as the original has it.
fn generated(address: IpAddr) -> Ipv4Addr {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let hash = octets.iter().fold(OFFSET_BASIS, |hash, octet| {
        (hash ^ u32::from(*octet)).wrapping_mul(PRIME)
    });
    // 0.0.0.0 is no identifier (RFC 6286 section 2.1).
    Ipv4Addr::from(hash.max(1))
}

/// Where sessions are accepted: as the Node says, else as the configuration says, else at the
/// addresses that stand for the node.
pub(super) fn listen(context: &Context<'_>, notes: &mut Vec<Note>) -> BTreeSet<SocketAddr> {
    let port = context.bgp().port;
    if let Some(addresses) = &context.own.local_addresses {
        for address in addresses
            .iter()
            .filter(|a| !context.facts.has(Family::of(**a)))
        {
            let family = Family::of(*address);
            let reason = format!("{address} is left out: the node has no {family} address");
            notes.push(context.note(LOCAL_ADDRESSES, reason));
        }
    }
    let addresses = local_addresses(context).into_iter();
    addresses
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

fn local_addresses(context: &Context<'_>) -> Vec<IpAddr> {
    let facts = context.facts;
    let configured = &context.bgp().local_addresses;
    let said = match &context.own.local_addresses {
        Some(addresses) => addresses,
        None => configured,
    };
    let has = |address: &IpAddr| facts.has(Family::of(*address));
    if context.own.local_addresses.is_none() && configured.is_empty() {
        return Family::ALL
            .into_iter()
            .filter_map(|f| *facts.primary.get(f))
            .collect();
    }
    said.iter().copied().filter(has).collect()
}

/// Our end of sessions with external peers that say nothing else: the first address of the family
/// where sessions are accepted, else the one that stands for the node.
pub(super) fn local_address(context: &Context<'_>, family: Family) -> Option<IpAddr> {
    let local = local_addresses(context).into_iter();
    let mut of_family = local.filter(|address| Family::of(*address) == family);
    of_family.next().or(*context.facts.primary.get(family))
}
