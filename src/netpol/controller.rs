//! The controller: keeps the plan, knows what the kernel holds, and carries the difference out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::config::Established;
use crate::firewall::{self, Backend, Fault, Seen, Verdict};
use crate::kernel::conntrack::Flow;
use crate::net::{ByFamily, Family};
use crate::netpol::change::{Change, Withheld};
use crate::netpol::kernel::{Kernel, Kind};
use crate::netpol::quarantine::{self, Quarantine};
use crate::netpol::recheck::{first_packet, tightens};
use crate::netpol::standing::Standing;
use crate::netpol::{Input, Plan};
use crate::reconcile::{Controller, Failure, ObserveError, Report, Scope};

/// What the kernel is believed to hold.
#[derive(Debug, Default)]
pub struct Observed {
    pub rules: Seen,
    pub bridge: ByFamily<Option<bool>>,
    /// The backend whose rules, if any, are to go.
    retiring: Option<Kind>,
    /// Families in which upstream's own table refuses packets yet.
    predecessors: Vec<Family>,
}

/// Network policy on this node.
pub struct Netpol<K> {
    kernel: K,
    plan: Plan,
    backend: Option<(Kind, Box<dyn Backend>)>,
    /// The backend that was found empty or was emptied by this process.
    retired: Option<Kind>,
    unfiltered: Vec<Family>,
    /// Rules of these families were tightened since their connections were looked at.
    tightened: BTreeSet<Family>,
    quarantine: Quarantine,
    standing: Arc<Standing>,
}

/// Nothing is known to plan for yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no input yet")]
struct NoInput;

// === impl Netpol ===

impl<K: Kernel> Netpol<K> {
    #[must_use]
    pub fn new(kernel: K) -> Self {
        Self {
            kernel,
            plan: Plan::default(),
            backend: None,
            retired: None,
            unfiltered: Vec::new(),
            tightened: BTreeSet::new(),
            quarantine: Quarantine::default(),
            standing: Arc::default(),
        }
    }

    /// Has the controller count there what stands.
    #[must_use]
    pub fn counting(mut self, standing: Arc<Standing>) -> Self {
        self.standing = standing;
        self
    }

    #[must_use]
    pub fn current(&self) -> &Plan {
        &self.plan
    }

    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Removes everything of ours, or with `dry_run` nothing; needs neither a cluster nor a daemon.
    /// What is or would be taken away, and what did not work, by the backend's name.
    pub fn cleanup(kernel: &mut K, dry_run: bool) -> (Vec<String>, Vec<(Kind, Fault)>) {
        let (mut steps, mut failures) = (Vec::new(), Vec::new());
        let nothing = Plan::default();
        for kind in [Kind::Nftables, Kind::Iptables] {
            let removed = kernel.open(kind).and_then(|mut room| {
                let seen = room.observe(nothing.wanted())?;
                let gone = firewall::changes(nothing.wanted(), &seen, false);
                steps.extend(gone.iter().map(|step| format!("{}: {step}", kind.name())));
                if !dry_run {
                    room.remove()?;
                }
                Ok(())
            });
            failures.extend(removed.err().map(|fault| (kind, fault)));
        }
        for family in Family::ALL {
            if !kernel.has_predecessor(family) {
                continue;
            }
            steps.push(format!("nftables: {}", Change::Supersede(family)));
            if !dry_run && let Err(fault) = kernel.remove_predecessor(family) {
                failures.push((Kind::Nftables, fault));
            }
        }
        (steps, failures)
    }

    /// The backend that the configuration asks for, opened if it is another one than before.
    fn choose(&mut self) -> Result<(), Fault> {
        let settings = self.plan.input().map(|input| &input.settings);
        let wanted = settings.ok_or(NoInput)?.backend;
        let kind = match (Kind::wanted(wanted), &self.backend) {
            (Some(kind), _) => kind,
            (None, Some((kind, _))) => *kind,
            (None, None) => self.kernel.best(),
        };
        if !matches!(&self.backend, Some((held, _)) if *held == kind) {
            self.backend = Some((kind, self.kernel.open(kind)?));
            if self.retired == Some(kind) {
                self.retired = None;
            }
        }
        Ok(())
    }

    fn settle(&mut self, seen: &Observed) {
        let seen = &seen.rules;
        let wanted = self.plan.wanted_mut();
        for key in wanted.chains.touched().clone() {
            let held = seen.chains.get(&key).and_then(Option::as_ref);
            if wanted.chains.get(&key) == held
                && (held.is_some() || !seen.chains.contains_key(&key))
            {
                wanted.chains.settle(&key);
            }
        }
        for key in wanted.targets.touched().clone() {
            if wanted.targets.get(&key) == seen.targets.get(&key) {
                wanted.targets.settle(&key);
            }
        }
        let sets: Vec<_> = wanted.members.touched().keys().copied().collect();
        for key in sets {
            let is_settled = match (wanted.members.get(&key), seen.sets.get(&key)) {
                (None, None) => true,
                (Some(want), Some(held)) => {
                    let touched = wanted.members.touched().get(&key);
                    touched
                        .into_iter()
                        .flatten()
                        .all(|member| want.contains(member) == held.contains(member))
                }
                _ => false,
            };
            if is_settled {
                wanted.members.settle(&key);
            }
        }
    }

    fn families(&self) -> impl Iterator<Item = Family> + use<K> {
        let families = self.plan.input().map(|input| input.settings.families);
        let families = families.unwrap_or_default();
        Family::ALL
            .into_iter()
            .filter(move |family| *families.get(*family))
    }

    fn rechecks(&self) -> bool {
        let established = self.plan.input().map(|input| input.settings.established);
        established == Some(Established::Recheck)
    }

    /// Forgets the connections of this node's pods that would not be allowed now: their next packet
    /// begins a new one, which is judged. All others are left alone, with their translations.
    fn recheck(&mut self, family: Family) -> Result<usize, Fault> {
        let Some(input) = self.plan.input() else {
            return Ok(0);
        };
        let (facts, wanted) = (&input.facts, self.plan.wanted());
        let mut is_denied = |flow: &Flow| {
            let packet = first_packet(flow, facts);
            packet.is_some_and(|packet| firewall::walk(wanted, &packet).0 != Verdict::Accept)
        };
        self.kernel.forget_flows(family, &mut is_denied)
    }

    /// Whether a backend that is not used holds anything of ours. One that can't be opened here
    /// was never used.
    fn has_left(&mut self, kind: Kind) -> bool {
        let Ok(mut room) = self.kernel.open(kind) else {
            return false;
        };
        let nothing = Plan::default();
        let seen = room.observe(nothing.wanted());
        seen.is_ok_and(|seen| !firewall::changes(nothing.wanted(), &seen, false).is_empty())
    }

    /// Takes away what refuses packets beside our rules, once these stand.
    fn clear(&mut self, step: &Change, seen: &mut Observed) -> Result<(), Fault> {
        match step {
            Change::Retire(kind) => {
                self.kernel.open(*kind)?.remove()?;
                self.retired = Some(*kind);
                seen.retiring = None;
            }
            Change::Supersede(family) => {
                self.kernel.remove_predecessor(*family)?;
                seen.predecessors.retain(|one| one != family);
            }
            Change::Rules(_) | Change::FilterBridge(_) | Change::Recheck(_) => {}
        }
        Ok(())
    }
}

fn tell(report: &mut Report<Change>, change: Change, done: Result<(), Fault>) {
    match done {
        Ok(()) => report.applied += 1,
        Err(reason) => report.failures.push(Failure { change, reason }),
    }
}

impl<K: Kernel> Controller for Netpol<K> {
    type Input = Input;
    type Observed = Observed;
    type Change = Change;

    const NAME: &'static str = "netpol";

    fn plan(&mut self, input: &Input) {
        self.plan.update(input);
        self.quarantine.keep_wanted(self.plan.wanted());
        self.standing.count_quarantined(self.quarantine.len());
    }

    fn observe(&mut self) -> Result<Observed, ObserveError> {
        let failed = |what| move |source| ObserveError { what, source };
        self.choose().map_err(failed("the packet filter"))?;
        let Some((kind, backend)) = &mut self.backend else {
            return Err(failed("the packet filter")(NoInput.into()));
        };
        let other = kind.other();
        backend
            .claim()
            .map_err(failed("the owner of the rules of network policy"))?;
        let rules = backend
            .observe(self.plan.wanted())
            .map_err(failed("rules of network policy"))?;
        if self.retired != Some(other) && !self.has_left(other) {
            self.retired = Some(other);
        }
        let mut seen = Observed {
            rules,
            bridge: ByFamily::default(),
            retiring: (self.retired != Some(other)).then_some(other),
            predecessors: Vec::new(),
        };
        let mut families = Family::ALL.to_vec();
        families.retain(|family| self.kernel.has_predecessor(*family));
        seen.predecessors = families;
        self.standing.count(&seen.rules, self.plan.wanted());
        self.unfiltered.clear();
        for family in self.families() {
            let filtered = self.kernel.bridge_is_filtered(family);
            let filtered = filtered.map_err(failed("bridge settings"))?;
            *seen.bridge.get_mut(family) = filtered;
            if filtered.is_none() {
                self.unfiltered.push(family);
            }
        }
        Ok(seen)
    }

    fn changes(&self, seen: &Observed, scope: Scope) -> Vec<Change> {
        let touched_only = scope == Scope::Touched;
        let rules = firewall::changes(self.plan.wanted(), &seen.rules, touched_only);
        let bridge = self
            .families()
            .filter(|family| *seen.bridge.get(*family) == Some(false))
            .map(Change::FilterBridge);
        let mut recheck = self.tightened.clone();
        if self.rechecks() {
            recheck.extend(rules.iter().filter_map(tightens));
        }
        bridge
            .chain(rules.into_iter().map(Change::Rules))
            .chain(recheck.into_iter().map(Change::Recheck))
            .chain(seen.retiring.map(Change::Retire))
            .chain(seen.predecessors.iter().copied().map(Change::Supersede))
            .collect()
    }

    fn apply(
        &mut self,
        steps: Vec<Change>,
        seen: &mut Observed,
        beat: &dyn Fn(),
    ) -> Report<Change> {
        let mut report = Report {
            applied: 0,
            failures: Vec::new(),
        };
        let (mut rules, mut last) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Change::Rules(step) => rules.push(step),
                Change::Retire(_) | Change::Supersede(_) => last.push(step),
                Change::Recheck(family) => {
                    self.tightened.insert(family);
                }
                Change::FilterBridge(family) => {
                    let done = self.kernel.filter_bridge(family);
                    if done.is_ok() {
                        *seen.bridge.get_mut(family) = Some(true);
                    }
                    tell(&mut report, step, done);
                }
            }
        }
        if let Some((_, backend)) = &mut self.backend {
            let wanted = self.plan.wanted();
            let applied = firewall::apply(&mut **backend, rules, wanted, &mut seen.rules, beat);
            report.applied += applied.done;
            self.quarantine.clear();
            for failed in applied.failures.iter().filter(|failed| failed.is_refused) {
                self.quarantine.add(&failed.step, &failed.reason);
            }
            let failures = applied.failures.into_iter().map(quarantine::failure);
            report.failures.extend(failures);
        }
        for family in self.tightened.clone() {
            let done = self.recheck(family);
            if done.is_ok() {
                self.tightened.remove(&family);
            }
            tell(&mut report, Change::Recheck(family), done.map(drop));
        }
        // Pods whose own rules were refused are closed by ours.
        let all_stand = report.failures.iter().all(Failure::is_isolated);
        for step in last {
            let done = match all_stand {
                true => self.clear(&step, seen),
                false => Err(Withheld.into()),
            };
            tell(&mut report, step, done);
        }
        self.settle(seen);
        self.standing.count(&seen.rules, self.plan.wanted());
        self.standing.count_quarantined(self.quarantine.len());
        report
    }

    /// Where the kernel tells of changes by others, at once; a backend that was changed by the
    /// configuration is opened with the next read-back.
    fn glance(&mut self, _: &Observed) -> bool {
        let wanted = self.plan.input().map(|input| input.settings.backend);
        let wanted = wanted.and_then(Kind::wanted);
        self.backend.as_mut().is_some_and(|(kind, backend)| {
            wanted.is_some_and(|wanted| wanted != *kind) || backend.is_meddled_with()
        })
    }

    fn kind(change: &Change) -> &'static str {
        change.kind()
    }

    fn summary(&self) -> String {
        let counts = self.plan.counts();
        format!(
            "{} policies, {} of them for {} pods here",
            counts.policies, counts.policies_here, counts.pods_here
        )
    }

    fn notes(&self) -> Vec<String> {
        let unfiltered = self.unfiltered.iter().map(|family| {
            format!(
                "kernel setting net.bridge.bridge-nf-call-{}: missing: load br_netfilter, or \
                 policies do not apply between pods of this node ({family})",
                match family {
                    Family::V4 => "iptables",
                    Family::V6 => "ip6tables",
                }
            )
        });
        let notes = self.plan.notes();
        notes
            .iter()
            .map(ToString::to_string)
            .chain(unfiltered)
            .chain(self.quarantine.lines(&self.plan))
            .collect()
    }
}

impl<K> fmt::Debug for Netpol<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netpol")
            .field("backend", &self.backend.as_ref().map(|(kind, _)| kind))
            .finish_non_exhaustive()
    }
}
