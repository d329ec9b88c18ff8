//! What the plan remembers, and how a change goes through it: pods into groups, then pods of this
//! node to their isolations, then what nobody needs any more out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{Name, Wanted};
use crate::model::Snapshot;
use crate::netpol::plan::isolation::{Isolations, Materials};
use crate::netpol::plan::peers::{Peers, Reasons};
use crate::netpol::plan::pods::{Namespaces, PodId, Pods};
use crate::netpol::plan::policy::Policies;
use crate::netpol::plan::{Flow, Ground, frame};

#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) pods: Pods,
    pub(super) peers: Peers,
    reasons: Reasons,
    pub(super) policies: Policies,
    pub(super) isolations: Isolations,
}

// === impl Parts ===

impl Parts {
    pub(super) fn step(
        &mut self,
        wanted: &mut Wanted,
        ground: &Ground,
        old: &Snapshot,
        new: &Snapshot,
    ) {
        let mut stale = BTreeSet::new();
        for name in new.pods.changed_since(&old.pods) {
            self.pods
                .set(&name, new.pods.get(&name), ground, &mut stale);
        }
        for name in changed_namespaces(&old.namespaces, &new.namespaces) {
            stale.extend(self.pods.all_in(&name));
        }
        self.show(wanted, ground, &new.namespaces, &stale);
        let mut to_isolate: BTreeSet<PodId> = stale.into_iter().collect();
        for name in new.policies.changed_since(&old.policies) {
            if self.policies.set(&name, new.policies.get(&name)) {
                to_isolate.extend(self.pods.local_in(&name.namespace));
            }
        }
        self.isolate(wanted, ground, &new.namespaces, &to_isolate);
    }

    /// Brings groups and their sets up to the pods; takes addresses that are no longer a pod's
    /// from gate and targets.
    fn show(
        &mut self,
        wanted: &mut Wanted,
        ground: &Ground,
        namespaces: &Namespaces,
        stale: &BTreeSet<PodId>,
    ) {
        for id in stale {
            let Some(record) = self.pods.get(*id) else {
                continue;
            };
            let now = record.now.clone();
            let addresses = now
                .as_ref()
                .map(|pod| self.pods.addresses(*id, pod, ground));
            let addresses = addresses.unwrap_or_default();
            let is_local = now.as_ref().is_some_and(|pod| ground.is_local(pod));
            if record.shown.is_local {
                let kept = |one: &&IpAddr| is_local && addresses.binary_search(one).is_ok();
                let gone = record.shown.addresses.iter().filter(|one| !kept(one));
                gone.for_each(|address| close(wanted, *address));
            }
            let into = (&mut wanted.members, &mut self.reasons);
            let shown = (now, addresses);
            self.peers
                .show(*id, &mut self.pods, shown, namespaces, into);
        }
    }

    /// Isolates pods of this node anew and lets their addresses into the gate.
    fn isolate(
        &mut self,
        wanted: &mut Wanted,
        ground: &Ground,
        namespaces: &Namespaces,
        pods: &BTreeSet<PodId>,
    ) {
        let mut with = Materials {
            ground,
            namespaces,
            pods: &mut self.pods,
            peers: &mut self.peers,
            reasons: &mut self.reasons,
            wanted,
        };
        for id in pods {
            let Some(record) = with.pods.get_mut(*id) else {
                continue;
            };
            let pod = record.now.clone();
            let local = pod.as_ref().filter(|pod| ground.is_local(pod));
            record.shown.is_local = local.is_some();
            let addresses = record.shown.addresses.clone();
            if let Some(local) = local {
                for flow in Flow::ALL {
                    let chain =
                        self.isolations
                            .isolate(*id, local, flow, &self.policies, &mut with);
                    addresses
                        .iter()
                        .for_each(|one| aim(with.wanted, flow, *one, chain));
                }
                addresses.iter().for_each(|one| open(with.wanted, *one));
            } else {
                let shown = &mut record.shown;
                for held in [shown.ingress.take(), shown.egress.take()] {
                    self.isolations.leave(*id, held);
                }
            }
            if pod.is_none() {
                with.pods.forget(*id);
            }
        }
        self.isolations.sweep(&mut with);
    }
}

fn open(wanted: &mut Wanted, address: IpAddr) {
    for (set, member) in frame::gate(address) {
        wanted.members.add(set, member);
    }
}

fn close(wanted: &mut Wanted, address: IpAddr) {
    for (set, member) in frame::gate(address) {
        wanted.members.remove(&set, &member);
    }
    for flow in Flow::ALL {
        wanted.targets.unset(&frame::target(flow, address));
    }
}

fn aim(wanted: &mut Wanted, flow: Flow, address: IpAddr, chain: Option<Name>) {
    let key = frame::target(flow, address);
    match chain {
        Some(chain) => wanted.targets.set(key, chain),
        None => wanted.targets.unset(&key),
    }
}

fn changed_namespaces(old: &Arc<Namespaces>, new: &Arc<Namespaces>) -> Vec<Arc<str>> {
    if Arc::ptr_eq(old, new) {
        return Vec::new();
    }
    let names: BTreeSet<&Arc<str>> = old.keys().chain(new.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    changed.cloned().collect()
}
