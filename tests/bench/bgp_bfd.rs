//! How soon a neighbour withdraws our routes when we fail, by BFD at 3 x 100 ms: from the failure
//! to the moment when the route is gone from the kernel of FRR (zebra, bgpd and bfdd) in another
//! namespace.
//!
//! We fail in two ways: our process is stopped, and our packets are dropped. Each round has a new
//! process of ours; the time of the tool that brings the failure about counts, too.
//!
//! `cargo bench --bench bgp_bfd` as root; `-- ROUNDS` for others than 10. Fails where one round
//! takes [`GOAL`] or longer.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench: it prints, reads clocks, and ends when something is wrong"
)]

mod bgp;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdin};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use kube_router::bfd::{self, SessionConfig, SessionKey, Timers};
use kube_router::bgp::rib::RouteKind;
use kube_router::bgp::speaker::Originated;
use kube_router::bgp::speaker::io::{Options, spawn};
use kube_router::bgp::wire::{Attributes, NextHop};

use bgp::figures::median;
use bgp::ours;
use bgp::places::{Places, ROUTER, peer};
use bgp::process::Process;
use bgp::routers::{AS, Setup};

const GOAL: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
const ROUTE: &str = "10.200.0.0/24";
const FLAG: &str = "--with-bfd";
const SETUP: Setup = Setup {
    peers: 1,
    reflected: false,
    tells: true,
};

#[derive(Debug, Clone, Copy)]
enum Failure {
    Stopped,
    Dropped,
}

fn main() -> ExitCode {
    if env::args().any(|argument| argument == FLAG) {
        speak();
        return ExitCode::SUCCESS;
    }
    let mut numbers = env::args().filter_map(|text| text.parse().ok());
    let rounds = numbers.next().unwrap_or(10);
    let mut programs = ["zebra", "bgpd", "bfdd"]
        .map(|it| format!("/usr/lib/frr/{it}"))
        .into_iter();
    if let Some(program) = programs.find(|program| !Path::new(program).is_file()) {
        eprintln!("NOT RUN, NOTHING MEASURED: FRR is not installed ({program} is missing)");
        return ExitCode::SUCCESS;
    }
    let Some(places) = Places::new(SETUP.peers) else {
        return ExitCode::SUCCESS;
    };
    let _frr = frr(&places);
    let routes = monitor(&places);
    let mut is_good = true;
    for failure in [Failure::Stopped, Failure::Dropped] {
        let times = (0..rounds).map(|_| round(&places, &routes, failure));
        let times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        let most = times.iter().copied().fold(0.0, f64::max);
        let least = times.iter().copied().fold(f64::MAX, f64::min);
        let middle = median(times);
        println!("{failure:?}: median {middle:.0} ms, from {least:.0} to {most:.0} ms");
        is_good &= most < GOAL.as_secs_f64() * 1e3;
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        println!("{GOAL:?} or longer");
        ExitCode::FAILURE
    }
}

/// From the failure until FRR has withdrawn the route.
fn round(places: &Places, routes: &Receiver<(Instant, String)>, failure: Failure) -> Duration {
    let own = env::current_exe().unwrap();
    let mut speaker = Process::start(places, own.to_str().unwrap(), &[FLAG], true);
    next(routes, |line| !line.starts_with("Deleted"));
    let mut said = BufReader::new(speaker.child.stdout.take().unwrap());
    let end = Instant::now() + PATIENCE;
    loop {
        speaker
            .child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        if line.trim() == "Up" {
            break;
        }
        assert!(Instant::now() < end, "BFD does not come up: {line}");
        thread::sleep(Duration::from_millis(100));
    }
    // The timers of a session that came up are agreed upon a few packets later.
    thread::sleep(3 * INTERVAL);
    let start = Instant::now();
    match failure {
        Failure::Stopped => {
            let id = speaker.child.id().to_string();
            run("kill", &["-STOP", &id]);
        }
        Failure::Dropped => places.in_router(|| {
            run("nft", &["add table ip cut; add chain ip cut out { type filter hook output priority 0; policy drop; }"]);
        }),
    }
    let gone = next(routes, |line| line.starts_with("Deleted"));
    drop(speaker);
    if matches!(failure, Failure::Dropped) {
        places.in_router(|| run("nft", &["delete table ip cut"]));
    }
    gone.saturating_duration_since(start)
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// When the kernel of FRR said so of our route.
fn next(routes: &Receiver<(Instant, String)>, is_it: impl Fn(&str) -> bool) -> Instant {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (at, line) = routes.recv_timeout(left).unwrap();
        if line.contains(ROUTE) && is_it(&line) {
            return at;
        }
    }
}

/// Changes of routes at FRR, as they come.
fn monitor(places: &Places) -> Receiver<(Instant, String)> {
    let arguments = ["monitor", "route"];
    let mut process = Process::start_in(&places.generator, places, "ip", &arguments, true);
    let output = BufReader::new(process.child.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines() {
            if tell.send((Instant::now(), line.unwrap())).is_err() {
                break;
            }
        }
        drop(process);
    });
    told
}

fn frr(places: &Places) -> Vec<Process> {
    let write = |name: &str, text: String| fs::write(places.path().join(name), text).unwrap();
    write("zebra.conf", String::new());
    let interval = INTERVAL.as_millis();
    write(
        "bfdd.conf",
        format!(
            "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval {interval}\n  \
             transmit-interval {interval}\n"
        ),
    );
    write(
        "bgpd.conf",
        format!(
            "router bgp {}\n bgp router-id {}\n no bgp ebgp-requires-policy\n \
             neighbor {ROUTER} remote-as {AS}\n neighbor {ROUTER} timers connect 1\n \
             neighbor {ROUTER} bfd\n neighbor {ROUTER} bfd profile fast\n",
            SETUP.peer_as(0),
            peer(0)
        ),
    );
    let run = places.path().to_str().unwrap();
    let start = |name: &str| {
        let program = format!("/usr/lib/frr/{name}");
        let (file, pid) = (format!("{name}.conf"), format!("{name}.pid"));
        let mut arguments = vec!["-P", "0", "-f", &file, "-i", &pid, "-z", "zserv"];
        arguments.extend(["--log", "stdout", "--vty_socket", run]);
        if name == "bfdd" {
            arguments.extend(["--bfdctl", "bfdd.ctl"]);
        }
        Process::start_in(&places.generator, places, &program, &arguments, false)
    };
    let mut all = vec![start("zebra")];
    while !places.path().join("zserv").exists() {
        assert!(!all[0].has_ended(), "zebra does not start");
        thread::sleep(Duration::from_millis(20));
    }
    all.extend([start("bfdd"), start("bgpd")]);
    all
}

/// Our speaker with BFD; says the state of the BFD session for each line that it is given.
fn speak() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        listen: vec![(ROUTER, 179).into()],
        seed: 77,
        restarted: None,
    };
    let (speaker, _notes) = {
        let _inside = runtime.enter();
        spawn(&options).unwrap()
    };
    let mut desired = ours::desired(&SETUP);
    for peer in desired.peers.values_mut() {
        Arc::make_mut(peer).session.passive = false;
    }
    let own = Originated {
        kind: RouteKind::PodCidr,
        next_hop: NextHop::V4(ROUTER),
        attributes: Attributes::default(),
    };
    desired.originate.insert(ROUTE.parse().unwrap(), own);
    speaker.set_desired(desired);
    let (sessions, _events) = bfd::io::spawn(u64::from(std::process::id())).unwrap();
    let key = SessionKey {
        remote: peer(0).into(),
        local: Some(ROUTER.into()),
        interface: None,
    };
    let timers = Timers {
        desired_min_tx: INTERVAL,
        required_min_rx: INTERVAL,
        ..Timers::default()
    };
    let config = SessionConfig {
        timers,
        ..SessionConfig::single_hop()
    };
    sessions.set_desired(BTreeMap::from([(key.clone(), config)]));
    for _line in stdin().lock().lines() {
        let status = runtime.block_on(sessions.status()).unwrap();
        let state = status.get(&key).map(|status| status.state);
        println!("{:?}", state.unwrap());
    }
}
