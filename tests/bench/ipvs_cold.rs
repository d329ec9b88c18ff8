//! Cold programming of 1,000 services with 10 endpoints each: this library against
//! `ipvsadm --restore` of the same table, in turns, each in a fresh network namespace.
//!
//! A ratio within one kernel, so that it holds on a slow or emulated machine too. Fails below
//! [`FACTOR`]. Without IPVS it says so and measures nothing.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: it prints, and ends when something is wrong"
)]

use std::fs::File;
use std::io::{Seek, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command as Program, ExitCode};
use std::time::{Duration, Instant};

use kube_router::kernel::ipvs::object::{
    Command, ForwardMethod, RealServer, Scheduler, VirtualKey, VirtualServer, VirtualTable,
};
use kube_router::kernel::ipvs::{Ipvs, Table, print_table};
use kube_router::net::Protocol;

use namespace::with_ipvs;

#[path = "../ipvs_kernel/namespace.rs"]
mod namespace;

const SERVICES: u32 = 1000;
const ENDPOINTS: u32 = 10;
const ROUNDS: usize = 3;
/// How much faster than `ipvsadm` we must be.
const FACTOR: f64 = 5.0;

fn main() -> ExitCode {
    let tables = tables();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut ours_one, mut theirs_one) = (Vec::new(), Vec::new());
    let (mut by_proc, mut by_dump) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let wanted = tables.clone();
        let Some(round) = with_ipvs(move |ipvs| our_round(ipvs, &wanted)) else {
            return ExitCode::SUCCESS;
        };
        ours.push(round.cold);
        ours_one.push(round.one);
        by_proc.push(round.by_proc);
        by_dump.push(round.by_dump);
        let wanted = tables.clone();
        let Some((cold, one)) = with_ipvs(move |ipvs| their_round(ipvs, &wanted)) else {
            return ExitCode::SUCCESS;
        };
        theirs.push(cold);
        theirs_one.push(one);
    }
    report(&format!("{SERVICES} services x {ENDPOINTS}, ours"), &ours);
    report(
        &format!("{SERVICES} services x {ENDPOINTS}, ipvsadm --restore"),
        &theirs,
    );
    report("one endpoint more, ours", &ours_one);
    report("one endpoint more, ipvsadm -a", &theirs_one);
    report("reading all back by /proc", &by_proc);
    report("reading all back by netlink alone", &by_dump);
    let ratio = median(&theirs).as_secs_f64() / median(&ours).as_secs_f64();
    println!("cold programming: {ratio:.1} times as fast as ipvsadm (wanted: {FACTOR})");
    if ratio < FACTOR {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn tables() -> Vec<VirtualTable> {
    let address = |base: u32, n: u32| IpAddr::V4(Ipv4Addr::from_bits(base + n));
    let table = |service| {
        let key = VirtualKey::new(address(0x0a60_0001, service), Protocol::Tcp, 80);
        let real = |n| {
            let address = address(0x0a00_0001, (service * ENDPOINTS + n) % 20_000);
            RealServer::new(address, 8080, ForwardMethod::Masquerade, 1)
        };
        VirtualTable::new(
            VirtualServer::new(key, Scheduler::Rr),
            (0..ENDPOINTS).map(real).collect(),
        )
    };
    (0..SERVICES).map(table).collect()
}

struct Round {
    cold: Duration,
    one: Duration,
    by_proc: Duration,
    by_dump: Duration,
}

fn our_round(first: Ipvs, wanted: &[VirtualTable]) -> Round {
    // The socket and the family's number are part of the cold start.
    drop(first);
    let (mut ipvs, cold) = timed(|| {
        let mut ipvs = Ipvs::open().unwrap();
        let commands: Vec<_> = wanted.iter().flat_map(VirtualTable::commands).collect();
        assert!(ipvs.apply(&commands).iter().all(Result::is_ok));
        ipvs
    });
    let traffic = ipvs.traffic();
    println!(
        "ours: {} messages, {} bytes, {} sends, {} receives",
        traffic.messages, traffic.bytes, traffic.sends, traffic.receives
    );
    let (seen, by_proc) = timed(|| ipvs.observe().unwrap());
    assert_eq!(seen, wanted);
    let (seen, by_dump) = timed(|| ipvs.observe_by_dump().unwrap());
    assert_eq!(seen, wanted);
    let (verdicts, one) = timed(|| ipvs.apply(&[one_more(wanted)]));
    assert_eq!(verdicts, [Ok(())]);
    clear(&mut ipvs, wanted);
    Round {
        cold,
        one,
        by_proc,
        by_dump,
    }
}

fn their_round(mut ipvs: Ipvs, wanted: &[VirtualTable]) -> (Duration, Duration) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(print_table(wanted).as_bytes()).unwrap();
    file.rewind().unwrap();
    let ((), cold) = timed(|| ipvsadm(&["--restore"], Some(file)));
    assert_eq!(ipvs.observe().unwrap(), wanted);
    let line = one_more(wanted).to_string();
    let ((), one) = timed(|| ipvsadm(&line.split(' ').collect::<Vec<_>>(), None));
    clear(&mut ipvs, wanted);
    (cold, one)
}

fn one_more(wanted: &[VirtualTable]) -> Command {
    let address = IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1));
    let real = RealServer::new(address, 8080, ForwardMethod::Masquerade, 1);
    Command::AddReal(wanted[wanted.len() / 2].server.key, real)
}

/// Empties the table while no clock runs, so that the namespace's end disturbs no later round.
fn clear(ipvs: &mut Ipvs, wanted: &[VirtualTable]) {
    let commands: Vec<_> = wanted
        .iter()
        .map(|table| Command::DelVirtual(table.server.key))
        .collect();
    assert!(ipvs.apply(&commands).iter().all(Result::is_ok));
}

#[expect(clippy::disallowed_methods, reason = "the rival")]
fn ipvsadm(arguments: &[&str], input: Option<File>) {
    let mut program = Program::new("ipvsadm");
    program.args(arguments);
    if let Some(input) = input {
        program.stdin(input);
    }
    assert!(program.status().unwrap().success());
}

#[expect(clippy::disallowed_methods, reason = "a bench reads clocks")]
fn timed<T>(body: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = body();
    (value, start.elapsed())
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

fn report(what: &str, times: &[Duration]) {
    let all: Vec<_> = times
        .iter()
        .map(|time| format!("{:.2}", time.as_secs_f64() * 1e3))
        .collect();
    let middle = median(times).as_secs_f64() * 1e3;
    println!("{what}: median {middle:.2} ms ({})", all.join(" "));
}
