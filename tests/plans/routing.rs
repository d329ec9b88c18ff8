//! Golden plans of routing: Nodes and learned paths in, what an administrator would type out.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::rib::{BestPaths, Hop};
use kube_router::bgp::wire::NextHop;
use kube_router::net::{ByFamily, Prefix};
use kube_router::routing::plan::overlay::{Encap, Overlay, Reach};
use kube_router::routing::{Input, Learned, Plan, Settings, print};
use kube_router::watch::load;

use crate::common::facts;
use crate::compare;

/// `10.2.0.0/24 via 10.1.1.2 10.1.1.3` line by line.
fn paths(text: &str) -> BestPaths {
    let hop = |text: &str| {
        let peer: IpAddr = text.parse().unwrap();
        let next_hop = match peer {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(global) => NextHop::V6 {
                global,
                link_local: None,
            },
        };
        Hop { next_hop, peer }
    };
    text.lines()
        .map(|line| {
            let (destination, hops) = line.split_once(" via ").unwrap();
            let destination: Prefix = destination.parse().unwrap();
            (destination, hops.split_whitespace().map(hop).collect())
        })
        .collect()
}

#[test]
fn plans_of_routing_are_as_expected() {
    let overlay = |reach, encap| Some(Overlay { reach, encap });
    let cases: BTreeMap<&str, Option<Overlay>> = [
        ("subnet", overlay(Reach::Subnet, Encap::Ipip)),
        ("full-fou", overlay(Reach::Full, Encap::Fou { port: 5555 })),
        ("fabric", None),
        ("wrong", overlay(Reach::Subnet, Encap::Ipip)),
    ]
    .into();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routing_plans");
    let texts = cases.into_iter().map(|(name, overlay)| {
        let case = root.join(name);
        let (snapshot, notes) = load(&case).unwrap();
        assert_eq!(notes, []);
        let mut plan = Plan::default();
        plan.update(&Input {
            snapshot,
            facts: Arc::new(facts(true, &["10.244.1.0/24", "fd02:1::/64"])),
            settings: Arc::new(Settings {
                families: ByFamily { v4: true, v6: true },
                overlay,
                auto_mtu: true,
                pod_egress: name != "fabric",
                cni: Some("/etc/cni/net.d/10-kuberouter.conflist".into()),
                service_ranges: vec!["10.96.0.0/12".parse().unwrap()],
                sync_period: Duration::from_secs(60),
                patience: Duration::from_secs(90),
            }),
            bgp: None,
            learned: Learned {
                best: paths(&fs::read_to_string(case.join("paths.txt")).unwrap()),
                deferred: ByFamily::default(),
            },
        });
        (case.join("expect.txt"), print(&plan))
    });
    compare(texts);
}
