//! What the proxy asks of the node as a whole: kernel settings and rules.

use crate::config::IpvsTimeouts;
use crate::firewall::Ruleset;
use crate::model::NodeFacts;
use crate::net::Family;
use crate::proxy::Settings;
use crate::proxy::plan::firewall::ruleset;

/// The link that carries the addresses of Services.
pub const DUMMY_LINK: &str = "kube-dummy-if";

/// When a kernel setting is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// Always this value.
    Exactly(&'static str),
    /// This value where the kernel has the other; anything else is somebody's choice.
    InsteadOf {
        old: &'static str,
        new: &'static str,
    },
}

/// A kernel setting, by its path under `/proc/sys`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlPlan {
    pub key: String,
    pub wanted: Wanted,
}

/// The part of the plan that does not depend on Services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPlan {
    /// Sorted by key.
    pub sysctls: Vec<SysctlPlan>,
    /// Zero leaves the kernel's value.
    pub timeouts: IpvsTimeouts,
    pub rulesets: Vec<Ruleset>,
}

/// Plans the node.
#[must_use]
pub fn plan_host(facts: &NodeFacts, settings: &Settings) -> HostPlan {
    HostPlan {
        sysctls: sysctls(facts),
        timeouts: settings.proxy.timeouts,
        rulesets: Family::ALL
            .into_iter()
            .filter_map(|family| ruleset(family, facts, settings))
            .collect(),
    }
}

fn sysctls(facts: &NodeFacts) -> Vec<SysctlPlan> {
    let exactly = |key: &str, value| SysctlPlan {
        key: key.to_owned(),
        wanted: Wanted::Exactly(value),
    };
    let mut plans = vec![
        // Source NAT and policies need connection tracking of proxied connections.
        exactly("net/ipv4/vs/conntrack", "1"),
        // A client of an endpoint that is gone starts anew at its next packet.
        exactly("net/ipv4/vs/expire_nodest_conn", "1"),
        exactly("net/ipv4/vs/expire_quiescent_template", "1"),
        exactly("net/ipv4/vs/conn_reuse_mode", "0"),
    ];
    if facts.has(Family::V4) {
        // Addresses of the dummy link must not be answered for, or spoken from, on other links.
        plans.push(exactly("net/ipv4/conf/all/arp_ignore", "1"));
        plans.push(exactly("net/ipv4/conf/all/arp_announce", "2"));
        // Answers of pods on one bridge pass the node's hooks, where their source is set back.
        plans.push(exactly("net/bridge/bridge-nf-call-iptables", "1"));
        let links = ["all", "kube-bridge", DUMMY_LINK];
        let mut links: Vec<&str> = links
            .into_iter()
            .chain(facts.primary_link.as_deref())
            .collect();
        links.dedup();
        plans.extend(links.into_iter().map(|link| SysctlPlan {
            key: format!("net/ipv4/conf/{link}/rp_filter"),
            wanted: Wanted::InsteadOf { old: "1", new: "2" },
        }));
    }
    if facts.has(Family::V6) {
        plans.push(exactly("net/bridge/bridge-nf-call-ip6tables", "1"));
    }
    plans.sort();
    plans
}
