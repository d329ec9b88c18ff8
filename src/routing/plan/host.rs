//! What routing asks of the node as a whole: kernel settings, the bridge, rules, the CNI file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::firewall::Ruleset;
use crate::model::{NodeFacts, Note, ObjectRef, Snapshot};
use crate::net::{Family, Prefix};
use crate::routing::Settings;
use crate::routing::plan::firewall::{pod_cidrs, ruleset};
use crate::routing::plan::overlay::{Encap, FouPort, PolicyRule};

/// The bridge that pods are attached to.
pub const BRIDGE: &str = "kube-bridge";
/// The least MTU that IPv6 can do with (RFC 8200 section 5).
const LEAST: u32 = 1280;

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

/// What of the CNI configuration is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CniPlan {
    pub file: PathBuf,
    /// Ranges of this node's pods, IPv4 first.
    pub ranges: Vec<Prefix>,
    /// `None` leaves what the file says.
    pub mtu: Option<u32>,
}

/// The part of the plan that does not depend on learned routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPlan {
    /// In the order in which they are to be written.
    pub sysctls: Vec<SysctlPlan>,
    /// The bridge's MTU; `None` leaves the kernel's.
    pub mtu: Option<u32>,
    pub fou: BTreeSet<FouPort>,
    pub rules: BTreeSet<PolicyRule>,
    pub rulesets: Vec<Ruleset>,
    pub cni: Option<CniPlan>,
    /// Whether there is any other node that routes could lead to.
    pub is_alone: bool,
    pub notes: Vec<Note>,
}

/// Plans the node.
#[must_use]
pub fn plan_host(snapshot: &Snapshot, facts: &NodeFacts, settings: &Settings) -> HostPlan {
    let mtu = mtu(facts, settings);
    let own: BTreeSet<Prefix> = Family::ALL
        .into_iter()
        .flat_map(|family| pod_cidrs(facts, family))
        .collect();
    let overlay = settings.overlay;
    let port = overlay.and_then(|overlay| match overlay.encap {
        Encap::Fou { port } => Some(port),
        Encap::Ipip => None,
    });
    let families = || {
        let families = Family::ALL.into_iter();
        families.filter(|family| facts.has(*family))
    };
    HostPlan {
        sysctls: sysctls(facts),
        mtu,
        fou: port
            .into_iter()
            .flat_map(|port| families().map(move |family| FouPort { family, port }))
            .collect(),
        rules: overlay
            .into_iter()
            .flat_map(|_| own.iter().map(|range| PolicyRule { from: *range }))
            .collect(),
        rulesets: families()
            .filter_map(|family| ruleset(family, facts, settings.pod_egress))
            .collect(),
        cni: settings
            .cni
            .as_ref()
            .filter(|_| !own.is_empty())
            .map(|file| CniPlan {
                file: file.clone(),
                ranges: own.into_iter().collect(),
                mtu,
            }),
        is_alone: snapshot.nodes.keys().all(|name| *name == facts.name),
        notes: notes(facts, settings, mtu),
    }
}

/// The MTU of pods: that of the node's link, less what a tunnel takes where one may be used.
fn mtu(facts: &NodeFacts, settings: &Settings) -> Option<u32> {
    let link = facts.primary_mtu.filter(|_| settings.auto_mtu)?;
    let families = Family::ALL.into_iter().filter(|family| facts.has(*family));
    let overhead = settings.overlay.and_then(|overlay| {
        let overheads = families.map(|family| overlay.encap.overhead(family));
        overheads.max()
    });
    Some(link.saturating_sub(overhead.unwrap_or(0)))
}

fn notes(facts: &NodeFacts, settings: &Settings, mtu: Option<u32>) -> Vec<Note> {
    let node = || ObjectRef::new("Node", std::sync::Arc::clone(&facts.name));
    let mut notes = Vec::new();
    for family in Family::ALL {
        if facts.has(family) && pod_cidrs(facts, family).next().is_none() {
            let reason = format!(
                "no {family} range for pods: none is announced, and pods get no such address"
            );
            notes.push(Note::new(node(), "spec.podCIDRs", reason));
        }
    }
    for range in &facts.pod_cidrs {
        if !facts.has(Family::of_prefix(range)) {
            let reason = format!(
                "{range} is of a family that is switched off or that the node has no address of"
            );
            notes.push(Note::new(node(), "spec.podCIDRs", reason));
        }
    }
    if settings.auto_mtu && facts.primary_mtu.is_none() {
        notes.push(Note::new(
            node(),
            "",
            "no link carries the node's address: the MTU of pods is left as it is",
        ));
    }
    if let Some(mtu) = mtu.filter(|mtu| facts.has(Family::V6) && *mtu < LEAST) {
        let reason = format!("an MTU of {mtu} is left for pods, and IPv6 needs {LEAST}");
        notes.push(Note::new(node(), "", reason));
    }
    notes
}

fn sysctls(facts: &NodeFacts) -> Vec<SysctlPlan> {
    let setting = |key: &str, wanted| SysctlPlan {
        key: key.to_owned(),
        wanted,
    };
    let exactly = |key: &str, value| setting(key, Wanted::Exactly(value));
    let mut plans = Vec::new();
    if facts.has(Family::V4) {
        plans.push(exactly("net/ipv4/ip_forward", "1"));
        // What comes by a tunnel may be answered by another way.
        plans.push(setting(
            "net/ipv4/conf/all/rp_filter",
            Wanted::InsteadOf { old: "1", new: "2" },
        ));
        // Pods of one bridge meet the policies of the node.
        plans.push(exactly("net/bridge/bridge-nf-call-iptables", "1"));
    }
    if facts.has(Family::V6) {
        let off = Wanted::InsteadOf { old: "1", new: "0" };
        plans.push(setting("net/ipv6/conf/all/disable_ipv6", off));
        // A node that forwards forgets what routers advertised, unless told so before.
        if let Some(link) = &facts.primary_link {
            let key = format!("net/ipv6/conf/{link}/accept_ra");
            plans.push(setting(&key, Wanted::InsteadOf { old: "1", new: "2" }));
        }
        plans.push(exactly("net/ipv6/conf/all/forwarding", "1"));
        plans.push(exactly("net/bridge/bridge-nf-call-ip6tables", "1"));
    }
    plans
}
