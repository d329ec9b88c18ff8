//! Executes steps, batch by batch, and believes only what worked.
//!
//! Routes fail one by one. What the kernel can't do at all is said once: the tunnels that it lacks,
//! and the routes through them, wait without a word of their own. The CNI file is written only
//! when everything before it worked, so that no pod is started on a node that can't carry it.

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};

use crate::firewall::{Member, SetDef};
use crate::net::Family;
use crate::reconcile::{Failure, Isolated, Report};
use crate::routing::change::{Bridge, Change, CniFile, Observed};
use crate::routing::kernel::{Fault, Kernel, RouteEdit, Unsupported};
use crate::routing::plan::overlay::{HeldTunnel, TunnelName};
use crate::routing::plan::routes::{RouteKey, Via};

/// A step that was not tried because what must stand before it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    #[error("withheld: its tunnel does not stand")]
    NoTunnel,
    #[error("withheld: the node's own set-up does not stand yet, see the failures before")]
    NotReady,
}

/// The most changes of one batch: it must take far less than a watchdog waits.
const LARGEST: usize = 1024;

/// One pass over a list of changes.
struct Pass<'a, K> {
    kernel: &'a mut K,
    seen: &'a mut Observed,
    report: Report<Change>,
    /// Tunnels that could not be made.
    missing: BTreeSet<TunnelName>,
    /// The kernel has no such tunnels; it was said.
    unsupported: BTreeSet<Family>,
    /// Something that pods need did not work.
    is_unready: bool,
}

/// Executes the changes in order; `beat` is called after every batch.
pub(super) fn apply<K: Kernel>(
    kernel: &mut K,
    changes: Vec<Change>,
    seen: &mut Observed,
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
        missing: BTreeSet::new(),
        unsupported: BTreeSet::new(),
        is_unready: false,
    };
    let mut batch: Vec<Change> = Vec::new();
    for change in changes {
        if batch
            .first()
            .is_some_and(|first| batch.len() >= LARGEST || batch_of(first) != batch_of(&change))
        {
            pass.run(std::mem::take(&mut batch));
            beat();
        }
        batch.push(change);
    }
    pass.run(batch);
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
    fn run(&mut self, batch: Vec<Change>) {
        match batch.first() {
            None => {}
            Some(Change::SetRoute(..) | Change::DelRoute(_)) => self.routes(batch),
            Some(Change::AddMember(set, member) | Change::DelMember(set, member)) => {
                let (set, family) = (*set, member.family());
                self.members(set, family, batch);
            }
            Some(_) => batch.into_iter().for_each(|change| self.single(change)),
        }
    }

    fn fail(&mut self, change: Change, reason: impl Into<Fault>) {
        self.is_unready |= !matches!(
            change,
            // Said, and no reason to keep pods away: those of other nodes may still be reached.
            Change::AddTunnel(..)
                | Change::AddFou(_)
                | Change::DelRule(_)
                | Change::DelTunnel(_)
                | Change::DelFou(_)
                | Change::DelMember(..)
                | Change::DestroySet { .. }
        );
        self.report.failures.push(Failure {
            change,
            reason: reason.into(),
        });
    }

    fn single(&mut self, change: Change) {
        if let Change::AddTunnel(name, _) = &change {
            return self.tunnel(*name, change);
        }
        if let (Change::WriteCni { .. }, true) = (&change, self.is_unready) {
            return self.fail(change, Withheld::NotReady);
        }
        match self.carry_out(&change) {
            Ok(()) => self.report.applied += 1,
            Err(reason) => self.fail(change, reason),
        }
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), Fault> {
        let (kernel, seen) = (&mut *self.kernel, &mut *self.seen);
        match change {
            Change::WithholdCni(file) => {
                kernel.withhold_cni(file)?;
                seen.cni.withheld = seen.cni.text.take();
            }
            Change::WriteCni { file, text } => {
                kernel.write_cni(file, text)?;
                seen.cni = CniFile {
                    text: Some(text.clone()),
                    withheld: None,
                };
            }
            Change::SetSysctl { key, value, .. } => {
                kernel.set_sysctl(key, value)?;
                seen.sysctls.insert(key.clone(), Some((*value).to_owned()));
            }
            Change::AddFou(port) => {
                kernel.add_fou(*port)?;
                seen.fou.insert(*port);
            }
            Change::DelFou(port) => {
                kernel.del_fou(*port)?;
                seen.fou.remove(port);
            }
            Change::AddBridge => seen.bridge = Some(kernel.add_bridge()?),
            Change::SetBridgeMtu(mtu) => {
                kernel.set_bridge_mtu(*mtu)?;
                let held = seen.bridge.unwrap_or_default();
                seen.bridge = Some(Bridge { mtu: *mtu, ..held });
            }
            Change::DelBridge => {
                kernel.del_bridge()?;
                seen.bridge = None;
            }
            Change::DelTunnel(name) => {
                kernel.del_tunnel(*name)?;
                seen.tunnels.remove(name);
                forget(seen, *name);
            }
            Change::SetBgp(plan) => {
                kernel.set_bgp(plan)?;
                seen.bgp = Some(std::sync::Arc::clone(plan));
            }
            Change::AddRule(rule) => {
                kernel.add_rule(*rule)?;
                seen.policy.insert(*rule);
            }
            Change::DelRule(rule) => {
                kernel.del_rule(*rule)?;
                seen.policy.remove(rule);
            }
            Change::CreateSet {
                set,
                family,
                members,
            } => {
                kernel.create_set(*set, *family, *members)?;
                seen.sets.insert((*set, *family));
            }
            Change::DestroySet { set, family } => {
                kernel.destroy_set(*set, *family)?;
                seen.sets.remove(&(*set, *family));
                seen.members
                    .retain(|(s, member), ()| s != set || member.family() != *family);
            }
            Change::ApplyRules { family, edits } => {
                kernel.apply_rules(*family, edits)?;
                *seen.rules.get_mut(*family) = kernel.rules(*family)?;
            }
            // The others have ways of their own.
            Change::AddTunnel(..)
            | Change::SetRoute(..)
            | Change::DelRoute(_)
            | Change::AddMember(..)
            | Change::DelMember(..) => {}
        }
        Ok(())
    }

    fn tunnel(&mut self, name: TunnelName, change: Change) {
        let Change::AddTunnel(_, tunnel) = &change else {
            return;
        };
        let family = tunnel.family();
        // The old one, and with it what went through it, is gone even where no new one comes.
        forget(self.seen, name);
        if self.unsupported.contains(&family) {
            self.missing.insert(name);
            return;
        }
        match self.kernel.add_tunnel(name, tunnel) {
            Ok(()) => {
                self.report.applied += 1;
                self.seen.tunnels.insert(name, HeldTunnel::of(*tunnel));
            }
            Err(reason) => {
                self.seen.tunnels.remove(&name);
                self.missing.insert(name);
                if reason.is::<Unsupported>() {
                    self.unsupported.insert(family);
                    self.fail(change, reason);
                } else {
                    self.report.failures.push(Failure {
                        change,
                        reason: Isolated(reason).into(),
                    });
                }
            }
        }
    }

    /// Whether a route can't be set because a tunnel of its own is missing, and whether that was
    /// said already.
    fn lacks_tunnel(&self, change: &Change) -> Option<bool> {
        let Change::SetRoute(_, route) = change else {
            return None;
        };
        let mut ways = route.ways.iter();
        let is_missing = ways.any(|way| matches!(way, Via::Tunnel(n) if self.missing.contains(n)));
        is_missing.then_some(!self.unsupported.is_empty())
    }

    fn routes(&mut self, batch: Vec<Change>) {
        let mut kept = Vec::with_capacity(batch.len());
        let mut sent = Vec::with_capacity(batch.len());
        for change in batch {
            match self.lacks_tunnel(&change) {
                Some(true) => continue,
                Some(false) => {
                    let reason = Isolated(Withheld::NoTunnel.into()).into();
                    self.report.failures.push(Failure { change, reason });
                    continue;
                }
                None => {}
            }
            match &change {
                Change::SetRoute(key, route) => {
                    sent.push(RouteEdit::Set(*key, std::sync::Arc::clone(route)));
                }
                Change::DelRoute(key) => sent.push(RouteEdit::Delete(*key)),
                _ => continue,
            }
            kept.push(change);
        }
        let verdicts = self.kernel.edit_routes(&sent);
        for ((change, edit), verdict) in kept.into_iter().zip(sent).zip(verdicts) {
            match (verdict, edit) {
                (Ok(()), RouteEdit::Set(key, route)) => {
                    self.report.applied += 1;
                    self.seen.routes.insert(key, route);
                }
                (Ok(()), RouteEdit::Delete(key)) => {
                    self.report.applied += 1;
                    self.seen.routes.remove(&key);
                }
                (Err(reason), edit) => {
                    if let RouteEdit::Set(key, _) = edit {
                        self.seen.routes.remove(&key);
                    }
                    self.report.failures.push(Failure {
                        change,
                        reason: Isolated(reason).into(),
                    });
                }
            }
        }
    }

    fn members(&mut self, set: SetDef, family: Family, batch: Vec<Change>) {
        let adds = matches!(batch.first(), Some(Change::AddMember(..)));
        let members: Vec<Member> = batch
            .iter()
            .filter_map(|change| match change {
                Change::AddMember(_, member) | Change::DelMember(_, member) => Some(*member),
                _ => None,
            })
            .collect();
        let verdict = if adds {
            self.kernel.add_members(set, family, &members)
        } else {
            self.kernel.del_members(set, family, &members)
        };
        match verdict {
            Ok(()) => {
                self.report.applied += members.len();
                for member in members {
                    if adds {
                        self.seen.members.insert((set, member), ());
                    } else {
                        self.seen.members.remove(&(set, member));
                    }
                }
            }
            Err(reason) => {
                // One reason for many steps: each carries its text.
                for change in batch {
                    self.fail(change, reason.to_string());
                }
            }
        }
    }
}

/// A link's routes go with it: the kernel has them no more. Of several ways the others stay.
fn forget(seen: &mut Observed, tunnel: TunnelName) {
    let by = |way: &Via| matches!(way, Via::Tunnel(name) if *name == tunnel);
    let gone: Vec<RouteKey> = seen
        .routes
        .iter()
        .filter(|(_, route)| route.ways.iter().any(by))
        .map(|(key, _)| *key)
        .collect();
    for key in gone {
        seen.routes.remove(&key);
    }
}
