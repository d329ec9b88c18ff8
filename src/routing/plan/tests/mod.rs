mod cni;
mod routes;
mod walk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::host::{SysctlPlan, Wanted};
use super::overlay::{Encap, Overlay, Reach, TunnelName};
use super::*;
use crate::bgp::rib::{BestPaths, Hop};
use crate::bgp::wire::NextHop;
use crate::model::{LocalAddress, Node, NodeBgp, NodeFacts, Snapshot};
use crate::net::{ByFamily, Prefix};
use crate::routing::{Learned, Settings};

pub(in crate::routing) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(in crate::routing) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// A next hop as a peer of the same address tells it.
pub(in crate::routing) fn hop(text: &str) -> Hop {
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
}

/// `10.2.0.0/24 via 10.1.1.2 10.1.1.3` line by line.
pub(in crate::routing) fn best(text: &str) -> BestPaths {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (destination, hops) = line.split_once(" via ").unwrap();
            (
                prefix(destination),
                hops.split_whitespace().map(hop).collect(),
            )
        })
        .collect()
}

/// Node `n1` at 10.1.1.1/24 and fd01:1::1/64 on `eth0`.
pub(in crate::routing) fn facts() -> NodeFacts {
    let own = |address, prefix_length, link: &str| LocalAddress {
        address: ip(address),
        prefix_length,
        link: link.into(),
    };
    NodeFacts {
        name: "n1".into(),
        primary: ByFamily {
            v4: Some(ip("10.1.1.1")),
            v6: Some(ip("fd01:1::1")),
        },
        addresses: vec![
            own("10.1.1.1", 24, "eth0"),
            own("127.0.0.1", 8, "lo"),
            own("fd01:1::1", 64, "eth0"),
            own("fe80::1", 64, "eth0"),
        ],
        primary_link: Some("eth0".into()),
        primary_mtu: Some(1500),
        pod_cidrs: vec![prefix("10.244.1.0/24"), prefix("fd02:1::/64")],
        zone: None,
        links: vec!["eth0".into(), "lo".into()],
    }
}

pub(in crate::routing) fn settings(overlay: Option<Overlay>) -> Settings {
    Settings {
        families: ByFamily { v4: true, v6: true },
        overlay,
        auto_mtu: true,
        pod_egress: true,
        cni: Some("/etc/cni/net.d/10-kuberouter.conflist".into()),
        service_ranges: vec![prefix("10.96.0.0/12")],
        sync_period: Duration::from_secs(300),
        patience: Duration::from_secs(90),
    }
}

pub(in crate::routing) const SUBNET: Option<Overlay> = Some(Overlay {
    reach: Reach::Subnet,
    encap: Encap::Ipip,
});
pub(in crate::routing) const FULL: Option<Overlay> = Some(Overlay {
    reach: Reach::Full,
    encap: Encap::Ipip,
});
pub(in crate::routing) const FOU: Option<Overlay> = Some(Overlay {
    reach: Reach::Subnet,
    encap: Encap::Fou { port: 5555 },
});

/// `n2` beside `n1`, `n3` and `n4` in another subnet.
pub(in crate::routing) fn snapshot() -> Snapshot {
    let node = |number: u8, subnet: u8| {
        let name: Arc<str> = format!("n{number}").into();
        let node = Node {
            name: Arc::clone(&name),
            addresses: vec![
                ip(&format!("10.1.{subnet}.{number}")),
                ip(&format!("fd01:{subnet}::{number}")),
            ],
            pod_cidrs: vec![
                prefix(&format!("10.244.{number}.0/24")),
                prefix(&format!("fd02:{number}::/64")),
            ],
            zone: None,
            bgp: NodeBgp::default(),
        };
        (name, Arc::new(node))
    };
    let nodes: BTreeMap<_, _> = [node(1, 1), node(2, 1), node(3, 3), node(4, 3)].into();
    Snapshot {
        nodes: Arc::new(nodes),
        ..Snapshot::default()
    }
}

pub(in crate::routing) fn input(overlay: Option<Overlay>, paths: &str) -> Input {
    Input {
        snapshot: Arc::new(snapshot()),
        facts: Arc::new(facts()),
        settings: Arc::new(settings(overlay)),
        bgp: None,
        learned: Learned {
            best: best(paths),
            deferred: ByFamily::default(),
        },
    }
}

pub(in crate::routing) fn planned(input: &Input) -> Plan {
    let mut plan = Plan::default();
    plan.update(input);
    plan
}

#[test]
fn names_of_tunnels_fit_a_link_and_differ_where_upstreams_were_the_same() {
    let name = |text| TunnelName::of(ip(text)).to_string();
    for (one, other) in [
        ("21.3.0.4", "2.13.0.4"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("fd00::1:1", "fd00::11"),
        ("10.0.0.1", "10.0.0.2"),
    ] {
        assert_ne!(name(one), name(other), "{one} {other}");
    }
    for address in ["10.0.0.1", "2001:db8::5"] {
        let name = name(address);
        assert_eq!(name.len(), 15, "{name}");
        assert_eq!(TunnelName::read(&name), Some(TunnelName::of(ip(address))));
    }
    // The same in every version: tunnels are adopted by name.
    assert_eq!(name("10.0.0.1"), "tun-5a97d9f46d3");
    assert_eq!(name("2001:db8::5"), "tun-19d80336667");
    for other in [
        "tun0",
        "tun-work",
        "tun-28C98C87E81",
        "tun-28c98c87e8",
        "xtun-28c98c87e8",
    ] {
        assert_eq!(TunnelName::read(other), None, "{other}");
    }
}

#[test]
fn pods_get_the_mtu_that_a_tunnel_leaves() {
    let only = |family| {
        let mut facts = facts();
        *facts.primary.get_mut(family) = None;
        facts
    };
    for (overlay, facts, expected) in [
        (None, facts(), 1500),
        (SUBNET, only(Family::V6), 1480),
        (SUBNET, only(Family::V4), 1460),
        (FULL, facts(), 1460),
        (FOU, only(Family::V6), 1468),
        (FOU, only(Family::V4), 1448),
        (FOU, facts(), 1448),
    ] {
        let plan = planned(&Input {
            facts: Arc::new(facts),
            ..input(overlay, "")
        });
        assert_eq!(plan.host.mtu, Some(expected), "{overlay:?}");
        assert_eq!(plan.host.cni.unwrap().mtu, Some(expected));
    }
    let mut settings = settings(SUBNET);
    settings.auto_mtu = false;
    let plan = planned(&Input {
        settings: Arc::new(settings),
        ..input(SUBNET, "")
    });
    assert_eq!((plan.host.mtu, plan.host.cni.unwrap().mtu), (None, None));
}

#[test]
fn a_node_that_forwards_ipv6_keeps_listening_to_routers() {
    let plan = planned(&input(SUBNET, ""));
    let place = |key: &str| {
        let mut sysctls = plan.host.sysctls.iter();
        sysctls.position(|sysctl| sysctl.key == key).unwrap()
    };
    let (listens, forwards) = (
        place("net/ipv6/conf/eth0/accept_ra"),
        place("net/ipv6/conf/all/forwarding"),
    );
    assert!(listens < forwards, "what routers said is forgotten first");
    assert_eq!(
        plan.host.sysctls[listens],
        SysctlPlan {
            key: "net/ipv6/conf/eth0/accept_ra".into(),
            wanted: Wanted::InsteadOf { old: "1", new: "2" }
        }
    );
    let mut facts = facts();
    facts.primary.v6 = None;
    let plan = planned(&Input {
        facts: Arc::new(facts),
        ..input(SUBNET, "")
    });
    let of_v6 = |sysctl: &&SysctlPlan| sysctl.key.contains("ipv6") || sysctl.key.contains("ip6");
    assert_eq!(plan.host.sysctls.iter().find(of_v6), None);
    assert!(
        plan.host
            .rulesets
            .iter()
            .all(|set| set.family == Family::V4)
    );
    assert!(
        plan.host
            .rules
            .iter()
            .all(|rule| rule.from.addr().is_ipv4())
    );
    assert_eq!(plan.host.cni.unwrap().ranges, [prefix("10.244.1.0/24")]);
}

#[test]
fn sets_follow_the_nodes_of_the_cluster() {
    let mut plan = planned(&input(SUBNET, ""));
    let count = |plan: &Plan| {
        let per = |set| {
            let count = |family| plan.member_count(set, family);
            (count(Family::V4), count(Family::V6))
        };
        (per(firewall::POD_SUBNETS), per(firewall::NODE_IPS))
    };
    assert_eq!(count(&plan), ((4, 4), (4, 4)));
    plan.settle_all();
    let mut smaller = snapshot();
    Arc::make_mut(&mut smaller.nodes).remove("n4");
    plan.update(&Input {
        snapshot: Arc::new(smaller),
        ..input(SUBNET, "")
    });
    assert_eq!(count(&plan), ((3, 3), (3, 3)));
    assert_eq!(
        plan.members.touched().len(),
        4,
        "only what moved is touched"
    );
}
