//! Routes over a restart, and routes that somebody deletes.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kube_router::kernel::rtnl::{Event, Monitor, PROTOCOL_KUBE_ROUTER};
use kube_router::metrics::ControllerMetrics;
use kube_router::reconcile::{HealthBoard, HealthLimits, Slot, Supervision, spawn};
use kube_router::routing::{HostKernel, Input, Lost, Routing, follow};

use crate::node::{controller, failures, input, pass, prefix, world};
use crate::place::{LONG, eventually, in_namespace, tool};

const PATHS: &str = "10.244.2.0/24 via 10.1.1.3
                     192.0.2.0/24 via 10.1.1.2 10.1.1.3
                     198.51.100.0/24 via fd01:1::2
                     fd02:2::/64 via fd01:1::3
                     2001:db8::/32 via fd01:1::2 fd01:1::3";

fn routes() -> Vec<String> {
    let listings = ["ip route show proto 77", "ip -6 route show proto 77"].map(tool);
    let mut lines: Vec<String> = Vec::new();
    for line in listings.iter().flat_map(|listing| listing.lines()) {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        // Said of IPv6 routes, before or behind the next hops.
        let line = line.replace(" pref medium", "");
        // The lines of next hops belong to the line before.
        match lines.last_mut() {
            Some(last) if line.starts_with("nexthop") => {
                last.push(' ');
                last.push_str(&line);
            }
            _ => lines.push(line),
        }
    }
    lines
}

fn expected() -> Vec<String> {
    [
        "10.244.2.0/24 via 10.1.1.3 dev eth0 metric 179",
        "192.0.2.0/24 metric 179 nexthop via 10.1.1.2 dev eth0 weight 1 nexthop via 10.1.1.3 dev eth0 weight 1",
        "198.51.100.0/24 via inet6 fd01:1::2 dev eth0 metric 179",
        "2001:db8::/32 metric 179 nexthop via fd01:1::2 dev eth0 weight 1 nexthop via fd01:1::3 dev eth0 weight 1",
        "fd02:2::/64 via fd01:1::3 dev eth0 metric 179",
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn a_restart_adopts_what_stands_without_one_change() {
    in_namespace(|| {
        let _world = world();
        let directory = tempfile::tempdir().unwrap();
        let cni = directory.path().join("10-kuberouter.conflist");
        let (_, report) = pass(&mut controller(), &input(PATHS, &cni));
        assert_eq!(failures(&report), [""; 0]);
        assert_eq!(routes(), expected());
        let mut monitor = Monitor::open_paths(PROTOCOL_KUBE_ROUTER).unwrap();
        for paths in ["", PATHS] {
            let (steps, _) = pass(&mut controller(), &input(paths, &cni));
            assert_eq!(steps, [""; 0]);
        }
        assert_eq!(monitor.next(Some(Duration::ZERO)).unwrap(), []);
        // And all of it goes with clean-up.
        let input = input("", &cni);
        let (_, report) = controller()
            .cleanup(&input.settings, &input.facts, false)
            .unwrap();
        assert_eq!(failures(&report), [""; 0]);
        assert_eq!(routes(), [""; 0]);
        for (tool_name, set) in [("iptables-save", ""), ("ip6tables-save", "inet6:")] {
            let rules = tool(tool_name);
            assert!(!rules.contains("KUBE-ROUTER"), "{set}{rules}");
        }
        assert_eq!(tool("ipset list -n"), "");
        assert!(cni.exists());
    });
}

#[test]
fn what_others_hold_under_the_same_prefix_is_theirs() {
    in_namespace(|| {
        let _world = world();
        tool("ip route add 10.244.2.0/24 via 10.1.1.2");
        tool("ip -6 route add fd02:2::/64 via fd01:1::2");
        let directory = tempfile::tempdir().unwrap();
        let cni = directory.path().join("10-kuberouter.conflist");
        let (_, report) = pass(&mut controller(), &input(PATHS, &cni));
        assert_eq!(failures(&report), [""; 0]);
        assert_eq!(routes(), expected());
        let theirs = tool("ip route show 10.244.2.0/24");
        assert!(
            theirs
                .lines()
                .any(|line| line.trim() == "10.244.2.0/24 via 10.1.1.2 dev eth0"),
            "{theirs}"
        );
        let theirs = tool("ip -6 route show fd02:2::/64");
        assert!(
            theirs.contains("via fd01:1::2 dev eth0 metric 1024"),
            "{theirs}"
        );
    });
}

/// The loop of the daemon with its ear at the kernel.
fn running(input: Input) -> (Slot<Input>, mpsc::Receiver<()>) {
    let (slot, lost): (Slot<Input>, _) = (Slot::new(), Lost::default());
    let limits = HealthLimits {
        stalled: LONG,
        failing: LONG,
    };
    let supervision = Supervision {
        health: HealthBoard::new(limits).part("routing", Instant::now()),
        metrics: Arc::new(ControllerMetrics::new("routing")),
    };
    follow(slot.clone(), lost.clone()).unwrap();
    let (inbox, (tell, ended)) = (slot.clone(), mpsc::channel());
    spawn(
        move || {
            let kernel = HostKernel::open(None)?;
            lost.leave_out(kernel.port()?);
            Ok(Routing::new(kernel, lost.clone()))
        },
        move || inbox.inbox(),
        |input: &Input| input.settings.sync_period,
        supervision,
        move |_| tell.send(()).unwrap(),
    )
    .unwrap();
    slot.put(input);
    (slot, ended)
}

#[test]
fn a_route_that_somebody_deletes_is_back_in_no_time() {
    in_namespace(|| {
        let _world = world();
        let directory = tempfile::tempdir().unwrap();
        let cni = directory.path().join("10-kuberouter.conflist");
        let mut monitor = Monitor::open_paths(PROTOCOL_KUBE_ROUTER).unwrap();
        let (slot, ended) = running(input(PATHS, &cni));
        eventually(&expected(), routes);
        eventually(&Vec::new(), || {
            monitor.next(Some(Duration::from_millis(200))).unwrap()
        });

        let mut slowest = Duration::ZERO;
        for round in 0..30 {
            let (command, destination) = [
                ("ip route del 10.244.2.0/24 proto 77", "10.244.2.0/24"),
                ("ip route del 192.0.2.0/24 proto 77", "192.0.2.0/24"),
                ("ip -6 route del fd02:2::/64 proto 77", "fd02:2::/64"),
            ][round % 3];
            tool(command);
            slowest = slowest.max(between(&mut monitor, prefix(destination)));
        }
        eprintln!(
            "the slowest of 30 deleted routes was back {slowest:?} after the kernel's notice"
        );
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        eventually(&expected(), routes);

        // What a link takes along is not said of each route.
        tool("ip link set eth0 down");
        eventually(&Vec::new(), || {
            tool("ip route show proto 77")
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        tool("ip link set eth0 up");
        tool("ip -6 address add fd01:1::1/64 dev eth0 nodad");
        eventually(&expected(), routes);
        slot.stop();
        ended.recv_timeout(LONG).unwrap();
    });
}

/// From the notice that a route is gone to the notice that it is back.
fn between(monitor: &mut Monitor, destination: kube_router::net::Prefix) -> Duration {
    let begin = Instant::now();
    let mut gone = None;
    while begin.elapsed() < LONG {
        for event in monitor.next(Some(Duration::from_millis(100))).unwrap() {
            match (event, gone) {
                (Event::PathGone(path), None) if path.destination == destination => {
                    gone = Some(Instant::now());
                }
                (Event::Path(path), Some(since)) if path.destination == destination => {
                    return Instant::now() - since;
                }
                _ => {}
            }
        }
    }
    panic!("{destination} did not come back");
}
