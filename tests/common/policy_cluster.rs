//! Small clusters with network policies: made by hand, or at random so that they shrink.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test binaries, each using a part"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube_router::config::{Established, NetpolBackend};
use kube_router::model::{
    IpBlock, Labels, LocalAddress, NamedPort, Namespace, NetworkPolicy, NodeFacts, ObjectName,
    Peer, Pod, PolicyPort, PolicyRule, PortSpec, Requirement, Selector, Snapshot,
};
use kube_router::net::{ByFamily, Prefix, Protocol};
use kube_router::netpol::{Input, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub const NODE: &str = "here";
pub const NODE_V4: &str = "192.168.7.1";
pub const NODE_V6: &str = "fd00:7::1";
pub const POD_CIDRS: [&str; 2] = ["10.42.0.0/24", "fd00:42::/64"];

/// Everything a plan reads, object by object.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub namespaces: Vec<Namespace>,
    pub pods: Vec<Pod>,
    pub policies: Vec<NetworkPolicy>,
    pub settings: Settings,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            pods: Vec::new(),
            policies: Vec::new(),
            settings: settings(),
        }
    }
}

impl Cluster {
    pub fn input(&self) -> Input {
        let mut snapshot = Snapshot::default();
        for pod in &self.pods {
            snapshot.pods.insert(&pod.name, Arc::new(pod.clone()));
        }
        for policy in &self.policies {
            snapshot
                .policies
                .insert(&policy.name, Arc::new(policy.clone()));
        }
        let namespaces = self.namespaces.iter();
        snapshot.namespaces = Arc::new(
            namespaces
                .map(|one| (Arc::clone(&one.name), Arc::new(one.clone())))
                .collect(),
        );
        Input {
            snapshot: Arc::new(snapshot),
            facts: Arc::new(facts()),
            settings: Arc::new(self.settings),
        }
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn facts() -> NodeFacts {
    let address = |text: &str, prefix_length| LocalAddress {
        address: ip(text),
        prefix_length,
        link: "eth0".into(),
    };
    NodeFacts {
        name: NODE.into(),
        primary: ByFamily {
            v4: Some(ip(NODE_V4)),
            v6: Some(ip(NODE_V6)),
        },
        addresses: vec![address(NODE_V4, 24), address(NODE_V6, 64)],
        primary_link: Some("eth0".into()),
        primary_mtu: Some(1500),
        pod_cidrs: POD_CIDRS.iter().map(|text| prefix(text)).collect(),
        zone: None,
        links: vec!["eth0".into()],
    }
}

pub fn settings() -> Settings {
    Settings {
        families: ByFamily { v4: true, v6: true },
        default_deny: false,
        log_drops: false,
        backend: NetpolBackend::Auto,
        established: Established::Keep,
        sync_period: Duration::from_secs(300),
    }
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
        .collect()
}

pub fn selector(pairs: &[(&str, &str)]) -> Selector {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| Requirement::is(Arc::from(*key), Arc::from(*value)))
        .collect()
}

pub fn namespace(name: &str, pairs: &[(&str, &str)]) -> Namespace {
    Namespace {
        name: name.into(),
        labels: labels(pairs),
        default_deny: false,
    }
}

/// `namespace/name` on this node.
pub fn pod(name: &str, addresses: &[&str], pairs: &[(&str, &str)]) -> Pod {
    let (namespace, name) = name.split_once('/').unwrap();
    Pod {
        name: ObjectName::new(namespace, name),
        created: 0,
        node: Some(NODE.into()),
        host_ips: Vec::new(),
        addresses: addresses.iter().map(|one| ip(one)).collect(),
        host_network: false,
        finished: false,
        labels: labels(pairs),
        ports: Vec::new(),
    }
}

pub fn remote(pod: Pod) -> Pod {
    Pod {
        node: Some("there".into()),
        ..pod
    }
}

pub fn port(name: &str, protocol: Protocol, port: u16) -> NamedPort {
    NamedPort {
        name: name.into(),
        protocol,
        port,
    }
}

pub fn policy(
    name: &str,
    pods: Selector,
    ingress: Option<Vec<PolicyRule>>,
    egress: Option<Vec<PolicyRule>>,
) -> NetworkPolicy {
    let (namespace, name) = name.split_once('/').unwrap();
    NetworkPolicy {
        name: ObjectName::new(namespace, name),
        pods,
        ingress,
        egress,
    }
}

pub fn rule(peers: Option<Vec<Peer>>, ports: Option<Vec<PolicyPort>>) -> PolicyRule {
    PolicyRule { peers, ports }
}

pub fn same_namespace(pods: Selector) -> Peer {
    Peer::Pods {
        namespaces: None,
        pods,
    }
}

pub fn namespaces(namespaces: Selector, pods: Selector) -> Peer {
    Peer::Pods {
        namespaces: Some(namespaces),
        pods,
    }
}

pub fn block(text: &str, except: &[&str]) -> Peer {
    Peer::Block(IpBlock {
        prefix: prefix(text),
        except: except.iter().map(|one| prefix(one)).collect(),
    })
}

pub fn tcp(from: u16, to: u16) -> PolicyPort {
    PolicyPort {
        protocol: Protocol::Tcp,
        port: PortSpec::Range(from..=to),
    }
}

pub fn named(protocol: Protocol, name: &str) -> PolicyPort {
    PolicyPort {
        protocol,
        port: PortSpec::Named(name.into()),
    }
}

pub fn whole(protocol: Protocol) -> PolicyPort {
    PolicyPort {
        protocol,
        port: PortSpec::All,
    }
}

// === at random ===

const NAMESPACES: [&str; 4] = ["ns-a", "ns-b", "ns-c", "ns-d"];
const NAMES: [&str; 8] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];
const KEYS: [(&str, &[&str]); 2] = [("app", &["a", "b", "c"]), ("tier", &["", "x"])];
const V4: [&str; 8] = [
    "10.42.0.1",
    "10.42.0.2",
    "10.42.0.5",
    "10.42.0.6",
    "10.42.1.1",
    "10.42.1.2",
    "10.42.1.5",
    "10.42.1.6",
];
const V6: [&str; 6] = [
    "fd00:42::1",
    "fd00:42::2",
    "fd00:42::5",
    "fd00:42:1::1",
    "fd00:42:1::5",
    "fd00:42:1::6",
];
const BLOCKS: [&str; 14] = [
    "0.0.0.0/0",
    "10.42.0.0/16",
    "10.42.0.0/24",
    "10.42.0.0/30",
    "10.42.1.4/31",
    "10.42.0.5/32",
    "203.0.113.0/24",
    "0.0.0.0/1",
    "::/0",
    "fd00:42::/32",
    "fd00:42::/64",
    "fd00:42:1::4/126",
    "fd00:42::5/128",
    "2001:db8::/32",
];

prop_compose! {
    pub fn any_labels()(
        app in proptest::option::of(select(KEYS[0].1)),
        tier in proptest::option::of(select(KEYS[1].1)),
    ) -> Labels {
        let app = app.map(|value| (Arc::from("app"), Arc::from(value)));
        let tier = tier.map(|value| (Arc::from("tier"), Arc::from(value)));
        app.into_iter().chain(tier).collect()
    }
}

fn any_requirement() -> impl Strategy<Value = Requirement> {
    let key = select(&KEYS[..]);
    (key, 0..6_u8, 1..8_u8).prop_map(|((key, values), operator, which)| {
        let chosen = values.iter().enumerate();
        let chosen: Box<[Arc<str>]> = chosen
            .filter(|(at, _)| which & (1 << at) != 0)
            .map(|(_, value)| Arc::from(*value))
            .collect();
        let key: Arc<str> = Arc::from(key);
        match operator {
            0..=2 => Requirement::In(key, chosen),
            3 => Requirement::NotIn(key, chosen),
            4 => Requirement::Exists(key),
            _ => Requirement::DoesNotExist(key),
        }
    })
}

fn any_selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        2 => Just(Selector::default()),
        4 => any_requirement().prop_map(|one| [one].into_iter().collect()),
        1 => vec(any_requirement(), 2).prop_map(|two| two.into_iter().collect()),
    ]
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        3 => Just(Protocol::Tcp),
        2 => Just(Protocol::Udp),
        1 => Just(Protocol::Sctp),
    ]
}

fn any_port_name() -> impl Strategy<Value = Arc<str>> {
    select(&["http", "dns", "sig"][..]).prop_map(Arc::from)
}

fn any_named_port() -> impl Strategy<Value = NamedPort> {
    let number = select(&[53_u16, 80, 81, 8080][..]);
    (any_port_name(), any_protocol(), number).prop_map(|(name, protocol, port)| NamedPort {
        name,
        protocol,
        port,
    })
}

pub fn any_pod() -> impl Strategy<Value = Pod> {
    let addresses = prop_oneof![
        4 => subsequence(&V4[..], 1).prop_map(|v4| v4.to_vec()),
        2 => subsequence(&V6[..], 1).prop_map(|v6| v6.to_vec()),
        6 => (select(&V4[..]), select(&V6[..])).prop_map(|(v4, v6)| vec![v4, v6]),
        1 => subsequence(&V4[..], 2),
        1 => Just(Vec::new()),
    ];
    let place = prop_oneof![
        6 => Just((Some(NODE), None)),
        3 => Just((Some("there"), None)),
        1 => Just((None, Some(NODE_V4))),
        1 => Just((None, Some("192.168.7.2"))),
        1 => Just((None, None)),
    ];
    let kind = prop_oneof![
        10 => Just((false, false)),
        1 => Just((true, false)),
        1 => Just((false, true)),
    ];
    let name = (select(&NAMESPACES[..3]), select(&NAMES[..]));
    let ports = vec(any_named_port(), 0..3);
    (name, addresses, place, kind, any_labels(), ports, 0..3_i64).prop_map(
        |((namespace, name), addresses, (node, host), kind, labels, mut ports, created)| {
            ports.sort_unstable();
            Pod {
                name: ObjectName::new(namespace, name),
                created,
                node: node.map(Arc::from),
                host_ips: host.map(ip).into_iter().collect(),
                addresses: addresses.into_iter().map(ip).collect(),
                host_network: kind.0,
                finished: kind.1,
                labels,
                ports,
            }
        },
    )
}

pub fn any_namespace() -> impl Strategy<Value = Namespace> {
    let deny = proptest::bool::weighted(0.1);
    (select(&NAMESPACES[..3]), any_labels(), deny).prop_map(|(name, labels, default_deny)| {
        Namespace {
            name: Arc::from(name),
            labels,
            default_deny,
        }
    })
}

fn any_block() -> impl Strategy<Value = Peer> {
    let blocks: Vec<Prefix> = BLOCKS.iter().map(|text| prefix(text)).collect();
    (select(blocks.clone()), subsequence(blocks, 0..3)).prop_map(|(prefix, except)| {
        let within = |one: &Prefix| prefix.contains(one) && *one != prefix;
        Peer::Block(IpBlock {
            prefix,
            except: except.into_iter().filter(within).collect(),
        })
    })
}

fn any_peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        2 => any_selector().prop_map(same_namespace),
        2 => (any_selector(), any_selector()).prop_map(|(one, other)| namespaces(one, other)),
        2 => any_block(),
    ]
}

fn any_policy_port() -> impl Strategy<Value = PolicyPort> {
    let spec = prop_oneof![
        1 => Just(PortSpec::All),
        3 => select(&[53_u16, 80, 81, 8080][..]).prop_map(|one| PortSpec::Range(one..=one)),
        2 => (select(&[1_u16, 53, 79, 81][..]), 0..12_u16)
            .prop_map(|(low, more)| PortSpec::Range(low..=low + more)),
        1 => Just(PortSpec::Range(1024..=65535)),
        3 => any_port_name().prop_map(PortSpec::Named),
    ];
    (any_protocol(), spec).prop_map(|(protocol, port)| PolicyPort { protocol, port })
}

fn any_rule() -> impl Strategy<Value = PolicyRule> {
    let peers = proptest::option::weighted(0.8, vec(any_peer(), 0..4));
    let ports = proptest::option::weighted(0.6, vec(any_policy_port(), 0..4));
    (peers, ports).prop_map(|(peers, ports)| PolicyRule { peers, ports })
}

fn any_range() -> impl Strategy<Value = PolicyPort> {
    let low = select(&[1_u16, 53, 79, 81][..]);
    (any_protocol(), low, 4..12_u16).prop_map(|(protocol, low, more)| PolicyPort {
        protocol,
        port: PortSpec::Range(low..=low + more),
    })
}

/// More ranges of ports than stand one after the other in a chain.
fn any_policy_of_ranges() -> impl Strategy<Value = NetworkPolicy> {
    let peers = proptest::option::weighted(0.8, vec(any_peer(), 1..3));
    let one = (peers, vec(any_range(), 1..3)).prop_map(|(peers, ports)| rule(peers, Some(ports)));
    let rules = vec(one, 5..9);
    (select(&NAMESPACES[..3]), any_selector(), rules).prop_map(|(namespace, pods, rules)| {
        NetworkPolicy {
            name: ObjectName::new(namespace, "ranges"),
            pods,
            ingress: Some(rules.clone()),
            egress: Some(rules),
        }
    })
}

pub fn any_policy() -> impl Strategy<Value = NetworkPolicy> {
    let name = (select(&NAMESPACES[..3]), select(&NAMES[..6]));
    let rules = || proptest::option::weighted(0.7, vec(any_rule(), 0..3));
    (name, any_selector(), rules(), rules()).prop_map(
        |((namespace, name), pods, ingress, egress)| NetworkPolicy {
            name: ObjectName::new(namespace, name),
            pods,
            ingress,
            egress,
        },
    )
}

pub fn any_settings() -> impl Strategy<Value = Settings> {
    let families = prop_oneof![
        6 => Just((true, true)),
        1 => Just((true, false)),
        1 => Just((false, true)),
    ];
    let established = select(&[Established::Keep, Established::Recheck][..]);
    (
        families,
        proptest::bool::weighted(0.3),
        any::<bool>(),
        established,
    )
        .prop_map(
            |((v4, v6), default_deny, log_drops, established)| Settings {
                families: ByFamily { v4, v6 },
                default_deny,
                log_drops,
                established,
                ..settings()
            },
        )
}

/// Two to four namespaces (one of them may be unknown), up to eight pods and six policies.
pub fn any_cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = vec(any_namespace(), 2..5);
    let pods = vec(any_pod(), 1..9);
    let policies = vec(any_policy(), 0..7);
    let ranges = proptest::option::weighted(0.2, any_policy_of_ranges());
    (namespaces, pods, policies, ranges, any_settings()).prop_map(
        |(mut namespaces, mut pods, mut policies, ranges, settings)| {
            namespaces.sort_by(|a, b| a.name.cmp(&b.name));
            namespaces.dedup_by(|a, b| a.name == b.name);
            pods.sort_by(|a, b| a.name.cmp(&b.name));
            pods.dedup_by(|a, b| a.name == b.name);
            policies.sort_by(|a, b| a.name.cmp(&b.name));
            policies.dedup_by(|a, b| a.name == b.name);
            policies.extend(ranges);
            Cluster {
                namespaces,
                pods,
                policies,
                settings,
            }
        },
    )
}
