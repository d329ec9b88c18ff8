//! Restarts, switches, refusals and the hands of others, under a standing stream of probes.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kube_router::config::NetpolBackend;
use kube_router::firewall::{Backend, Change, Fault, Name, Outcome, Seen, Wanted};
use kube_router::kernel::conntrack;
use kube_router::model::{NetworkPolicy, ObjectName};
use kube_router::net::Family;
use kube_router::netpol::plan::Flow;
use kube_router::netpol::{HostKernel, Kernel, Kind};

use crate::driver::Driver;
use crate::in_lab;
use crate::lab::Joint;
use crate::policy_cluster::{Cluster, block, labels, pod, policy, rule, same_namespace, tcp};
use crate::stage::{
    BANK, DB, FAR, HERE, Line, OUT, SCTP, TCP, UDP, UNKNOWN, WEB, app, cluster, no, on_both, yes,
};
use crate::stream::{Tally, under_paced_probes, under_probes};

/// What [`variant`] never changes.
pub(crate) fn lines() -> Vec<Line> {
    vec![
        yes(WEB, DB, TCP, 80),
        yes(WEB, DB, UDP, 53),
        yes(HERE, DB, TCP, 80),
        yes(WEB, OUT, SCTP, 80),
        no(OUT, DB, TCP, 80),
        no(OUT, DB, UDP, 53),
        no(BANK, DB, SCTP, 80),
        no(FAR, DB, TCP, 8080),
        no(BANK, OUT, TCP, 80),
        no(BANK, HERE, UDP, 53),
    ]
}

/// A cluster that differs from its neighbours in everything but the lines: chains are replaced,
/// members come and go, policies too.
pub(crate) fn variant(number: u8) -> Cluster {
    let mut cluster = cluster();
    let extra = format!("192.0.2.{number}/32");
    let from = vec![same_namespace(app("web")), block(&extra, &[])];
    let to = vec![block(
        "10.42.0.0/30",
        &[&format!("10.42.0.{}/32", 2 + number % 2)],
    )];
    let mut policies: Vec<NetworkPolicy> = vec![
        policy(
            "shop/db",
            app("db"),
            Some(vec![rule(Some(from), None)]),
            None,
        ),
        policy(
            "bank/web",
            app("web"),
            None,
            Some(vec![rule(Some(to), None)]),
        ),
    ];
    if number.is_multiple_of(3) {
        let ports = Some(vec![tcp(1, u16::from(number) + 1)]);
        let one = policy(
            "shop/more",
            app("db"),
            Some(vec![rule(Some(vec![]), ports)]),
            None,
        );
        policies.push(one);
    }
    if number.is_multiple_of(2) {
        cluster.pods[3].labels = labels(&[("app", "farther")]);
    }
    cluster.policies = policies;
    cluster
}

#[test]
fn a_hundred_restarts_open_nothing_and_close_nothing() {
    on_both(Joint::Routed, |stage| {
        stage.driver.bring(&variant(0));
        let backend = stage.backend;
        let ((), tally) = under_probes(stage.lab, &lines(), || {
            for restart in 1..=100 {
                stage.driver = Driver::new(backend);
                let steps = stage.driver.bring(&variant(restart / 10));
                let is_another = restart % 10 == 0;
                assert_eq!(steps > 0, is_another, "{restart}: {steps} steps");
            }
        });
        stage.driver.audit();
        println!(
            "counted {} probes over 100 restarts, {backend:?}",
            tally.clean()
        );
    });
}

#[test]
fn changes_of_everything_else_leave_what_stays_allowed_and_denied() {
    on_both(Joint::Bridged, |stage| {
        stage.driver.bring(&variant(0));
        let number = match stage.backend {
            NetpolBackend::Nftables => 240,
            _ => 60,
        };
        let ((), tally) = under_paced_probes(stage.lab, &lines(), |pace| {
            for number in 1..=number {
                if number % 4 == 0 {
                    pace.round();
                }
                stage.driver.bring(&variant(number));
            }
        });
        stage.driver.audit();
        let (tried, backend) = (tally.clean(), stage.backend);
        println!("counted {tried} probes over {number} changes, {backend:?}");
    });
}

#[test]
fn backends_take_turns_without_a_gap_and_without_leftovers() {
    in_lab(Joint::Routed, |lab| {
        let mut driver = Driver::new(NetpolBackend::Nftables);
        driver.bring(&variant(0));
        let ((), tally) = under_paced_probes(lab, &lines(), |pace| {
            for number in 1..=20 {
                pace.round();
                let backend = match number % 2 {
                    0 => NetpolBackend::Nftables,
                    _ => NetpolBackend::Iptables,
                };
                if number % 4 < 2 {
                    driver.switch(backend);
                } else {
                    driver = Driver::new(backend);
                }
                driver.bring(&variant(number));
                driver.audit();
                let other = match backend {
                    NetpolBackend::Nftables => Kind::Iptables,
                    _ => Kind::Nftables,
                };
                assert!(!holds_anything(other), "{other:?} left something");
            }
        });
        println!("counted {} probes over 20 switches", tally.clean());
    });
}

fn holds_anything(kind: Kind) -> bool {
    let mut room = HostKernel::new().open(kind).unwrap();
    room.remove().unwrap()
}

#[test]
fn a_new_pod_is_never_open_between_default_deny_and_its_policy() {
    on_both(Joint::Routed, |stage| {
        stage.cluster.settings.default_deny = true;
        let from_web = vec![rule(Some(vec![same_namespace(app("web"))]), None)];
        stage.policies(vec![policy(
            "shop/new",
            app("new"),
            Some(from_web),
            Some(vec![]),
        )]);
        stage.driver.bring(&stage.cluster);
        let lines = [
            no(OUT, UNKNOWN, TCP, 80),
            no(OUT, UNKNOWN, UDP, 53),
            no(UNKNOWN, OUT, TCP, 80),
            no(UNKNOWN, HERE, TCP, 80),
            yes(HERE, UNKNOWN, TCP, 80),
            yes(WEB, OUT, TCP, 80),
        ];
        let lab = stage.lab;
        let times = match stage.backend {
            NetpolBackend::Nftables => 400,
            _ => 40,
        };
        let ((), tally) = under_paced_probes(lab, &lines, |pace| {
            for time in 0..times {
                if time % 4 == 0 {
                    pace.round();
                }
                stage
                    .cluster
                    .pods
                    .push(pod("shop/new", UNKNOWN, &[("app", "new")]));
                stage.driver.bring(&stage.cluster);
                stage.cluster.pods.pop();
                stage.driver.bring(&stage.cluster);
            }
        });
        println!(
            "counted {} probes over {times} new pods, {:?}",
            tally.clean(),
            stage.backend
        );
    });
}

// --- the hands of others ---

const OF_IPTABLES: [&str; 13] = [
    "ipset flush kube-router-local-pods",
    "ipset flush inet6:kube-router-local-pods",
    "iptables -F KUBE-ROUTER-FORWARD",
    "ip6tables -F KUBE-ROUTER-FORWARD",
    "iptables -F KUBE-ROUTER-NETPOL",
    "iptables -F KUBE-ROUTER-INGRESS",
    "ip6tables -F KUBE-ROUTER-EGRESS",
    "iptables -I KUBE-ROUTER-NETPOL -j ACCEPT",
    "ip6tables -I KUBE-NWPLCY-CLOSED -j RETURN",
    "iptables -F FORWARD",
    "iptables -I FORWARD -j ACCEPT",
    "ipset flush",
    "iptables -F",
];
const OF_NFTABLES: [&str; 5] = [
    "nft flush chain inet kube-router-netpol KUBE-ROUTER-FORWARD-v4",
    "nft insert rule inet kube-router-netpol KUBE-ROUTER-NETPOL-v4 accept",
    "nft flush set inet kube-router-netpol kube-router-local-pods-v4",
    "nft delete table inet kube-router-netpol",
    "nft flush ruleset",
];

fn succeeds(command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    output.status.success()
}

#[test]
fn what_others_did_is_repaired_by_the_next_look() {
    on_both(Joint::Routed, |stage| {
        let backend = stage.backend;
        let cluster = variant(1);
        let edits: &[&str] = match backend {
            NetpolBackend::Nftables => &OF_NFTABLES,
            _ => &OF_IPTABLES,
        };
        stage.driver.bring(&cluster);
        for edit in edits {
            let (times, tally) = under_probes(stage.lab, &lines(), || {
                let begin = Instant::now();
                let done = succeeds(edit);
                // Where the table is owned, nobody else changes it.
                assert_eq!(
                    done,
                    backend == NetpolBackend::Iptables || *edit == OF_NFTABLES[4],
                    "{edit}"
                );
                let edited = Instant::now();
                let steps = stage.driver.repair(&cluster);
                assert_eq!(
                    steps == 0,
                    backend == NetpolBackend::Nftables,
                    "{edit}: {steps}"
                );
                (begin, edited, Instant::now())
            });
            after(&tally, times.2);
            let took = times.2 - times.1;
            let Tally {
                tried,
                leaks,
                wrong_refusals,
            } = tally;
            println!(
                "counted {tried} probes, {} leaks and {} wrong refusals until repaired in {took:?}: {edit}",
                leaks.len(),
                wrong_refusals.len()
            );
            if backend == NetpolBackend::Nftables {
                assert_eq!((leaks.len(), wrong_refusals.len()), (0, 0), "{edit}");
            }
            stage.driver.audit();
            let wrong = stage.wrong(&lines());
            assert!(wrong.is_empty(), "{edit}: {wrong:#?}");
            if let Some(added) = edit.strip_prefix("iptables -I FORWARD") {
                // What others put beside our rules stays theirs.
                assert!(succeeds(&format!("iptables -D FORWARD{added}")));
            }
        }
    });
}

/// Nothing went wrong with what was sent after that.
fn after(tally: &Tally, when: Instant) {
    let both = tally.leaks.iter().chain(&tally.wrong_refusals);
    let late: Vec<_> = both.filter(|(sent, _)| *sent > when).collect();
    assert!(late.is_empty(), "{late:#?}");
}

// --- refusals ---

/// A kernel that will not take one chain.
#[derive(Debug)]
pub(crate) struct Picky {
    pub(crate) kernel: HostKernel,
    pub(crate) refused: Arc<Mutex<Option<Name>>>,
}

struct PickyBackend {
    backend: Box<dyn Backend>,
    refused: Arc<Mutex<Option<Name>>>,
}

impl Kernel for Picky {
    fn open(&mut self, kind: Kind) -> Result<Box<dyn Backend>, Fault> {
        Ok(Box::new(PickyBackend {
            backend: self.kernel.open(kind)?,
            refused: Arc::clone(&self.refused),
        }))
    }

    fn best(&mut self) -> Kind {
        self.kernel.best()
    }

    fn bridge_is_filtered(&mut self, family: Family) -> Result<Option<bool>, Fault> {
        self.kernel.bridge_is_filtered(family)
    }

    fn filter_bridge(&mut self, family: Family) -> Result<(), Fault> {
        self.kernel.filter_bridge(family)
    }

    fn has_predecessor(&mut self, family: Family) -> bool {
        self.kernel.has_predecessor(family)
    }

    fn remove_predecessor(&mut self, family: Family) -> Result<(), Fault> {
        self.kernel.remove_predecessor(family)
    }

    fn forget_flows(
        &mut self,
        family: Family,
        is_to_go: &mut dyn FnMut(&conntrack::Flow) -> bool,
    ) -> Result<usize, Fault> {
        self.kernel.forget_flows(family, is_to_go)
    }
}

impl Backend for PickyBackend {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn claim(&mut self) -> Result<(), Fault> {
        self.backend.claim()
    }

    fn observe(&mut self, wanted: &Wanted) -> Result<Seen, Fault> {
        self.backend.observe(wanted)
    }

    fn run(&mut self, steps: &[Change], wanted: &Wanted) -> Vec<Outcome> {
        let refused = *self.refused.lock().unwrap();
        let is_refused = |step: &Change| matches!(step, Change::SetChain(_, chain) if Some(chain.name) == refused);
        if !steps.iter().any(is_refused) {
            return self.backend.run(steps, wanted);
        }
        let outcome = |step| match is_refused(step) {
            true => Outcome::Refused("not this one".into()),
            false => Outcome::Left("another one was refused".into()),
        };
        steps.iter().map(outcome).collect()
    }

    fn is_meddled_with(&mut self) -> bool {
        self.backend.is_meddled_with()
    }

    fn remove(&mut self) -> Result<bool, Fault> {
        self.backend.remove()
    }
}

#[test]
fn a_refused_chain_closes_its_pods_and_holds_back_nobody_else() {
    on_both(Joint::Routed, |stage| {
        let refused = Arc::new(Mutex::new(None));
        let kernel = Picky {
            kernel: HostKernel::new(),
            refused: Arc::clone(&refused),
        };
        let mut driver = Driver::with(kernel, stage.backend);
        driver.bring(&variant(0));
        let mut next = variant(2);
        let from_db = vec![rule(Some(vec![same_namespace(app("db"))]), None)];
        next.policies
            .push(policy("shop/web", app("web"), Some(from_db), None));
        // The name of its chain follows from its content.
        let mut elsewhere = kube_router::netpol::Plan::default();
        elsewhere.update(&next.input());
        let name = ObjectName::new("shop", "web");
        let chain = elsewhere.isolation(&name, Flow::Ingress).unwrap().0;
        let ((), tally) = under_paced_probes(stage.lab, &lines(), |pace| {
            *refused.lock().unwrap() = Some(chain);
            for _ in 0..40 {
                pace.round();
                let report = driver.pass(&next);
                assert!(!report.failures.is_empty());
                let wrong = stage.wrong(&[
                    no(DB, WEB, TCP, 80),
                    no(OUT, WEB, TCP, 80),
                    yes(HERE, WEB, TCP, 80),
                ]);
                assert!(wrong.is_empty(), "{wrong:#?}");
            }
            *refused.lock().unwrap() = None;
            driver.bring(&next);
            driver.audit();
        });
        let wrong = stage.wrong(&[yes(DB, WEB, TCP, 80), no(OUT, WEB, TCP, 80)]);
        assert!(wrong.is_empty(), "{wrong:#?}");
        println!(
            "counted {} probes around a refused chain, {:?}",
            tally.clean(),
            stage.backend
        );
    });
}
