//! Reads back what of the kernel is ours.
//!
//! Routes are ours by their protocol number, rules by the table that they lead to, tunnels by a name
//! that only we (and upstream) give, sets and chains by their names, the bridge by its name. A FOU
//! port says nothing of its maker: it is ours when it is planned, when this process made it, or when
//! a tunnel of ours sends to it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::net::Family;
use crate::reconcile::ObserveError;
use crate::routing::change::Observed;
use crate::routing::kernel::{Fault, HeldRoads, Kernel};
use crate::routing::plan::host::SysctlPlan;
use crate::routing::plan::overlay::{Encap, FouPort};

/// What to look at beside what is ours by itself.
#[derive(Debug)]
pub(super) struct Looked<'a> {
    pub(super) sysctls: &'a [SysctlPlan],
    pub(super) cni: Option<&'a Path>,
    pub(super) fou: &'a BTreeSet<FouPort>,
    /// Made by this process.
    pub(super) made: &'a BTreeSet<FouPort>,
}

/// Reads everything.
///
/// # Errors
/// Where one part can't be read: nothing is changed on half a picture.
pub(super) fn observe(
    kernel: &mut impl Kernel,
    looked: &Looked<'_>,
) -> Result<Observed, ObserveError> {
    let roads = kernel
        .roads()
        .map_err(as_error("the links, routes and rules"))?;
    let mut seen = Observed {
        fou: own_fou(&roads, looked),
        bridge: roads.bridge,
        tunnels: roads.tunnels,
        routes: roads.routes,
        policy: roads.rules,
        ..Observed::default()
    };
    for held in kernel.sets().map_err(as_error("the ipsets"))? {
        seen.sets.insert((held.set, held.family));
        let members = held.members.into_iter();
        seen.members
            .extend(members.map(|member| ((held.set, member), ())));
    }
    for family in Family::ALL {
        *seen.rules.get_mut(family) = kernel
            .rules(family)
            .map_err(as_error("the iptables rules"))?;
    }
    for sysctl in looked.sysctls {
        let value = kernel
            .sysctl(&sysctl.key)
            .map_err(as_error("the kernel settings"))?;
        seen.sysctls.insert(sysctl.key.clone(), value);
    }
    seen.bgp = kernel.bgp();
    if let Some(file) = looked.cni {
        seen.cni = kernel
            .cni(file)
            .map_err(as_error("the CNI configuration"))?;
    }
    Ok(seen)
}

fn own_fou(roads: &HeldRoads, looked: &Looked<'_>) -> BTreeSet<FouPort> {
    let tunnels = roads.tunnels.values().filter_map(|held| held.plan);
    let named: BTreeSet<FouPort> = tunnels
        .filter_map(|tunnel| match tunnel.encap {
            Encap::Fou { port } => Some(FouPort {
                family: tunnel.family(),
                port,
            }),
            Encap::Ipip => None,
        })
        .collect();
    let is_own = |port: &&FouPort| {
        looked.fou.contains(port) || looked.made.contains(port) || named.contains(port)
    };
    roads.fou.iter().filter(is_own).copied().collect()
}

fn as_error(what: &'static str) -> impl FnOnce(Fault) -> ObserveError {
    move |source| ObserveError { what, source }
}
