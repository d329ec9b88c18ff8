//! A full table from one peer: decoding, import and best paths of 1,000,000 IPv4 routes on one
//! processor, and the memory that a route costs, beside BIRD, FRR's bgpd and GoBGP.
//!
//! All get the same octets over TCP from the same generator, which has the other processor, and
//! tell nobody. What counts is the processor time of the router from the first octet until it has
//! nothing more to do; then it is asked whether it has all routes. "core alone" is our speaker
//! without sockets in a process of its own, fed pieces of 64 KiB and asked for its best paths in the
//! end. In turns; medians of the rounds.
//!
//! `cargo bench --bench bgp_table` as root; `-- ROUTES ROUNDS` for others than 1,000,000 and 5.
//! Fails where we take more than [`GOAL`] times BIRD's time.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench: it prints, reads clocks, and ends when something is wrong"
)]

mod bgp;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use bytes::Bytes;
use kube_router::bgp::fsm::ConnectionId;
use kube_router::bgp::speaker::{ConnectionKey, Input, SpeakerCore};

use bgp::figures::{median, ratio, seconds};
use bgp::generator::{self, PATIENCE, greeting};
use bgp::places::{self, GENERATOR_CPU, Places, ROUTER};
use bgp::process::Process;
use bgp::routers::{Kind, Setup};
use bgp::{ours, stream};

const GOAL: f64 = 1.5;
const SETUP: Setup = Setup {
    peers: 1,
    reflected: false,
    tells: false,
};
/// Octets of one read.
const PIECE: usize = 64 * 1024;
/// A router that is given no processor time for so long has nothing to do, if it has all routes.
const QUIET: Duration = Duration::from_millis(500);
/// Processor time that is nothing.
const NOTHING: Duration = Duration::from_millis(10);

/// What one router did in one round.
#[derive(Debug, Clone, Copy)]
struct Round {
    cpu: Duration,
    wall: Duration,
    memory: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Core,
    Over(Kind),
}

fn main() -> ExitCode {
    if ours::was_speaker() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, file] = &arguments[..]
        && flag == "--core"
    {
        core_alone(Path::new(file));
        return ExitCode::SUCCESS;
    }
    let mut numbers = arguments.iter().filter_map(|text| text.parse().ok());
    let (routes, rounds) = (
        numbers.next().unwrap_or(1_000_000),
        numbers.next().unwrap_or(5),
    );
    compare(routes, rounds)
}

fn compare(routes: usize, rounds: usize) -> ExitCode {
    let Some(places) = Places::new(SETUP.peers) else {
        return ExitCode::SUCCESS;
    };
    places::pin(GENERATOR_CPU);
    let octets: Arc<[u8]> = stream::full_table(&SETUP, routes).into();
    println!(
        "{routes} routes in {} octets, {rounds} rounds",
        octets.len()
    );
    fs::write(places.path().join("stream"), &octets).unwrap();
    let kinds = Kind::installed();
    let mut rows = vec![Row::Core];
    rows.extend(kinds.iter().map(|kind| Row::Over(*kind)));
    let mut found: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
    for _ in 0..rounds {
        for row in &rows {
            let round = row.round(&places, &octets, routes);
            found.entry(row.name()).or_default().push(round);
        }
    }
    println!(
        "{:12} {:>14} {:>9} {:>14} {:>9} {:>12} {:>8}",
        "", "processor s", "/ BIRD", "wall s", "/ BIRD", "octets/route", "/ BIRD"
    );
    let times = |name: &str, of: fn(&Round) -> Duration| -> Vec<Duration> {
        found[name].iter().map(of).collect()
    };
    let beside = found.contains_key(Kind::Bird.name());
    for row in &rows {
        let name = row.name();
        let memory = |name: &str| {
            let rounds = found[name].iter();
            median(rounds.map(|round| round.memory as f64 / routes as f64))
        };
        let (cpu, wall) = (
            times(name, |round| round.cpu),
            times(name, |round| round.wall),
        );
        let [by_cpu, by_wall, by_memory] = if beside {
            let bird = Kind::Bird.name();
            [
                ratio(&cpu, &times(bird, |round| round.cpu)),
                ratio(&wall, &times(bird, |round| round.wall)),
                memory(name) / memory(bird),
            ]
        } else {
            [f64::NAN; 3]
        };
        println!(
            "{name:12} {:14.3} {by_cpu:9.2} {:14.3} {by_wall:9.2} {:12.0} {by_memory:8.2}",
            seconds(&cpu),
            seconds(&wall),
            memory(name),
        );
    }
    let bird = Kind::Bird.name();
    if beside {
        let of = |name: &str| times(name, |round| round.cpu);
        if ratio(&of(Kind::Ours.name()), &of(bird)) > GOAL {
            println!("more than {GOAL} times BIRD's time");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

impl Row {
    fn name(self) -> &'static str {
        match self {
            Self::Core => "core alone",
            Self::Over(kind) => kind.name(),
        }
    }

    fn round(self, places: &Places, octets: &Arc<[u8]>, routes: usize) -> Round {
        match self {
            Self::Core => core_round(places, routes),
            Self::Over(kind) => kind_round(kind, places, octets, routes),
        }
    }
}

fn kind_round(kind: Kind, places: &Places, octets: &Arc<[u8]>, routes: usize) -> Round {
    let mut router = kind.start(places, &SETUP);
    let mut sessions = generator::connect(&SETUP);
    let mut rest = Instant::now() + QUIET;
    // What a router does at first is not counted.
    generator::run(&mut sessions, |_| Instant::now() > rest).unwrap();
    let (cpu_before, memory_before) = (router.process.cpu(), router.process.resident());
    sessions[0].will_tell(Arc::clone(octets), 0..0);
    let start = Instant::now();
    let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
    let done = generator::run(&mut sessions, |sessions| {
        let (now, used) = (Instant::now(), router.process.cpu());
        if used > cpu_before + cpu + NOTHING || !sessions[0].has_told() {
            (cpu, wall) = (used - cpu_before, now - start);
            rest = now + QUIET;
        }
        if now < rest {
            return false;
        }
        rest = now + QUIET;
        router.prefixes(places) == Some(routes)
    });
    assert!(done.is_some(), "{}: not within {PATIENCE:?}", kind.name());
    Round {
        cpu,
        wall,
        memory: router.process.resident().saturating_sub(memory_before),
    }
}

fn core_round(places: &Places, routes: usize) -> Round {
    let own = env::current_exe().unwrap();
    let arguments = ["--core", "stream"];
    let process = Process::start(places, own.to_str().unwrap(), &arguments, true);
    let said = process.output();
    let numbers: Vec<u64> = said
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect();
    let [cpu, wall, memory, count] = numbers[..] else {
        panic!("{said}");
    };
    assert_eq!(usize::try_from(count), Ok(routes));
    Round {
        cpu: Duration::from_nanos(cpu),
        wall: Duration::from_nanos(wall),
        memory,
    }
}

/// The speaker without sockets; says nanoseconds of processor and of wall, octets of memory, and
/// prefixes.
fn core_alone(file: &Path) {
    let octets = Bytes::from(fs::read(file).unwrap());
    let mut core = SpeakerCore::new(77, None);
    let start = Instant::now();
    let _expect = core.set_desired(start, ours::desired(&SETUP));
    let key = ConnectionKey {
        peer: places::peer(0).into(),
        id: ConnectionId::incoming(0),
    };
    let local = ROUTER.into();
    let _ = core.handle(start, Input::Accepted { key, local });
    let hello = Bytes::from(greeting(&SETUP, 0));
    let _ = core.handle(start, Input::Received(key, hello));
    let (cpu, memory) = (bgp::process::own_cpu(), bgp::process::own_resident());
    let start = Instant::now();
    for at in (0..octets.len()).step_by(PIECE) {
        let piece = octets.slice(at..octets.len().min(at + PIECE));
        let _ = core.handle(Instant::now(), Input::Received(key, piece));
    }
    let _best = core.best_paths();
    let wall = start.elapsed();
    println!(
        "{} {} {} {}",
        (bgp::process::own_cpu() - cpu).as_nanos(),
        wall.as_nanos(),
        bgp::process::own_resident().saturating_sub(memory),
        core.status().prefixes.v4,
    );
}
