//! Nodes, Services, node facts and configuration to what the speaker and BFD are told to be.
//!
//! ```text
//! facts, own Node ──identity──► AS, BGP identifier, addresses ─┐
//! Nodes ───────────mesh───────► peers: the other nodes ────────┼─► BgpPlan ──► speaker, BFD
//! config, own Node ─external──► peers: outside the cluster ────┤
//! Services, slices ─vips──────► routes of our own ─────────────┘
//! ```
//!
//! - The plan depends on the present inputs only.
//! - Every peer has policies, from the first session on: none is ever open by default.
//! - Two nodes plan the session between them alike, from the same two Node objects: the addresses
//!   of the same family, or none.
//! - What cannot be done is a note; everything else is planned all the same.
//!
//! References: RFC 4271, 4456, 4724, 5082, 5880.

mod external;
mod identity;
mod mesh;
mod peering;
mod policies;
mod print;
mod vips;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use self::identity::Identity;
pub use self::print::print;
use crate::bfd;
use crate::bgp::rib::{RouteKind, Speaker};
use crate::bgp::speaker::{Desired, Originated};
use crate::bgp::wire::Attributes;
use crate::config::{BgpConfig, ClusterConfig};
use crate::model::{Node, NodeBgp, NodeFacts, Note, ObjectRef, Reflector, Snapshot};
use crate::net::{Family, Prefix};

/// The checked configuration that BGP's plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpSettings {
    pub bgp: BgpConfig,
    pub cluster: ClusterConfig,
}

/// What this node says by BGP, and to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BgpPlan {
    /// `None`: no BGP can be spoken, and a note says why.
    pub speaker: Option<Desired>,
    /// Where sessions are accepted.
    pub listen: BTreeSet<SocketAddr>,
    /// The peers that BFD watches.
    pub bfd: BTreeMap<bfd::SessionKey, bfd::SessionConfig>,
    /// Sorted, each once.
    pub notes: Vec<Note>,
}

/// What all parts of the plan read.
#[derive(Clone, Copy)]
struct Context<'a> {
    snapshot: &'a Snapshot,
    facts: &'a NodeFacts,
    settings: &'a BgpSettings,
    /// What the own Node's annotations say.
    own: &'a NodeBgp,
    identity: &'a Identity,
}

/// Plans all of BGP for one node.
#[must_use]
pub fn desired(snapshot: &Snapshot, facts: &NodeFacts, settings: &BgpSettings) -> BgpPlan {
    let mut planned = BgpPlan::default();
    let nothing = NodeBgp::default();
    let node = snapshot.nodes.get(&facts.name).map(|node| &**node);
    let own = node.map_or(&nothing, |node| &node.bgp);
    let identity = match identity::identity(node, facts, settings) {
        Ok(identity) => identity,
        Err(note) => {
            planned.notes.push(note);
            return planned;
        }
    };
    let context = Context {
        snapshot,
        facts,
        settings,
        own,
        identity: &identity,
    };
    planned.listen = identity::listen(&context, &mut planned.notes);
    let mut speaker = Desired::new(speaker(&context));
    mesh::add(&context, &mut speaker, &mut planned);
    external::add(&context, &mut speaker, &mut planned);
    originate(&context, &mut speaker, &mut planned.notes);
    planned.speaker = Some(speaker);
    planned.notes.sort_unstable();
    planned.notes.dedup();
    planned
}

fn speaker(context: &Context<'_>) -> Speaker {
    let facts = context.facts;
    let local = facts.addresses.iter().map(|local| local.address);
    let primaries = Family::ALL
        .into_iter()
        .filter_map(|f| *facts.primary.get(f));
    Speaker {
        asn: context.identity.asn,
        confederation: None,
        router_id: context.identity.router_id,
        cluster_id: context.reflects(),
        addresses: local.chain(primaries).collect(),
    }
}

/// The node's own pod ranges, and the addresses of Services.
fn originate(context: &Context<'_>, speaker: &mut Desired, notes: &mut Vec<Note>) {
    for prefix in &context.facts.pod_cidrs {
        let family = Family::of_prefix(prefix);
        match context.facts.primary.get(family) {
            Some(address) => {
                let range = originated(RouteKind::PodCidr, *address, Attributes::default());
                speaker.originate.insert(*prefix, range);
            }
            None => notes.push(context.note(
                "spec.podCIDRs",
                format!("{prefix} is not announced: the node has no {family} address"),
            )),
        }
    }
    for (address, attributes) in vips::vips(context) {
        if let Some(own) = context.facts.primary.get(Family::of(address)) {
            let vip = originated(RouteKind::ServiceVip, *own, attributes);
            speaker
                .originate
                .entry(Prefix::from(address))
                .or_insert(vip);
        }
    }
}

fn originated(kind: RouteKind, next_hop: IpAddr, attributes: Attributes) -> Originated {
    Originated {
        kind,
        next_hop: next_hop.into(),
        attributes,
    }
}

// === impl Context ===

impl Context<'_> {
    fn bgp(&self) -> &BgpConfig {
        &self.settings.bgp
    }

    /// The cluster that this node reflects for.
    fn reflects(&self) -> Option<Ipv4Addr> {
        match self.own.reflector? {
            Reflector::Server(cluster) => Some(cluster),
            Reflector::Client(_) => None,
        }
    }

    /// A note on the own Node.
    fn note(&self, field: &str, reason: impl Into<Arc<str>>) -> Note {
        node_note(self.facts, field, reason)
    }
}

fn node_note(facts: &NodeFacts, field: &str, reason: impl Into<Arc<str>>) -> Note {
    Note::new(
        ObjectRef::new("Node", Arc::clone(&facts.name)),
        field,
        reason,
    )
}

/// The addresses of another Node that this one can reach: those of its own families.
fn reachable<'a>(node: &'a Node, facts: &'a NodeFacts) -> impl Iterator<Item = IpAddr> + 'a {
    let is_reachable = |address: &IpAddr| facts.has(Family::of(*address));
    node.addresses.iter().copied().filter(is_reachable)
}

#[cfg(test)]
pub(in crate::routing) mod tests;
