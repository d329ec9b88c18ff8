use super::*;
use crate::kernel::netlink::{Messages, Request};
use crate::kernel::test_mutation::Chance;

/// An IPv4 packet: header with `options` words of options, protocol, and what follows.
fn v4(options: u8, fragment: u16, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45 + options, 0, 0, 60, 0, 0];
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(std::iter::repeat_n(1, usize::from(options) * 4));
    packet.extend_from_slice(rest);
    packet
}

/// An IPv6 packet: fixed header, then what follows.
fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, next, 64];
    packet.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend_from_slice(rest);
    packet
}

const PORTS: [u8; 8] = [0x30, 0x39, 0, 80, 0, 8, 0, 0];

fn web() -> Transport {
    Transport::Ports {
        source: 12_345,
        destination: 80,
    }
}

#[test]
fn headers_are_read_behind_options_and_extensions() {
    let echo = Transport::Icmp { kind: 8, code: 0 };
    let behind = |headers: &[&[u8]]| [headers.concat(), PORTS.to_vec()].concat();
    for (packet, protocol, transport) in [
        (v4(0, 0, 6, &PORTS), 6, web()),
        (v4(3, 0x4000, 17, &PORTS), 17, web()),
        (v4(0, 0x2000, 132, &PORTS), 132, web()),
        (v4(0, 0x2001, 17, &PORTS), 17, Transport::Unknown),
        (v4(0, 0, 1, &[8, 0, 0, 0]), 1, echo),
        (v4(0, 0, 6, &PORTS[..3]), 6, Transport::Unknown),
        (v4(0, 0, 47, &PORTS), 47, Transport::Unknown),
        (v6(6, &PORTS), 6, web()),
        (
            v6(58, &[135, 0, 0, 0]),
            58,
            Transport::Icmp { kind: 135, code: 0 },
        ),
        (
            v6(0, &behind(&[&[43, 0, 1, 4, 0, 0, 0, 0], &[6, 1], &[0; 14]])),
            6,
            web(),
        ),
        (
            v6(
                60,
                &behind(&[&[44, 0, 0, 0, 0, 0, 0, 0], &[17, 0, 0, 1, 0, 0, 0, 9]]),
            ),
            17,
            web(),
        ),
        (
            v6(44, &behind(&[&[17, 0, 0, 8, 0, 0, 0, 9]])),
            17,
            Transport::Unknown,
        ),
        (v6(51, &behind(&[&[132, 4], &[0; 22]])), 132, web()),
        (v6(59, &[0; 8]), 59, Transport::Unknown),
        (v6(0, &[6, 255, 0, 0, 0, 0, 0, 0]), 6, Transport::Unknown),
    ] {
        let header = decode_header(&packet).unwrap();
        assert_eq!(
            (header.protocol, header.transport),
            (protocol, transport),
            "{packet:02x?}"
        );
        let (source, destination) = match packet[0] >> 4 {
            4 => ("10.0.0.1", "10.0.0.2"),
            _ => ("fd00::1", "fd00::2"),
        };
        assert_eq!(header.source.to_string(), source);
        assert_eq!(header.destination.to_string(), destination);
    }
}

#[test]
fn what_is_no_packet_has_no_header() {
    for packet in [&[][..], &[0x45; 19], &[0x60; 39], &[0x15; 60]] {
        assert_eq!(decode_header(packet), None);
    }
}

/// A logged packet as the kernel sends it.
fn message(payload: &[u8]) -> Vec<u8> {
    let mut request = Request::new(0x0400, 0).payload(&[2, 0, 0, 100]);
    request
        .attributes()
        .bytes(1, &[8, 0, 2, 0])
        .be32(2, 7)
        .be32(4, 3)
        .be32(5, 4)
        .strz(10, "DROP x")
        .bytes(9, payload);
    request.to_bytes(0).unwrap()
}

#[test]
fn records_are_read_and_other_messages_left_out() {
    let packet = v4(0, 0, 6, &PORTS);
    let bytes = message(&packet);
    let record = decode(&Messages::new(&bytes).next().unwrap()).unwrap();
    let expected = Record {
        prefix: "DROP x".to_owned(),
        hook: 2,
        in_link: Some(3),
        out_link: Some(4),
        mark: 7,
        payload: packet,
    };
    assert_eq!(record, Some(expected));
    let config = wire::bind(100, 64).to_bytes(1).unwrap();
    assert_eq!(decode(&Messages::new(&config).next().unwrap()), Ok(None));
}

#[test]
fn a_hundred_thousand_damaged_messages_do_no_harm() {
    let behind = [
        &[43, 0, 1, 4, 0, 0, 0, 0][..],
        &[6, 0, 0, 0, 0, 0, 0, 0],
        &PORTS,
    ]
    .concat();
    let samples = [message(&v4(2, 0, 6, &PORTS)), message(&v6(0, &behind))];
    let (mut chance, mut read) = (Chance(7), 0_u32);
    for round in 0..100_000 {
        let mut bytes = samples[round % samples.len()].clone();
        chance.damage(&mut bytes);
        for message in Messages::new(&bytes) {
            let record = decode(&message).ok().flatten();
            read += u32::from(record.and_then(|record| record.header()).is_some());
        }
    }
    assert!((10_000..100_000).contains(&read), "{read} could be read");
}
