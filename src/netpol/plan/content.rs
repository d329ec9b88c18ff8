//! What may pass to or from the pods of one isolation: all its policies merged, in one canonical
//! form, from which its name follows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::Name;
use crate::model::{NamedPort, Selector};
use crate::net::Protocol;
use crate::netpol::plan::Flow;
use crate::netpol::plan::blocks::{Blocks, Range};
use crate::netpol::plan::names::Text;
use crate::netpol::plan::peers::{PeerKey, Reach};
use crate::netpol::plan::policy::{Part, PartPeers};
use crate::netpol::plan::ports::{Atom, Ports};

/// Where pods must be for a named port to count: anywhere, or within blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Within {
    Anywhere,
    Blocks(Arc<Blocks>),
}

/// What one group of pods may be reached on, or may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) ports: Ports,
    /// By name, each pod of the group on its own number.
    pub(super) named: BTreeMap<(Protocol, Arc<str>), Within>,
}

/// What one isolation lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) flow: Flow,
    pub(super) everyone: Ports,
    pub(super) pods: BTreeMap<PeerKey, Allowance>,
    pub(super) blocks: BTreeMap<Atom, Blocks>,
}

/// What is gathered before it is merged.
#[derive(Debug, Default)]
struct Gathered {
    everyone: Ports,
    pods: BTreeMap<PeerKey, Allowance>,
    blocks: Vec<(Ports, Blocks)>,
    named: BTreeMap<(Protocol, Arc<str>), Vec<Range>>,
}

// === impl Within ===

impl Within {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Blocks(blocks) => blocks.contains(address),
        }
    }
}

// === impl Gathered ===

impl Gathered {
    fn take(&mut self, part: &Part, flow: Flow, own: &[NamedPort]) {
        let (ports, named): (_, &[_]) = match flow {
            Flow::Egress => (part.ports.clone(), &part.named),
            Flow::Ingress => (resolved(part, own), &[]),
        };
        match &part.peers {
            PartPeers::Everyone => {
                self.everyone.add(&ports);
                if !named.is_empty() {
                    let everybody = self.pods.entry(everybody()).or_default();
                    anywhere(everybody, named);
                }
            }
            PartPeers::These(keys, blocks) => {
                for key in keys {
                    let allowance = self.pods.entry(key.clone()).or_default();
                    allowance.ports.add(&ports);
                    anywhere(allowance, named);
                }
                if blocks.is_empty() {
                    return;
                }
                if !ports.is_empty() {
                    self.blocks.push((ports, blocks.clone()));
                }
                for name in named {
                    let ranges = self.named.entry(name.clone()).or_default();
                    ranges.extend_from_slice(blocks.ranges());
                }
            }
        }
    }

    fn merge(mut self, flow: Flow) -> Content {
        for (name, ranges) in std::mem::take(&mut self.named) {
            let within = Within::Blocks(Arc::new(ranges.into_iter().collect()));
            let everybody = self.pods.entry(everybody()).or_default();
            everybody.named.entry(name).or_insert(within);
        }
        let everyone = self.everyone;
        let mut pods = self.pods;
        for allowance in pods.values_mut() {
            allowance.ports = allowance.ports.without(&everyone);
            if allowance.ports.is_everything() || everyone.is_everything() {
                allowance.named.clear();
            }
        }
        pods.retain(|_, allowance| !allowance.ports.is_empty() || !allowance.named.is_empty());
        let mut ranges: BTreeMap<Atom, Vec<_>> = BTreeMap::new();
        for (ports, block) in self.blocks {
            for atom in ports.without(&everyone).atoms() {
                ranges
                    .entry(atom)
                    .or_default()
                    .extend_from_slice(block.ranges());
            }
        }
        let merged = ranges.into_iter();
        let mut blocks: BTreeMap<Atom, Blocks> = merged
            .map(|(atom, ranges)| (atom, ranges.into_iter().collect()))
            .collect();
        if let Some(whole) = blocks.get(&Atom::Everything).cloned() {
            for (atom, block) in &mut blocks {
                if *atom != Atom::Everything {
                    *block = block.without(&whole);
                }
            }
            blocks.retain(|_, block| !block.is_empty());
        }
        Content {
            flow,
            everyone,
            pods,
            blocks,
        }
    }
}

/// The ports of a rule for what comes in, on a pod that has these ports.
fn resolved(part: &Part, own: &[NamedPort]) -> Ports {
    if part.named.is_empty() {
        return part.ports.clone();
    }
    let is_named = |port: &&NamedPort| {
        let mut named = part.named.iter();
        named.any(|(protocol, name)| *protocol == port.protocol && *name == port.name)
    };
    let own = own.iter().filter(is_named);
    let mut ports: Ports = own
        .map(|port| (port.protocol, port.port, port.port))
        .collect();
    ports.add(&part.ports);
    ports
}

fn anywhere(allowance: &mut Allowance, named: &[(Protocol, Arc<str>)]) {
    for name in named {
        allowance.named.insert(name.clone(), Within::Anywhere);
    }
}

fn everybody() -> PeerKey {
    PeerKey {
        reach: Reach::Namespaces(Selector::default()),
        pods: Selector::default(),
    }
}

// === impl Content ===

impl Content {
    /// Merges rules; `own` are the ports by name of the pod that is isolated.
    pub(super) fn of<'a>(
        flow: Flow,
        parts: impl Iterator<Item = &'a Part>,
        own: &[NamedPort],
    ) -> Self {
        let mut gathered = Gathered::default();
        for part in parts {
            gathered.take(part, flow, own);
        }
        gathered.merge(flow)
    }

    /// Nothing is refused.
    pub(super) fn is_open(&self) -> bool {
        self.everyone.is_everything()
    }

    /// The name of its chain.
    pub(super) fn name(&self) -> Name {
        let mut text = Text::default();
        text.text(self.flow.name());
        write_ports(&mut text, &self.everyone);
        text.count(self.pods.len());
        for (key, allowance) in &self.pods {
            write_key(&mut text, key);
            write_ports(&mut text, &allowance.ports);
            text.count(allowance.named.len());
            for ((protocol, name), within) in &allowance.named {
                text.text(protocol.name());
                text.text(name);
                match within {
                    Within::Anywhere => text.text("anywhere"),
                    Within::Blocks(blocks) => write_blocks(&mut text, blocks),
                }
            }
        }
        text.count(self.blocks.len());
        for (atom, blocks) in &self.blocks {
            text.text(&atom.to_string());
            write_blocks(&mut text, blocks);
        }
        text.name("KUBE-NWPLCY-")
    }
}

fn write_key(text: &mut Text, key: &PeerKey) {
    match &key.reach {
        Reach::Namespace(name) => {
            text.text("namespace");
            text.text(name);
        }
        Reach::Namespaces(selector) => {
            text.text("namespaces");
            text.selector(selector);
        }
    }
    text.selector(&key.pods);
}

fn write_ports(text: &mut Text, ports: &Ports) {
    text.count(usize::from(ports.is_everything()));
    text.count(ports.ranges().len());
    for (protocol, low, high) in ports.ranges() {
        text.text(protocol.name());
        text.count(usize::from(*low));
        text.count(usize::from(*high));
    }
}

fn write_blocks(text: &mut Text, blocks: &Blocks) {
    text.text("blocks");
    text.count(blocks.ranges().len());
    for (family, first, last) in blocks.ranges() {
        text.count(usize::from(family.host_bits()));
        text.wide(*first);
        text.wide(*last);
    }
}
