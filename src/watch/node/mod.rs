//! What this node is: its Node object and its kernel's links and addresses, put together.
//!
//! Pure: [`Host`] is fed with what rtnetlink says, [`node_facts`] looks at nothing else. Nothing
//! is guessed where a cluster should know: without a Node object there are no facts, and the
//! reason says why. Manifests may leave their Node out; then the kernel's addresses stand for it.

mod host;
mod links;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::host::Host;
pub(super) use self::links::Links;
pub use self::links::Lost;
use crate::kernel::rtnl::object::Link;
use crate::model::{LocalAddress, Node, NodeFacts, Note, ObjectRef};
use crate::net::{ByFamily, Family, is_usable};

/// Links whose names hold one of these carry addresses of the cluster, not of the node.
const NOT_OURS: [&str; 3] = ["dummy", "kube", "docker"];

/// Whether the node may do without a Node object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeObject {
    /// The cluster is an API server: wait for it.
    Required,
    /// The cluster is a directory of manifests: the kernel's addresses stand in.
    Optional,
}

/// Why nothing can be done yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeUnknown {
    #[error("the cluster has no Node {0}: is [node] name right, and has the node been registered?")]
    NoObject(Arc<str>),
    #[error("Node {0} has no address of type InternalIP or ExternalIP in a family that is on")]
    NoAddress(Arc<str>),
    #[error("no link of this host has a global address in a family that is on")]
    NoHostAddress,
}

/// The facts about this node, and notes where they had to be made up.
///
/// # Errors
/// Where the facts would be guesses.
pub fn node_facts(
    name: &Arc<str>,
    families: ByFamily<bool>,
    host: &Host,
    node: Option<&Node>,
    object: NodeObject,
) -> Result<(NodeFacts, Vec<Note>), NodeUnknown> {
    let addresses = local_addresses(host);
    let wanted = |address: &IpAddr| *families.get(Family::of(*address)) && is_usable(*address);
    let mut notes = Vec::new();
    let mut known: Vec<IpAddr> = node.map(|node| node.addresses.clone()).unwrap_or_default();
    known.retain(wanted);
    if known.is_empty() {
        if object == NodeObject::Required {
            let name = Arc::clone(name);
            return Err(match node {
                None => NodeUnknown::NoObject(name),
                Some(_) => NodeUnknown::NoAddress(name),
            });
        }
        known = stand_ins(host, &addresses);
        known.retain(wanted);
        let first = known.first().ok_or(NodeUnknown::NoHostAddress)?;
        notes.push(note(name, node.is_some(), *first));
    }
    let of = |family| known.iter().copied().find(|a| Family::of(*a) == family);
    let primary_link = known.first().and_then(|primary| {
        let carrier = addresses.iter().find(|local| local.address == *primary);
        carrier.map(|local| Arc::clone(&local.link))
    });
    let carrier = host
        .links()
        .find(|link| primary_link.as_deref() == Some(&*link.name));
    let primary_mtu = carrier.map(|link| link.mtu);
    if let (None, Some(primary)) = (&primary_link, known.first()) {
        let object = ObjectRef::new("Node", Arc::clone(name));
        let reason = format!("no link of this host carries {primary}");
        notes.push(Note::new(object, "status.addresses", reason));
    }
    let facts = NodeFacts {
        name: Arc::clone(name),
        primary: ByFamily {
            v4: of(Family::V4),
            v6: of(Family::V6),
        },
        primary_link,
        primary_mtu,
        addresses,
        pod_cidrs: node.map(|node| node.pod_cidrs.clone()).unwrap_or_default(),
        zone: node.and_then(|node| node.zone.clone()),
        links: link_names(host),
    };
    Ok((facts, notes))
}

fn note(name: &Arc<str>, has_object: bool, first: IpAddr) -> Note {
    let object = ObjectRef::new("Node", Arc::clone(name));
    if has_object {
        let reason = format!("no usable address, {first} of this host stands in");
        Note::new(object, "status.addresses", reason)
    } else {
        let reason = format!("no such object, {first} of this host stands in");
        Note::new(object, "", reason)
    }
}

/// Addresses of the node's own links, sorted, each once.
fn local_addresses(host: &Host) -> Vec<LocalAddress> {
    let mut addresses: Vec<LocalAddress> = host
        .addresses()
        .filter_map(|address| {
            let link = host.link(address.link).filter(|link| is_own(link))?;
            Some(LocalAddress {
                address: address.prefix.addr(),
                prefix_length: address.prefix.prefix_len(),
                link: Arc::from(link.name.as_str()),
            })
        })
        .collect();
    addresses.sort_by(|a, b| (a.address, &a.link).cmp(&(b.address, &b.link)));
    addresses.dedup_by(|b, a| a.address == b.address);
    addresses
}

/// Whether the link's addresses are the node's own.
fn is_own(link: &Link) -> bool {
    !NOT_OURS.iter().any(|word| link.name.contains(word))
}

/// Addresses that may stand for a node without any: those of the links with a default route
/// first, then those of other links; a route's preferred source before all.
fn stand_ins(host: &Host, addresses: &[LocalAddress]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for route in host.default_routes() {
        let name = route.link.and_then(|index| host.link(index));
        let name = name.map(|link| link.name.as_str());
        let on_link = addresses.iter().filter(|local| Some(&*local.link) == name);
        let family = route.family();
        let same = on_link.filter(|local| Family::of(local.address) == family);
        found.extend(route.source);
        found.extend(same.map(|local| local.address));
    }
    found.extend(addresses.iter().map(|local| local.address));
    found
}

fn link_names(host: &Host) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = host.links().map(|l| Arc::from(l.name.as_str())).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
