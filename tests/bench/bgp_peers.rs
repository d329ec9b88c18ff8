//! Many peers with few routes each: how long a router takes until every peer has the routes of all
//! others, and until all have lost those of one whose session ends, beside BIRD, FRR's bgpd and
//! GoBGP; and how much memory it takes for that.
//!
//! The peers are one generator, the same for all routers, which has a processor of its own and
//! counts the prefixes that each peer has. In turns; medians of the rounds, each with a new router (GoBGP
//! has one round, for it takes minutes).
//!
//! `cargo bench --bench bgp_peers` as root; `-- ROUNDS` for others than 5. Fails where we are less
//! than [`GOAL`] times as fast as FRR, or take more than [`LIMIT`] octets.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: it prints, and ends when something is wrong"
)]

mod bgp;

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bgp::figures::{median, ratio, seconds};
use bgp::generator::{self, PATIENCE};
use bgp::places::{self, GENERATOR_CPU, Places};
use bgp::routers::{Kind, Setup};
use bgp::{ours, stream};

/// How many times FRR's speed.
const GOAL: f64 = 5.0;
/// Octets resident at any time.
const LIMIT: f64 = 40e6;
/// Peers, and routes of each.
const SHAPES: [(usize, usize); 2] = [(10, 10_000), (100, 1_000)];

/// What one router did in one round.
#[derive(Debug, Clone, Copy)]
struct Round {
    converge: Duration,
    withdraw: Duration,
    converge_cpu: Duration,
    withdraw_cpu: Duration,
    peak: u64,
}

/// A heading and what stands below it.
type Column = (&'static str, fn(&Round) -> Duration);

fn main() -> ExitCode {
    if ours::was_speaker() {
        return ExitCode::SUCCESS;
    }
    let mut numbers = env::args().filter_map(|text| text.parse().ok());
    let rounds = numbers.next().unwrap_or(5);
    let most = SHAPES.iter().map(|(peers, _)| *peers).max();
    let Some(places) = Places::new(most.unwrap()) else {
        return ExitCode::SUCCESS;
    };
    places::pin(GENERATOR_CPU);
    let kinds = Kind::installed();
    let mut is_good = true;
    for reflected in [true, false] {
        for (peers, routes) in SHAPES {
            let setup = Setup {
                peers,
                reflected,
                tells: true,
            };
            is_good &= compare(&places, &kinds, &setup, routes, rounds);
        }
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        println!("less than {GOAL} times FRR's speed, or more than {LIMIT} octets");
        ExitCode::FAILURE
    }
}

fn compare(places: &Places, kinds: &[Kind], setup: &Setup, routes: usize, rounds: usize) -> bool {
    let what = if setup.reflected {
        "clients of a reflector"
    } else {
        "external peers"
    };
    println!("\n{} {what} with {routes} routes each", setup.peers);
    let streams = (0..setup.peers).map(|number| stream::own_routes(setup, number, routes).into());
    let streams: Vec<Arc<[u8]>> = streams.collect();
    let mut found: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
    for turn in 0..rounds {
        for kind in kinds {
            // Minutes, and no goal depends on it.
            if turn > 0 && *kind == Kind::GoBgp {
                continue;
            }
            match round(places, *kind, setup, routes, &streams) {
                Some(round) => found.entry(kind.name()).or_default().push(round),
                None => println!("{}: not within {PATIENCE:?}", kind.name()),
            }
        }
    }
    report(&found)
}

fn round(
    places: &Places,
    kind: Kind,
    setup: &Setup,
    routes: usize,
    streams: &[Arc<[u8]>],
) -> Option<Round> {
    let router = kind.start(places, setup);
    let mut sessions = generator::connect(setup);
    for (number, session) in sessions.iter_mut().enumerate() {
        let own = number * routes..(number + 1) * routes;
        session.will_tell(Arc::clone(&streams[number]), own);
    }
    let start = router.process.cpu();
    let others = routes * (setup.peers - 1);
    let converge = generator::run(&mut sessions, |sessions| {
        sessions.iter().all(|session| session.held == others)
    })?;
    let converged = router.process.cpu();
    sessions.remove(0).close();
    let left = others - routes;
    let withdraw = generator::run(&mut sessions, |sessions| {
        sessions.iter().all(|session| session.held == left)
    })?;
    Some(Round {
        converge,
        withdraw,
        converge_cpu: converged - start,
        withdraw_cpu: router.process.cpu() - converged,
        peak: router.process.peak(),
    })
}

fn report(found: &BTreeMap<&str, Vec<Round>>) -> bool {
    let columns: [Column; 4] = [
        ("converge s", |round| round.converge),
        ("processor s", |round| round.converge_cpu),
        ("withdraw s", |round| round.withdraw),
        ("processor s", |round| round.withdraw_cpu),
    ];
    print!("{:10}", "");
    for (name, _) in columns {
        print!(" {name:>12} {:>7}", "FRR /");
    }
    println!(" {:>9}", "peak MB");
    let (frr, mut is_good) = (Kind::Frr.name(), true);
    // What we don't do in time has no figures.
    is_good &= found.contains_key(Kind::Ours.name());
    for kind in Kind::ALL {
        let Some(rounds) = found.get(kind.name()) else {
            continue;
        };
        print!("{:10}", kind.name());
        for (at, (_, of)) in columns.iter().enumerate() {
            let times = |name: &str| -> Option<Vec<Duration>> {
                Some(found.get(name)?.iter().map(of).collect())
            };
            let own = times(kind.name()).unwrap();
            let faster = times(frr).map_or(f64::NAN, |frr| ratio(&frr, &own));
            print!(" {:12.4} {faster:7.1}", seconds(&own));
            // The wall counts.
            is_good &= kind != Kind::Ours || at % 2 == 1 || faster.is_nan() || faster >= GOAL;
        }
        let peak = median(rounds.iter().map(|round| round.peak as f64));
        println!(" {:9.1}", peak / 1e6);
        is_good &= kind != Kind::Ours || peak <= LIMIT;
    }
    is_good
}
