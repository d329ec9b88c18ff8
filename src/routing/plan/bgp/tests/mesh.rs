use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bfd::Reach;
use crate::bgp::fsm::PeerAs;
use crate::bgp::speaker::Ttl;

fn cluster(id: u32) -> Ipv4Addr {
    id.into()
}

#[test]
fn every_other_node_is_a_peer_of_the_clusters_own_as() {
    let world = World::configured(DUAL, "bgp.holdtime = \"30s\"\nbgp.port = 1790\n")
        .with(node("n2", &["10.1.1.2", "fd01:1::2"]))
        .with(node("n3", &["10.1.2.3"]));
    assert_eq!(world.peers(), ["10.1.1.2", "10.1.2.3"]);
    let (n2, n3) = (world.peer("10.1.1.2"), world.peer("10.1.2.3"));
    for peer in [&n2, &n3] {
        assert_eq!(peer.session.peer_as, PeerAs::Exactly(64_512));
        assert_eq!(peer.session.hold_time.as_secs(), 30);
        assert_eq!(peer.session.graceful, None);
        assert_eq!(peer.transport.port, 1790);
        assert_eq!(peer.transport.local_address, Some(ip("10.1.1.1")));
        assert_eq!(peer.transport.password, None);
        assert_eq!(peer.transport.ttl, Ttl::Default);
        assert!(!peer.is_client && !peer.session.passive);
        assert_eq!(peer.own_next_hop.v6, Some(ip("fd01:1::1").into()));
    }
    assert_eq!(n2.session.families, ByFamily { v4: true, v6: true });
    assert_eq!(
        n3.session.families,
        ByFamily {
            v4: true,
            v6: false
        }
    );
}

#[test]
fn passwords_graceful_restart_and_bfd_are_the_meshs_too() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&password, mode).unwrap();
    let world = World::configured(
        V4,
        &format!(
            "bgp.mesh_password_file = \"{}\"\nbgp.graceful_restart = true\n\
             bgp.graceful_restart_time = \"120s\"\nbgp.long_lived_stale_time = \"1h\"\n\
             bgp.enable_mesh_bfd = true\nbgp.bfd_desired_min_tx_interval = \"100ms\"\n",
            password.display()
        ),
    )
    .with(node("n2", &["10.1.1.2"]))
    .with(node("n3", &["10.1.2.3"]));
    let peer = world.peer("10.1.1.2");
    assert_eq!(peer.transport.password.as_deref(), Some(&b"secret"[..]));
    let graceful = peer.session.graceful.unwrap();
    assert_eq!(graceful.restart_time, Duration::from_secs(120));
    let long_lived = graceful.long_lived.unwrap();
    assert_eq!(long_lived.stale_time, Duration::from_secs(3600));

    let planned = world.planned();
    let bfd: Vec<_> = planned.bfd.iter().collect();
    assert_eq!(bfd.len(), 2);
    assert_eq!(
        (bfd[0].0.remote, bfd[0].1.reach),
        (ip("10.1.1.2"), Reach::SingleHop)
    );
    assert_eq!((bfd[0].1.port, bfd[1].1.port), (3784, 4784));
    assert_eq!(bfd[1].1.reach, Reach::Multihop { min_ttl: 1 });
    assert_eq!(bfd[0].1.timers.desired_min_tx, Duration::from_millis(100));
    assert_eq!(bfd[0].0.local, Some(ip("10.1.1.1")));
}

#[test]
fn nodes_meet_on_addresses_of_one_family() {
    for (ours, theirs, peer) in [
        (V4, &["10.1.1.2"][..], Some("10.1.1.2")),
        (V6, &["fd01:1::2"], Some("fd01:1::2")),
        (V4, &["fd01:1::2"], None),
        (V6, &["10.1.1.2"], None),
        (DUAL, &["fd01:1::2"], Some("fd01:1::2")),
        (V6, &["10.1.1.2", "fd01:1::2"], Some("fd01:1::2")),
        (DUAL, &["fd01:1::2", "10.1.1.2"], Some("10.1.1.2")),
        (
            &["fd01:1::1", "10.1.1.1"],
            &["fd01:1::2", "10.1.1.2"],
            Some("fd01:1::2"),
        ),
        (DUAL, &[], None),
    ] {
        let world =
            World::configured(ours, "bgp.router_id = \"generate\"\n").with(node("n2", theirs));
        let expected: Vec<String> = peer.iter().map(ToString::to_string).collect();
        assert_eq!(world.peers(), expected, "{ours:?} {theirs:?}");
        assert_eq!(world.notes().is_empty(), peer.is_some());
    }
}

#[test]
fn without_ibgp_there_are_no_nodes_among_the_peers() {
    let world = World::configured(V4, "bgp.enable_ibgp = false\n").with(node("n2", &["10.1.1.2"]));
    assert!(world.peers().is_empty() && world.notes().is_empty());
}

#[test]
fn without_a_full_mesh_nodes_of_the_same_as_are_peers() {
    let asn = |asn| move |node: &mut Node| node.bgp.asn = asn;
    let world = World::configured(V4, "bgp.nodes_full_mesh = false\n")
        .with(node("n2", &["10.1.1.2"]))
        .with(node("n3", &["10.1.1.3"]))
        .with(node("n4", &["10.1.1.4"]))
        .but("n1", asn(Some(65_001)))
        .but("n2", asn(Some(65_001)))
        .but("n3", asn(Some(65_002)));
    assert_eq!(world.peers(), ["10.1.1.2"]);
    let peer = world.peer("10.1.1.2");
    assert_eq!(peer.session.peer_as, PeerAs::Exactly(65_001));
}

#[test]
fn reflectors_and_clients_meet_by_their_clusters() {
    use Reflector::{Client, Server};
    let (one, two) = (cluster(1), cluster(2));
    for (ours, theirs, is_peer, is_client) in [
        (None, None, true, false),
        (None, Some(Server(one)), true, false),
        (None, Some(Client(one)), false, false),
        (Some(Server(one)), None, true, false),
        (Some(Server(one)), Some(Server(one)), true, false),
        (Some(Server(one)), Some(Server(two)), true, false),
        (Some(Server(one)), Some(Client(one)), true, true),
        (Some(Server(one)), Some(Client(two)), false, false),
        (Some(Client(one)), None, false, false),
        (Some(Client(one)), Some(Server(one)), true, false),
        (Some(Client(one)), Some(Server(two)), false, false),
        (Some(Client(one)), Some(Client(one)), false, false),
    ] {
        let world = World::new(V4)
            .with(node("n2", &["10.1.1.2"]))
            .but("n1", |node| node.bgp.reflector = ours)
            .but("n2", |node| node.bgp.reflector = theirs);
        let speaker = world.speaker();
        let peer = speaker.peers.get(&ip("10.1.1.2"));
        assert_eq!(peer.is_some(), is_peer, "{ours:?} {theirs:?}");
        assert_eq!(peer.is_some_and(|peer| peer.is_client), is_client);
        let reflects = matches!(ours, Some(Server(_))).then_some(one);
        assert_eq!(speaker.speaker.cluster_id, reflects);
    }
}

#[test]
fn a_node_whose_address_is_taken_is_no_peer_and_said_to_be_none() {
    let world = World::new(V4)
        .with(node("n2", &["10.1.1.2"]))
        .with(node("n3", &["10.1.1.2"]))
        .with(node("n4", &["10.1.1.1"]));
    assert_eq!(world.peers(), ["10.1.1.2"]);
    assert_eq!(
        world.notes(),
        [
            "Node n3: status.addresses: not peered: 10.1.1.2 is node n2's",
            "Node n4: status.addresses: not peered: 10.1.1.1 is node n1's",
        ]
    );
}

#[test]
fn a_new_node_changes_nothing_of_the_other_peers() {
    let world = World::new(DUAL).with(node("n2", &["10.1.1.2"]));
    let before = world.peer("10.1.1.2");
    let world = world.with(node("n3", &["10.1.1.3"]));
    assert_eq!(world.peer("10.1.1.2"), before);
    assert_eq!(world.peers().len(), 2);
}

fn any_node(number: u8) -> impl Strategy<Value = Node> {
    let roles = proptest::option::of((any::<bool>(), 1_u32..3));
    let asn = proptest::option::of(65_001_u32..65_003);
    (0..5_u8, roles, asn).prop_map(move |(addresses, role, asn)| {
        let (v4, v6) = (format!("10.1.1.{number}"), format!("fd01:1::{number}"));
        let addresses = match addresses {
            0 => vec![v4],
            1 => vec![v6],
            2 => vec![v4, v6],
            3 => vec![v6, v4],
            _ => vec![],
        };
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut node = node(&format!("n{number}"), &addresses);
        node.bgp.asn = asn;
        node.bgp.reflector = role.map(|(is_server, id)| match is_server {
            true => Reflector::Server(cluster(id)),
            false => Reflector::Client(cluster(id)),
        });
        node
    })
}

proptest! {
    #[test]
    fn two_nodes_plan_the_same_session(a in any_node(1), b in any_node(2), full in any::<bool>()) {
        let text = format!("bgp.router_id = \"generate\"\nbgp.nodes_full_mesh = {full}\n");
        let world = World::configured(&[], &text).with(a).with(b);
        let session = |from: &str| {
            let speaker = world.planned_for(from).speaker?;
            let (address, peer) = speaker.peers.iter().next()?;
            let local = peer.transport.local_address?;
            Some((local, *address, peer.session.families, peer.session.peer_as))
        };
        let mirrored = session("n2").map(|(local, remote, families, asn)| {
            (remote, local, families, asn)
        });
        prop_assert_eq!(session("n1"), mirrored);
    }
}
