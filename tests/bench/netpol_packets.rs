//! What a packet pays for 10,000 rules' worth of network policies: round trips over UDP between
//! two pods of one node, beside those on a node without policies and on one with no rules at all
//! and no connection tracking, in turns.
//!
//! Both pods are isolated in both directions, and the last rule of their chains lets the packets
//! pass. A flow that is known already is measured by one socket, new ones by one socket each,
//! forgotten by connection tracking before the next round. All run on one processor, so that a
//! round trip is work and no waiting; a median of medians keeps neighbours on the machine out.
//!
//! `cargo bench --bench netpol_packets` as root. Fails where nftables costs more than [`GOAL`].
#![expect(unsafe_code, reason = "one processor and many descriptors, by libc")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench: it prints, reads clocks, and ends when something is wrong"
)]

#[path = "../common/namespaces.rs"]
mod namespaces;
#[path = "../common/policy_cluster.rs"]
mod policy_cluster;
#[path = "../common/policy_load.rs"]
mod policy_load;

use std::fmt;
use std::mem::size_of_val;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use kube_router::firewall::{Action, ChainKey, Hook, Packet, Payload, Tracked, Verdict, walk};
use kube_router::net::{Family, Protocol};
use kube_router::netpol::{HostKernel, Netpol, Plan};

use namespaces::{
    Place, calm, can_measure, feed, flush_connections, here, ip_batch, join, unshare,
};
use policy_cluster::{Cluster, NODE_V4, NODE_V6};
use policy_load::{PORT, Shape, planned, program, ten_thousand_rules};

const ROUNDS: usize = 41;
/// Round trips of a known flow in one round.
const TRIPS: usize = 400;
/// New flows in one round.
const FLOWS: usize = 200;
/// How many times the cost of a node without policies nftables may have.
const GOAL: f64 = 1.3;

/// What a node has to do with each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Nothing.
    None,
    /// Connection tracking, which every node of a cluster has, and no more.
    Tracking,
    /// The rules of a node where no policy is.
    NoPolicy(NetpolBackend),
    Policies(NetpolBackend, Shape),
}

/// A node with its two pods and their sockets.
struct Node {
    load: Load,
    place: Place,
    flows: Vec<Flows>,
    /// Owns the rules.
    _netpol: Option<Netpol<HostKernel>>,
}

/// Sockets of one family.
struct Flows {
    known: UdpSocket,
    new: Vec<UdpSocket>,
}

/// Round trips of a node in one round: medians.
#[derive(Debug, Clone, Copy)]
struct Round {
    known: Duration,
    new: Duration,
}

fn main() -> ExitCode {
    if !can_measure() {
        return ExitCode::SUCCESS;
    }
    prepare();
    use NetpolBackend::{Iptables, Nftables};
    let loads = [
        Load::None,
        Load::Tracking,
        Load::NoPolicy(Nftables),
        Load::Policies(Nftables, Shape::Spread),
        Load::Policies(Nftables, Shape::Heap),
        Load::NoPolicy(Iptables),
        Load::Policies(Iptables, Shape::Spread),
        Load::Policies(Iptables, Shape::Heap),
    ];
    let nodes: Vec<Node> = loads.into_iter().map(Node::new).collect();
    let mut is_good = true;
    for (at, family) in Family::ALL.into_iter().enumerate() {
        let rounds: Vec<Vec<Round>> = (0..ROUNDS).map(|turn| round(&nodes, at, turn)).collect();
        println!("\n{family}: microseconds of a round trip, and how many times those");
        println!("on a node without rules / on one with the same backend and no policies");
        println!(
            "{:32} {:>20} {:>24}",
            "", "a known flow", "the first of a new one"
        );
        for (at, node) in nodes.iter().enumerate() {
            let plain = loads.iter().position(|one| *one == node.load.plain());
            is_good &= report(node.load, at, plain.unwrap_or(0), &rounds);
        }
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        println!("policies by nftables cost more than {GOAL} times a node without any");
        ExitCode::FAILURE
    }
}

/// One processor for everything, and descriptors for all flows.
fn prepare() {
    let descriptors = libc::rlimit {
        rlim_cur: 20_000,
        rlim_max: 20_000,
    };
    // SAFETY: all zeroes are an empty set; the pointers are to values of ours.
    unsafe {
        assert_eq!(
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const descriptors),
            0
        );
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut one);
        assert_eq!(
            libc::sched_setaffinity(0, size_of_val(&one), &raw const one),
            0
        );
    }
}

/// Every node once; each round begins with another one.
fn round(nodes: &[Node], family: usize, turn: usize) -> Vec<Round> {
    for node in nodes {
        node.place.enter();
        flush_connections();
    }
    let mut found = vec![None; nodes.len()];
    for step in 0..nodes.len() {
        let at = (turn + step) % nodes.len();
        found[at] = Some(nodes[at].flows[family].round());
    }
    found.into_iter().flatten().collect()
}

fn report(load: Load, node: usize, plain: usize, rounds: &[Vec<Round>]) -> bool {
    let times = |of: fn(&Round) -> Duration| {
        let here = median(rounds.iter().map(|round| of(&round[node])));
        let beside = |other: usize| {
            let ratios = rounds.iter();
            middle(
                ratios
                    .map(|round| of(&round[node]).as_secs_f64() / of(&round[other]).as_secs_f64()),
            )
        };
        (here.as_secs_f64() * 1e6, beside(0), beside(plain))
    };
    let (known, known_bare, known_plain) = times(|round| round.known);
    let (new, new_bare, new_plain) = times(|round| round.new);
    println!(
        "{:32} {known:8.2} {known_bare:5.2} {known_plain:5.2}     {new:8.2} {new_bare:5.2} {new_plain:5.2}",
        load.to_string()
    );
    let counts = matches!(load, Load::Policies(NetpolBackend::Nftables, _));
    !counts || known_plain.max(new_plain) <= GOAL
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn middle(ratios: impl Iterator<Item = f64>) -> f64 {
    let mut ratios: Vec<_> = ratios.collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

// === impl Load ===

impl Load {
    /// The node beside which it is held: with the same backend and no policies.
    fn plain(self) -> Self {
        match self {
            Self::Policies(backend, _) => Self::NoPolicy(backend),
            _ => Self::None,
        }
    }

    fn program(self) -> Option<Netpol<HostKernel>> {
        let (mut cluster, backend) = match self {
            Self::None => return None,
            Self::Tracking => {
                let tracking = "table inet t { chain f {
                    type filter hook forward priority 0;
                    ct state established,related accept;
                }; }";
                feed(&["nft", "-f", "-"], tracking);
                return None;
            }
            Self::NoPolicy(backend) => (ten_thousand_rules(Shape::Spread), backend),
            Self::Policies(backend, shape) => (ten_thousand_rules(shape), backend),
        };
        let is_isolated = matches!(self, Self::Policies(..));
        if !is_isolated {
            cluster.policies.clear();
        }
        let mut netpol = planned(&cluster, backend);
        let steps = program(&mut netpol);
        println!(
            "{self}: {}, {steps} steps",
            held(&cluster, netpol.current())
        );
        if is_isolated {
            by_last_rule(netpol.current());
        }
        Some(netpol)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no rules, no tracking"),
            Self::Tracking => f.write_str("connection tracking alone"),
            Self::NoPolicy(backend) => write!(f, "{backend:?}, no policies"),
            Self::Policies(backend, shape) => write!(f, "{backend:?}, 10,000 rules, {shape:?}"),
        }
    }
}

/// What the kernel holds of it, both families together.
fn held(cluster: &Cluster, plan: &Plan) -> String {
    let policies = cluster.policies.iter();
    let rules = policies.flat_map(|one| one.ingress.iter().chain(&one.egress).flatten());
    let wanted = plan.wanted();
    let members: usize = wanted.members.iter().map(|(_, all)| all.len()).sum();
    let of_chains: usize = wanted
        .chains
        .iter()
        .map(|(_, chain)| chain.rules.len())
        .sum();
    format!(
        "{} policies with {} rules as {} chains with {of_chains} rules, {} sets with {members} members",
        cluster.policies.len(),
        rules.count(),
        wanted.chains.iter().count(),
        wanted.members.iter().count(),
    )
}

/// The packet that is measured is judged in both directions, and the last rule before the refusal
/// lets it pass each time, in the chain to which it comes last.
fn by_last_rule(plan: &Plan) {
    let (from, to) = (policy_load::addresses(0), policy_load::addresses(1));
    for (source, destination) in from.into_iter().zip(to) {
        let packet = Packet {
            hook: Hook::Forward,
            source,
            destination,
            payload: Payload::Ports(Protocol::Udp, PORT),
            tracked: Tracked::New,
            from_node: false,
            to_node: false,
            served: false,
        };
        let (verdict, steps) = walk(plan.wanted(), &packet);
        assert_eq!(verdict, Verdict::Accept);
        let family = Family::of(source);
        let last = steps.iter().filter(|step| {
            let name = step.chain;
            let chain = plan.wanted().chains.get(&ChainKey { family, name });
            let rules = chain.map(|chain| chain.rules.iter().rev());
            step.rule.action == Action::Return && rules.unwrap().nth(1) == Some(&step.rule)
        });
        assert_eq!(last.count(), 2, "{steps:#?}");
    }
}

// === impl Node ===

impl Node {
    fn new(load: Load) -> Self {
        unshare().unwrap();
        calm();
        ip_batch(&format!(
            "link set lo up\naddress add {NODE_V4}/32 dev lo\naddress add {NODE_V6}/128 dev lo nodad\n"
        ));
        let namespace = here().unwrap();
        let place = Place {
            namespace,
            addresses: Vec::new(),
        };
        let pods = [0, 1].map(|at| {
            let addresses = policy_load::addresses(at).to_vec();
            let namespace = join(at, &addresses, false).unwrap();
            Place {
                namespace,
                addresses,
            }
        });
        let netpol = load.program();
        let [client, server] = &pods;
        let flows = (0..2).map(|at| {
            server.enter();
            answer(UdpSocket::bind((server.addresses[at], PORT)).unwrap());
            client.enter();
            Flows::new(client.addresses[at], server.addresses[at])
        });
        let flows = flows.collect();
        place.enter();
        Self {
            load,
            place,
            flows,
            _netpol: netpol,
        }
    }
}

/// Sends everything back, as long as the process lives.
fn answer(socket: UdpSocket) {
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
}

// === impl Flows ===

impl Flows {
    fn new(from: IpAddr, to: IpAddr) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.connect(SocketAddr::new(to, PORT)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            socket
        };
        Self {
            known: socket(),
            new: (0..FLOWS).map(|_| socket()).collect(),
        }
    }

    fn round(&self) -> Round {
        for _ in 0..20 {
            trip(&self.known);
        }
        Round {
            known: median((0..TRIPS).map(|_| trip(&self.known))),
            new: median(self.new.iter().map(trip)),
        }
    }
}

/// There and back.
fn trip(socket: &UdpSocket) -> Duration {
    let mut buffer = [0; 64];
    let start = Instant::now();
    socket.send(&[1; 32]).unwrap();
    socket.recv(&mut buffer).unwrap();
    start.elapsed()
}
