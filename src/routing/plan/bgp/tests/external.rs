use std::time::Duration;

use super::*;
use crate::bfd::Reach;
use crate::bgp::fsm::{MaxPrefixes, PeerAs};
use crate::bgp::speaker::Ttl;
use crate::model::{AnnotatedBfd, AnnotatedPeer};
use crate::net::Secret;

fn annotated(address: &str, asn: u32) -> AnnotatedPeer {
    AnnotatedPeer {
        address: ip(address),
        asn,
        local_address: None,
        port: None,
        password: None,
        bfd: None,
    }
}

fn peer(text: &str) -> PeerDesired {
    let peer = "[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n";
    World::configured(DUAL, &format!("{peer}{text}")).peer("192.0.2.1")
}

#[test]
fn a_listed_peer_has_the_defaults_of_the_original() {
    let peer = peer("");
    assert_eq!(peer.session.local_as, 64_512);
    assert_eq!(peer.session.peer_as, PeerAs::Exactly(64_513));
    assert_eq!(peer.session.families, ByFamily { v4: true, v6: true });
    assert_eq!(peer.session.hold_time.as_secs(), 90);
    assert_eq!(peer.transport.port, 179);
    assert_eq!(peer.transport.local_address, Some(ip("10.1.1.1")));
    assert_eq!(peer.transport.ttl, Ttl::Send(1));
    assert!(!peer.session.passive && peer.session.enforce_first_as);
    assert_eq!(peer.shutdown, None);
}

#[test]
fn everything_that_is_said_of_a_peer_reaches_the_speaker() {
    let peer = peer(
        "port = 1790\nlocal_address = \"10.9.9.9\"\nholdtime = \"9s\"\nkeepalive = \"2s\"\n\
         passive = true\nshutdown = \"noon\"\nmax_prefixes = 100\nmax_prefixes_restart = \"5m\"\n\
         add_path = true\nenforce_first_as = false\ngraceful_restart = true\nttl_security = 3\n",
    );
    assert_eq!(peer.transport.port, 1790);
    assert_eq!(peer.transport.local_address, Some(ip("10.9.9.9")));
    assert_eq!(peer.transport.ttl, Ttl::Security { hops: 3 });
    assert_eq!(peer.session.hold_time.as_secs(), 9);
    assert_eq!(peer.session.keepalive, Some(Duration::from_secs(2)));
    assert!(peer.session.passive && !peer.session.enforce_first_as);
    assert!(peer.session.graceful.is_some());
    assert!(peer.session.add_path_receive.v4 && peer.session.add_path_receive.v6);
    assert_eq!(
        peer.session.max_prefixes.v6,
        Some(MaxPrefixes {
            limit: 100,
            warn_at: Some(75),
            restart: Some(Duration::from_mins(5)),
        })
    );
    assert_eq!(peer.shutdown.as_deref(), Some("noon"));
    assert_eq!(peer.own_next_hop.v4, Some(ip("10.9.9.9").into()));
    assert_eq!(peer.own_next_hop.v6, Some(ip("fd01:1::1").into()));
}

#[test]
fn ttls_follow_from_how_far_a_peer_is_and_whose_as_it_has() {
    for (asn, hops, ttl) in [
        (64_513, "", Ttl::Send(1)),
        (64_513, "multihop_ttl = 1\n", Ttl::Send(1)),
        (64_513, "multihop_ttl = 5\n", Ttl::Send(5)),
        (64_512, "", Ttl::Default),
        (64_512, "ttl_security = 1\n", Ttl::Security { hops: 1 }),
    ] {
        let peer = format!("[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = {asn}\n{hops}");
        let peer = World::configured(V4, &peer).peer("192.0.2.1");
        assert_eq!(peer.transport.ttl, ttl, "{asn} {hops}");
    }
}

#[test]
fn bfd_reaches_as_far_as_the_session() {
    for (asn, address, hops, reach, port) in [
        (64_513, "192.0.2.1", "", Reach::SingleHop, 3784),
        (
            64_513,
            "192.0.2.1",
            "multihop_ttl = 3\n",
            Reach::Multihop { min_ttl: 253 },
            4784,
        ),
        (
            64_513,
            "192.0.2.1",
            "ttl_security = 1\n",
            Reach::SingleHop,
            3784,
        ),
        (
            64_513,
            "192.0.2.1",
            "ttl_security = 2\n",
            Reach::Multihop { min_ttl: 254 },
            4784,
        ),
        (
            64_513,
            "192.0.2.1",
            "bfd_port = 4000\n",
            Reach::SingleHop,
            4000,
        ),
        (
            64_512,
            "192.0.2.1",
            "",
            Reach::Multihop { min_ttl: 1 },
            4784,
        ),
        (64_512, "10.1.1.9", "", Reach::SingleHop, 3784),
    ] {
        let peer = format!(
            "[[bgp.peer]]\naddress = \"{address}\"\nasn = {asn}\nenable_bfd = true\n{hops}"
        );
        let planned = World::configured(V4, &peer).planned();
        let (key, session) = planned.bfd.iter().next().unwrap();
        assert_eq!((key.remote, key.local), (ip(address), Some(ip("10.1.1.1"))));
        assert_eq!((session.reach, session.port), (reach, port), "{peer}");
    }
    assert!(World::configured(V4, "").planned().bfd.is_empty());
}

#[test]
fn the_nodes_own_peers_count_where_the_file_has_none() {
    let own = AnnotatedPeer {
        local_address: Some(ip("10.8.8.8")),
        port: Some(1790),
        password: Some(Secret::new(b"secret")),
        bfd: Some(AnnotatedBfd {
            enabled: true,
            multiplier: 5,
            ..AnnotatedBfd::default()
        }),
        ..annotated("192.0.2.9", 64_640)
    };
    let annotate = |node: &mut Node| node.bgp.peers = Some(vec![own, annotated("fd00::9", 64_641)]);
    let world = World::configured(DUAL, "bgp.holdtime = \"30s\"\n").but("n1", annotate);
    assert_eq!(world.peers(), ["192.0.2.9", "fd00::9"]);
    let peer = world.peer("192.0.2.9");
    assert_eq!(peer.transport.port, 1790);
    assert_eq!(peer.transport.local_address, Some(ip("10.8.8.8")));
    assert_eq!(peer.transport.password.as_deref(), Some(&b"secret"[..]));
    assert_eq!(peer.session.hold_time.as_secs(), 30);
    let planned = world.planned();
    assert_eq!(planned.bfd.len(), 1);
    assert_eq!(
        planned.bfd.values().next().unwrap().timers.multiplier.get(),
        5
    );
    let peer = world.peer("fd00::9");
    assert_eq!(peer.transport.port, 179);
    assert_eq!(peer.transport.local_address, Some(ip("fd01:1::1")));

    let mut world = world;
    world.settings = settings("[[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n");
    assert_eq!(world.peers(), ["192.0.2.1"]);
}

#[test]
fn a_peer_that_cannot_be_is_left_out_alone() {
    let mut text = String::new();
    for address in ["192.0.2.1", "fd00::1", "10.1.1.1", "10.1.1.2"] {
        text += &format!("[[bgp.peer]]\naddress = \"{address}\"\nasn = 64513\n");
    }
    text += "[[bgp.listen]]\nprefix = \"fd00::/64\"\n";
    let world = World::configured(V4, &text).with(node("n2", &["10.1.1.2"]));
    assert_eq!(world.peers(), ["10.1.1.2", "192.0.2.1"]);
    assert_eq!(
        world.peer("10.1.1.2").session.peer_as,
        PeerAs::Exactly(64_512)
    );
    assert_eq!(
        world.notes(),
        [
            "peer 10.1.1.1: left out: it is an address of this node",
            "peer 10.1.1.2: left out: it is another node, and a peer as that",
            "peer fd00::/64: left out: the node has no IPv6 address",
            "peer fd00::1: left out: the node has no IPv6 address",
        ]
    );
}

#[test]
fn ranges_take_peers_of_one_as_or_of_any_other() {
    let world = World::configured(
        DUAL,
        "[[bgp.listen]]\nprefix = \"192.0.2.0/24\"\n\
         [[bgp.listen]]\nprefix = \"fd00::/64\"\nasn = 64513\nlimit = 7\nmultihop_ttl = 2\n",
    );
    let ranges = world.speaker().ranges;
    assert_eq!(ranges[0].peer.session.peer_as, PeerAs::External);
    assert_eq!((ranges[0].limit, ranges[1].limit), (100, 7));
    assert_eq!(ranges[1].peer.session.peer_as, PeerAs::Exactly(64_513));
    assert_eq!(
        ranges[1].peer.transport.local_address,
        Some(ip("fd01:1::1"))
    );
    assert_eq!(ranges[1].peer.transport.ttl, Ttl::Send(2));
    assert!(ranges.iter().all(|range| range.peer.session.passive));
}

#[test]
fn the_local_end_is_where_sessions_are_accepted() {
    let text = "bgp.local_addresses = [\"10.9.9.9\"]\n\
                [[bgp.peer]]\naddress = \"192.0.2.1\"\nasn = 64513\n\
                [[bgp.peer]]\naddress = \"fd00::1\"\nasn = 64513\n";
    let world = World::configured(DUAL, text);
    let local = |address| world.peer(address).transport.local_address;
    assert_eq!(local("192.0.2.1"), Some(ip("10.9.9.9")));
    assert_eq!(local("fd00::1"), Some(ip("fd01:1::1")));
}
