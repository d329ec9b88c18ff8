//! What the kernel will not take is told with its reason and whom it closes, and what stands is
//! counted, on either backend.

use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use kube_router::firewall::Name;
use kube_router::http::Page;
use kube_router::metrics::ControllerMetrics;
use kube_router::model::ObjectName;
use kube_router::netpol::plan::Flow;
use kube_router::netpol::{HostKernel, Input, Netpol, Plan, Standing};
use kube_router::reconcile::{HealthBoard, HealthLimits, Runner, Slot};

use crate::driver::{Driver, PATIENCE};
use crate::faults::{Picky, lines, variant};
use crate::lab::Joint;
use crate::policy_cluster::{Cluster, policy, rule, same_namespace};
use crate::stage::{DB, HERE, OUT, TCP, WEB, app, no, on_both, wrong_in, yes};

/// What a thread logs.
#[derive(Debug, Clone, Default)]
struct Journal(Arc<Mutex<Vec<u8>>>);

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Journal {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// With a policy for `shop/web`, and the chain of it.
fn cluster(backend: NetpolBackend) -> (Cluster, Name) {
    let mut cluster = variant(2);
    let from_db = vec![rule(Some(vec![same_namespace(app("db"))]), None)];
    let web = policy("shop/web", app("web"), Some(from_db), None);
    cluster.policies.push(web);
    cluster.settings.backend = backend;
    let mut elsewhere = Plan::default();
    elsewhere.update(&cluster.input());
    let pod = ObjectName::new("shop", "web");
    let chain = elsewhere.isolation(&pod, Flow::Ingress).unwrap().0;
    (cluster, chain)
}

/// Chains of isolations as the tools list them.
fn listed(backend: NetpolBackend) -> u64 {
    let commands: &[&str] = match backend {
        NetpolBackend::Nftables => &["nft list table inet kube-router-netpol"],
        _ => &["iptables-save -t filter", "ip6tables-save -t filter"],
    };
    let mut number = 0;
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let chains = text.lines().map(str::trim).filter(|line| {
            ["chain KUBE-NWPLCY-", ":KUBE-NWPLCY-"]
                .iter()
                .any(|start| line.starts_with(start))
        });
        number += chains.filter(|line| !line.contains("CLOSED")).count();
    }
    u64::try_from(number).unwrap()
}

#[test]
fn what_stands_is_counted_on_either_backend() {
    on_both(Joint::Routed, |stage| {
        let standing = Arc::new(Standing::default());
        let netpol = Netpol::new(HostKernel::new()).counting(Arc::clone(&standing));
        let mut driver = Driver::with(HostKernel::new(), stage.backend);
        driver.netpol = netpol;
        for number in [0, 2, 3] {
            driver.bring(&variant(number));
            assert_eq!(standing.chains(), listed(stage.backend), "{number}");
            let wanted = driver.plan().wanted();
            let sets = wanted.members.iter().map(|(key, _)| key.def.name);
            let of_policies = sets.filter(|name| name.as_str().starts_with("KUBE-"));
            let sets = u64::try_from(of_policies.count()).unwrap();
            assert_eq!(standing.sets(), sets, "{number}");
            assert!(sets > 0 && standing.chains() > 0, "{number}");
        }
        driver.bring(&Cluster::default());
        assert_eq!((standing.chains(), standing.sets()), (0, 0));
    });
}

#[test]
fn what_the_kernel_refuses_is_in_the_journal_on_the_page_and_in_the_metric() {
    on_both(Joint::Routed, |stage| {
        let (cluster, chain) = cluster(stage.backend);
        let refused = Arc::new(Mutex::new(Some(chain)));
        let standing = Arc::new(Standing::default());
        let limits = HealthLimits {
            stalled: PATIENCE,
            // A pass that fails makes the node ill at once.
            failing: Duration::ZERO,
        };
        let board = HealthBoard::new(limits);
        let metrics = Arc::new(ControllerMetrics::new("netpol"));
        let slot: Slot<Input> = Slot::new();
        let part = board.part("netpol", Instant::now());
        let resync = |_: &Input| Duration::from_secs(300);
        let journal = Journal::default();
        let (writer, inbox) = (journal.clone(), slot.inbox());
        let (counts, picked) = (Arc::clone(&standing), Arc::clone(&refused));
        let loops = thread::spawn(move || {
            let kernel = Picky {
                kernel: HostKernel::new(),
                refused: picked,
            };
            let netpol = Netpol::new(kernel).counting(counts);
            let mut runner = Runner::new(netpol, inbox, resync, part, metrics);
            let log = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone());
            tracing::subscriber::with_default(log.finish(), || runner.run());
        });
        slot.put(cluster.input());
        wait_until(|| standing.quarantined() == 2);
        let name = format!("quarantined: set chain {chain}");
        let page = || Page::readyz(&board.report(Instant::now()), true).body;
        let is_told = |text: &str| {
            let told = text.lines().filter(|line| line.contains(&name));
            told.filter(|line| {
                line.contains(": not this one; policies shop/web; closed: shop/web (ingress)")
            })
            .count()
        };
        wait_until(|| is_told(&page()) == 2);
        // What is refused is told before the pass is over.
        wait_until(|| page().starts_with("OK\n") && is_told(&journal.text()) >= 2);
        assert_eq!(is_told(&journal.text()), 2, "{}", journal.text());
        let closed = [
            no(DB, WEB, TCP, 80),
            no(OUT, WEB, TCP, 80),
            yes(HERE, WEB, TCP, 80),
        ];
        assert_eq!(wrong_in(stage.lab, &closed), [""; 0]);
        assert_eq!(wrong_in(stage.lab, &lines()), [""; 0], "all others");

        *refused.lock().unwrap() = None;
        slot.foreign_change();
        wait_until(|| standing.quarantined() == 0 && is_told(&page()) == 0);
        let open = [yes(DB, WEB, TCP, 80), no(OUT, WEB, TCP, 80)];
        assert_eq!(wrong_in(stage.lab, &open), [""; 0]);

        // What is wanted no more is forgotten.
        *refused.lock().unwrap() = Some(chain);
        slot.put(variant(1).with_backend(stage.backend));
        let everybody = [yes(OUT, WEB, TCP, 80)];
        wait_until(|| wrong_in(stage.lab, &everybody).is_empty());
        slot.put(cluster.input());
        wait_until(|| standing.quarantined() == 2);
        slot.put(variant(1).with_backend(stage.backend));
        wait_until(|| standing.quarantined() == 0 && is_told(&page()) == 0);
        slot.stop();
        loops.join().unwrap();
    });
}

impl Cluster {
    fn with_backend(mut self, backend: NetpolBackend) -> Input {
        self.settings.backend = backend;
        self.input()
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < 2 * PATIENCE, "waited in vain");
        thread::yield_now();
    }
}
