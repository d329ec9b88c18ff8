//! Speakers on a simulated wire under a simulated clock: octets take their time and come in pieces,
//! connections break, nodes crash.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use kube_router::bgp::fsm::ConnectionId;
use kube_router::bgp::rib::BestPaths;
use kube_router::bgp::speaker::{
    ConnectionKey, Desired, Input, Note, Output, Restarted, SpeakerCore,
};
use kube_router::net::ByFamily;

/// Numbers by a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub u64);

pub(crate) struct Node {
    pub(crate) core: SpeakerCore,
    pub(crate) desired: Desired,
    pub(crate) address: IpAddr,
    pub(crate) best: BestPaths,
    pub(crate) notes: Vec<(IpAddr, Note)>,
    /// Its application does not read: octets to it stay unwritten.
    pub(crate) is_stalled: bool,
    /// Octets that wait for it, by wire.
    held: Vec<(usize, usize, usize)>,
    is_down: bool,
    next_serial: u32,
    /// As the core said after its last turn.
    timeout: Option<Instant>,
}

struct Wire {
    /// Who connects, and who accepts once it has.
    nodes: [usize; 2],
    keys: [Option<ConnectionKey>; 2],
    open: [bool; 2],
    /// When the last packet to each end arrives: order is kept.
    last: [Instant; 2],
}

enum Packet {
    Syn,
    Connected,
    Octets(Bytes),
    /// To the sender itself: its octets went out.
    Written(usize),
    Closed,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    wires: Vec<Wire>,
    /// The ends of wires by node and connection.
    ends: BTreeMap<(usize, ConnectionKey), (usize, usize)>,
    flying: BTreeMap<(Instant, u64), (usize, usize, Packet)>,
    order: u64,
    pub(crate) chance: Chance,
    /// The longest way of a packet.
    pub(crate) delay: Duration,
}

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

pub(crate) fn address(node: usize) -> IpAddr {
    let node = u32::try_from(node).expect("few nodes");
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + node))
}

impl World {
    pub(crate) fn new(desired: Vec<Desired>, seed: u64) -> Self {
        let mut chance = Chance(seed);
        #[expect(
            clippy::disallowed_methods,
            reason = "the simulated clock starts somewhere"
        )]
        let now = Instant::now();
        let nodes = desired.into_iter().enumerate();
        let nodes: Vec<Node> = nodes
            .map(|(at, desired)| Node {
                core: SpeakerCore::new(chance.next(), None),
                desired,
                address: address(at),
                best: BestPaths::default(),
                notes: Vec::new(),
                is_stalled: false,
                held: Vec::new(),
                is_down: false,
                next_serial: 0,
                timeout: None,
            })
            .collect();
        let mut world = Self {
            now,
            nodes,
            wires: Vec::new(),
            ends: BTreeMap::new(),
            flying: BTreeMap::new(),
            order: 0,
            chance,
            delay: Duration::from_millis(40),
        };
        for at in 0..world.nodes.len() {
            world.apply(at);
        }
        world
    }

    /// Gives a node its settings as they are now.
    pub(crate) fn apply(&mut self, at: usize) {
        let desired = self.nodes[at].desired.clone();
        let out = self.nodes[at].core.set_desired(self.now, desired);
        self.carry_out(at, out);
    }

    pub(crate) fn input(&mut self, at: usize, input: Input) {
        let out = self.nodes[at].core.handle(self.now, input);
        self.carry_out(at, out);
    }

    /// Everything up to a moment, in order; input before timers.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    /// Until it holds, seen ten times a second.
    pub(crate) fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "it does not hold within {limit:?}");
            self.run(Duration::from_millis(100));
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let timers = self.nodes.iter().filter(|node| !node.is_down);
        let timers = timers.filter_map(|node| node.timeout);
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        timers.chain(flying).min()
    }

    fn step(&mut self) {
        if let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let (wire, side, packet) = first.remove();
            self.arrive(wire, side, packet);
            return;
        }
        for at in 0..self.nodes.len() {
            let due = self.nodes[at].timeout;
            if !self.nodes[at].is_down && due.is_some_and(|due| due <= self.now) {
                let out = self.nodes[at].core.handle_timeout(self.now);
                self.carry_out(at, out);
                let again = self.nodes[at].timeout;
                assert!(
                    again.is_none_or(|again| again > self.now),
                    "a timer stays due"
                );
            }
        }
    }

    fn carry_out(&mut self, at: usize, out: Vec<Output>) {
        self.nodes[at].timeout = self.nodes[at].core.poll_timeout();
        for output in out {
            match output {
                Output::Connect { key, .. } => self.connect(at, key),
                Output::Send(key, octets) => self.send(at, key, octets),
                Output::Close(key) => {
                    if let Some((wire, side)) = self.find(at, key) {
                        self.wires[wire].open[side] = false;
                        self.fly(wire, 1 - side, Packet::Closed);
                    }
                }
                Output::BestPathsChanged => {
                    let node = &mut self.nodes[at];
                    node.best = node.core.best_paths();
                }
                Output::Note { peer, note } => self.nodes[at].notes.push((peer, note)),
                Output::Expect { .. } | Output::Forget { .. } => {}
            }
        }
    }

    fn connect(&mut self, at: usize, key: ConnectionKey) {
        let to = self.nodes.iter().position(|node| node.address == key.peer);
        let nodes = [at, to.expect("peers are nodes")];
        self.wires.push(Wire {
            nodes,
            keys: [Some(key), None],
            open: [true, false],
            last: [self.now; 2],
        });
        self.ends.insert((at, key), (self.wires.len() - 1, 0));
        self.fly(self.wires.len() - 1, 1, Packet::Syn);
    }

    fn send(&mut self, at: usize, key: ConnectionKey, octets: Bytes) {
        let Some((wire, side)) = self.find(at, key) else {
            return;
        };
        let count = octets.len();
        let to = self.wires[wire].nodes[1 - side];
        if self.nodes[to].is_stalled {
            self.nodes[to].held.push((wire, side, count));
        } else {
            self.fly(wire, side, Packet::Written(count));
        }
        let mut rest = octets;
        while !rest.is_empty() {
            let length = 1 + usize::try_from(self.chance.below(4000)).expect("small");
            let piece = rest.split_to(length.min(rest.len()));
            self.fly(wire, 1 - side, Packet::Octets(piece));
        }
    }

    /// It reads again.
    pub(crate) fn unstall(&mut self, at: usize) {
        self.nodes[at].is_stalled = false;
        for (wire, side, count) in std::mem::take(&mut self.nodes[at].held) {
            self.fly(wire, side, Packet::Written(count));
        }
    }

    /// Octets from nobody's application, on the wire that `from` has to `to`.
    pub(crate) fn inject(&mut self, from: usize, to: usize, octets: &[u8]) {
        let is_it = |wire: &Wire| {
            wire.open == [true; 2] && wire.nodes.contains(&from) && wire.nodes.contains(&to)
        };
        let wire = self.wires.iter().position(is_it).expect("a connection");
        let side = usize::from(self.wires[wire].nodes[1] == to);
        self.fly(wire, side, Packet::Octets(Bytes::copy_from_slice(octets)));
    }

    fn find(&self, at: usize, key: ConnectionKey) -> Option<(usize, usize)> {
        let end = self.ends.get(&(at, key)).copied();
        end.filter(|(wire, side)| self.wires[*wire].open[*side])
    }

    fn fly(&mut self, wire: usize, side: usize, packet: Packet) {
        let longest = u64::try_from(self.delay.as_micros()).expect("short");
        let way = Duration::from_micros(self.chance.below(longest));
        let wire_state = &mut self.wires[wire];
        let at = (self.now + way).max(wire_state.last[side]);
        wire_state.last[side] = at;
        self.order += 1;
        self.flying.insert((at, self.order), (wire, side, packet));
    }

    fn arrive(&mut self, wire: usize, side: usize, packet: Packet) {
        let at = self.wires[wire].nodes[side];
        if let Packet::Syn = packet {
            self.accept(wire, at);
            return;
        }
        let Some(key) = self.wires[wire].keys[side].filter(|_| self.wires[wire].open[side]) else {
            return;
        };
        let input = match packet {
            Packet::Syn => return,
            Packet::Connected => Input::Connected(key),
            Packet::Octets(octets) => Input::Received(key, octets),
            Packet::Written(count) => Input::Written(key, count),
            Packet::Closed => {
                self.wires[wire].open[side] = false;
                Input::Closed(key)
            }
        };
        self.input(at, input);
    }

    fn accept(&mut self, wire: usize, at: usize) {
        if self.nodes[at].is_down {
            self.fly(wire, 0, Packet::Closed);
            return;
        }
        if !self.wires[wire].open[0] {
            return;
        }
        let from = self.nodes[self.wires[wire].nodes[0]].address;
        let serial = self.nodes[at].next_serial;
        self.nodes[at].next_serial += 1;
        let key = ConnectionKey {
            peer: from,
            id: ConnectionId::incoming(serial),
        };
        self.wires[wire].keys[1] = Some(key);
        self.ends.insert((at, key), (wire, 1));
        self.wires[wire].open[1] = true;
        self.fly(wire, 0, Packet::Connected);
        let local = self.nodes[at].address;
        self.input(at, Input::Accepted { key, local });
    }

    /// Breaks what connects two nodes; both are told, in their time.
    pub(crate) fn break_between(&mut self, a: usize, b: usize) {
        for wire in 0..self.wires.len() {
            let nodes = self.wires[wire].nodes;
            if nodes == [a, b] || nodes == [b, a] {
                for side in 0..2 {
                    if self.wires[wire].open[side] {
                        self.fly(wire, side, Packet::Closed);
                    }
                }
            }
        }
    }

    /// The process is gone; its peers are told by TCP, or not at all.
    pub(crate) fn crash(&mut self, at: usize, is_told: bool) {
        self.nodes[at].is_down = true;
        for wire in 0..self.wires.len() {
            for side in 0..2 {
                if self.wires[wire].nodes[side] == at && self.wires[wire].open[side] {
                    self.wires[wire].open[side] = false;
                    if is_told {
                        self.fly(wire, 1 - side, Packet::Closed);
                    }
                }
            }
        }
    }

    pub(crate) fn start_again(&mut self, at: usize, is_graceful: bool) {
        let restarted = is_graceful.then_some(Restarted {
            deferral: Duration::from_secs(60),
            preserved: ByFamily { v4: true, v6: true },
        });
        let seed = self.chance.next();
        let node = &mut self.nodes[at];
        node.core = SpeakerCore::new(seed, restarted);
        node.best = BestPaths::default();
        node.is_down = false;
        self.apply(at);
    }
}
