//! How long the rules of 100 local pods under 100 policies take to stand where nothing stood: this
//! library against the tools given the same text, in turns, each in a fresh network namespace.
//!
//! Ours is a daemon's start: open, read what stands, work out the steps, carry them out. Theirs is
//! `nft -f`, or `ipset restore` and `iptables-restore` of both families, process start included.
//! The text is what `kube-router plan` prints, and what stands after it is held against the plan.
//!
//! `cargo bench --bench netpol_cold` as root. Fails where we are slower.
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

use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use kube_router::kernel::ipset::{Ipset, SetType, Sets};
use kube_router::net::Family;
use kube_router::netpol::plan::SELF;
use kube_router::netpol::{Kind, print};

use namespaces::{can_measure, unshare};
use policy_cluster::Cluster;
use policy_load::{Shape, left, planned, program, ten_thousand_rules, tenants};

const ROUNDS: usize = 7;

/// A tool with its input.
type Call = (&'static str, &'static [&'static str], String);

fn main() -> ExitCode {
    if !thread::spawn(can_measure).join().unwrap() {
        return ExitCode::SUCCESS;
    }
    let mut is_good = true;
    for (name, cluster) in [
        ("tenants", tenants()),
        ("10,000 rules", ten_thousand_rules(Shape::Spread)),
    ] {
        for backend in [NetpolBackend::Nftables, NetpolBackend::Iptables] {
            is_good &= compare(name, &cluster, backend);
        }
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        println!("slower than the tools");
        ExitCode::FAILURE
    }
}

fn compare(name: &str, cluster: &Cluster, backend: NetpolBackend) -> bool {
    let netpol = planned(cluster, backend);
    let wanted = netpol.current().wanted();
    let members: usize = wanted.members.iter().map(|(_, all)| all.len()).sum();
    let rules: usize = wanted
        .chains
        .iter()
        .map(|(_, chain)| chain.rules.len())
        .sum();
    println!(
        "\n{name}, {backend:?}: {} chains with {rules} rules, {} sets with {members} members, {} targets",
        wanted.chains.iter().count(),
        wanted.members.iter().count(),
        wanted.targets.iter().count(),
    );
    let calls = calls(backend, &print(netpol.current(), kind(backend)));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..ROUNDS {
        ours.push(in_fresh(|| our_round(cluster, backend)));
        theirs.push(in_fresh(|| {
            their_round(cluster, backend, &calls, turn == 0)
        }));
    }
    let ratios = ours.iter().zip(&theirs);
    let mut ratios: Vec<f64> = ratios
        .map(|(our, their)| our.as_secs_f64() / their.as_secs_f64())
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let tools: Vec<&str> = calls.iter().map(|(program, ..)| *program).collect();
    report("ours", &mut ours);
    report(&tools.join(" + "), &mut theirs);
    println!("  {ratio:.2} times the tools");
    ratio <= 1.0
}

fn kind(backend: NetpolBackend) -> Kind {
    Kind::wanted(backend).unwrap()
}

/// The tools with their parts of the text.
fn calls(backend: NetpolBackend, text: &str) -> Vec<Call> {
    if backend == NetpolBackend::Nftables {
        return vec![("nft", &["-f", "-"], text.to_owned())];
    }
    // Some kernels have no sets of pairs (`hash:net,net`): the daemon does without as well.
    let has_pairs = Ipset::open()
        .unwrap()
        .has_type(SetType::HashNetNet, Family::V4);
    let (has_pairs, own) = (has_pairs.unwrap(), SELF.name.as_str());
    let lines = text.lines().filter(|line| has_pairs || !line.contains(own));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let (v4, v6) = text.split_once("# IPv6\n").unwrap();
    let (mut sets, mut restores) = (String::new(), Vec::new());
    for (part, tool) in [(v4, "iptables-restore"), (v6, "ip6tables-restore")] {
        let (own, rules) = part.split_once("*filter\n").unwrap();
        sets.push_str(own);
        let call: Call = (tool, &["--noflush"], format!("*filter\n{rules}"));
        restores.push(call);
    }
    let sets: Call = ("ipset", &["restore"], sets);
    [sets].into_iter().chain(restores).collect()
}

fn our_round(cluster: &Cluster, backend: NetpolBackend) -> Duration {
    let mut netpol = planned(cluster, backend);
    let start = Instant::now();
    program(&mut netpol);
    start.elapsed()
}

fn their_round(
    cluster: &Cluster,
    backend: NetpolBackend,
    calls: &[Call],
    is_checked: bool,
) -> Duration {
    let files = calls.iter().map(|(program, arguments, text)| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        (*program, *arguments, file)
    });
    let files: Vec<(&str, &[&str], File)> = files.collect();
    let start = Instant::now();
    for (program, arguments, file) in files {
        let status = Command::new(program).args(arguments).stdin(file).status();
        assert!(status.unwrap().success(), "{program}");
    }
    let time = start.elapsed();
    if is_checked {
        let left = left(&mut planned(cluster, backend));
        assert!(left.is_empty(), "the text is not the plan: {left:#?}");
    }
    time
}

/// On a thread of its own, with which the namespace goes.
fn in_fresh<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let run = || {
        unshare().unwrap();
        body()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let of = |time: Duration| time.as_secs_f64() * 1e3;
    let middle = of(times[times.len() / 2]);
    println!(
        "  {what:40} median {middle:8.2} ms, least {:8.2} ms",
        of(times[0])
    );
}
