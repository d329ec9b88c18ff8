use std::net::IpAddr;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Theirs;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, address};

use super::object::*;
use super::*;
use crate::kernel::netlink::{Message, Request};
use crate::kernel::test_mutation::Chance;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One of our requests as the oracle reads it.
fn read_by_oracle(request: &Request) -> Theirs {
    let bytes = request.to_bytes(7).unwrap();
    match NetlinkMessage::<Theirs>::deserialize(&bytes)
        .unwrap()
        .payload
    {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

/// Kind and payload of a message that the oracle wrote.
fn written_by_oracle(message: Theirs) -> (u16, Vec<u8>) {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    (message.header.message_type, bytes.split_off(16))
}

fn event_of(kind: u16, payload: &[u8]) -> Result<Option<Event>, NetlinkError> {
    let message = Message {
        kind,
        flags: 0,
        sequence: 0,
        port: 0,
        payload,
    };
    wire::event(&message, false)
}

fn link_message() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 7;
    message.header.flags = LinkFlags::Up | LinkFlags::Running;
    message.attributes = vec![
        LinkAttribute::IfName("veth0".to_owned()),
        LinkAttribute::Mtu(1400),
        LinkAttribute::Controller(3),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
    ];
    message
}

fn address_message() -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.header.index = 9;
    message.attributes = vec![
        AddressAttribute::Address(ip("fd00::1")),
        AddressAttribute::Flags(address::AddressFlags::from_bits_retain(0x282)),
    ];
    message
}

fn route_message() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 24;
    message.header.table = 252;
    message.header.protocol = RouteProtocol::Bird;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    let hop = |link, gateway: &str| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = link;
        hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::from(ip(gateway)))];
        hop
    };
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::from(ip("203.0.113.0"))),
        RouteAttribute::Table(1000),
        RouteAttribute::Priority(20),
        RouteAttribute::PrefSource(RouteAddress::from(ip("192.0.2.10"))),
        RouteAttribute::MultiPath(vec![hop(4, "192.0.2.1"), hop(5, "192.0.2.2")]),
    ];
    message
}

#[test]
fn messages_written_by_the_oracle_are_read_alike() {
    let table = [
        (
            Theirs::NewLink(link_message()),
            Event::Link(Link {
                index: 7,
                name: "veth0".to_owned(),
                kind: LinkKind::Veth,
                is_up: true,
                is_loopback: false,
                mtu: 1400,
                master: Some(3),
            }),
        ),
        (
            Theirs::DelAddress(address_message()),
            Event::AddressGone(Address {
                link: 9,
                prefix: "fd00::1/128".parse().unwrap(),
                scope: Scope::GLOBAL,
                flags: ADDRESS_NODAD | ADDRESS_PERMANENT | ADDRESS_NOPREFIXROUTE,
            }),
        ),
        (
            Theirs::NewRoute(route_message()),
            Event::Route(Route {
                kind: RouteKind::Unicast,
                destination: "203.0.113.0/24".parse().unwrap(),
                table: 1000,
                protocol: 12,
                scope: Scope::GLOBAL,
                link: Some(4),
                gateway: Some(ip("192.0.2.1")),
                source: Some(ip("192.0.2.10")),
                metric: Some(20),
            }),
        ),
    ];
    for (theirs, ours) in table {
        let (kind, payload) = written_by_oracle(theirs);
        assert_eq!(event_of(kind, &payload), Ok(Some(ours)));
    }
}

#[test]
fn the_oracle_reads_our_requests_as_they_are_meant() {
    for (vip, source) in [("10.96.0.1", "192.0.2.10"), ("fd00::1", "2001:db8::10")] {
        let add = Change::AddAddress(Address::vip(9, ip(vip)));
        let Theirs::NewAddress(message) = read_by_oracle(&wire::change(&add)) else {
            panic!("{add}");
        };
        assert_eq!(
            (message.header.index, message.header.prefix_len),
            (9, if vip.contains(':') { 128 } else { 32 })
        );
        assert_eq!(message.header.scope, address::AddressScope::Link);
        assert!(
            message
                .attributes
                .contains(&AddressAttribute::Local(ip(vip)))
        );
        assert!(
            message
                .attributes
                .contains(&AddressAttribute::Address(ip(vip)))
        );

        let route = Change::ReplaceRoute(Route::vip(9, ip(vip), ip(source)));
        let Theirs::NewRoute(message) = read_by_oracle(&wire::change(&route)) else {
            panic!("{route}");
        };
        assert_eq!(
            (message.header.kind, message.header.protocol),
            (RouteType::Local, RouteProtocol::Kernel)
        );
        assert_eq!(message.header.table, 255);
        for attribute in [
            RouteAttribute::Destination(RouteAddress::from(ip(vip))),
            RouteAttribute::PrefSource(RouteAddress::from(ip(source))),
            RouteAttribute::Oif(9),
            RouteAttribute::Table(255),
        ] {
            assert!(message.attributes.contains(&attribute), "{attribute:?}");
        }
    }
    let Theirs::NewLink(message) =
        read_by_oracle(&wire_link::new_link("kube-dummy-if", &LinkKind::Dummy))
    else {
        panic!("no link");
    };
    assert!(message.header.flags.contains(LinkFlags::Up));
    assert!(message.header.change_mask.contains(LinkFlags::Up));
    assert!(
        message
            .attributes
            .contains(&LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Dummy
            )]))
    );
}

#[test]
fn what_has_no_object_is_passed_over() {
    let mut policy = route_message();
    policy.header.source_prefix_length = 8;
    let mut bridge = link_message();
    bridge.header.interface_family = AddressFamily::Bridge;
    let mut mpls = route_message();
    mpls.header.address_family = AddressFamily::Mpls;
    for message in [
        Theirs::NewRoute(policy),
        Theirs::NewLink(bridge),
        Theirs::NewRoute(mpls),
    ] {
        let (kind, payload) = written_by_oracle(message);
        assert_eq!(event_of(kind, &payload), Ok(None));
    }
    assert_eq!(event_of(libc::RTM_NEWNEIGH, &[]), Ok(None));
}

#[test]
fn two_hundred_thousand_damaged_messages_do_no_harm() {
    let messages = [
        written_by_oracle(Theirs::NewLink(link_message())),
        written_by_oracle(Theirs::NewAddress(address_message())),
        written_by_oracle(Theirs::NewRoute(route_message())),
    ];
    let (mut chance, mut read) = (Chance(0x9e37_79b9_7f4a_7c15), 0_u32);
    for round in 0..200_000 {
        let (kind, payload) = &messages[round % messages.len()];
        let mut payload = payload.clone();
        chance.damage(&mut payload);
        read += u32::from(matches!(event_of(*kind, &payload), Ok(Some(_))));
    }
    assert!(
        (20_000..200_000).contains(&read),
        "{read} could still be read"
    );
}

#[test]
fn strays_are_only_routes_to_our_vips_on_our_link_with_another_source() {
    let (vip, node) = (ip("fd00::1"), ip("2001:db8::10"));
    let good = Route {
        metric: Some(1024),
        ..Route::vip(9, vip, node)
    };
    let local = Route {
        source: None,
        metric: Some(0),
        ..good
    };
    let main = Route {
        table: TABLE_MAIN,
        kind: RouteKind::Unicast,
        ..local
    };
    let present = [
        good,
        local,
        main,
        Route {
            link: Some(8),
            ..local
        },
        Route { table: 77, ..local },
        Route {
            destination: "fd00::2/128".parse().unwrap(),
            ..local
        },
        Route {
            destination: "fd00::/64".parse().unwrap(),
            ..local
        },
    ];
    assert_eq!(stray_routes(9, &[(vip, node)], &present), [local, main]);
    assert_eq!(
        stray_routes(9, &[(vip, ip("2001:db8::11"))], &present),
        [good, local, main]
    );
}

#[test]
fn texts_are_what_ip_takes() {
    let route = Route::vip(9, ip("10.96.0.1"), ip("192.0.2.10"));
    let table = [
        (
            Change::AddAddress(Address::vip(9, ip("10.96.0.1"))),
            "ip address add 10.96.0.1/32 dev kube-dummy-if scope link",
        ),
        (
            Change::AddAddress(Address::vip(9, ip("fd00::1"))),
            "ip address add fd00::1/128 dev kube-dummy-if scope link nodad noprefixroute",
        ),
        (
            Change::DelAddress(Address::vip(9, ip("fd00::1"))),
            "ip address delete fd00::1/128 dev kube-dummy-if",
        ),
        (
            Change::ReplaceRoute(route),
            "ip route replace local 10.96.0.1 dev kube-dummy-if table local proto kernel scope host src 192.0.2.10",
        ),
        (
            Change::DelRoute(Route::vip(9, ip("fd00::1"), ip("fd00::9"))),
            "ip route delete local fd00::1 dev kube-dummy-if table local proto kernel src fd00::9",
        ),
    ];
    for (change, text) in table {
        assert_eq!(change.on("kube-dummy-if").to_string(), text);
        assert_eq!(change.to_string(), text.replace("kube-dummy-if", "if9"));
    }
}

#[test]
fn vips_are_settled_only_when_the_kernels_late_routes_are_gone() {
    let mut host = FakeRtnl::new();
    let link = host
        .ensure_link("kube-dummy-if", &LinkKind::Dummy)
        .unwrap()
        .index;
    let vips = [
        (ip("fd00::1"), ip("fd00::10")),
        (ip("10.96.0.1"), ip("192.0.2.10")),
    ];
    let verdicts = host.add_vips(link, &vips);
    assert_eq!(verdicts, [Ok(Outcome::Changed), Ok(Outcome::Changed)]);
    assert!(!host.make_late_routes(), "a late route was not waited for");
    let of_vips: Vec<Option<IpAddr>> = host.routes.iter().map(|route| route.source).collect();
    assert_eq!(of_vips, [Some(ip("192.0.2.10")), Some(ip("fd00::10"))]);

    let gone = host.remove_vips(link, &vips.map(|(vip, _)| vip));
    assert_eq!(gone, [Ok(Outcome::Changed), Ok(Outcome::Changed)]);
    let again = host.remove_vips(link, &vips.map(|(vip, _)| vip));
    assert_eq!(again, [Ok(Outcome::Unchanged), Ok(Outcome::Unchanged)]);
    assert!(host.routes.is_empty() && host.addresses.is_empty());
}

#[test]
fn one_refused_vip_does_not_hold_back_the_others() {
    let mut host = FakeRtnl::new();
    let link = host
        .ensure_link("kube-dummy-if", &LinkKind::Dummy)
        .unwrap()
        .index;
    let refused = Change::AddAddress(Address::vip(link, ip("10.96.0.1")));
    host.refuse.insert(refused.clone(), libc::EPERM);
    let vips = ["10.96.0.1", "10.96.0.2", "fd00::1"].map(|vip| (ip(vip), ip("192.0.2.10")));
    let verdicts = host.add_vips(link, &vips);
    assert!(matches!(&verdicts[0], Err(Error::Change { change, .. }) if **change == refused));
    assert_eq!(verdicts[1], Ok(Outcome::Changed));
    assert!(matches!(verdicts[2], Err(Error::MixedFamilies { .. })));
}
