//! How long a million routes take to be read, one by one and with many attributes.

use std::hint::black_box;
use std::time::Duration;

use bgp_oracles::bgp::wire::*;
use bgp_oracles::net::{Family, Prefix};
use bgp_oracles::seeds::{Random, attributes, session};
use bytes::Bytes;

const ROUTES: u32 = 1_000_000;
const PASSES: u32 = 20;

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

/// A million prefixes, so many of them in each UPDATE; plain ones have a path and no more, others
/// three lists of communities, an aggregator, a metric, each every other time.
fn stream(family: Family, each: u32, is_plain: bool) -> (Bytes, usize) {
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
        if is_plain {
            attributes = Attributes {
                as_path: attributes.as_path,
                ..Attributes::default()
            };
        }
        let written = writer.announce(family, &attributes, next_hop, nlri, &mut bytes);
        messages += written.expect("it was negotiated");
    }
    (bytes.into(), messages)
}

/// What this thread has had of its processor: others may want it, too.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = stat
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

fn read(stream: &Bytes) -> u32 {
    let (terms, codec) = (terms(), Codec::default());
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
    routes
}

fn main() {
    for (family, each, is_plain) in [
        (Family::V4, 5, true),
        (Family::V4, 5, false),
        (Family::V4, 200, false),
        (Family::V4, 1000, false),
        (Family::V6, 5, false),
        (Family::V6, 200, false),
    ] {
        let (bytes, messages) = stream(family, each, is_plain);
        // Several passes: the kernel counts by the tick.
        let start = on_cpu();
        for _ in 0..PASSES {
            assert_eq!(read(&bytes), ROUTES);
        }
        let mean = (on_cpu() - start).as_secs_f64() / f64::from(PASSES);
        println!(
            "{family}, {each} per UPDATE{}: {:.1} ms, {:.1} ns a route, {:.0} ns an UPDATE, {messages} messages",
            if is_plain { ", plain" } else { "" },
            mean * 1e3,
            mean * 1e9 / f64::from(ROUTES),
            mean * 1e9 / messages as f64,
        );
    }
}
