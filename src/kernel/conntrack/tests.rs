use std::net::IpAddr;

use proptest::prelude::*;

use super::object::*;
use super::*;
use crate::kernel::netlink::{Message, Request};
use crate::kernel::test_mutation::Chance;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tuple(source: (&str, u16), destination: (&str, u16)) -> Tuple {
    Tuple {
        source: ip(source.0),
        destination: ip(destination.0),
        protocol: 17,
        source_port: source.1,
        destination_port: destination.1,
    }
}

/// A flow from a client through the VIP to an endpoint.
fn flow(endpoint: &str) -> Flow {
    Flow {
        original: tuple(("192.0.2.1", 4000), ("10.96.0.10", 53)),
        reply: tuple((endpoint, 5353), ("192.0.2.1", 4000)),
        id: Some(0x1234_5678),
        zone: 5,
    }
}

fn filter(reply_src: Option<(&str, u16)>) -> FlowFilter {
    FlowFilter {
        protocol: Protocol::Udp,
        orig_dst: ip("10.96.0.10"),
        orig_dport: 53,
        reply_src: reply_src.map(|(address, port)| (ip(address), port)),
    }
}

/// A flow as the kernel lists it: like our deletion, with the other direction.
fn listed(flow: &Flow) -> Vec<u8> {
    let original = wire::delete(flow).to_bytes(1).unwrap();
    let turned = Flow {
        original: flow.reply,
        ..*flow
    };
    let reply = wire::delete(&turned).to_bytes(1).unwrap();
    // Both start with the nfgenmsg and one tuple, of which the second becomes TUPLE_REPLY.
    let length = usize::from(u16::from_ne_bytes([reply[20], reply[21]]));
    let mut second = reply[20..20 + length].to_vec();
    second[2] = 2;
    [original[16..].to_vec(), second].concat()
}

fn read(payload: &[u8]) -> Result<Flow, NetlinkError> {
    wire::flow(&Message {
        kind: 0x0100,
        flags: 0,
        sequence: 1,
        port: 0,
        payload,
    })
}

#[test]
fn filters_match_their_service_and_endpoint_only() {
    let flow = flow("10.0.0.2");
    assert!(filter(None).matches(&flow));
    assert!(filter(Some(("10.0.0.2", 5353))).matches(&flow));
    for other in [
        filter(Some(("10.0.0.3", 5353))),
        filter(Some(("10.0.0.2", 5354))),
        FlowFilter {
            protocol: Protocol::Sctp,
            ..filter(None)
        },
        FlowFilter {
            orig_dport: 54,
            ..filter(None)
        },
        FlowFilter {
            orig_dst: ip("10.96.0.11"),
            ..filter(None)
        },
    ] {
        assert!(!other.matches(&flow), "{other}");
    }
}

#[test]
fn filters_are_printed_as_conntrack_is_typed() {
    assert_eq!(
        filter(Some(("10.0.0.2", 5353))).to_string(),
        "conntrack -D -p udp --orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.0.0.2 --reply-port-src 5353"
    );
    let v6 = FlowFilter {
        orig_dst: ip("fd00::1"),
        ..filter(None)
    };
    assert_eq!(
        v6.to_string(),
        "conntrack -D -f ipv6 -p udp --orig-dst fd00::1 --orig-port-dst 53"
    );
}

#[test]
fn many_filters_need_each_part_of_the_table_once() {
    let v6 = FlowFilter {
        orig_dst: ip("fd00::1"),
        ..filter(None)
    };
    let sctp = FlowFilter {
        protocol: Protocol::Sctp,
        ..filter(None)
    };
    let filters = Filters::new(&[v6, sctp, filter(None), filter(Some(("10.0.0.2", 1))), v6]);
    assert_eq!(
        filters.tables(),
        [
            (Family::V4, Protocol::Udp),
            (Family::V4, Protocol::Sctp),
            (Family::V6, Protocol::Udp)
        ]
    );
    assert!(Filters::new(&[]).tables().is_empty());
}

#[test]
fn the_fake_deletes_what_a_filter_names() {
    let mut fake = FakeConntrack {
        flows: vec![flow("10.0.0.2"), flow("10.0.0.3")],
        asked: Vec::new(),
    };
    let filters = [filter(Some(("10.0.0.2", 5353)))];
    assert_eq!(fake.delete(&filters), Ok(1));
    assert_eq!(fake.delete(&filters), Ok(0));
    assert_eq!(fake.flows, [flow("10.0.0.3")]);
}

#[test]
fn a_listing_asks_the_kernel_for_one_protocol() {
    let request: Request = wire::get(Family::V4, Protocol::Udp);
    let expected: &[u8] = &[
        2, 0, 0, 0, // nfgenmsg
        16, 0, 1, 0x80, 12, 0, 2, 0x80, 5, 0, 1, 0, 17, 0, 0, 0, // TUPLE_ORIG PROTO NUM 17
        20, 0, 25, 0x80, 8, 0, 1, 0, 8, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0, // FILTER
    ];
    assert_eq!(request.to_bytes(1).unwrap()[16..], *expected);
}

#[test]
fn flows_without_ports_or_zone_are_read() {
    let portless = Flow {
        original: Tuple {
            protocol: 1,
            source_port: 0,
            destination_port: 0,
            ..flow("10.0.0.2").original
        },
        zone: 0,
        ..flow("10.0.0.2")
    };
    assert_eq!(read(&listed(&portless)), Ok(portless));
    assert_eq!(
        read(&[2, 0, 0, 0]),
        Err(NetlinkError::Missing("original tuple"))
    );
}

proptest! {
    #[test]
    fn flows_written_are_read_back(
        addresses in any::<[[u8; 16]; 4]>(), ports in any::<[u16; 4]>(), v6 in any::<bool>(),
        protocol in any::<u8>(), id in any::<u32>(), zone in any::<u16>(),
    ) {
        let ip = |n: usize| {
            let octets: [u8; 16] = addresses[n];
            if v6 {
                IpAddr::from(octets)
            } else {
                IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
            }
        };
        let tuple = |n: usize| Tuple {
            source: ip(n),
            destination: ip(n + 1),
            protocol,
            source_port: ports[n],
            destination_port: ports[n + 1],
        };
        let flow = Flow { original: tuple(0), reply: tuple(2), id: Some(id), zone };
        prop_assert_eq!(read(&listed(&flow)), Ok(flow));
    }
}

#[test]
fn two_hundred_thousand_damaged_flows_do_no_harm() {
    let messages = [listed(&flow("10.0.0.2")), {
        let (mut flow, v6) = (flow("10.0.0.2"), ip("fd00::1"));
        for tuple in [&mut flow.original, &mut flow.reply] {
            (tuple.source, tuple.destination) = (v6, v6);
        }
        listed(&flow)
    }];
    let (mut chance, mut count) = (Chance(3), 0_u32);
    for round in 0..200_000 {
        let mut payload = messages[round % 2].clone();
        chance.damage(&mut payload);
        count += u32::from(read(&payload).is_ok());
    }
    assert!(
        (20_000..200_000).contains(&count),
        "{count} could still be read"
    );
}
