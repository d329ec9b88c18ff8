//! Reads back what of the kernel is ours.
//!
//! A virtual server is ours when its address is on our dummy link, when it is planned or was
//! programmed by this process, when its address and port stand in our set of served ports, or when
//! it is a NodePort on an address of this node; never inside `proxy.excluded_cidrs`, and never by
//! mark. Everything else belongs to somebody and is only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::firewall::Member;
use crate::kernel::ipvs::object::{VirtualKey, VirtualTable};
use crate::model::NodeFacts;
use crate::net::{Family, Prefix};
use crate::proxy::change::Observed;
use crate::proxy::kernel::{Fault, Kernel};
use crate::proxy::plan::Plan;
use crate::proxy::plan::firewall::{DROP, REFUSE, SVIP_PORT};
use crate::reconcile::ObserveError;

/// How virtual servers of ours are told from others.
#[derive(Debug)]
pub(super) struct Ownership<'a> {
    pub(super) plan: &'a Plan,
    /// What this process believes to have programmed.
    pub(super) programmed: &'a BTreeSet<VirtualKey>,
    pub(super) facts: Option<&'a NodeFacts>,
    pub(super) node_ports: RangeInclusive<u16>,
    pub(super) excluded: &'a [Prefix],
}

// === impl Ownership ===

impl Ownership<'_> {
    fn is_ours(&self, key: &VirtualKey, seen: &Observed) -> bool {
        let VirtualKey::Address {
            address,
            protocol,
            port,
        } = *key
        else {
            return false;
        };
        if self.excluded.iter().any(|prefix| prefix.contains(&address)) {
            return false;
        }
        let member = Member::AddressPort(address, protocol, port);
        let marked = [SVIP_PORT, REFUSE, DROP].into_iter();
        seen.vips.contains_key(&address)
            || self.plan.virtuals.get(key).is_some()
            || self.programmed.contains(key)
            || marked
                .into_iter()
                .any(|set| seen.members.contains_key(&(set, member)))
            || self.is_node_port(address, port)
    }

    fn is_node_port(&self, address: IpAddr, port: u16) -> bool {
        self.node_ports.contains(&port) && self.facts.is_some_and(|facts| facts.is_local(address))
    }
}

/// Reads everything.
///
/// # Errors
/// Where one part can't be read: nothing is changed on half a picture.
pub(super) fn observe(
    kernel: &mut impl Kernel,
    ownership: &Ownership<'_>,
) -> Result<Observed, ObserveError> {
    let mut seen = Observed::default();
    // First: reading IPVS loads its module, and with it the settings under net/ipv4/vs.
    let tables = kernel.virtuals().map_err(as_error("the IPVS table"))?;
    seen.timeouts = kernel.timeouts().map_err(as_error("the IPVS timeouts"))?;
    seen.link = kernel.link().map_err(as_error("the link kube-dummy-if"))?;
    if let Some((index, _)) = seen.link {
        seen.vips = kernel
            .vips(index)
            .map_err(as_error("the addresses of kube-dummy-if"))?;
    }
    for held in kernel.sets().map_err(as_error("the ipsets"))? {
        seen.sets.insert((held.set, held.family));
        seen.members.extend(
            held.members
                .into_iter()
                .map(|member| ((held.set, member), ())),
        );
    }
    for family in Family::ALL {
        *seen.rules.get_mut(family) = kernel
            .rules(family)
            .map_err(as_error("the iptables rules"))?;
    }
    for sysctl in &ownership.plan.host.sysctls {
        let value = kernel
            .sysctl(&sysctl.key)
            .map_err(as_error("the kernel settings"))?;
        seen.sysctls.insert(sysctl.key.clone(), value);
    }
    adopt(tables, ownership, &mut seen);
    Ok(seen)
}

/// Sorts the table into ours and others'; what is as planned shares the plan's memory.
fn adopt(tables: Vec<VirtualTable>, ownership: &Ownership<'_>, seen: &mut Observed) {
    let mut ours = BTreeMap::new();
    for table in tables {
        let key = table.server.key;
        if !ownership.is_ours(&key, seen) {
            seen.foreign += 1;
            continue;
        }
        let table = match ownership.plan.virtuals.get(&key) {
            Some(planned) if **planned == table => Arc::clone(planned),
            _ => Arc::new(table),
        };
        ours.insert(key, table);
    }
    seen.virtuals = ours;
}

fn as_error(what: &'static str) -> impl FnOnce(Fault) -> ObserveError {
    move |source| ObserveError { what, source }
}
