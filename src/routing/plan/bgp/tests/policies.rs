use super::*;
use crate::bgp::policy::{self, Policy, Source, evaluate};
use crate::bgp::rib::{AttributeChanges, NextHopChange, Prepend, Route};
use crate::bgp::wire::{Community, LargeCommunity, PeerKind};
use crate::model::{Communities, PathPrepend};

const PEERS: &str = "[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n\
                     [[bgp.peer]]\naddress = \"fd00::1\"\nasn = 64513\n";
/// The other node's and the router's addresses, by family of the node.
const PAIRS: [(&[&str], &str, &str); 2] =
    [(V4, "10.1.1.2", "192.0.2.1"), (V6, "fd01:1::2", "fd00::1")];

/// `n1` beside `n2` and two routers.
fn world(addresses: &[&str], text: &str) -> World {
    let text = format!("bgp.router_id = \"192.0.2.7\"\n{text}{PEERS}");
    World::configured(addresses, &text).with(node("n2", &["10.1.1.2", "fd01:1::2"]))
}

/// What a policy says of a route, and what it changes.
fn ask(policy: &Policy, text: &str, kind: RouteKind, source: Source) -> Option<AttributeChanges> {
    let route = Route::new(kind, ip("10.9.9.9").into(), Attributes::default());
    let prefix = prefix(text);
    let route = policy::Route {
        prefix: &prefix,
        route: &route,
        source,
    };
    // The plan's policies are each one peer's; who asks plays no part.
    let peer = policy::Peer {
        address: ip("192.0.2.99"),
        asn: 1,
        kind: PeerKind::External,
    };
    let verdict = evaluate(policy, &route, &peer);
    verdict.is_accepted.then(|| verdict.changes.into_owned())
}

fn own(policy: &Policy, kind: RouteKind) -> Option<AttributeChanges> {
    ask(policy, "10.244.1.0/24", kind, Source::Local)
}

fn learned(policy: &Policy, text: &str, kind: PeerKind) -> Option<AttributeChanges> {
    ask(policy, text, RouteKind::Learned, Source::Peer(kind))
}

#[test]
fn nodes_are_told_pod_ranges_and_nothing_else() {
    for (addresses, mesh, _) in PAIRS {
        let world = world(addresses, "bgp.advertise_pod_cidr = false\n");
        let export = world.peer(mesh).export;
        assert_eq!(
            own(&export, RouteKind::PodCidr),
            Some(AttributeChanges::default())
        );
        assert_eq!(own(&export, RouteKind::ServiceVip), None);
        for kind in [PeerKind::Internal, PeerKind::External] {
            assert_eq!(learned(&export, "10.244.2.0/24", kind), None);
        }
    }
}

#[test]
fn external_peers_are_told_services_and_pod_ranges_if_wanted_in_both_families() {
    for (addresses, _, router) in PAIRS {
        for wanted in [true, false] {
            let world = world(addresses, &format!("bgp.advertise_pod_cidr = {wanted}\n"));
            let export = world.peer(router).export;
            assert!(own(&export, RouteKind::ServiceVip).is_some());
            assert_eq!(own(&export, RouteKind::PodCidr).is_some(), wanted);
            for kind in [PeerKind::Internal, PeerKind::External] {
                assert_eq!(learned(&export, "10.244.2.0/24", kind), None);
            }
        }
    }
}

#[test]
fn what_external_peers_are_told_is_marked_and_what_nodes_are_told_is_not() {
    let communities = Communities {
        plain: vec![Community::new(64_512, 1), Community::NO_EXPORT],
        large: vec![LargeCommunity {
            global: 64_512,
            local1: 1,
            local2: 2,
        }],
    };
    let annotate = |node: &mut Node| {
        node.bgp.communities = communities.clone();
        node.bgp.prepend = Some(PathPrepend {
            asn: 65_000,
            times: 3,
        });
    };
    let world = world(DUAL, "bgp.override_nexthop = true\n").but("n1", annotate);
    let expected = AttributeChanges {
        add_communities: communities.plain.clone(),
        add_large_communities: communities.large.clone(),
        prepend: Some(Prepend {
            asn: 65_000,
            times: 3,
        }),
        next_hop: Some(NextHopChange::Own),
        ..AttributeChanges::default()
    };
    for router in ["192.0.2.1", "fd00::1"] {
        let export = world.peer(router).export;
        for kind in [RouteKind::PodCidr, RouteKind::ServiceVip] {
            assert_eq!(own(&export, kind), Some(expected.clone()));
        }
    }
    let export = world.peer("10.1.1.2").export;
    assert_eq!(
        own(&export, RouteKind::PodCidr),
        Some(AttributeChanges::default())
    );
}

#[test]
fn med_next_hop_and_preference_are_each_peers_own() {
    let text = format!("{PEERS}med = 0\noverride_nexthop = true\nlocal_preference = 200\n");
    let world = World::configured(DUAL, &text);
    let (plain, special) = (world.peer("192.0.2.1"), world.peer("fd00::1"));
    assert_eq!(
        own(&plain.export, RouteKind::ServiceVip),
        Some(AttributeChanges::default())
    );
    let changes = own(&special.export, RouteKind::ServiceVip).unwrap();
    assert_eq!(changes.multi_exit_disc, Some(0));
    assert_eq!(changes.next_hop, Some(NextHopChange::Own));
    let preferred = learned(&special.import, "198.51.100.0/24", PeerKind::External).unwrap();
    assert_eq!(preferred.local_pref, Some(200));
    assert_ne!(plain.export.name, special.export.name);
    assert_ne!(plain.import.name, special.import.name);
}

#[test]
fn default_routes_and_martians_are_taken_only_from_peers_asked_to_give_them() {
    let text = format!("{PEERS}import_default_route = true\nimport_martians = true\n");
    let world = World::configured(DUAL, &text).with(node("n2", &["10.1.1.2"]));
    for (peer, is_taken) in [("10.1.1.2", false), ("192.0.2.1", false), ("fd00::1", true)] {
        let import = world.peer(peer).import;
        for text in [
            "0.0.0.0/0",
            "::/0",
            "127.0.0.0/8",
            "224.1.0.0/16",
            "fe80::/64",
        ] {
            let taken = learned(&import, text, PeerKind::External).is_some();
            assert_eq!(taken, is_taken, "{text} of {peer}");
        }
        assert!(learned(&import, "10.244.2.0/24", PeerKind::Internal).is_some());
        assert!(learned(&import, "fd02:2::/64", PeerKind::External).is_some());
    }
}

#[test]
fn what_the_node_rejects_is_taken_from_nobody_nor_anything_inside() {
    let annotate = |node: &mut Node| {
        node.bgp.import_reject = vec![prefix("10.3.0.0/16"), prefix("fd03::/32")];
    };
    for (addresses, mesh, router) in PAIRS {
        let world = world(addresses, "").but("n1", annotate);
        for peer in [mesh, router] {
            let import = world.peer(peer).import;
            for (text, is_taken) in [
                ("10.3.0.0/16", false),
                ("10.3.7.0/24", false),
                ("fd03:0:1::/48", false),
                ("10.0.0.0/8", true),
                ("10.4.0.0/16", true),
                ("fd00::/8", true),
            ] {
                let taken = learned(&import, text, PeerKind::External).is_some();
                assert_eq!(taken, is_taken, "{text} of {peer}");
            }
        }
    }
}

#[test]
fn a_reflector_has_policies_and_passes_on_what_nodes_told_it() {
    let reflect = |node: &mut Node| {
        node.bgp.reflector = Some(Reflector::Server(Ipv4Addr::new(0, 0, 0, 42)));
    };
    let world = world(DUAL, "").but("n1", reflect);
    let (mesh, router) = (world.peer("10.1.1.2"), world.peer("192.0.2.1"));
    assert!(learned(&mesh.export, "10.244.2.0/24", PeerKind::Internal).is_some());
    assert!(learned(&mesh.export, "198.51.100.0/24", PeerKind::External).is_none());
    assert!(own(&mesh.export, RouteKind::ServiceVip).is_none());
    assert!(learned(&router.export, "10.244.2.0/24", PeerKind::Internal).is_none());
    assert!(learned(&mesh.import, "0.0.0.0/0", PeerKind::Internal).is_none());
}

#[test]
fn no_peer_is_without_policies_whatever_it_is() {
    let text = format!("{PEERS}[[bgp.listen]]\nprefix = \"203.0.113.0/24\"\n");
    let world = World::configured(DUAL, &text).with(node("n2", &["10.1.1.2"]));
    let speaker = world.speaker();
    let ranges = speaker.ranges.iter().map(|range| &range.peer);
    let open = Policy::accept_all();
    let mut seen = 0;
    for peer in speaker.peers.values().chain(ranges) {
        assert_ne!(*peer.import, open);
        assert_eq!(peer.export.otherwise, policy::Action::Reject);
        assert!(own(&peer.export, RouteKind::Other).is_none());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn services_come_and_go_without_a_change_of_any_peer() {
    let before = world(DUAL, "bgp.advertise_cluster_ip = true\n");
    let peers = before.speaker().peers;
    let after = before.serving(vips::service("a", &["10.96.0.1"]), &[("10.244.1.9", "n1")]);
    let speaker = after.speaker();
    assert!(speaker.originate.contains_key(&prefix("10.96.0.1/32")));
    assert_eq!(speaker.peers, peers);
}
