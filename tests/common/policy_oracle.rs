//! A plain reading of the text of `networking.k8s.io/v1` NetworkPolicy, packet by packet.
//!
//! Written apart from the planner and without any of its code, so that the two can disagree.
//! Slow on purpose: every question goes through every object.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test binaries, each using a part"
)]

use std::net::IpAddr;

use kube_router::config::Established;
use kube_router::firewall::{Hook, IcmpType, Packet, Payload, Tracked};
use kube_router::model::{
    Labels, NamedPort, NetworkPolicy, NodeFacts, Peer, Pod, PolicyPort, PolicyRule, PortSpec,
    Requirement, Selector,
};

use crate::policy_cluster::Cluster;

/// Whether the packet passes this node's network policy.
pub fn passes(cluster: &Cluster, node: &NodeFacts, packet: &Packet) -> bool {
    let (from, to) = (packet.source, packet.destination);
    let is_judged = if from.is_ipv4() {
        cluster.settings.families.v4
    } else {
        cluster.settings.families.v6
    };
    if !is_judged || packet.tracked == Tracked::Known {
        return true;
    }
    let sender = pod_at(cluster, from).filter(|pod| runs_here(pod, node));
    // What comes in to the node itself concerns no pod but its sender.
    let receiver = match packet.hook {
        Hook::Input => None,
        _ => pod_at(cluster, to).filter(|pod| runs_here(pod, node)),
    };
    if packet.hook == Hook::Output && packet.from_node {
        return true;
    }
    if packet.hook == Hook::Input && packet.served {
        return true;
    }
    let in_range = |address: IpAddr| node.pod_cidrs.iter().any(|cidr| cidr.contains(&address));
    let unknown = |address: IpAddr, is_node: bool| {
        cluster.settings.default_deny
            && in_range(address)
            && !is_node
            && !pod_at(cluster, address).is_some_and(|pod| runs_here(pod, node))
    };
    let from_unknown = unknown(from, packet.from_node);
    let to_unknown = packet.hook != Hook::Input && unknown(to, packet.to_node);
    if sender.is_none() && receiver.is_none() && !from_unknown && !to_unknown {
        return true;
    }
    if networks_need(packet.payload, from.is_ipv6()) || (from == to && sender.is_some()) {
        return true;
    }
    // Nobody can tell which end began it: with recheck it may be one that was cut off.
    let is_cut_off =
        packet.tracked == Tracked::Midway && cluster.settings.established == Established::Recheck;
    if packet.tracked == Tracked::Invalid || is_cut_off || from_unknown || to_unknown {
        return false;
    }
    sender.is_none_or(|pod| may_send(cluster, pod, to, packet.payload))
        && receiver.is_none_or(|pod| may_receive(cluster, pod, from, packet.payload))
}

/// "Of two pods that claim one address the younger has it"; pods on the host's network and
/// finished ones claim none.
pub fn pod_at(cluster: &Cluster, address: IpAddr) -> Option<&Pod> {
    let mut found: Option<&Pod> = None;
    for pod in &cluster.pods {
        if pod.host_network || pod.finished || !pod.addresses.contains(&address) {
            continue;
        }
        let younger = found.is_none_or(|other| {
            let name = |pod: &Pod| (pod.name.namespace.to_string(), pod.name.name.to_string());
            pod.created > other.created || (pod.created == other.created && name(pod) > name(other))
        });
        if younger {
            found = Some(pod);
        }
    }
    found
}

pub fn runs_here(pod: &Pod, node: &NodeFacts) -> bool {
    match &pod.node {
        Some(name) => **name == *node.name,
        None => pod
            .host_ips
            .iter()
            .any(|host| node.addresses.iter().any(|own| own.address == *host)),
    }
}

/// Errors about other packets, and what finds routers, neighbours and listeners.
fn networks_need(payload: Payload, v6: bool) -> bool {
    let Payload::Icmp(kind) = payload else {
        return false;
    };
    match kind {
        IcmpType::EchoRequest | IcmpType::EchoReply => false,
        IcmpType::DestinationUnreachable | IcmpType::TimeExceeded | IcmpType::ParameterProblem => {
            true
        }
        IcmpType::PacketTooBig
        | IcmpType::NeighbourSolicitation
        | IcmpType::NeighbourAdvertisement
        | IcmpType::RouterSolicitation
        | IcmpType::RouterAdvertisement
        | IcmpType::MulticastListener(_) => v6,
    }
}

/// "By default, a pod is non-isolated for egress. A pod is isolated for egress if there is any
/// NetworkPolicy that both selects the pod and has Egress in its policyTypes. When a pod is
/// isolated for egress, the only allowed connections from the pod are those allowed by the egress
/// list of some NetworkPolicy that applies to the pod for egress."
fn may_send(cluster: &Cluster, pod: &Pod, to: IpAddr, payload: Payload) -> bool {
    let mut isolated = false;
    for policy in cluster.policies.iter().filter(|one| applies(one, pod)) {
        let Some(rules) = &policy.egress else {
            continue;
        };
        isolated = true;
        let target = pod_at(cluster, to);
        let names = target.map(|pod| pod.ports.as_slice()).unwrap_or_default();
        if rules
            .iter()
            .any(|rule| rule_allows(cluster, policy, rule, to, names, payload))
        {
            return true;
        }
    }
    !isolated
}

/// The same for ingress; ports by name are those of the pod itself. The beta annotation of a
/// namespace isolates its pods for ingress.
fn may_receive(cluster: &Cluster, pod: &Pod, from: IpAddr, payload: Payload) -> bool {
    let mut isolated = cluster
        .namespaces
        .iter()
        .any(|one| one.name == pod.name.namespace && one.default_deny);
    for policy in cluster.policies.iter().filter(|one| applies(one, pod)) {
        let Some(rules) = &policy.ingress else {
            continue;
        };
        isolated = true;
        if rules
            .iter()
            .any(|rule| rule_allows(cluster, policy, rule, from, &pod.ports, payload))
        {
            return true;
        }
    }
    !isolated
}

/// "This policy applies to pods in its own namespace that podSelector selects."
fn applies(policy: &NetworkPolicy, pod: &Pod) -> bool {
    policy.name.namespace == pod.name.namespace && selects(&policy.pods, &pod.labels)
}

/// "Traffic must match both ports and from/to." Missing or empty: everything.
fn rule_allows(
    cluster: &Cluster,
    policy: &NetworkPolicy,
    rule: &PolicyRule,
    other: IpAddr,
    names: &[NamedPort],
    payload: Payload,
) -> bool {
    let peer = match &rule.peers {
        None => true,
        Some(peers) => peers
            .iter()
            .any(|peer| is_peer(cluster, policy, peer, other)),
    };
    let port = match &rule.ports {
        None => true,
        Some(ports) => ports.iter().any(|port| is_port(port, names, payload)),
    };
    peer && port
}

fn is_peer(cluster: &Cluster, policy: &NetworkPolicy, peer: &Peer, address: IpAddr) -> bool {
    match peer {
        Peer::Block(block) => {
            block.prefix.contains(&address)
                && !block.except.iter().any(|hole| hole.contains(&address))
        }
        Peer::Pods { namespaces, pods } => {
            let Some(pod) = pod_at(cluster, address) else {
                return false;
            };
            let namespace = match namespaces {
                None => pod.name.namespace == policy.name.namespace,
                Some(selector) => {
                    let known = cluster
                        .namespaces
                        .iter()
                        .find(|one| one.name == pod.name.namespace);
                    match known {
                        Some(known) => selects(selector, &known.labels),
                        // Not seen yet: only a selector of all namespaces surely means it.
                        None => selector.requirements().is_empty(),
                    }
                }
            };
            namespace && selects(pods, &pod.labels)
        }
    }
}

fn is_port(port: &PolicyPort, names: &[NamedPort], payload: Payload) -> bool {
    let Payload::Ports(protocol, number) = payload else {
        return false;
    };
    if port.protocol != protocol {
        return false;
    }
    match &port.port {
        PortSpec::All => true,
        PortSpec::Range(range) => *range.start() <= number && number <= *range.end(),
        PortSpec::Named(name) => names
            .iter()
            .any(|own| own.name == *name && own.protocol == protocol && own.port == number),
    }
}

fn selects(selector: &Selector, labels: &Labels) -> bool {
    for requirement in selector.requirements() {
        let (Requirement::In(key, _)
        | Requirement::NotIn(key, _)
        | Requirement::Exists(key)
        | Requirement::DoesNotExist(key)) = requirement;
        let value = labels
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value);
        let holds = match (requirement, value) {
            (Requirement::In(_, values), Some(value)) => values.iter().any(|one| one == value),
            (Requirement::NotIn(_, values), Some(value)) => values.iter().all(|one| one != value),
            (Requirement::In(..) | Requirement::Exists(_), None) => false,
            (Requirement::NotIn(..) | Requirement::DoesNotExist(_), None) => true,
            (Requirement::Exists(_), Some(_)) => true,
            (Requirement::DoesNotExist(_), Some(_)) => false,
        };
        if !holds {
            return false;
        }
    }
    true
}
