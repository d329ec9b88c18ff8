//! Network policy with real packets on this host's kernel: a node and its pods in network
//! namespaces, every verdict held against the oracle and against the rules themselves.
#![expect(unsafe_code, reason = "namespaces and epoll have no wrapper in std")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the lab is made by programs, and probes have a deadline"
)]
#![expect(clippy::print_stdout, reason = "how much was tried")]

#[path = "netpol_netns/changes.rs"]
mod changes;
#[path = "netpol_netns/driver.rs"]
mod driver;
#[path = "netpol_netns/epoll.rs"]
mod epoll;
#[path = "netpol_netns/established.rs"]
mod established;
#[path = "netpol_netns/faults.rs"]
mod faults;
#[path = "netpol_netns/hearing.rs"]
mod hearing;
#[path = "netpol_netns/kill.rs"]
mod kill;
#[path = "netpol_netns/lab.rs"]
mod lab;
#[path = "common/namespaces.rs"]
mod namespaces;
#[path = "common/policy_cluster.rs"]
mod policy_cluster;
#[path = "common/policy_oracle.rs"]
mod policy_oracle;
#[path = "netpol_netns/probe.rs"]
mod probe;
#[path = "netpol_netns/quarantine.rs"]
mod quarantine;
#[path = "netpol_netns/random.rs"]
mod random;
#[path = "netpol_netns/scenarios.rs"]
mod scenarios;
#[path = "netpol_netns/sctp.rs"]
mod sctp;
#[path = "netpol_netns/server.rs"]
mod server;
#[path = "netpol_netns/stage.rs"]
mod stage;
#[path = "netpol_netns/stream.rs"]
mod stream;
#[path = "netpol_netns/takeover.rs"]
mod takeover;

use std::{env, thread};

use lab::{Joint, Lab};

/// Runs a test on a thread of its own, in the namespace of a node with pods around it.
fn in_lab(joint: Joint, test: impl FnOnce(&Lab) + Send + 'static) {
    let body = move || match Lab::new(joint) {
        Ok(lab) => test(&lab),
        Err(error) => {
            let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
            assert!(!required, "required here, but there is no lab: {error}");
            eprintln!("NOT RUN: no network namespace can be made: {error}");
        }
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}
