//! The daemon's own loop hears what others do to the chains of iptables.

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use kube_router::kernel::iptables::{Iptables, Variant};
use kube_router::metrics::ControllerMetrics;
use kube_router::net::Family;
use kube_router::netpol::{HostKernel, Input, Netpol};
use kube_router::reconcile::{HealthBoard, HealthLimits, Slot, Supervision, spawn};

use crate::driver::PATIENCE;
use crate::faults::{lines, variant};
use crate::in_lab;
use crate::lab::Joint;
use crate::stage::wrong_in;

/// A beat of the loop, the distance that it keeps between read-backs, and the work on a machine that
/// other tests share; far from `sync_period`.
const ABOUT_A_SECOND: Duration = Duration::from_secs(5);
const SYNC_PERIOD: Duration = Duration::from_secs(300);

const EDITS: [&str; 6] = [
    "iptables-nft -F KUBE-ROUTER-FORWARD",
    "ip6tables-nft -F KUBE-ROUTER-NETPOL",
    "iptables-nft -D FORWARD 1",
    "ip6tables-nft -I KUBE-NWPLCY-CLOSED -j RETURN",
    "iptables-nft -F",
    "nft delete table ip6 filter",
];

fn run(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rules of both families, without counters.
fn rules() -> [String; 2] {
    ["iptables-nft -S", "ip6tables-nft -S"].map(run)
}

#[test]
fn what_others_do_to_a_chain_of_iptables_is_put_right_in_about_a_second() {
    in_lab(Joint::Routed, |lab| {
        if Iptables::open(Family::V4).unwrap().variant() == Variant::Legacy {
            eprintln!("NOT RUN: the kernel tells nothing of the tables of iptables-legacy");
            return;
        }
        let slot: Slot<Input> = Slot::new();
        let limits = HealthLimits {
            stalled: PATIENCE,
            failing: PATIENCE,
        };
        let supervision = Supervision {
            health: HealthBoard::new(limits).part("netpol", Instant::now()),
            metrics: Arc::new(ControllerMetrics::new("netpol")),
        };
        let (inbox, (tell, ended)) = (slot.clone(), mpsc::channel());
        spawn(
            || Ok(Netpol::new(HostKernel::new())),
            move || inbox.inbox(),
            |_: &Input| SYNC_PERIOD,
            supervision,
            move |end| tell.send(end).unwrap(),
        )
        .unwrap();
        let mut cluster = variant(0);
        cluster.settings.backend = NetpolBackend::Iptables;
        slot.put(cluster.input());
        let begin = Instant::now();
        while !wrong_in(lab, &lines()).is_empty() {
            assert!(begin.elapsed() < 2 * PATIENCE, "nothing stands");
        }
        let right = rules();
        for edit in EDITS {
            run(edit);
            let edited = Instant::now();
            assert_ne!(rules(), right, "{edit}");
            while rules() != right {
                assert!(edited.elapsed() < ABOUT_A_SECOND, "{edit}: {:?}", rules());
            }
            println!("put right after {:?}: {edit}", edited.elapsed());
            let wrong = wrong_in(lab, &lines());
            assert!(wrong.is_empty(), "{edit}: {wrong:#?}");
        }
        slot.stop();
        ended.recv_timeout(PATIENCE).unwrap();
    });
}
