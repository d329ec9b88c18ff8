//! Which open connections are judged again. Pure.

use crate::firewall::{Change as RuleChange, Hook, Packet, Payload, Tracked};
use crate::kernel::conntrack::Flow;
use crate::model::NodeFacts;
use crate::net::{Family, Protocol};
use crate::netpol::plan::LOCAL_PODS;

/// The family in which a step may refuse what was allowed.
pub(super) fn tightens(step: &RuleChange) -> Option<Family> {
    match step {
        RuleChange::SetChain(family, _) | RuleChange::SetTargets(family, ..) => Some(*family),
        RuleChange::DelMembers(key, _) => Some(key.family),
        RuleChange::AddMembers(key, _) if key.def == LOCAL_PODS => Some(key.family),
        _ => None,
    }
}

/// The packet that a flow began with, as the rules see it: behind the translation of its
/// destination, before that of its source.
pub(super) fn first_packet(flow: &Flow, facts: &NodeFacts) -> Option<Packet> {
    let (source, destination) = (flow.original.source, flow.reply.source);
    let protocol = Protocol::from_number(flow.original.protocol)?;
    let (from_node, to_node) = (facts.is_local(source), facts.is_local(destination));
    let hook = match (from_node, to_node) {
        // The node reaches its pods whatever policies say.
        (true, _) => return None,
        (false, true) => Hook::Input,
        (false, false) => Hook::Forward,
    };
    Some(Packet {
        hook,
        source,
        destination,
        payload: Payload::Ports(protocol, flow.reply.source_port),
        tracked: Tracked::New,
        from_node,
        to_node,
        served: false,
    })
}
