use serde_json::{Value, json};

use super::*;
use crate::bgp::wire::Community;
use crate::model::{AnnotatedPeer, NodeBgp, PathPrepend, Reflector};
use crate::net::Secret;

fn annotated(annotations: Value) -> (NodeBgp, Vec<String>) {
    let value = json!({ "metadata": { "name": "n1", "annotations": annotations } });
    let wire = wire::decode_value::<wire::Node>(value).unwrap();
    let name = wire::name_of(&*wire).unwrap();
    let converted = node(&name, &wire, &mut Interner::default());
    let notes = converted.notes.iter().map(|note| {
        assert_eq!(note.object.to_string(), "Node n1");
        let field = note
            .field
            .replace("metadata.annotations[kube-router.io/", "[");
        format!("{field}: {}", note.reason)
    });
    (converted.object.unwrap().bgp, notes.collect())
}

fn one(key: &str, value: &str) -> (NodeBgp, Vec<String>) {
    let mut annotations = json!({});
    annotations[format!("kube-router.io/{key}")] = value.into();
    annotated(annotations)
}

fn peers(text: &str) -> (Vec<AnnotatedPeer>, Vec<String>) {
    let (bgp, notes) = one("peers", text);
    (bgp.peers.unwrap(), notes)
}

fn plain(address: &str, asn: u32) -> AnnotatedPeer {
    AnnotatedPeer {
        address: address.parse().unwrap(),
        asn,
        local_address: None,
        port: None,
        password: None,
        bfd: None,
    }
}

#[test]
fn a_node_without_annotations_says_nothing_of_bgp() {
    assert_eq!(annotated(json!({})), (NodeBgp::default(), vec![]));
}

#[test]
fn as_numbers_are_read_in_any_base_and_never_guessed() {
    for (text, asn) in [
        ("64512", 64_512),
        ("0xfc00", 64_512),
        ("0XFC00", 64_512),
        ("0176000", 64_512),
        ("0b1", 1),
        ("4294967294", 4_294_967_294),
    ] {
        let (bgp, notes) = one("node.asn", text);
        assert_eq!((bgp.asn, notes), (Some(asn), vec![]), "{text}");
    }
    for text in [
        "",
        "0",
        "-1",
        "+1",
        "4294967295",
        "4294967296",
        "AS1",
        "1_0",
        "0x",
    ] {
        let (bgp, notes) = one("node.asn", text);
        assert_eq!((bgp.asn, notes.len()), (None, 1), "{text}");
        assert!(notes[0].starts_with("[node.asn]: \""), "{notes:?}");
    }
}

#[test]
fn cluster_ids_are_the_same_as_a_number_and_with_dots() {
    let id = "0.0.0.42".parse().unwrap();
    for text in ["42", "0x2a", "0.0.0.42"] {
        assert_eq!(
            one("rr.server", text).0.reflector,
            Some(Reflector::Server(id))
        );
        assert_eq!(
            one("rr.client", text).0.reflector,
            Some(Reflector::Client(id))
        );
    }
    for text in ["0", "0.0.0.0", "4294967296", "fd00::1", "rack-1", ""] {
        let (bgp, notes) = one("rr.client", text);
        assert_eq!((bgp.reflector, notes.len()), (None, 1), "{text}");
    }
}

#[test]
fn a_server_is_no_client_even_if_its_cluster_cannot_be_read() {
    let both = |server: &str| {
        annotated(json!({"kube-router.io/rr.server": server, "kube-router.io/rr.client": "7"}))
    };
    let (bgp, notes) = both("42");
    assert_eq!(bgp.reflector.unwrap().cluster().to_string(), "0.0.0.42");
    assert!(notes.is_empty());
    let (bgp, notes) = both("x");
    assert_eq!(bgp.reflector, None);
    assert_eq!(
        notes,
        ["[rr.server]: \"x\" is no cluster ID: a number from 1 to 4294967295, or four with dots"]
    );
}

#[test]
fn local_addresses_are_those_that_can_be_read() {
    let (bgp, notes) = one(
        "bgp-local-addresses",
        "10.0.0.1, fd00::1,10.0.0.1,x,fe80::1",
    );
    let found = bgp.local_addresses.unwrap();
    assert_eq!(
        found,
        ["10.0.0.1", "fd00::1"].map(|a| a.parse::<IpAddr>().unwrap())
    );
    assert_eq!(
        notes,
        [
            "[bgp-local-addresses][3]: \"x\" is not an IP address",
            "[bgp-local-addresses][4]: fe80::1 is no host's"
        ]
    );
}

#[test]
fn communities_are_numbers_pairs_names_or_large_ones() {
    let names = [
        ("internet", 0),
        ("planned-shut", 0xffff_0000),
        ("accept-own", 0xffff_0001),
        ("route-filter-translated-v4", 0xffff_0002),
        ("route-filter-v4", 0xffff_0003),
        ("route-filter-translated-v6", 0xffff_0004),
        ("route-filter-v6", 0xffff_0005),
        ("llgr-stale", 0xffff_0006),
        ("no-llgr", 0xffff_0007),
        ("blackhole", 0xffff_029a),
        ("no-export", 0xffff_ff01),
        ("no-advertise", 0xffff_ff02),
        ("no-export-subconfed", 0xffff_ff03),
        ("no-peer", 0xffff_ff04),
        ("65000:100", 65_000 << 16 | 100),
        ("4294967295", u32::MAX),
    ];
    for (name, number) in names {
        let (bgp, notes) = one("node.bgp.communities", name);
        assert_eq!(bgp.communities.plain, [Community(number)], "{name}");
        assert!(notes.is_empty(), "{notes:?}");
    }
    let (bgp, notes) = one(
        "node.bgp.communities",
        "1:2, 1:2,4200000000:1:2,0x10,65536:1,,no-export",
    );
    assert_eq!(
        bgp.communities.plain,
        [Community::new(1, 2), Community::NO_EXPORT]
    );
    assert_eq!(bgp.communities.large.len(), 1);
    let places: Vec<&str> = notes.iter().map(|note| &note[..26]).collect();
    assert_eq!(
        places,
        [
            "[node.bgp.communities][3]:",
            "[node.bgp.communities][4]:",
            "[node.bgp.communities][5]:"
        ]
    );
}

#[test]
fn what_is_never_imported_is_of_both_families() {
    let (bgp, notes) = one(
        "node.bgp.customimportreject",
        " 10.0.0.0/16, fd00::1/64 ,10.0.0.0/33",
    );
    assert_eq!(
        bgp.import_reject,
        ["10.0.0.0/16", "fd00::/64"].map(|p| p.parse::<Prefix>().unwrap())
    );
    assert_eq!(
        notes,
        ["[node.bgp.customimportreject][2]: \"10.0.0.0/33\" is not a CIDR"]
    );
}

#[test]
fn prepending_needs_a_number_and_how_often() {
    let both = |asn: &str, times: &str| {
        annotated(json!({
            "kube-router.io/path-prepend.as": asn,
            "kube-router.io/path-prepend.repeat-n": times,
        }))
    };
    let (bgp, notes) = both("0xfde8", "3");
    assert_eq!(
        (bgp.prepend, notes),
        (
            Some(PathPrepend {
                asn: 65_000,
                times: 3
            }),
            vec![]
        )
    );
    for (asn, times, note) in [
        ("x", "3", "[path-prepend.as]: \"x\" is not a number"),
        (
            "65000",
            "0",
            "[path-prepend.repeat-n]: \"0\" is not from 1 to 255",
        ),
        (
            "65000",
            "256",
            "[path-prepend.repeat-n]: \"256\" is not from 1 to 255",
        ),
    ] {
        let (bgp, notes) = both(asn, times);
        assert_eq!((bgp.prepend, notes), (None, vec![note.to_owned()]));
    }
    let (bgp, notes) = one("path-prepend.as", "65000");
    assert_eq!(bgp.prepend, None);
    assert_eq!(
        notes,
        ["[path-prepend.repeat-n]: missing, so that no path is prepended"]
    );
    assert_eq!(
        one("path-prepend.repeat-n", "3"),
        (NodeBgp::default(), vec![])
    );
}

#[test]
fn peers_are_a_list_of_mappings_in_yaml_or_json() {
    let yaml = "- remoteip: 192.0.2.1\n  remoteasn: 64640\n  password: cGFzc3dvcmQ=\n  port: 1790\n  \
                localip: 192.0.2.10\n  later: ignored\n  bfd:\n    enabled: true\n    \
                detection_multiplier: 5\n    required_min_rx_interval: 50\n    \
                desired_min_tx_interval: 100\n    port: 4000\n\
                - remoteip: 2001:db8::1\n  remoteasn: 64641\n";
    let (found, notes) = peers(yaml);
    assert_eq!(notes, [""; 0]);
    let [first, second] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(*second, plain("2001:db8::1", 64_641));
    assert_eq!((first.asn, first.port), (64_640, Some(1790)));
    assert_eq!(first.local_address, Some("192.0.2.10".parse().unwrap()));
    assert_eq!(first.password, Some(Secret::new(b"password")));
    let bfd = first.bfd.unwrap();
    assert!(bfd.enabled);
    assert_eq!((bfd.port, bfd.multiplier), (4000, 5));
    assert_eq!(bfd.required_min_rx.as_millis(), 50);
    assert_eq!(bfd.desired_min_tx.as_millis(), 100);

    let json = "[{\"remoteip\": \"192.0.2.1\", \"remoteasn\": 64640}]";
    assert_eq!(peers(json), (vec![plain("192.0.2.1", 64_640)], vec![]));
    assert_eq!(peers(""), (vec![], vec![]));
}

#[test]
fn a_broken_peer_costs_itself_alone_and_shows_no_password() {
    let good = "- {remoteip: 192.0.2.9, remoteasn: 64640}\n";
    for (entry, reason) in [
        ("3", "expected a mapping"),
        ("{remoteasn: 1}", "remoteip is missing"),
        ("{remoteip: 192.0.2.1}", "remoteasn is missing"),
        (
            "{remoteip: x, remoteasn: 1}",
            "remoteip: \"x\" is not an IP address",
        ),
        (
            "{remoteip: fe80::1, remoteasn: 1}",
            "remoteip: fe80::1 is no host's",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 65535}",
            "remoteasn: 65535 is reserved, or no AS number",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: x}",
            "remoteasn: expected a number of at most 4294967295",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, port: 0}",
            "port: 0 is not from 1 to 65535",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, localip: fd00::1}",
            "localip: fd00::1 is not of the family of 192.0.2.1",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, password: hunter2!}",
            "password: not base64",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, password: 987654}",
            "password: expected a text",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, bfd: {detection_multiplier: 256}}",
            "bfd: detection_multiplier: expected a number of at most 255",
        ),
        (
            "{remoteip: 192.0.2.1, remoteasn: 1, bfd: {desired_min_tx_interval: 4294968}}",
            "bfd: desired_min_tx_interval: expected a number of at most 4294967",
        ),
    ] {
        let (found, notes) = peers(&format!("- {entry}\n{good}"));
        assert_eq!(found, [plain("192.0.2.9", 64_640)], "{entry}");
        assert_eq!(
            notes,
            [format!("[peers][0]: {reason}; the peer is left out")]
        );
    }
    let (found, notes) = peers(&good.repeat(2));
    assert_eq!(found.len(), 1);
    assert_eq!(notes, ["[peers][1]: there is a peer 192.0.2.9 already"]);
    let (found, notes) = peers("- remoteip: [\n  password: hunter2\n");
    assert!(found.is_empty());
    assert!(
        notes[0].starts_with("[peers]: not YAML in line"),
        "{notes:?}"
    );
    assert!(!notes[0].contains("hunter2"), "{notes:?}");
    assert_eq!(
        peers("remoteip: 192.0.2.1").1,
        ["[peers]: expected a list of peers"]
    );
}

#[test]
fn the_older_lists_stand_side_by_side() {
    let (bgp, notes) = annotated(json!({
        "kube-router.io/peer.ips": "192.0.2.1, 2001:db8::1",
        "kube-router.io/peer.asns": "64640,0xfc81",
        "kube-router.io/peer.ports": "179,1790",
        "kube-router.io/peer.passwords": "cGFzcw==,",
        "kube-router.io/peer.localips": ",2001:db8::2",
    }));
    assert_eq!(notes, [""; 0]);
    assert_eq!(
        bgp.peers.unwrap(),
        [
            AnnotatedPeer {
                port: Some(179),
                password: Some(Secret::new(b"pass")),
                ..plain("192.0.2.1", 64_640)
            },
            AnnotatedPeer {
                port: Some(1790),
                local_address: Some("2001:db8::2".parse().unwrap()),
                ..plain("2001:db8::1", 64_641)
            },
        ]
    );
}

#[test]
fn lists_of_different_lengths_name_nobody() {
    for key in ["peer.asns", "peer.ports", "peer.passwords", "peer.localips"] {
        let mut annotations = json!({
            "kube-router.io/peer.ips": "192.0.2.1,192.0.2.2",
            "kube-router.io/peer.asns": "64640,64641",
        });
        annotations[format!("kube-router.io/{key}")] = "1".into();
        let (bgp, notes) = annotated(annotations);
        assert_eq!(bgp.peers, Some(vec![]));
        assert_eq!(
            notes,
            [format!(
                "[{key}]: 1 items for 2 peers; the Node has no external peers"
            )]
        );
    }
    let (bgp, notes) = one("peer.ips", "192.0.2.1");
    assert_eq!(bgp.peers, None);
    assert_eq!(
        notes,
        ["[peer.asns]: missing, so that peer.ips names no peers"]
    );
    assert_eq!(one("peer.asns", "1"), (NodeBgp::default(), vec![]));
}

#[test]
fn an_item_that_cannot_be_read_costs_its_peer_and_the_newer_list_counts_alone() {
    let (bgp, notes) = annotated(json!({
        "kube-router.io/peer.ips": "192.0.2.1,192.0.2.2,192.0.2.3",
        "kube-router.io/peer.asns": "64640,64641,64642",
        "kube-router.io/peer.ports": "179,,179",
        "kube-router.io/peer.passwords": "x,,",
    }));
    assert_eq!(bgp.peers.unwrap().len(), 1);
    assert_eq!(
        notes,
        [
            "[peer.passwords][0]: not base64; the peer is left out",
            "[peer.ports][1]: \"\" is not a number; the peer is left out"
        ]
    );
    let (bgp, notes) = annotated(json!({
        "kube-router.io/peers": "- {remoteip: 192.0.2.9, remoteasn: 64640}",
        "kube-router.io/peer.ips": "192.0.2.1,x",
        "kube-router.io/peer.asns": "64640",
    }));
    assert_eq!(bgp.peers.unwrap(), [plain("192.0.2.9", 64_640)]);
    assert!(notes.is_empty());
}
