use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::bgp::speaker::PeerDesired;
use crate::config::{self, Sources};
use crate::model::{
    Endpoint, EndpointSlice, LocalAddress, ObjectName, Service, ServiceAnnotations, ServiceKind,
    ServicePort, SlicePort, TrafficPolicy,
};
use crate::net::{ByFamily, Protocol};

mod external;
mod identity;
mod mesh;
mod policies;
mod vips;

/// A cluster seen from one of its nodes, `n1` unless said otherwise.
struct World {
    nodes: BTreeMap<Arc<str>, Arc<Node>>,
    snapshot: Snapshot,
    settings: BgpSettings,
}

const V4: &[&str] = &["10.1.1.1"];
const V6: &[&str] = &["fd01:1::1"];
const DUAL: &[&str] = &["10.1.1.1", "fd01:1::1"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The settings of a file's text.
pub(in crate::routing) fn settings(text: &str) -> BgpSettings {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let both = "node.enable_ipv6 = true\ncluster.strict_external_ip_validation = false\n";
    fs::write(&file, format!("{both}{text}")).unwrap();
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    let config = config::load(&sources).unwrap().config;
    BgpSettings {
        bgp: config.bgp,
        cluster: config.cluster,
    }
}

fn node(name: &str, addresses: &[&str]) -> Node {
    Node {
        name: name.into(),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        pod_cidrs: Vec::new(),
        zone: None,
        bgp: NodeBgp::default(),
    }
}

/// What `watch` makes of a Node on a host that carries its addresses.
fn facts(node: &Node) -> NodeFacts {
    let of = |family| {
        node.addresses
            .iter()
            .copied()
            .find(|a| Family::of(*a) == family)
    };
    let mut addresses: Vec<LocalAddress> = node
        .addresses
        .iter()
        .map(|address| LocalAddress {
            address: *address,
            prefix_length: if address.is_ipv4() { 24 } else { 64 },
            link: "eth0".into(),
        })
        .collect();
    addresses.sort_by_key(|local| local.address);
    NodeFacts {
        name: Arc::clone(&node.name),
        primary: ByFamily {
            v4: of(Family::V4),
            v6: of(Family::V6),
        },
        addresses,
        pod_cidrs: node.pod_cidrs.clone(),
        ..NodeFacts::default()
    }
}

impl World {
    /// `n1` at these addresses, alone.
    fn new(addresses: &[&str]) -> Self {
        Self::configured(addresses, "")
    }

    fn configured(addresses: &[&str], text: &str) -> Self {
        let world = Self {
            nodes: BTreeMap::new(),
            snapshot: Snapshot::default(),
            settings: settings(text),
        };
        world.with(node("n1", addresses))
    }

    fn with(mut self, node: Node) -> Self {
        self.nodes.insert(Arc::clone(&node.name), Arc::new(node));
        self.snapshot.nodes = Arc::new(self.nodes.clone());
        self
    }

    /// Changes a Node.
    fn but(mut self, name: &str, change: impl FnOnce(&mut Node)) -> Self {
        let mut node = Node::clone(&self.nodes[name]);
        change(&mut node);
        self = self.with(node);
        self
    }

    fn planned_for(&self, name: &str) -> BgpPlan {
        desired(&self.snapshot, &facts(&self.nodes[name]), &self.settings)
    }

    fn planned(&self) -> BgpPlan {
        self.planned_for("n1")
    }

    fn speaker(&self) -> Desired {
        self.planned().speaker.unwrap()
    }

    fn notes(&self) -> Vec<String> {
        self.planned()
            .notes
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn peer(&self, address: &str) -> PeerDesired {
        let speaker = self.speaker();
        let peer = speaker.peers.get(&ip(address));
        PeerDesired::clone(peer.unwrap_or_else(|| panic!("no peer {address}")))
    }

    fn peers(&self) -> Vec<String> {
        self.speaker()
            .peers
            .keys()
            .map(ToString::to_string)
            .collect()
    }
}

#[test]
fn pod_ranges_are_announced_with_the_nodes_address_of_their_family() {
    let ranges = |node: &mut Node| {
        node.pod_cidrs = vec![prefix("10.244.1.0/24"), prefix("fd02:1::/64")];
    };
    for (addresses, expected, notes) in [
        (
            DUAL,
            vec![("10.244.1.0/24", "10.1.1.1"), ("fd02:1::/64", "fd01:1::1")],
            0,
        ),
        (V4, vec![("10.244.1.0/24", "10.1.1.1")], 1),
        (V6, vec![("fd02:1::/64", "fd01:1::1")], 1),
    ] {
        let world = World::configured(addresses, "bgp.router_id = \"192.0.2.7\"\n");
        let world = world.but("n1", ranges);
        let originate = world.speaker().originate;
        let found: Vec<(String, String)> = originate
            .iter()
            .map(|(prefix, it)| (prefix.to_string(), it.next_hop.address().to_string()))
            .collect();
        let expected = expected
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert!(originate.values().all(|it| it.kind == RouteKind::PodCidr));
        assert_eq!(world.notes().len(), notes, "{:?}", world.notes());
    }
}

#[test]
fn all_addresses_of_the_host_are_known_as_its_own() {
    let addresses = World::new(DUAL).speaker().speaker.addresses;
    assert_eq!(addresses, [ip("10.1.1.1"), ip("fd01:1::1")].into());
}

#[test]
fn the_plan_follows_from_the_inputs_alone() {
    let world = World::new(DUAL).with(node("n2", &["10.1.1.2"]));
    let before = world.planned();
    let world = world.with(node("n3", &["10.1.1.3"]));
    assert_ne!(world.planned(), before);
    let mut world = world;
    world.nodes.remove("n3");
    world.snapshot.nodes = Arc::new(world.nodes.clone());
    assert_eq!(world.planned(), before);
}
