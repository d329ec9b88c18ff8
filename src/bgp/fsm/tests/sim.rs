//! Two speakers over a simulated wire that delays, breaks and swallows: left in peace they are
//! always established again, with the same connection, and stay so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::support::{epoch, graceful, our_config, secs, their_config};
use crate::bgp::fsm::timers::Jitter;
use crate::bgp::fsm::{
    Action, ConnectionId, Direction, Event, Peer, PeerAs, PeerConfig, Restart, State,
};
use crate::bgp::wire::{Codec, Message};

/// How bad the wire is as long as it is.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// The longest way of a packet, in milliseconds.
    delay: u64,
    /// In a hundred: attempts to connect that are swallowed, or refused.
    swallowed: u64,
    refused: u64,
    /// In a hundred: messages at which the connection breaks, or after which it is dead without
    /// anybody being told.
    broken: u64,
    dead: u64,
}

const FAIR: Weather = Weather {
    delay: 40,
    swallowed: 0,
    refused: 0,
    broken: 0,
    dead: 0,
};

/// A TCP connection: both ends' names for it, and what it is worth.
#[derive(Debug, Clone, Copy)]
struct Wire {
    ends: [ConnectionId; 2],
    /// Whether an end still has it.
    open: [bool; 2],
    is_dead: bool,
    /// When the last octet on the way to each end arrives: order is kept.
    last: [Instant; 2],
}

#[derive(Debug, Clone)]
enum Packet {
    Accepted,
    Connected,
    Octets(Vec<u8>),
    Closed,
}

/// Both speakers, the wires between them, and what is on its way, by time and order.
struct World {
    now: Instant,
    peers: [Peer; 2],
    wires: Vec<Wire>,
    flying: BTreeMap<(Instant, u64), (usize, usize, Packet)>,
    order: u64,
    chance: Jitter,
    weather: Weather,
    up: [Option<ConnectionId>; 2],
    downs: u32,
}

impl World {
    fn new(configs: [PeerConfig; 2], seed: u64, weather: Weather) -> Self {
        let now = epoch();
        let mut seeds = seed;
        let peers = configs.map(|config| {
            seeds = seeds.wrapping_add(0x0123_4567_89ab_cdef);
            Peer::new(now, config, Restart::NONE, seeds)
        });
        Self {
            now,
            peers,
            wires: Vec::new(),
            flying: BTreeMap::new(),
            order: 0,
            chance: Jitter::new(!seed),
            weather,
            up: [None; 2],
            downs: 0,
        }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.chance.next() % below.max(1)
    }

    fn event(&mut self, side: usize, event: Event) {
        let actions = self.peers[side].handle(self.now, event);
        self.carry_out(side, actions);
    }

    fn carry_out(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect(id) => self.connect(side, id),
                Action::Send(id, message) => self.send(side, id, &message),
                Action::Close(id) => self.close(side, id),
                Action::Up(id, _) => assert_eq!(self.up[side].replace(id), None),
                Action::Down(_) => {
                    assert!(self.up[side].take().is_some());
                    self.downs += 1;
                }
                _ => {}
            }
        }
    }

    fn connect(&mut self, side: usize, id: ConnectionId) {
        let theirs = ConnectionId {
            direction: Direction::Incoming,
            serial: id.serial,
        };
        let mut ends = [id, theirs];
        let mut open = [true, false];
        if side == 1 {
            ends.reverse();
            open.reverse();
        }
        let wire = self.wires.len();
        self.wires.push(Wire {
            ends,
            open,
            is_dead: false,
            last: [self.now; 2],
        });
        let fate = self.roll(100);
        if fate < self.weather.refused {
            self.fly(wire, side, Packet::Closed);
        } else if fate >= self.weather.refused + self.weather.swallowed {
            self.fly(wire, 1 - side, Packet::Accepted);
        }
    }

    /// The latest wire with this name; names of attempts are never used twice.
    fn wire_of(&self, side: usize, id: ConnectionId) -> usize {
        let found = self.wires.iter().rposition(|wire| wire.ends[side] == id);
        found.expect("a wire")
    }

    fn send(&mut self, side: usize, id: ConnectionId, message: &Message) {
        let wire = self.wire_of(side, id);
        assert!(self.wires[wire].open[side], "sent on closed {id}");
        let mut octets = Vec::new();
        Codec::default().encode(message, &mut octets).unwrap();
        let fate = self.roll(100);
        if fate < self.weather.broken {
            for end in [0, 1] {
                self.fly(wire, end, Packet::Closed);
            }
        } else if fate < self.weather.broken + self.weather.dead {
            self.wires[wire].is_dead = true;
        } else {
            self.fly(wire, 1 - side, Packet::Octets(octets));
        }
    }

    fn close(&mut self, side: usize, id: ConnectionId) {
        let wire = self.wire_of(side, id);
        assert!(self.wires[wire].open[side], "closed twice: {id}");
        self.wires[wire].open[side] = false;
        self.fly(wire, 1 - side, Packet::Closed);
    }

    fn fly(&mut self, wire: usize, to: usize, packet: Packet) {
        if self.wires[wire].is_dead {
            return;
        }
        let delay = Duration::from_millis(1 + self.roll(self.weather.delay));
        let last = &mut self.wires[wire].last[to];
        *last = (*last).max(self.now + delay);
        self.order += 1;
        self.flying.insert((*last, self.order), (wire, to, packet));
    }

    fn land(&mut self, wire: usize, to: usize, packet: Packet) {
        let id = self.wires[wire].ends[to];
        match packet {
            Packet::Accepted => {
                self.wires[wire].open[to] = true;
                self.fly(wire, 1 - to, Packet::Connected);
                self.event(to, Event::Accepted(id));
            }
            _ if !self.wires[wire].open[to] => {}
            Packet::Connected => self.event(to, Event::Connected(id)),
            Packet::Octets(octets) => {
                self.event(1 - to, Event::Written(self.wires[wire].ends[1 - to]));
                match Codec::default().decode(&octets.into()) {
                    Ok(message) => self.event(to, Event::Message(id, message)),
                    Err(error) => panic!("{error}"),
                }
            }
            Packet::Closed => {
                self.wires[wire].open[to] = false;
                self.event(to, Event::Closed(id));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = [0, 1].map(|side| self.peers[side].poll_timeout());
            let packet = self.flying.keys().next().map(|(at, _)| *at);
            let next = timers.into_iter().flatten().chain(packet).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            assert!(next >= self.now);
            self.now = next;
            // What came in is told before the timers.
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > next {
                    break;
                }
                let (wire, to, packet) = entry.remove();
                self.land(wire, to, packet);
            }
            for side in [0, 1] {
                let actions = self.peers[side].handle_timeout(self.now);
                self.carry_out(side, actions);
            }
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|side| self.peers[side].state())
    }

    /// Both are established, on the two ends of one wire.
    fn agree(&self) -> bool {
        let [Some(ours), Some(theirs)] = self.up else {
            return false;
        };
        let [at_ours, at_theirs] = [self.wire_of(0, ours), self.wire_of(1, theirs)];
        at_ours == at_theirs && !self.wires[at_ours].is_dead
    }
}

fn pair(kind: u8) -> [PeerConfig; 2] {
    let (mut ours, mut theirs) = (our_config(), their_config());
    match kind {
        0 => {}
        1 => {
            theirs.local_as = ours.local_as;
            ours.peer_as = PeerAs::Exactly(ours.local_as);
        }
        2 => theirs.router_id = ours.router_id,
        3 => theirs.router_id = Ipv4Addr::new(1, 2, 3, 4),
        4 => ours.passive = true,
        5 => ours.delay_open = Some(secs(3)),
        6 => {
            ours.graceful = Some(graceful());
            theirs.graceful = Some(graceful());
        }
        _ => {
            ours.idle_hold = theirs.idle_hold;
            theirs.connect_retry.limit = secs(20);
        }
    }
    [ours, theirs]
}

fn weather() -> impl Strategy<Value = Weather> {
    (1u64..20_000, 0u64..50, 0u64..50, 0u64..20, 0u64..20).prop_map(
        |(delay, swallowed, refused, broken, dead)| Weather {
            delay,
            swallowed,
            refused,
            broken,
            dead,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_storm_both_are_established_and_stay_so(
        kind in 0u8..8,
        seed: u64,
        storm in weather(),
        lasts in 1u64..3_600,
    ) {
        let mut world = World::new(pair(kind), seed, storm);
        world.event(0, Event::Start);
        world.event(1, Event::Start);
        world.run(secs(lasts));
        world.weather = FAIR;
        // The longest of hold timer, OPEN's hold timer, idle hold, and an attempt after it, twice.
        world.run(secs(900));
        prop_assert!(world.agree(), "{:?} {:?}", world.states(), world.up);
        let downs = world.downs;
        world.run(secs(600));
        prop_assert!(world.agree());
        prop_assert_eq!(world.downs, downs);
    }

    /// Both connect at the same moment: whichever connection is established stays so.
    #[test]
    fn simultaneous_connections_collide_and_one_is_left(kind in 0u8..4, seed: u64, delay in 1u64..500) {
        let mut world = World::new(pair(kind), seed, Weather { delay, ..FAIR });
        world.event(0, Event::Start);
        world.event(1, Event::Start);
        world.run(secs(30));
        prop_assert!(world.agree(), "{:?} {:?}", world.states(), world.up);
        prop_assert_eq!(world.downs, 0);
        let open = |side: usize| world.wires.iter().filter(|wire| wire.open[side]).count();
        prop_assert_eq!([open(0), open(1)], [1, 1]);
    }
}

#[test]
fn a_mismatch_is_tried_again_ever_more_slowly_by_both() {
    let [ours, mut theirs] = pair(0);
    theirs.peer_as = PeerAs::Exactly(1);
    let mut world = World::new([ours, theirs], 5, FAIR);
    world.event(0, Event::Start);
    world.event(1, Event::Start);
    world.run(secs(3_600));
    assert_eq!(world.up, [None; 2]);
    let tries = world.wires.len();
    assert!((30..400).contains(&tries), "{tries} attempts in an hour");
    let before = tries;
    world.run(secs(3_600));
    let later = world.wires.len() - before;
    assert!(
        later <= tries && later >= 30,
        "{later} attempts in the second hour"
    );
}

#[test]
fn a_wire_that_swallows_everything_ends_the_session_on_both_sides() {
    let mut world = World::new(pair(0), 7, FAIR);
    world.event(0, Event::Start);
    world.event(1, Event::Start);
    world.run(secs(10));
    assert!(world.agree());
    world.weather = Weather {
        dead: 100,
        swallowed: 100,
        ..FAIR
    };
    world.run(secs(91));
    assert_eq!(world.up, [None; 2]);
    let live: BTreeSet<_> = world.states().into_iter().collect();
    assert!(live.iter().all(|state| *state <= State::Active), "{live:?}");
    world.weather = FAIR;
    world.run(secs(300));
    assert!(world.agree());
}
