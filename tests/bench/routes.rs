//! How long 10,000 learned routes take to stand in the kernel: this library against `ip -batch` of
//! the same routes, in turns, each in a fresh network namespace; of both families, with one next
//! hop and with four. What stands afterwards is held against what was wanted.
//!
//! `cargo bench --bench routes` as root. Fails where we are slower than [`LIMIT`] times their time,
//! or where one changed route costs more than one request.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unsafe_code,
    reason = "a bench: it prints, reads clocks, and ends when something is wrong"
)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use kube_router::kernel::rtnl::{Change, Hop, Interfaces, Outcome, PathQuery, PathRoute, Rtnl};
use kube_router::net::{Family, Prefix};

const ROUTES: u32 = 10_000;
const ROUNDS: usize = 5;
/// Our time may be so many times theirs.
const LIMIT: f64 = 1.5;
const LINK: &str = "node0";

fn main() -> ExitCode {
    if !thread::spawn(can_measure).join().unwrap() {
        return ExitCode::SUCCESS;
    }
    let mut is_good = true;
    for family in Family::ALL {
        for hops in [1, 4] {
            is_good &= compare(family, hops);
        }
    }
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs both in turns and prints the medians; whether ours is good enough.
fn compare(family: Family, hops: u8) -> bool {
    let (mut ours, mut theirs, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (all, single) = in_namespace(move || our_round(family, hops));
        ours.push(all);
        one.push(single);
        theirs.push(in_namespace(move || their_round(family, hops)));
    }
    let [ours, theirs, one] = [ours, theirs, one].map(median);
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "{ROUTES} {family:?} routes by {hops} gateways: ours {ours:.1?}, ip -batch {theirs:.1?}, \
         {ratio:.2} times its time (limit {LIMIT}); one more {one:.1?}"
    );
    ratio <= LIMIT
}

fn our_round(family: Family, hops: u8) -> (Duration, Duration) {
    let wanted = routes(family, hops, link());
    let start = Instant::now();
    let mut rtnl = Rtnl::open().unwrap();
    let changes: Vec<Change> = wanted.iter().cloned().map(Change::ReplacePath).collect();
    let verdicts = rtnl.change(&changes);
    let all = start.elapsed();
    assert!(
        verdicts
            .iter()
            .all(|verdict| *verdict == Ok(Outcome::Changed))
    );
    check(wanted.clone());
    // One that has lost a gateway, or has another one.
    let mut changed = wanted[0].clone();
    changed.next_hops = vec![Hop::via(gateway(family, 9), link())];
    let before = rtnl.stats();
    let start = Instant::now();
    let verdicts = rtnl.change(&[Change::ReplacePath(changed)]);
    let one = start.elapsed();
    assert_eq!(verdicts, [Ok(Outcome::Changed)]);
    let spent = rtnl.stats().since(&before);
    assert_eq!(
        (spent.messages, spent.sends),
        (1, 1),
        "one route is one request"
    );
    (all, one)
}

fn their_round(family: Family, hops: u8) -> Duration {
    let wanted = routes(family, hops, link());
    let mut batch = tempfile::NamedTempFile::new().unwrap();
    for route in &wanted {
        let line = route.text(|_| LINK.to_owned());
        writeln!(batch, "route replace {line}").unwrap();
    }
    batch.flush().unwrap();
    let start = Instant::now();
    let file = batch.path().to_str().unwrap();
    ip(&["-batch", file]);
    let all = start.elapsed();
    check(wanted);
    all
}

fn check(mut wanted: Vec<PathRoute>) {
    let mut present = Rtnl::open().unwrap().paths(PathQuery::OURS).unwrap();
    present.sort_unstable();
    wanted.sort_unstable();
    assert!(present == wanted, "what stands is not what was wanted");
}

fn routes(family: Family, hops: u8, link: u32) -> Vec<PathRoute> {
    let hops: Vec<Hop> = (2..2 + hops)
        .map(|n| Hop::via(gateway(family, n), link))
        .collect();
    let destination = |n: u32| match family {
        Family::V4 => Prefix::new(Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)).into(), 24),
        Family::V6 => {
            let address = (0xfd00_u128 << 112) + (u128::from(n) << 64);
            Prefix::new(Ipv6Addr::from_bits(address).into(), 64)
        }
    };
    (0..ROUTES)
        .map(|n| PathRoute::new(destination(n).unwrap(), hops.clone()))
        .collect()
}

fn gateway(family: Family, n: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([192, 0, 2, n]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)]),
    }
}

/// The index of a link with addresses of both families, made once.
fn link() -> u32 {
    let mut rtnl = Rtnl::open().unwrap();
    if let Some(link) = rtnl.link(LINK).unwrap() {
        return link.index;
    }
    ip(&["link", "add", LINK, "type", "veth", "peer", "name", "peer0"]);
    ip(&["link", "set", "peer0", "up"]);
    ip(&["link", "set", LINK, "up"]);
    ip(&["address", "add", "192.0.2.1/24", "dev", LINK]);
    ip(&["address", "add", "2001:db8::1/64", "dev", LINK, "nodad"]);
    rtnl.link(LINK).unwrap().unwrap().index
}

fn ip(arguments: &[&str]) {
    assert!(
        Command::new("ip")
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}

fn in_namespace<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let body = move || {
        unshare().unwrap();
        body()
    };
    thread::spawn(body).join().unwrap()
}

fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread is affected.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a namespace can be made; says loudly where none can, and fails where one is required.
fn can_measure() -> bool {
    let Err(error) = unshare() else {
        return true;
    };
    let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "required here, but there is no namespace: {error}"
    );
    eprintln!("NOT RUN, NOTHING MEASURED: no network namespace can be made: {error}");
    false
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
