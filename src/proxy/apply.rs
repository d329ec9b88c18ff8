//! Executes steps, batch by batch, and believes only what worked.
//!
//! What protects fails closed: an address is not put on the link before its guard stands, and a
//! port is not opened before IPVS serves it. Such steps are withheld and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::Arc;

use crate::firewall::{Member, SetDef};
use crate::kernel::conntrack::object::FlowFilter;
use crate::kernel::ipvs::object::{Command, RealKey, RealServer, VirtualKey, VirtualTable};
use crate::net::Family;
use crate::proxy::change::{Change, Observed};
use crate::proxy::kernel::{Fault, Kernel};
use crate::proxy::plan::firewall::{SVIP, SVIP_PORT};
use crate::reconcile::{Failure, Report};

/// A step that was not tried because what must stand before it does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    #[error("withheld: IPVS does not serve this port yet")]
    NotServed,
    #[error("withheld: the service firewall of this address does not stand yet")]
    Unguarded,
    #[error("withheld: the link kube-dummy-if is missing")]
    NoLink,
}

/// The most changes of one batch. The kernel can be slow (some 20 ms for a destination that comes
/// back soon after many went), and a batch must take far less than a watchdog waits.
const LARGEST: usize = 1024;

/// One pass over a list of changes.
struct Pass<'a, K> {
    kernel: &'a mut K,
    seen: &'a mut Observed,
    report: Report<Change>,
    unserved: BTreeSet<VirtualKey>,
    unguarded: BTreeSet<Family>,
    unguarded_addresses: BTreeSet<IpAddr>,
}

/// Executes the changes in order. `guarded` says that the service firewall is wanted; `beat` is
/// called after every batch.
pub(super) fn apply<K: Kernel>(
    kernel: &mut K,
    changes: Vec<Change>,
    seen: &mut Observed,
    guarded: bool,
    beat: &dyn Fn(),
) -> Report<Change> {
    let report = Report {
        applied: 0,
        failures: Vec::new(),
    };
    let mut pass = Pass {
        kernel,
        seen,
        report,
        unserved: BTreeSet::new(),
        unguarded: BTreeSet::new(),
        unguarded_addresses: BTreeSet::new(),
    };
    let mut batch: Vec<Change> = Vec::new();
    for change in changes {
        if batch
            .first()
            .is_some_and(|first| batch.len() >= LARGEST || batch_of(first) != batch_of(&change))
        {
            pass.run(std::mem::take(&mut batch), guarded);
            beat();
        }
        batch.push(change);
    }
    pass.run(batch, guarded);
    pass.report
}

/// Changes with the same mark go to the kernel together.
fn batch_of(change: &Change) -> (Discriminant<Change>, Option<(SetDef, Family)>) {
    let set = match change {
        Change::AddMember(set, member) | Change::DelMember(set, member) => {
            Some((*set, member.family()))
        }
        _ => None,
    };
    (discriminant(change), set)
}

// === impl Pass ===

impl<K: Kernel> Pass<'_, K> {
    fn run(&mut self, batch: Vec<Change>, guarded: bool) {
        match batch.first() {
            None => {}
            Some(Change::Ipvs(_)) => self.ipvs(batch),
            Some(Change::AddMember(set, member)) => {
                let (set, family) = (*set, member.family());
                self.add_members(set, family, batch);
            }
            Some(Change::DelMember(set, member)) => {
                let (set, family) = (*set, member.family());
                self.del_members(set, family, &batch);
            }
            Some(Change::AddVip(..)) => self.add_vips(batch, guarded),
            Some(Change::DelVip(_)) => self.del_vips(batch),
            Some(Change::DeleteFlows(_)) => self.delete_flows(batch),
            Some(_) => batch.into_iter().for_each(|change| self.single(change)),
        }
    }

    fn fail(&mut self, change: Change, reason: impl Into<Fault>) {
        self.report.failures.push(Failure {
            change,
            reason: reason.into(),
        });
    }

    fn single(&mut self, change: Change) {
        let result = match &change {
            Change::SetTimeouts(timeouts) => self
                .kernel
                .set_timeouts(*timeouts)
                .map(|()| self.seen.timeouts = *timeouts),
            Change::SetSysctl { key, value, .. } => self.kernel.set_sysctl(key, value).map(|()| {
                self.seen
                    .sysctls
                    .insert(key.clone(), Some((*value).to_owned()));
            }),
            Change::AddLink => self
                .kernel
                .add_link()
                .map(|link| self.seen.link = Some(link)),
            Change::DelLink => self.del_link(),
            Change::CreateSet {
                set,
                family,
                members,
            } => {
                let created = self.kernel.create_set(*set, *family, *members);
                created.map(|()| _ = self.seen.sets.insert((*set, *family)))
            }
            Change::DestroySet { set, family } => self.destroy_set(*set, *family),
            Change::ApplyRules { family, edits } => self
                .kernel
                .apply_rules(*family, edits)
                .and_then(|()| self.kernel.rules(*family))
                .map(|rules| *self.seen.rules.get_mut(*family) = rules),
            // The others go in batches.
            _ => Ok(()),
        };
        match result {
            Ok(()) => self.report.applied += 1,
            Err(reason) => {
                if let Change::CreateSet { family, .. } | Change::ApplyRules { family, .. } =
                    &change
                {
                    self.unguarded.insert(*family);
                }
                self.fail(change, reason);
            }
        }
    }

    fn del_link(&mut self) -> Result<(), Fault> {
        if let Some((index, _)) = self.seen.link {
            self.kernel.del_link(index)?;
        }
        self.seen.link = None;
        self.seen.vips.clear();
        Ok(())
    }

    fn destroy_set(&mut self, set: SetDef, family: Family) -> Result<(), Fault> {
        self.kernel.destroy_set(set, family)?;
        self.seen.sets.remove(&(set, family));
        self.seen
            .members
            .retain(|(s, member), ()| *s != set || member.family() != family);
        Ok(())
    }

    fn add_members(&mut self, set: SetDef, family: Family, batch: Vec<Change>) {
        let mut members = Vec::with_capacity(batch.len());
        let mut kept = Vec::with_capacity(batch.len());
        for change in batch {
            let Change::AddMember(_, member) = change else {
                continue;
            };
            if set == SVIP_PORT && self.unserved.contains(&key_of(&member)) {
                self.fail(change, Withheld::NotServed);
                continue;
            }
            members.push(member);
            kept.push(change);
        }
        match self.kernel.add_members(set, family, &members) {
            Ok(()) => {
                self.report.applied += members.len();
                self.seen
                    .members
                    .extend(members.into_iter().map(|member| ((set, member), ())));
            }
            Err(reason) => {
                if set == SVIP {
                    self.unguarded_addresses
                        .extend(members.iter().filter_map(address_of));
                }
                self.fail_all(kept, &reason);
            }
        }
    }

    fn del_members(&mut self, set: SetDef, family: Family, batch: &[Change]) {
        let members: Vec<Member> = batch
            .iter()
            .filter_map(|change| match change {
                Change::DelMember(_, member) => Some(*member),
                _ => None,
            })
            .collect();
        match self.kernel.del_members(set, family, &members) {
            Ok(()) => {
                self.report.applied += members.len();
                for member in members {
                    self.seen.members.remove(&(set, member));
                }
            }
            Err(reason) => self.fail_all(batch.to_vec(), &reason),
        }
    }

    /// One reason for many steps: each carries its text.
    fn fail_all(&mut self, batch: Vec<Change>, reason: &Fault) {
        for change in batch {
            self.fail(change, reason.to_string());
        }
    }

    fn add_vips(&mut self, batch: Vec<Change>, guarded: bool) {
        let Some((link, _)) = self.seen.link else {
            for change in batch {
                self.fail(change, Withheld::NoLink);
            }
            return;
        };
        let mut kept = Vec::new();
        let mut vips = Vec::new();
        for change in batch {
            let Change::AddVip(address, vip) = change else {
                continue;
            };
            let unguarded = self.unguarded.contains(&Family::of(address))
                || self.unguarded_addresses.contains(&address);
            match vip.source {
                Some(source) if !(guarded && unguarded) => {
                    vips.push((address, source));
                    kept.push((change, address, vip));
                }
                _ => self.fail(change, Withheld::Unguarded),
            }
        }
        let verdicts = self.kernel.add_vips(link, &vips);
        for ((change, address, vip), verdict) in kept.into_iter().zip(verdicts) {
            match verdict {
                Ok(()) => {
                    self.report.applied += 1;
                    self.seen.vips.insert(address, vip);
                }
                Err(reason) => self.fail(change, reason),
            }
        }
    }

    fn del_vips(&mut self, batch: Vec<Change>) {
        let addresses: Vec<IpAddr> = batch
            .iter()
            .filter_map(|change| match change {
                Change::DelVip(address) => Some(*address),
                _ => None,
            })
            .collect();
        let Some((link, _)) = self.seen.link else {
            self.seen.vips.clear();
            return;
        };
        let verdicts = self.kernel.del_vips(link, &addresses);
        for ((change, address), verdict) in batch.into_iter().zip(addresses).zip(verdicts) {
            match verdict {
                Ok(()) => {
                    self.report.applied += 1;
                    self.seen.vips.remove(&address);
                }
                Err(reason) => self.fail(change, reason),
            }
        }
    }

    fn delete_flows(&mut self, batch: Vec<Change>) {
        let filters: Vec<FlowFilter> = batch
            .iter()
            .filter_map(|change| match change {
                Change::DeleteFlows(filter) => Some(*filter),
                _ => None,
            })
            .collect();
        match self.kernel.delete_flows(&filters) {
            Ok(()) => self.report.applied += filters.len(),
            Err(reason) => self.fail_all(batch, &reason),
        }
    }

    fn ipvs(&mut self, batch: Vec<Change>) {
        let commands: Vec<Command> = batch
            .iter()
            .filter_map(|change| match change {
                Change::Ipvs(command) => Some(*command),
                _ => None,
            })
            .collect();
        let verdicts = self.kernel.ipvs(&commands);
        for ((change, command), verdict) in batch.into_iter().zip(commands).zip(verdicts) {
            match verdict {
                Ok(()) => {
                    self.report.applied += 1;
                    believe(&mut self.seen.virtuals, &command);
                }
                Err(reason) => {
                    if let Command::AddVirtual(server) = command {
                        self.unserved.insert(server.key);
                    }
                    self.fail(change, reason);
                }
            }
        }
    }
}

fn address_of(member: &Member) -> Option<IpAddr> {
    match member {
        Member::Address(address) => Some(*address),
        _ => None,
    }
}

/// The virtual server that a member of the set of served ports stands for.
fn key_of(member: &Member) -> VirtualKey {
    match *member {
        Member::AddressPort(address, protocol, port)
        | Member::AddressPortPrefix(address, protocol, port, _) => VirtualKey::Address {
            address,
            protocol,
            port,
        },
        Member::Address(address) | Member::AddressPair(address, _) => VirtualKey::Address {
            address,
            protocol: crate::net::Protocol::Tcp,
            port: 0,
        },
        Member::Prefix(prefix) | Member::PrefixPort(prefix, ..) => VirtualKey::Address {
            address: prefix.addr(),
            protocol: crate::net::Protocol::Tcp,
            port: 0,
        },
    }
}

/// What the kernel holds after a command that worked.
fn believe(virtuals: &mut BTreeMap<VirtualKey, Arc<VirtualTable>>, command: &Command) {
    let on = |virtuals: &mut BTreeMap<VirtualKey, Arc<VirtualTable>>,
              key: &VirtualKey,
              edit: &dyn Fn(&mut VirtualTable)| {
        if let Some(table) = virtuals.get_mut(key) {
            edit(Arc::make_mut(table));
        }
    };
    match command {
        Command::AddVirtual(server) | Command::SetVirtual(server) => {
            let table = virtuals.entry(server.key).or_insert_with(|| {
                Arc::new(VirtualTable {
                    server: *server,
                    reals: Vec::new(),
                })
            });
            Arc::make_mut(table).server = *server;
        }
        Command::DelVirtual(key) => {
            virtuals.remove(key);
        }
        Command::AddReal(key, real) | Command::SetReal(key, real) => {
            on(virtuals, key, &|table| put(&mut table.reals, *real));
        }
        Command::DelReal(key, real) => on(virtuals, key, &|table| take(&mut table.reals, real)),
    }
}

fn put(reals: &mut Vec<RealServer>, real: RealServer) {
    match reals.binary_search_by(|held| held.key.cmp(&real.key)) {
        Ok(index) => {
            if let Some(held) = reals.get_mut(index) {
                *held = real;
            }
        }
        Err(index) => reals.insert(index, real),
    }
}

fn take(reals: &mut Vec<RealServer>, key: &RealKey) {
    if let Ok(index) = reals.binary_search_by(|held| held.key.cmp(key)) {
        reals.remove(index);
    }
}
