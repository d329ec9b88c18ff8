use super::*;
use crate::kernel::rtnl::object::{Address, Event, LinkKind, Route, RouteKind, Scope, TABLE_MAIN};
use crate::model::NodeBgp;

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        kind: LinkKind::Plain,
        is_up: true,
        is_loopback: name == "lo",
        mtu: 1500,
        master: None,
    }
}

fn address(link: u32, text: &str) -> Address {
    Address {
        link,
        prefix: text.parse().unwrap(),
        scope: Scope::GLOBAL,
        flags: 0,
    }
}

fn default_route(family: Family, link: u32, metric: u32) -> Route {
    Route {
        kind: RouteKind::Unicast,
        destination: match family {
            Family::V4 => "0.0.0.0/0".parse().unwrap(),
            Family::V6 => "::/0".parse().unwrap(),
        },
        table: TABLE_MAIN,
        protocol: 3,
        scope: Scope::GLOBAL,
        link: Some(link),
        gateway: None,
        source: None,
        metric: Some(metric),
    }
}

fn host() -> Host {
    Host::new(
        [
            link(1, "lo"),
            link(2, "eth0"),
            link(3, "eth1"),
            link(4, "kube-dummy-if"),
            link(5, "kube-bridge"),
            link(6, "docker0"),
        ],
        [
            address(1, "127.0.0.1/8"),
            address(1, "::1/128"),
            address(2, "192.0.2.7/24"),
            address(2, "2001:db8::7/64"),
            address(2, "fe80::7/64"),
            address(3, "198.51.100.7/24"),
            address(4, "10.96.0.1/32"),
            address(5, "10.42.0.1/24"),
            address(6, "172.17.0.1/16"),
        ],
        [],
    )
}

fn node(addresses: &[&str]) -> Node {
    Node {
        name: Arc::from("n1"),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        pod_cidrs: vec!["10.42.0.0/24".parse().unwrap()],
        zone: Some(Arc::from("z1")),
        bgp: NodeBgp::default(),
    }
}

const BOTH: ByFamily<bool> = ByFamily { v4: true, v6: true };

fn facts(
    families: ByFamily<bool>,
    host: &Host,
    node: Option<&Node>,
    object: NodeObject,
) -> Result<(NodeFacts, Vec<Note>), NodeUnknown> {
    node_facts(&Arc::from("n1"), families, host, node, object)
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn the_node_objects_addresses_stand_for_the_node_in_each_family() {
    let only_v4 = ByFamily {
        v4: true,
        v6: false,
    };
    let only_v6 = ByFamily {
        v4: false,
        v6: true,
    };
    for (families, addresses, v4, v6, carrier) in [
        (
            BOTH,
            &["192.0.2.7", "2001:db8::7"][..],
            ip("192.0.2.7"),
            ip("2001:db8::7"),
            Some("eth0"),
        ),
        (
            BOTH,
            &["2001:db8::7", "198.51.100.7", "192.0.2.7"],
            ip("198.51.100.7"),
            ip("2001:db8::7"),
            Some("eth0"),
        ),
        (
            BOTH,
            &["198.51.100.7"],
            ip("198.51.100.7"),
            None,
            Some("eth1"),
        ),
        (
            only_v4,
            &["2001:db8::7", "192.0.2.7"],
            ip("192.0.2.7"),
            None,
            Some("eth0"),
        ),
        (
            only_v6,
            &["192.0.2.7", "2001:db8::7"],
            None,
            ip("2001:db8::7"),
            Some("eth0"),
        ),
        (BOTH, &["203.0.113.99"], ip("203.0.113.99"), None, None),
    ] {
        let node = node(addresses);
        let (found, notes) = facts(families, &host(), Some(&node), NodeObject::Required).unwrap();
        assert_eq!(found.primary, ByFamily { v4, v6 }, "{addresses:?}");
        assert_eq!(found.primary_link.as_deref(), carrier, "{addresses:?}");
        assert_eq!(notes.is_empty(), carrier.is_some(), "{notes:?}");
        assert_eq!(
            (found.pod_cidrs.len(), found.zone.as_deref()),
            (1, Some("z1"))
        );
    }
}

#[test]
fn addresses_of_the_clusters_links_are_not_the_nodes() {
    let (found, _) = facts(
        BOTH,
        &host(),
        Some(&node(&["192.0.2.7"])),
        NodeObject::Required,
    )
    .unwrap();
    let addresses: Vec<_> = found
        .addresses
        .iter()
        .map(|a| a.address.to_string())
        .collect();
    assert_eq!(
        addresses,
        [
            "127.0.0.1",
            "192.0.2.7",
            "198.51.100.7",
            "::1",
            "2001:db8::7",
            "fe80::7"
        ]
    );
    for (address, local) in [
        ("192.0.2.7", true),
        ("10.96.0.1", false),
        ("10.42.0.1", false),
    ] {
        assert_eq!(found.is_local(address.parse().unwrap()), local, "{address}");
    }
    assert_eq!(found.links.len(), 6);
}

#[test]
fn without_a_node_object_an_api_servers_node_waits_with_a_reason() {
    let unknown = facts(BOTH, &host(), None, NodeObject::Required).unwrap_err();
    assert_eq!(unknown, NodeUnknown::NoObject(Arc::from("n1")));
    for addresses in [&[][..], &["127.0.0.1"]] {
        let node = node(addresses);
        let unknown = facts(BOTH, &host(), Some(&node), NodeObject::Required).unwrap_err();
        assert_eq!(unknown, NodeUnknown::NoAddress(Arc::from("n1")));
    }
}

#[test]
fn manifests_without_a_node_take_the_address_beside_the_default_route() {
    let (found, notes) = facts(BOTH, &host(), None, NodeObject::Optional).unwrap();
    assert_eq!(found.primary.v4, ip("192.0.2.7"));
    assert_eq!(found.primary.v6, ip("2001:db8::7"));
    assert_eq!(
        notes[0].to_string(),
        "Node n1: no such object, 192.0.2.7 of this host stands in"
    );
    let mut host = host();
    assert!(host.apply(Event::Route(default_route(Family::V4, 2, 200))));
    assert!(host.apply(Event::Route(default_route(Family::V4, 3, 100))));
    let (found, _) = facts(BOTH, &host, None, NodeObject::Optional).unwrap();
    assert_eq!(found.primary.v4, ip("198.51.100.7"));
    assert_eq!(found.primary_link.as_deref(), Some("eth1"));
    let (found, notes) = facts(
        BOTH,
        &host,
        Some(&node(&["192.0.2.7"])),
        NodeObject::Optional,
    )
    .unwrap();
    assert_eq!((found.primary.v4, notes), (ip("192.0.2.7"), Vec::new()));
    let bare = Host::new([link(1, "lo")], [address(1, "127.0.0.1/8")], []);
    let unknown = facts(BOTH, &bare, None, NodeObject::Optional).unwrap_err();
    assert_eq!(unknown, NodeUnknown::NoHostAddress);
}

#[test]
fn only_events_that_matter_change_the_facts() {
    let mut host = host();
    assert!(!host.apply(Event::Address(address(4, "10.96.0.2/32"))));
    assert!(!host.apply(Event::AddressGone(address(4, "10.96.0.2/32"))));
    assert!(
        !host.apply(Event::Address(address(2, "192.0.2.7/24"))),
        "said again"
    );
    let jumbo = Link {
        mtu: 9000,
        ..link(2, "eth0")
    };
    assert!(host.apply(Event::Link(jumbo.clone())), "pods' MTU follows");
    assert!(!host.apply(Event::Link(jumbo)), "said again");
    let mut route = default_route(Family::V4, 2, 0);
    route.destination = "10.0.0.0/8".parse().unwrap();
    assert!(!host.apply(Event::Route(route)));
    assert!(host.apply(Event::Address(address(2, "192.0.2.8/24"))));
    assert!(host.apply(Event::AddressGone(address(2, "192.0.2.8/24"))));
    assert!(host.apply(Event::Link(link(2, "uplink"))));
    assert!(host.apply(Event::LinkGone(link(2, "uplink"))));
    assert!(host.apply(Event::Overflow));
    let (found, _) = facts(
        BOTH,
        &host,
        Some(&node(&["198.51.100.7"])),
        NodeObject::Required,
    )
    .unwrap();
    assert!(
        !found.is_local("192.0.2.7".parse().unwrap()),
        "went with its link"
    );
}
