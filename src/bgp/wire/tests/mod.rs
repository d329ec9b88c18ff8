//! The codec against the RFCs' words, against itself, and against bytes of malice.

mod as4;
mod as_path;
mod header;
mod notification;
mod open;
mod properties;
mod update;
mod verdicts;
mod writer;

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::*;
use crate::net::{ByFamily, Family, Prefix};

/// Hexadecimal with blanks wherever they help to read.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A message of the type with that body.
fn framed(kind: u8, body: &[u8]) -> Bytes {
    let length = u16::try_from(19 + body.len()).unwrap();
    let mut frame = vec![0xff; 16];
    frame.extend(length.to_be_bytes());
    frame.push(kind);
    frame.extend(body);
    frame.into()
}

/// An UPDATE from its three fields.
fn update(withdrawn: &str, attributes: &str, announced: &str) -> ParsedUpdate {
    ParsedUpdate {
        withdrawn: hex(withdrawn).into(),
        attributes: hex(attributes).into(),
        announced: hex(announced).into(),
    }
}

/// A session of both families with a modern external peer of AS 64512.
fn terms() -> Negotiated {
    Negotiated {
        peer: PeerKind::External,
        peer_as: 64512,
        peer_id: Ipv4Addr::new(192, 0, 2, 1),
        hold_time: HoldTime::SUGGESTED,
        four_octet_as: true,
        receive_limit: MessageLimit::Standard,
        send_limit: MessageLimit::Standard,
        families: ByFamily {
            v4: Some(FamilyTerms::default()),
            v6: Some(FamilyTerms::default()),
        },
        route_refresh: true,
        enhanced_refresh: true,
        enforce_first_as: true,
    }
}

fn internal() -> Negotiated {
    Negotiated {
        peer: PeerKind::Internal,
        enforce_first_as: false,
        ..terms()
    }
}

fn announced(update: &Update) -> Vec<String> {
    let all = update.announced();
    all.flat_map(|one| {
        one.nlri
            .iter()
            .map(|nlri| format!("{nlri} via {}", one.next_hop))
    })
    .collect()
}

fn withdrawn(update: &Update) -> Vec<String> {
    update
        .withdrawn()
        .flatten()
        .map(|nlri| nlri.to_string())
        .collect()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// ORIGIN IGP, AS_PATH 64512, NEXT_HOP 192.0.2.1.
const MANDATORY: &str = "40 01 01 00  40 02 06 02 01 0000fc00  40 03 04 c0000201";
/// MP_REACH_NLRI of 2001:db8::/32 via 2001:db8::1.
const REACH6: &str = "80 0e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
