//! The node `n1` at 10.1.1.1 and fd01:1::1, and what is told of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::rib::{BestPaths, Hop};
use kube_router::bgp::wire::NextHop;
use kube_router::model::{LocalAddress, Node, NodeBgp, NodeFacts, Snapshot};
use kube_router::net::{ByFamily, Prefix};
use kube_router::reconcile::{Controller, Report, Scope};
use kube_router::routing::change::Change;
use kube_router::routing::{HostKernel, Input, Learned, Lost, Routing, Settings};

use crate::place::{Place, tool};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// The world beyond `eth0` of the node.
pub(crate) fn world() -> Place {
    let world = Place::new("eth0");
    for command in [
        "ip address add 10.1.1.1/24 dev eth0",
        "ip -6 address add fd01:1::1/64 dev eth0 nodad",
        "ip route add default via 10.1.1.2",
        "ip -6 route add default via fd01:1::2",
    ] {
        tool(command);
    }
    world.tools(&[
        "ip address add 10.1.1.2/24 dev eth0",
        "ip address add 10.1.1.3/24 dev eth0",
        "ip -6 address add fd01:1::2/64 dev eth0 nodad",
        "ip -6 address add fd01:1::3/64 dev eth0 nodad",
    ]);
    world
}

/// `10.2.0.0/24 via 10.1.1.2 10.1.1.3` line by line.
pub(crate) fn best(text: &str) -> BestPaths {
    let hop = |text: &str| {
        let next_hop = match ip(text) {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(global) => NextHop::V6 {
                global,
                link_local: None,
            },
        };
        Hop {
            next_hop,
            peer: ip(text),
        }
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (destination, hops) = line.split_once(" via ").unwrap();
            let hops = hops.split_whitespace().map(hop).collect();
            (prefix(destination), hops)
        })
        .collect()
}

fn facts() -> NodeFacts {
    let own = |address, prefix_length| LocalAddress {
        address: ip(address),
        prefix_length,
        link: "eth0".into(),
    };
    NodeFacts {
        name: "n1".into(),
        primary: ByFamily {
            v4: Some(ip("10.1.1.1")),
            v6: Some(ip("fd01:1::1")),
        },
        addresses: vec![own("10.1.1.1", 24), own("fd01:1::1", 64)],
        primary_link: Some("eth0".into()),
        primary_mtu: Some(1500),
        pod_cidrs: vec![prefix("10.244.1.0/24"), prefix("fd02:1::/64")],
        zone: None,
        links: vec!["eth0".into()],
    }
}

/// `n2` is one address of the world beyond.
fn snapshot() -> Snapshot {
    let node = |name: &str, addresses: [&str; 2], ranges: [&str; 2]| {
        let node = Node {
            name: name.into(),
            addresses: addresses.map(ip).into(),
            pod_cidrs: ranges.map(prefix).into(),
            zone: None,
            bgp: NodeBgp::default(),
        };
        (Arc::from(name), Arc::new(node))
    };
    let nodes: BTreeMap<_, _> = [
        node(
            "n1",
            ["10.1.1.1", "fd01:1::1"],
            ["10.244.1.0/24", "fd02:1::/64"],
        ),
        node(
            "n2",
            ["10.1.1.3", "fd01:1::3"],
            ["10.244.2.0/24", "fd02:2::/64"],
        ),
    ]
    .into();
    Snapshot {
        nodes: Arc::new(nodes),
        ..Snapshot::default()
    }
}

/// What is known, with the CNI configuration at `cni`.
pub(crate) fn input(paths: &str, cni: &Path) -> Input {
    Input {
        snapshot: Arc::new(snapshot()),
        facts: Arc::new(facts()),
        settings: Arc::new(Settings {
            families: ByFamily { v4: true, v6: true },
            overlay: None,
            auto_mtu: true,
            pod_egress: true,
            cni: Some(cni.to_owned()),
            service_ranges: Vec::new(),
            sync_period: Duration::from_secs(300),
            patience: Duration::from_secs(300),
        }),
        bgp: None,
        learned: Learned {
            best: best(paths),
            deferred: ByFamily::default(),
        },
    }
}

/// A controller of this namespace, without its loop.
pub(crate) fn controller() -> Routing<HostKernel> {
    Routing::new(HostKernel::open(None).unwrap(), Lost::default())
}

/// Looks at everything and does what is to do.
pub(crate) fn pass(
    routing: &mut Routing<HostKernel>,
    input: &Input,
) -> (Vec<String>, Report<Change>) {
    routing.plan(input);
    let mut seen = routing.observe().unwrap();
    let steps = routing.changes(&seen, Scope::Everything);
    let printed = steps.iter().map(ToString::to_string).collect();
    (printed, routing.apply(steps, &mut seen, &|| {}))
}

/// Which settings this kernel does not offer: no test of ours depends on them.
pub(crate) fn failures(report: &Report<Change>) -> Vec<String> {
    let failures = report.failures.iter();
    failures
        .map(|failure| format!("{}: {}", failure.change, failure.reason))
        .collect()
}
