//! What upstream's kube-router left in its nftables mode: it refuses by the policies of its day
//! until ours stand, and then goes.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kube_router::config::NetpolBackend;
use kube_router::firewall::Name;
use kube_router::model::ObjectName;
use kube_router::net::Family;
use kube_router::netpol::{Change, Flow, HostKernel, Kernel, Kind, Netpol, Plan, predecessor};

use crate::driver::{Driver, PATIENCE};
use crate::faults::{Picky, lines, variant};
use crate::lab::Joint;
use crate::namespaces::feed;
use crate::stage::{DB, HERE, OUT, TCP, UDP, WEB, no, on_both, yes};
use crate::stream::under_paced_probes;

/// Nobody reaches `shop/db`; beside that what is not upstream's.
const LEFT: &str = r#"
table ip kube-router-filter-ipv4 {
    comment "rules for kube-router-filter-ipv4"
    set KUBE-DST-WZ3PSWZKMGX6YTZB { type ipv4_addr; elements = { 10.42.0.9 }; }
    chain KUBE-POD-FW-B4VIRGYVJGPHXH4Y { comment "podfw shop/db"; counter reject; }
    chain KUBE-ROUTER-FORWARD {
        type filter hook forward priority filter; policy accept;
        ip daddr 10.42.0.2 jump KUBE-POD-FW-B4VIRGYVJGPHXH4Y
    }
}
table ip6 kube-router-filter-ipv6 {
    comment "rules for kube-router-filter-ipv6"
    chain KUBE-POD-FW-B4VIRGYVJGPHXH4Y { comment "podfw shop/db"; counter reject; }
    chain KUBE-ROUTER-FORWARD {
        type filter hook forward priority filter; policy accept;
        ip6 daddr fd00:42::2 jump KUBE-POD-FW-B4VIRGYVJGPHXH4Y
    }
}
table inet kube-router-filter-ipv4 { chain KUBE-POD-FW-OTHER { }; }
table ip others { chain KUBE-ROUTER-FORWARD { }; }
"#;
const OF_OTHERS: [&str; 2] = ["inet kube-router-filter-ipv4", "ip others"];

fn is_there(table: &str) -> bool {
    let listed = Command::new("nft").args(["list", "tables"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    listed.lines().any(|line| line == format!("table {table}"))
}

fn are_left() -> [bool; 2] {
    let [v4, v6] = Family::ALL.map(predecessor);
    [
        is_there(&format!("ip {v4}")),
        is_there(&format!("ip6 {v6}")),
    ]
}

fn leave() {
    feed(&["nft", "-f", "-"], LEFT);
}

/// Takes our rules away, as if this were the first start.
fn forget(backend: NetpolBackend) {
    let kind = Kind::wanted(backend).unwrap();
    let begin = Instant::now();
    // A table of ours may be held for a moment by a program that another test is starting.
    while let Err(fault) = HostKernel::new()
        .open(kind)
        .and_then(|mut room| room.remove())
    {
        assert!(begin.elapsed() < PATIENCE, "{fault}");
    }
}

#[test]
fn upstreams_tables_go_when_our_rules_stand_and_nothing_opens() {
    on_both(Joint::Routed, |stage| {
        leave();
        let wrong = stage.wrong(&[no(WEB, DB, TCP, 80), yes(HERE, DB, TCP, 80)]);
        assert!(wrong.is_empty(), "upstream's rules: {wrong:#?}");
        let shut = [no(OUT, DB, TCP, 80), no(OUT, DB, UDP, 53)];
        let backend = stage.backend;
        let ((), tally) = under_paced_probes(stage.lab, &shut, |pace| {
            for number in 0..10 {
                pace.round();
                stage.driver.bring(&variant(number));
                assert_eq!(are_left(), [false; 2]);
                stage.driver.audit();
                leave();
                stage.driver = Driver::new(backend);
                forget(backend);
            }
            stage.driver.bring(&variant(0));
        });
        let tried = tally.clean();
        println!("counted {tried} probes over takeovers, {backend:?}");
        assert_eq!(are_left(), [false; 2]);
        assert!(OF_OTHERS.iter().all(|table| is_there(table)));
        let wrong = stage.wrong(&lines());
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// What a first pass does about upstream's tables when the kernel refuses one chain.
fn pass_without(backend: NetpolBackend, refused: Name) -> (Vec<String>, [bool; 2]) {
    let refused = Arc::new(Mutex::new(Some(refused)));
    let kernel = Picky {
        kernel: HostKernel::new(),
        refused: Arc::clone(&refused),
    };
    let mut driver = Driver::with(kernel, backend);
    let report = driver.pass(&variant(0));
    let withheld = report
        .failures
        .iter()
        .filter(|failed| matches!(failed.change, Change::Supersede(_)))
        .map(|failed| failed.reason.to_string());
    let found = (withheld.collect(), are_left());
    *refused.lock().unwrap() = None;
    driver.bring(&variant(0));
    driver.audit();
    assert_eq!(are_left(), [false; 2]);
    found
}

#[test]
fn upstreams_tables_stay_until_our_rules_protect() {
    on_both(Joint::Routed, |stage| {
        leave();
        let frame = Name::new("KUBE-ROUTER-FORWARD").unwrap();
        let (withheld, left) = pass_without(stage.backend, frame);
        assert_eq!(left, [true; 2]);
        assert!(withheld.len() == 2 && withheld[0].starts_with("withheld"));
        forget(stage.backend);
        leave();
        // Pods whose own rules are refused are closed: upstream's protect nothing more.
        let mut elsewhere = Plan::default();
        elsewhere.update(&variant(0).input());
        let db = ObjectName::new("shop", "db");
        let isolation = elsewhere.isolation(&db, Flow::Ingress).unwrap().0;
        let (withheld, left) = pass_without(stage.backend, isolation);
        assert_eq!((withheld, left), (Vec::new(), [false; 2]));
    });
}

#[test]
fn cleanup_takes_upstreams_tables_too_and_nothing_on_a_dry_run() {
    on_both(Joint::Routed, |stage| {
        stage.driver = Driver::new(stage.backend);
        forget(stage.backend);
        leave();
        let mut kernel = HostKernel::new();
        for is_dry in [true, false] {
            let (steps, failures) = Netpol::cleanup(&mut kernel, is_dry);
            assert!(failures.is_empty(), "{failures:?}");
            assert_eq!(
                steps,
                [
                    "nftables: delete table ip kube-router-filter-ipv4",
                    "nftables: delete table ip6 kube-router-filter-ipv6",
                ]
            );
            assert_eq!(are_left(), [is_dry; 2]);
        }
        let (steps, _) = Netpol::cleanup(&mut kernel, false);
        assert_eq!(steps, [""; 0], "once");
        assert!(OF_OTHERS.iter().all(|table| is_there(table)));
    });
}
