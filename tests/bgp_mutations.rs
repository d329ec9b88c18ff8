//! Mutated messages through decoder, state machine and tables: one peer sends what comes out of
//! chance, another must not notice, and memory stays bounded.
//!
//! `KUBE_ROUTER_MUTATIONS` says how many messages; 10 million take a minute or two in a release
//! build: `KUBE_ROUTER_MUTATIONS=10000000 cargo test --release --test bgp_mutations`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use bytes::Bytes;
use kube_router::bgp::fsm::{ConnectionId, MaxPrefixes, PeerAs, PeerConfig, State};
use kube_router::bgp::rib::Speaker;
use kube_router::bgp::speaker::{ConnectionKey, Desired, Input, Output, PeerDesired, SpeakerCore};
use kube_router::net::{ByFamily, Family};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HOSTILE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const HONEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const AS: u16 = 64_512;
/// In a debug build, among all other tests.
const BY_DEFAULT: u64 = 20_000;
const MOST_PREFIXES: u32 = 5_000;

/// xorshift64: fast, and the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("small");
        usize::try_from(self.next() % limit).expect("small")
    }

    fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).expect("short").to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).expect("short").to_be_bytes();
    let mut body = Vec::new();
    body.extend(length(withdrawn));
    body.extend(withdrawn);
    body.extend(length(attributes));
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

fn open(router_id: Ipv4Addr) -> Vec<u8> {
    let capabilities = [
        1, 4, 0, 1, 0, 1, // IPv4 unicast
        1, 4, 0, 2, 0, 1, // IPv6 unicast
        2, 0, // route refresh
        65, 4, 0, 0, 0xfc, 0, // the AS number in four octets
    ];
    let octet = |length: usize| u8::try_from(length).expect("short");
    let mut body = vec![4];
    body.extend(AS.to_be_bytes());
    body.extend([0, 240]);
    body.extend(router_id.octets());
    body.extend([octet(capabilities.len() + 2), 2, octet(capabilities.len())]);
    body.extend(capabilities);
    message(1, &body)
}

const PLAIN: &[u8] = &[
    0x40, 1, 1, 0, // ORIGIN
    0x40, 2, 0, // AS_PATH
    0x40, 3, 4, 10, 0, 0, 2, // NEXT_HOP
    0x40, 5, 4, 0, 0, 0, 100, // LOCAL_PREF
];

/// What a peer may send; mutations start from these.
fn corpus() -> Vec<Vec<u8>> {
    let rich = [
        PLAIN,
        &[0x80, 4, 4, 0, 0, 0, 7],                             // MED
        &[0xc0, 8, 8, 0, 1, 0, 2, 0xff, 0xff, 0xff, 1],        // COMMUNITIES
        &[0xc0, 16, 8, 0, 2, 0, 1, 0, 0, 0, 1],                // EXTENDED COMMUNITIES
        &[0xc0, 32, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],   // LARGE_COMMUNITY
        &[0x80, 9, 4, 10, 9, 9, 9, 0x80, 10, 4, 1, 1, 1, 1],   // ORIGINATOR_ID, CLUSTER_LIST
        &[0xc0, 7, 8, 0, 0, 0xfc, 0, 10, 1, 1, 1, 0x40, 6, 0], // AGGREGATOR, ATOMIC_AGGREGATE
        &[0xe0, 99, 3, 1, 2, 3],                               // unknown, transitive, partial
    ]
    .concat();
    let path = [
        &[0x40, 1, 1, 0, 0x40, 2, 20, 2, 2, 0, 0, 0xfc, 1, 0, 1, 0, 1][..],
        &[1, 2, 0, 0, 0xfc, 2, 0, 0, 0xfc, 3], // an AS_SET
        &[0x40, 3, 4, 10, 0, 0, 2, 0x40, 5, 4, 0, 0, 0, 100],
    ]
    .concat();
    let mut mp = vec![0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 5, 4, 0, 0, 0, 100];
    mp.extend([0x80, 14, 5 + 16 + 9, 0, 2, 1, 16]); // MP_REACH_NLRI
    mp.extend([0xfd, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    mp.extend([0, 64, 0xfd, 2, 0, 9, 0, 0, 0, 0]);
    let gone = [0x80, 15, 12, 0, 2, 1, 64, 0xfd, 2, 0, 9, 0, 0, 0, 0]; // MP_UNREACH_NLRI
    let gone = &gone[..gone.len()];
    vec![
        update(&[], PLAIN, &[24, 10, 250, 0]),
        update(&[], &rich, &[24, 10, 251, 0, 32, 10, 251, 1, 1, 8, 11]),
        update(&[], &path, &[16, 10, 252]),
        update(&[24, 10, 250, 0], &[], &[]),
        update(&[], &mp, &[]),
        update(&[], gone, &[]),
        update(&[], &[], &[]),
        message(4, &[]),
        message(5, &[0, 1, 0, 1]),
        message(5, &[0, 2, 2, 1]),
        message(3, &[6, 2]),
        open(HOSTILE),
    ]
}

fn mutated(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut octets = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(octets.len());
        match chance.below(8) {
            0 => octets.truncate(at),
            1 => octets.insert(at, chance.octet()),
            2 => {
                let other = &corpus[chance.below(corpus.len())];
                octets.splice(at.., other[other.len().min(at)..].iter().copied());
            }
            3 | 4 => octets[at] ^= 1 << chance.below(8),
            // Behind the header there is more to be found.
            _ if octets.len() > 19 => {
                let at = 19 + chance.below(octets.len() - 19);
                octets[at] = chance.octet();
            }
            _ => octets[at] = chance.octet(),
        }
        if octets.is_empty() {
            octets.push(chance.octet());
        }
    }
    // Most keep their marker and tell their true length.
    if octets.len() >= 19 && chance.below(8) != 0 {
        octets[..16].fill(0xff);
        let length = u16::try_from(octets.len()).expect("short");
        octets[16..18].copy_from_slice(&length.to_be_bytes());
    }
    octets
}

/// A core with its two peers, under a clock that the test turns.
struct Bench {
    core: SpeakerCore,
    now: Instant,
    serial: u32,
    hostile: Option<ConnectionKey>,
    honest: Option<ConnectionKey>,
}

impl Bench {
    fn new() -> Self {
        let mut desired = Desired::new(Speaker {
            asn: AS.into(),
            confederation: None,
            router_id: OWN,
            cluster_id: None,
            addresses: BTreeSet::from([OWN.into()]),
        });
        for peer in [HOSTILE, HONEST] {
            let mut config = PeerConfig::new(AS.into(), OWN, PeerAs::Exactly(AS.into()));
            config.passive = true;
            if peer == HOSTILE {
                let limit = Some(MaxPrefixes {
                    limit: MOST_PREFIXES,
                    warn_at: None,
                    restart: Some(Duration::from_secs(1)),
                });
                config.max_prefixes = ByFamily {
                    v4: limit,
                    v6: limit,
                };
            }
            let peer_desired = Arc::new(PeerDesired::new(config));
            desired.peers.insert(peer.into(), peer_desired);
        }
        let mut bench = Self {
            core: SpeakerCore::new(7, None),
            now: Instant::now(),
            serial: 0,
            hostile: None,
            honest: None,
        };
        let out = bench.core.set_desired(bench.now, desired);
        bench.carry_out(out);
        bench
    }

    /// Sees that all that is sent is written, and who is closed.
    fn carry_out(&mut self, mut out: Vec<Output>) {
        while !out.is_empty() {
            let mut next = Vec::new();
            for output in out {
                match output {
                    Output::Send(key, octets) => {
                        let written = Input::Written(key, octets.len());
                        next.extend(self.core.handle(self.now, written));
                    }
                    Output::Close(key) if self.hostile == Some(key) => {
                        self.hostile = None;
                        next.extend(self.core.handle(self.now, Input::Closed(key)));
                    }
                    // Changes are kept until they are asked for.
                    Output::BestPathsChanged => drop(self.core.best_paths()),
                    _ => {}
                }
            }
            out = next;
        }
    }

    fn hand(&mut self, input: Input) {
        let out = self.core.handle(self.now, input);
        self.carry_out(out);
    }

    fn state(&self, peer: Ipv4Addr) -> State {
        let status = self.core.neighbor_status(peer.into());
        status.expect("a peer").state
    }

    /// A new session, as soon as the speaker takes one.
    fn connect(&mut self, peer: Ipv4Addr) -> ConnectionKey {
        for _ in 0..1000 {
            self.serial = self.serial.wrapping_add(1);
            let key = ConnectionKey {
                peer: peer.into(),
                id: ConnectionId::incoming(self.serial),
            };
            if peer == HOSTILE {
                self.hostile = Some(key);
            }
            let local = IpAddr::V4(OWN);
            self.hand(Input::Accepted { key, local });
            self.hand(Input::Received(key, Bytes::from(open(peer))));
            self.hand(Input::Received(key, Bytes::from(message(4, &[]))));
            if self.state(peer) == State::Established {
                return key;
            }
            self.hand(Input::Closed(key));
            // It holds those off that fail again and again, a minute at most.
            self.turn(Duration::from_secs(20));
        }
        panic!("{peer} is not taken any more");
    }

    /// Time passes, and the honest peer says that it is there.
    fn turn(&mut self, by: Duration) {
        self.now += by;
        while self.core.poll_timeout().is_some_and(|due| due <= self.now) {
            let out = self.core.handle_timeout(self.now);
            self.carry_out(out);
        }
        if let Some(honest) = self.honest {
            self.hand(Input::Received(honest, Bytes::from(message(4, &[]))));
        }
    }
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("our status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|size| size.split_whitespace().next());
    size.expect("a size").parse().expect("a number")
}

#[test]
fn mutated_messages_harm_nobody_but_who_sends_them() {
    let count = env::var("KUBE_ROUTER_MUTATIONS").map_or(BY_DEFAULT, |count| {
        count.parse().expect("a number of messages")
    });
    let (corpus, mut chance, mut bench) = (corpus(), Chance(0x5eed), Bench::new());
    let honest = bench.connect(HONEST);
    bench.honest = Some(honest);
    bench.hand(Input::Received(
        honest,
        Bytes::from(update(&[], PLAIN, &[24, 10, 77, 0])),
    ));
    let (mut sessions, mut most, mut early) = (0_u64, 0, 0);
    for number in 0..count {
        let key = match bench.hostile {
            Some(key) => key,
            None => {
                sessions += 1;
                bench.connect(HOSTILE)
            }
        };
        let octets = mutated(&corpus, &mut chance);
        bench.hand(Input::Received(key, Bytes::from(octets)));
        if number % 64 == 0 {
            bench.turn(Duration::from_millis(100));
            // A message that does not end keeps the others waiting; the speaker waits, too.
            if number % 1024 == 0
                && let Some(key) = bench.hostile.take()
            {
                bench.hand(Input::Closed(key));
            }
        }
        if number % 1024 == 1000 {
            let held = Family::ALL.map(|family| bench.core.rib_in(HOSTILE.into(), family).len());
            most = most.max(held[0].max(held[1]));
            assert_eq!(bench.state(HONEST), State::Established, "after {number}");
        }
        if number == count / 4 {
            early = resident();
        }
    }
    let late = resident();
    println!(
        "{count} messages, {sessions} sessions, at most {most} prefixes at a time, \
         resident {early} KiB after a quarter, {late} KiB in the end"
    );
    let status = bench.core.neighbor_status(HONEST.into()).expect("a peer");
    assert_eq!((status.counters.established, status.counters.lost), (1, 0));
    let told = bench.core.rib_in(HONEST.into(), Family::V4);
    assert_eq!(told.len(), 1, "what the honest one told is there");
    assert!(
        sessions > count / 2000,
        "most did not reach the speaker: {sessions}"
    );
    assert!(
        most <= usize::try_from(MOST_PREFIXES).expect("small"),
        "{most}"
    );
    assert!(late < early + 32 * 1024, "{early} KiB, then {late} KiB");
    // And who behaves again is taken again.
    if let Some(key) = bench.hostile.take() {
        bench.hand(Input::Closed(key));
    }
    bench.connect(HOSTILE);
}
