//! The headers of a packet (RFC 791, RFC 8200, RFC 4302).

use std::net::IpAddr;

use super::object::{Header, Transport};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// IPv6 extension headers that lead on to others.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Reads the headers at the start of a packet; nothing if it is no IP packet or cut off in its IP
/// header.
#[must_use]
pub fn decode(packet: &[u8]) -> Option<Header> {
    match packet.first()? >> 4 {
        4 => decode_v4(packet),
        6 => decode_v6(packet),
        _ => None,
    }
}

fn decode_v4(packet: &[u8]) -> Option<Header> {
    let fixed = packet.first_chunk::<20>()?;
    let length = usize::from(fixed[0] & 0xf) * 4;
    let fragment_offset = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff;
    let (source, rest) = fixed.get(12..)?.split_first_chunk::<4>()?;
    let destination = rest.first_chunk::<4>()?;
    let protocol = fixed[9];
    let rest = packet
        .get(length.max(20)..)
        .filter(|_| fragment_offset == 0);
    Some(Header {
        source: IpAddr::from(*source),
        destination: IpAddr::from(*destination),
        protocol,
        transport: transport(protocol, rest.unwrap_or_default()),
    })
}

fn decode_v6(packet: &[u8]) -> Option<Header> {
    let (fixed, rest) = packet.split_first_chunk::<40>()?;
    let (source, after) = fixed.get(8..)?.split_first_chunk::<16>()?;
    let destination = after.first_chunk::<16>()?;
    let (protocol, rest) = behind_extensions(fixed[6], rest);
    Some(Header {
        source: IpAddr::from(*source),
        destination: IpAddr::from(*destination),
        protocol,
        transport: transport(protocol, rest),
    })
}

/// The protocol and the bytes behind all extension headers; each is longer than nothing, so this
/// ends.
fn behind_extensions(first: u8, bytes: &[u8]) -> (u8, &[u8]) {
    let (mut protocol, mut rest) = (first, bytes);
    loop {
        let Some([next, units, offset_high, offset_low, ..]) = rest.first_chunk::<8>().copied()
        else {
            return (protocol, rest);
        };
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => (usize::from(units) + 1) * 8,
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            // Only the first fragment has what comes behind.
            FRAGMENT if u16::from_be_bytes([offset_high, offset_low]) >> 3 != 0 => {
                return (next, &[]);
            }
            FRAGMENT => 8,
            _ => return (protocol, rest),
        };
        (protocol, rest) = (next, rest.get(length..).unwrap_or_default());
    }
}

fn transport(protocol: u8, bytes: &[u8]) -> Transport {
    match (protocol, bytes) {
        (TCP | UDP | DCCP | SCTP | UDP_LITE, [a, b, c, d, ..]) => Transport::Ports {
            source: u16::from_be_bytes([*a, *b]),
            destination: u16::from_be_bytes([*c, *d]),
        },
        (ICMP | ICMPV6, [kind, code, ..]) => Transport::Icmp {
            kind: *kind,
            code: *code,
        },
        _ => Transport::Unknown,
    }
}
