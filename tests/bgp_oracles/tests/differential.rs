//! The codec beside netgauze-bgp-pkt and bgpkit-parser.

use bgp_oracles::bgp::wire::*;
use bgp_oracles::hostile::message;
use bgp_oracles::net::Family;
use bgp_oracles::seeds::{self, Random, session};
use bytes::Bytes;

#[test]
fn placeholder() {
    let mut random = Random(1);
    let _ = (session(&mut random), message as fn(&mut Random, &Negotiated) -> Vec<u8>);
    let _ = (Bytes::new(), Family::V4, seeds::session as fn(&mut Random) -> Negotiated);
}
