//! How long a million routes take to be read, one by one and with many attributes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bgp_oracles::bgp::wire::*;
use bgp_oracles::net::{Family, Prefix};
use bgp_oracles::seeds::{Random, attributes, session};
use bytes::Bytes;

const ROUTES: u32 = 1_000_000;

fn terms() -> Negotiated {
    let mut terms = session(&mut Random(1));
    terms.peer = PeerKind::External;
    terms.four_octet_as = true;
    terms.receive_limit = MessageLimit::Standard;
    terms.send_limit = MessageLimit::Standard;
    terms.families.v4 = Some(FamilyTerms::default());
    terms.families.v6 = Some(FamilyTerms::default());
    terms
}

/// A million prefixes, so many of them in each UPDATE.
fn stream(family: Family, each: u32) -> (Bytes, usize) {
    let (terms, mut random) = (terms(), Random(7));
    let writer = UpdateWriter::new(&terms);
    let (mut bytes, mut messages) = (Vec::new(), 0);
    let next_hop = match family {
        Family::V4 => NextHop::V4([192, 0, 2, 1].into()),
        Family::V6 => NextHop::V6 {
            global: "2001:db8::1".parse().expect("an address"),
            link_local: None,
        },
    };
    for first in (0..ROUTES).step_by(each as usize) {
        let nlri = (first..first + each).map(|i| {
            let prefix = match family {
                Family::V4 => Prefix::new((0x0100_0000 + (i << 8)).to_be_bytes().into(), 24),
                Family::V6 => Prefix::new(
                    (0x2001 << 112 | u128::from(i) << 80).to_be_bytes().into(),
                    48,
                ),
            };
            Nlri::from(prefix.expect("of its family"))
        });
        let mut attributes = attributes(&mut random, false);
        attributes.unknown.clear();
        let written = writer.announce(family, &attributes, next_hop, nlri, &mut bytes);
        messages += written.expect("it was negotiated");
    }
    (bytes.into(), messages)
}

#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn measure(stream: &Bytes) -> (Duration, u32) {
    let (terms, codec) = (terms(), Codec::default());
    let start = Instant::now();
    let (mut rest, mut routes) = (stream.clone(), 0);
    while let Ok(Some(length)) = codec.next_frame(&rest) {
        let frame = rest.split_to(length);
        let Ok(Message::Update(parsed)) = codec.decode(&frame) else {
            panic!("no UPDATE");
        };
        let update = validate(&parsed, &terms).expect("it is sound");
        for one in update.announced() {
            for nlri in &one.nlri {
                black_box(nlri);
                routes += 1;
            }
        }
    }
    (start.elapsed(), routes)
}

fn main() {
    for (family, each) in [
        (Family::V4, 5),
        (Family::V4, 200),
        (Family::V4, 1000),
        (Family::V6, 5),
        (Family::V6, 200),
    ] {
        let (bytes, messages) = stream(family, each);
        let mut times: Vec<Duration> = (0..15)
            .map(|_| {
                let (time, routes) = measure(&bytes);
                assert_eq!(routes, ROUTES);
                time
            })
            .collect();
        times.sort();
        // The least disturbed one.
        let best = times[0];
        println!(
            "{family}, {each} per UPDATE: {:.1} ms, {:.1} ns a route, {:.0} ns an UPDATE ({messages} messages, {} octets)",
            best.as_secs_f64() * 1e3,
            best.as_secs_f64() * 1e9 / f64::from(ROUTES),
            best.as_secs_f64() * 1e9 / messages as f64,
            bytes.len(),
        );
    }
}
