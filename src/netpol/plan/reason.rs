//! Which rules of which policies let something pass.

use std::net::IpAddr;

use crate::firewall::Payload;
use crate::model::{NamedPort, Pod};
use crate::netpol::plan::Flow;
use crate::netpol::plan::pods::Namespaces;
use crate::netpol::plan::policy::{Part, PartPeers};
use crate::netpol::plan::ports::Ports;

/// The other end of what a pod sends or is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Other<'a> {
    pub(super) address: IpAddr,
    pub(super) pod: Option<&'a Pod>,
}

/// Whether a rule lets a payload pass between `pod` and the other end.
pub(super) fn admits(
    part: &Part,
    flow: Flow,
    pod: &Pod,
    other: Other<'_>,
    payload: Payload,
    namespaces: &Namespaces,
) -> bool {
    let is_peer = match &part.peers {
        PartPeers::Everyone => true,
        PartPeers::These(keys, blocks) => {
            let selected = |pod| keys.iter().any(|key| key.selects(pod, namespaces));
            other.pod.is_some_and(selected) || blocks.contains(other.address)
        }
    };
    // Ports by name are those of the pod that traffic goes to.
    let named: &[NamedPort] = match flow {
        Flow::Ingress => &pod.ports,
        Flow::Egress => other
            .pod
            .map(|pod| pod.ports.as_slice())
            .unwrap_or_default(),
    };
    is_peer && is_port(part, named, payload)
}

fn is_port(part: &Part, own: &[NamedPort], payload: Payload) -> bool {
    let Payload::Ports(protocol, number) = payload else {
        return part.ports.is_everything();
    };
    let one: Ports = [(protocol, number, number)].into_iter().collect();
    one.without(&part.ports).is_empty()
        || own.iter().any(|port| {
            let is_it = port.protocol == protocol && port.port == number;
            let mut named = part.named.iter();
            is_it && named.any(|(known, name)| *known == protocol && *name == port.name)
        })
}
