//! `kernel::ipvs` against the real kernel, with `ipvsadm` as witness.
//!
//! Each test has a network namespace of its own. Where there is no IPVS the tests say so and pass;
//! with `KUBE_ROUTER_REQUIRE_KERNEL=1`, as in the lab, they fail then.

#![expect(clippy::unwrap_used, reason = "a test, helpers included")]

use std::net::UdpSocket;
use std::process::Command as Program;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kube_router::kernel::ipvs::object::{
    Command, Scheduler, ServiceFlags, Timeouts, VirtualServer, VirtualTable,
};
use kube_router::kernel::ipvs::{FakeIpvs, Ipvs, IpvsError, Table, parse_table, print_table};

use namespace::with_ipvs;

#[path = "ipvs_kernel/namespace.rs"]
mod namespace;

/// Every mode: families, protocols, marks, forwarding, flags, persistence, thresholds, weights.
const EVERYTHING: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.0.0.1:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.0.0.2:80 -i -w 0 --tun-type ipip
-a -t 10.96.0.10:80 -r 10.0.0.3:80 -g -w 65535
-a -t 10.96.0.10:80 -r 10.0.0.4:8080 -m -w 1 -x 100 -y 50
-a -t 10.96.0.10:80 -r [fd00:1::9]:80 -i -w 1 --tun-type ipip
-A -t 10.96.0.10:0 -s rr -p 30
-A -t 10.96.0.10:81 -s mh -b mh-fallback,mh-port
-A -t 10.96.0.10:83 -s rr -b flag-1,flag-2,flag-3
-A -t 10.96.0.10:84 -s sh -b sh-port
-A -t 10.96.0.10:85 -s mh -p 10800
-A -t 1.1.1.1:13 -s rr -p 30 -M 0.0.0.0
-A -u 10.96.0.10:53 -s wrr -p 360
-a -u 10.96.0.10:53 -r 10.0.0.1:53 -m -w 100
-A -u 10.96.0.11:53 -s wrr -p 60 -M 255.255.255.0
-A -u 10.96.0.12:53 -s wrr -o
-A --sctp-service 10.96.0.10:5000 -s lc -p 10800
-a --sctp-service 10.96.0.10:5000 -r 10.0.0.1:5000 -m -w 7
-A -t [fd00::10]:80 -s sh -p 20 -M 64 -b sh-fallback,sh-port
-a -t [fd00::10]:80 -r [fd00:1::1]:8080 -m -w 1
-a -t [fd00::10]:80 -r [fd00:1::2]:80 -g -w 2
-A -u [fd00::11]:80 -s sh -o -b sh-fallback
-A --sctp-service [fd00::11]:80 -s sed -p 1
-A -f 77 -s rr
-a -f 77 -r 10.0.0.1:0 -i -w 1 --tun-type ipip
-a -f 77 -r 10.0.0.9:99 -m -w 1
-A -f 77 -6 -s rr -p 40
-a -f 77 -6 -r [fd00:1::1]:0 -i -w 1 --tun-type ipip
";

#[expect(clippy::disallowed_methods, reason = "a witness, not the library")]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Program::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `ipvsadm` sees, in the order of the alphabet.
fn witness() -> Vec<String> {
    sorted(&run("ipvsadm", &["-S", "-n"]))
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}

fn tables(text: &str) -> Vec<VirtualTable> {
    let mut tables = parse_table(text).unwrap();
    tables.sort();
    tables
}

fn commands(tables: &[VirtualTable]) -> Vec<Command> {
    tables.iter().flat_map(VirtualTable::commands).collect()
}

fn apply(ipvs: &mut Ipvs, commands: &[Command]) {
    for (command, verdict) in commands.iter().zip(ipvs.apply(commands)) {
        assert_eq!(verdict, Ok(()), "{command}");
    }
}

fn say(table: &mut impl Table, line: &str) -> Result<(), IpvsError> {
    table.apply(&[line.parse().unwrap()]).remove(0)
}

fn without_thresholds(tables: &[VirtualTable]) -> Vec<VirtualTable> {
    let mut tables = tables.to_vec();
    for real in tables.iter_mut().flat_map(|table| &mut table.reals) {
        (real.upper_threshold, real.lower_threshold) = (0, 0);
    }
    tables
}

#[test]
fn every_kind_of_server_is_read_back_alike_by_us_and_by_ipvsadm() {
    with_ipvs(|mut ipvs| {
        assert_eq!(ipvs.observe(), Ok(Vec::new()));
        let wanted = tables(EVERYTHING);
        apply(&mut ipvs, &commands(&wanted));
        assert_eq!(witness(), sorted(&EVERYTHING.replace(" -x 100 -y 50", "")));
        assert_eq!(ipvs.observe_by_dump(), Ok(wanted.clone()));
        assert_eq!(ipvs.observe(), Ok(without_thresholds(&wanted)));
        let thresholds = run("ipvsadm", &["-L", "-n", "--thresholds"]);
        let limited = thresholds
            .lines()
            .find(|line| line.contains("10.0.0.4:8080"))
            .unwrap();
        let words: Vec<_> = limited.split_whitespace().collect();
        assert!(words.contains(&"100") && words.contains(&"50"), "{limited}");
    });
}

#[test]
fn every_scheduler_and_its_flags_are_accepted() {
    with_ipvs(|mut ipvs| {
        let mut wanted = Vec::new();
        for (number, scheduler) in (1..).zip(Scheduler::ALL) {
            for flags in 0..8 {
                let key = format!("-A -t 10.96.{number}.{flags}:80")
                    .parse::<Command>()
                    .unwrap()
                    .key();
                let server =
                    VirtualServer::new(key, scheduler).with_flags(ServiceFlags(flags << 3));
                wanted.push(VirtualTable::new(server, Vec::new()));
            }
        }
        apply(&mut ipvs, &commands(&wanted));
        wanted.sort();
        assert_eq!(ipvs.observe(), Ok(wanted.clone()));
        // ipvsadm leaves flag-3 out where it has no name of the scheduler's for it.
        let named = |table: &&VirtualTable| {
            let hashing = matches!(table.server.scheduler, Scheduler::Sh | Scheduler::Mh);
            !(hashing && table.server.flags.contains(ServiceFlags::SCHED_3))
        };
        let seen = witness();
        for table in wanted.iter().filter(named) {
            assert!(
                seen.contains(&table.to_string().trim_end().to_owned()),
                "{table}"
            );
        }
        assert_eq!(seen.len(), wanted.len());
    });
}

#[test]
fn what_ipvsadm_restores_we_read_as_it_was_meant() {
    with_ipvs(|mut ipvs| {
        for line in EVERYTHING.lines() {
            run("ipvsadm", &line.split(' ').collect::<Vec<_>>());
        }
        assert_eq!(ipvs.observe_by_dump(), Ok(tables(EVERYTHING)));
    });
}

#[test]
fn servers_are_changed_and_deleted_singly() {
    with_ipvs(|mut ipvs| {
        apply(&mut ipvs, &commands(&tables(EVERYTHING)));
        for (line, gone, new) in [
            (
                "-E -t 10.96.0.10:0 -s wrr -p 90 -M 255.255.0.0 -o -b flag-2",
                "-A -t 10.96.0.10:0 -s rr -p 30",
                Some("-A -t 10.96.0.10:0 -s wrr -p 90 -M 255.255.0.0 -o -b flag-2"),
            ),
            (
                "-E -t [fd00::10]:80 -s rr",
                "-A -t [fd00::10]:80 -s sh -p 20 -M 64 -b sh-fallback,sh-port",
                Some("-A -t [fd00::10]:80 -s rr"),
            ),
            (
                "-e -f 77 -r 10.0.0.9:99 -m -w 0",
                "-a -f 77 -r 10.0.0.9:99 -m -w 1",
                Some("-a -f 77 -r 10.0.0.9:99 -m -w 0"),
            ),
            (
                "-d -u 10.96.0.10:53 -r 10.0.0.1:53",
                "-a -u 10.96.0.10:53 -r 10.0.0.1:53 -m -w 100",
                None,
            ),
            (
                "-D -u 10.96.0.10:53",
                "-A -u 10.96.0.10:53 -s wrr -p 360",
                None,
            ),
            ("-D -f 77 -6", "-A -f 77 -6 -s rr -p 40", None),
        ] {
            let mut expected = witness();
            expected.retain(|seen| {
                seen != gone && !(line == "-D -f 77 -6" && seen.contains("-f 77 -6"))
            });
            expected.extend(new.map(str::to_owned));
            expected.sort();
            assert_eq!(say(&mut ipvs, line), Ok(()), "{line}");
            assert_eq!(witness(), expected, "{line}");
        }
        let by_dump = ipvs.observe_by_dump().unwrap();
        assert_eq!(ipvs.observe(), Ok(without_thresholds(&by_dump)));
    });
}

/// The fake is held to the kernel by a long random walk over few keys, so that every refusal
/// comes up many times.
#[test]
fn the_fake_answers_as_the_kernel_does() {
    const VIRTUALS: [&str; 4] = ["-t 10.96.0.1:80", "-u [fd00::1]:53", "-f 5", "-f 5 -6"];
    with_ipvs(|mut ipvs| {
        let mut fake = FakeIpvs::default();
        let mut state = 0x2545_f491_u64;
        let mut below = |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let mut refused = 0;
        for _ in 0..60 {
            let mut walk = Vec::new();
            for _ in 0..50 {
                let virtual_server = VIRTUALS[below(4) as usize];
                let v6 = virtual_server.contains('[') || virtual_server.ends_with("-6");
                let prefix = if v6 { "[fd00:1::" } else { "10.0.0." };
                let suffix = if v6 { "]" } else { "" };
                let real = format!("{prefix}{}{suffix}:80", 1 + below(3));
                let weight = below(9);
                let scheduler = ["rr", "wrr", "lc"][below(3) as usize];
                let line = match below(12) {
                    0..3 => format!("-A {virtual_server} -s {scheduler}"),
                    3..5 => format!("-E {virtual_server} -s {scheduler} -p {}", 1 + weight),
                    5 => format!("-D {virtual_server}"),
                    6..9 => format!("-a {virtual_server} -r {real} -m -w {weight}"),
                    9..11 => format!("-e {virtual_server} -r {real} -m -w {weight} -x 7"),
                    _ => format!("-d {virtual_server} -r {real}"),
                };
                walk.push(line.parse::<Command>().unwrap());
            }
            let (real, unreal) = (ipvs.apply(&walk), fake.apply(&walk));
            for ((command, real), unreal) in walk.iter().zip(&real).zip(&unreal) {
                assert_eq!(real, unreal, "{command}");
            }
            refused += real.iter().filter(|verdict| verdict.is_err()).count();
            let (real, unreal) = (ipvs.observe().unwrap(), fake.observe().unwrap());
            assert_eq!(print_table(&real), print_table(&unreal));
        }
        assert!(
            (500..2500).contains(&refused),
            "{refused} refusals of 3,000"
        );
        let timeouts = Timeouts {
            tcp: 0,
            tcp_fin: 77,
            udp: 0,
        };
        assert_eq!(ipvs.timeouts(), fake.timeouts());
        assert_eq!(
            (ipvs.set_timeouts(&timeouts), fake.set_timeouts(&timeouts)),
            (Ok(()), Ok(()))
        );
        assert_eq!(ipvs.timeouts(), fake.timeouts());
        let seen = run("ipvsadm", &["-L", "--timeout"]);
        assert!(seen.contains("900 77 300"), "{seen}");
    });
}

#[test]
fn an_error_in_a_large_batch_is_its_own_commands() {
    with_ipvs(|mut ipvs| {
        let mut walk: Vec<Command> = Vec::new();
        for n in 0..1000 {
            walk.push(
                format!("-A -t 10.96.{}.{}:80 -s rr", n / 200, n % 200)
                    .parse()
                    .unwrap(),
            );
        }
        walk[500] = walk[499];
        walk[777] = "-D -f 9".parse().unwrap();
        let before = ipvs.traffic();
        let verdicts = ipvs.apply(&walk);
        let failed: Vec<_> = verdicts
            .iter()
            .enumerate()
            .filter(|(_, verdict)| verdict.is_err())
            .collect();
        let expected = [
            (500, &Err(IpvsError::VirtualExists(walk[499].key()))),
            (777, &Err(IpvsError::NoSuchVirtual(walk[777].key()))),
        ];
        assert_eq!(failed, expected);
        let traffic = ipvs.traffic().since(&before);
        assert_eq!(
            (traffic.messages, traffic.sends, traffic.receives),
            (1000, 16, 18)
        );

        // One endpoint more among a thousand services: one request, nothing listed.
        let before = ipvs.traffic();
        assert_eq!(
            say(&mut ipvs, "-a -t 10.96.1.7:80 -r 10.0.0.1:80 -m -w 1"),
            Ok(())
        );
        let traffic = ipvs.traffic().since(&before);
        assert_eq!(
            (traffic.messages, traffic.sends, traffic.receives),
            (1, 1, 1)
        );
    });
}

/// The kernel lists wrongly what another namespace changes meanwhile: twice, or not at all.
#[test]
fn changes_in_another_namespace_double_nothing_here() {
    with_ipvs(|mut ipvs| {
        let line = |n| format!("-A -t 10.96.{}.{}:80 -s rr", n / 200, n % 200);
        let wanted = tables(&(0..400).map(|n| line(n) + "\n").collect::<String>());
        apply(&mut ipvs, &commands(&wanted));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let noise = namespace::spawn(move |mut other| {
            let add: Vec<Command> = (0..64).map(|n| line(n).parse().unwrap()).collect();
            let del: Vec<_> = add
                .iter()
                .map(|add| Command::DelVirtual(add.key()))
                .collect();
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) {
                apply(&mut other, &add);
                apply(&mut other, &del);
                rounds += 1;
            }
            rounds
        });
        let mut right = 0;
        for _ in 0..30 {
            let seen = ipvs.observe().unwrap();
            let strange = seen.iter().find(|table| !wanted.contains(table));
            assert_eq!(strange, None, "not ours");
            assert!(
                seen.is_sorted_by(|a, b| a.server.key < b.server.key),
                "listed twice"
            );
            right += usize::from(seen == wanted);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(noise.join().unwrap().unwrap() > 0);
        assert!(right > 0, "never read right");
        assert_eq!(ipvs.observe(), Ok(wanted));
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a deadline")]
fn counters_count_packets_and_connections() {
    with_ipvs(|mut ipvs| {
        run("ip", &["address", "add", "10.96.0.10/32", "dev", "lo"]);
        run("ip", &["address", "add", "10.0.0.1/32", "dev", "lo"]);
        let table = "-A -u 10.96.0.10:53 -s rr\n-a -u 10.96.0.10:53 -r 10.0.0.1:5353 -m -w 1\n";
        apply(&mut ipvs, &commands(&tables(table)));
        let server = UdpSocket::bind("10.0.0.1:5353").unwrap();
        let client = UdpSocket::bind("10.96.0.10:0").unwrap();
        for _ in 0..3 {
            client.send_to(b"question", "10.96.0.10:53").unwrap();
            let mut buffer = [0; 16];
            let (length, _) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"question");
        }
        // The kernel sums its counters up every two seconds.
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut all = ipvs.stats().unwrap();
        while all[0].stats.packets_in < 3 && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(50));
            all = ipvs.stats().unwrap();
        }
        assert_eq!(all.len(), 1);
        let (stats, real) = (all[0].stats, all[0].reals[0]);
        assert_eq!(
            (stats.connections, stats.packets_in, stats.bytes_in),
            (1, 3, 3 * 36)
        );
        assert_eq!(real.stats.packets_in, 3);
        assert_eq!((real.active, real.inactive, real.persistent), (0, 1, 0));
        let missing = "-D -u 10.96.0.99:53".parse::<Command>().unwrap().key();
        assert_eq!(ipvs.real_stats(&missing), Ok(Vec::new()));
    });
}

#[test]
fn what_we_cannot_express_is_counted_and_left_out() {
    with_ipvs(|mut ipvs| {
        run("ipvsadm", &["-A", "-t", "10.96.0.10:80", "-s", "none"]);
        run("ipvsadm", &["-A", "-t", "10.96.0.11:80", "-s", "rr"]);
        assert_eq!(ipvs.observe(), Ok(tables("-A -t 10.96.0.11:80 -s rr")));
        assert_eq!(ipvs.skipped(), 1);
        assert_eq!(ipvs.version(), Ok([1, 2, 1]));
    });
}

#[test]
fn a_kernel_without_ipvs_is_named_so() {
    if let Err(error) = Ipvs::open() {
        assert_eq!(error, IpvsError::Unsupported);
    }
    assert_eq!(
        IpvsError::Unsupported.to_string(),
        "this kernel has no IPVS: the module ip_vs is neither built in nor can it be loaded"
    );
}
