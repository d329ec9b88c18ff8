//! Routing as a controller.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::net::{ByFamily, Family};
use crate::reconcile::{Controller, ObserveError, Report, Scope};
use crate::routing::apply::apply;
use crate::routing::change::{Change, Observed, Patience, changes, removal};
use crate::routing::kernel::Kernel;
use crate::routing::lost::Lost;
use crate::routing::observe::{Looked, observe};
use crate::routing::plan::Plan;
use crate::routing::plan::cni::merged;
use crate::routing::plan::host::plan_host;
use crate::routing::plan::overlay::FouPort;
use crate::routing::plan::routes::RouteKey;
use crate::routing::{Input, Settings};

/// Nodes and learned paths to routes, tunnels and the node's set-up.
///
/// What stands of an earlier run stays until everything has been learned again: per family until
/// the speaker's deferral after a restart is over, and where it never deferred for
/// [`Settings::patience`] from the first plan on, the time in which peers that are there must have
/// come back.
#[derive(Debug)]
pub struct Routing<K> {
    kernel: K,
    plan: Plan,
    lost: Lost,
    /// Routes that somebody deleted since they were believed to stand.
    missed: BTreeSet<RouteKey>,
    started: Option<Instant>,
    /// Families whose deferral was seen: they are known when it is over.
    was_deferred: ByFamily<bool>,
    /// Families of which everything is known.
    learned: ByFamily<bool>,
    /// What was known at the last full look; more is known since, where it differs.
    swept: ByFamily<bool>,
    /// The node came up without a bridge or without a CNI configuration: pods have to wait.
    withholds_pods: Option<bool>,
    /// Ports that this process has opened.
    fou: BTreeSet<FouPort>,
    /// Settings the kernel does not have, as of the last read-back.
    missing: Vec<String>,
    /// Why the CNI configuration is left alone.
    cni_fault: Option<String>,
}

// === impl Routing ===

impl<K: Kernel> Routing<K> {
    /// `lost` is where [`follow`](crate::routing::follow) puts the routes that somebody deleted.
    #[must_use]
    pub fn new(kernel: K, lost: Lost) -> Self {
        Self {
            kernel,
            plan: Plan::default(),
            lost,
            missed: BTreeSet::new(),
            started: None,
            was_deferred: ByFamily::default(),
            learned: ByFamily::default(),
            swept: ByFamily::default(),
            withholds_pods: None,
            fou: BTreeSet::new(),
            missing: Vec::new(),
            cni_fault: None,
        }
    }

    #[must_use]
    pub fn current(&self) -> &Plan {
        &self.plan
    }

    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Removes everything of ours; needs neither a cluster nor a daemon. The CNI file is left as it
    /// is, and the bridge where pods hang on it.
    ///
    /// # Errors
    /// Where the kernel can't be read.
    pub fn cleanup(
        &mut self,
        settings: &Settings,
        facts: &crate::model::NodeFacts,
        dry_run: bool,
    ) -> Result<(Vec<String>, Report<Change>), ObserveError> {
        // The port of the configuration is ours, too.
        let host = plan_host(&crate::model::Snapshot::default(), facts, settings);
        let looked = Looked {
            sysctls: &[],
            cni: None,
            fou: &host.fou,
            made: &self.fou,
        };
        let mut seen = observe(&mut self.kernel, &looked)?;
        let steps = removal(&seen);
        let printed = steps.iter().map(ToString::to_string).collect();
        let steps = if dry_run { Vec::new() } else { steps };
        Ok((printed, apply(&mut self.kernel, steps, &mut seen, &|| {})))
    }

    /// Sees which families are known by now.
    fn learn(&mut self, now: Instant) {
        let Some(input) = self.plan.input() else {
            return;
        };
        let started = *self.started.get_or_insert(now);
        let is_late = now.saturating_duration_since(started) >= input.settings.patience;
        for family in Family::ALL {
            let is_deferred = *input.learned.deferred.get(family);
            *self.was_deferred.get_mut(family) |= is_deferred;
            let is_over = *self.was_deferred.get(family) || is_late;
            *self.learned.get_mut(family) |= !is_deferred && is_over;
        }
    }

    fn patience(&self) -> Patience {
        Patience {
            keeps: ByFamily {
                v4: !self.learned.v4,
                v6: !self.learned.v6,
            },
            withholds_pods: self.withholds_pods == Some(true) && !self.is_ready(),
        }
    }

    /// Whether pods may come: somebody has told a route, even one that the fabric sees to, or it is
    /// known that there is none.
    fn is_ready(&self) -> bool {
        let is_known = |family| {
            let facts = self.plan.input().map(|input| &input.facts);
            *self.learned.get(family) || facts.is_none_or(|facts| !facts.has(family))
        };
        let input = self.plan.input();
        let has_learned = input.is_some_and(|input| !input.learned.best.is_empty());
        self.plan.host.is_alone || has_learned || Family::ALL.into_iter().all(is_known)
    }

    /// After a pass: what is as planned needs no further look.
    fn settle(&mut self, seen: &Observed) {
        let roads = &mut self.plan.roads;
        for key in roads.routes.touched().clone() {
            if roads.routes.get(&key) == seen.routes.get(&key) {
                roads.routes.settle(&key);
                self.missed.remove(&key);
            }
        }
        for name in roads.tunnels.touched().clone() {
            let held = seen.tunnels.get(&name).map(|held| held.plan);
            if held == roads.tunnels.get(&name).copied().map(Some) {
                roads.tunnels.settle(&name);
            }
        }
        let members = &mut self.plan.members;
        for key in members.touched().clone() {
            if members.get(&key).is_some() == seen.members.contains_key(&key) {
                members.settle(&key);
            }
        }
        self.fou.extend(&seen.fou);
        if seen.cni.text.is_some() && seen.cni.withheld.is_none() && self.is_ready() {
            self.withholds_pods = Some(false);
        }
    }

    fn look_at_cni(&mut self, seen: &Observed) {
        self.cni_fault = self.plan.host.cni.as_ref().and_then(|cni| {
            let base = seen.cni.text.as_ref().or(seen.cni.withheld.as_ref());
            let error = merged(base.map(String::as_str), cni).err()?;
            Some(format!("{}: left alone: {error}", cni.file.display()))
        });
    }
}

impl<K: Kernel> Controller for Routing<K> {
    type Input = Input;
    type Observed = Observed;
    type Change = Change;

    const NAME: &'static str = "routing";

    fn plan(&mut self, input: &Input) {
        self.plan.update(input);
        for key in self.lost.take() {
            if self.plan.roads.routes.get(&key).is_some() {
                self.plan.roads.routes.touch(key);
                self.missed.insert(key);
            }
        }
        self.learn(now());
    }

    fn observe(&mut self) -> Result<Observed, ObserveError> {
        self.learn(now());
        let cni: Option<PathBuf> = self.plan.host.cni.as_ref().map(|cni| cni.file.clone());
        let looked = Looked {
            sysctls: &self.plan.host.sysctls,
            cni: cni.as_deref(),
            fou: &self.plan.host.fou,
            made: &self.fou,
        };
        let seen = observe(&mut self.kernel, &looked)?;
        self.swept = self.learned;
        self.missed.clear();
        // Links don't survive a boot: where the bridge stands pods are there already. Without the
        // file there are none: an earlier run was not done waiting.
        let is_new = seen.bridge.is_none() || seen.cni.text.is_none();
        self.withholds_pods.get_or_insert(is_new);
        self.look_at_cni(&seen);
        // A link that isn't there has no settings, and that is no fault.
        let of_link = |key: &str| key.starts_with("net/ipv6/conf/") && key.ends_with("accept_ra");
        self.missing = seen
            .sysctls
            .iter()
            .filter(|(key, value)| value.is_none() && !of_link(key))
            .map(|(key, _)| key.clone())
            .collect();
        Ok(seen)
    }

    fn changes(&self, seen: &Observed, scope: Scope) -> Vec<Change> {
        changes(&self.plan, seen, scope, self.patience(), &self.missed)
    }

    fn apply(
        &mut self,
        steps: Vec<Change>,
        seen: &mut Observed,
        beat: &dyn Fn(),
    ) -> Report<Change> {
        let report = apply(&mut self.kernel, steps, seen, beat);
        for failure in &report.failures {
            match &failure.change {
                Change::SetRoute(key, _) => self.plan.roads.routes.touch(*key),
                Change::AddTunnel(name, _) => self.plan.roads.tunnels.touch(*name),
                Change::AddMember(set, member) | Change::DelMember(set, member) => {
                    self.plan.members.touch((*set, *member));
                }
                _ => {}
            }
        }
        self.settle(seen);
        report
    }

    /// When a family has become known what is left of earlier runs goes, and pods may come.
    fn glance(&mut self, _seen: &Observed) -> bool {
        self.learn(now());
        self.learned != self.swept
    }

    fn kind(change: &Change) -> &'static str {
        change.kind()
    }

    fn summary(&self) -> String {
        format!(
            "{} learned routes, {} tunnels, {} nodes",
            self.plan.learned_count(),
            self.plan.roads.tunnels.len(),
            self.plan
                .input()
                .map_or(0, |input| input.snapshot.nodes.len())
        )
    }

    fn notes(&self) -> Vec<String> {
        let missing = self.missing.iter().map(|key| {
            let hint = if key.starts_with("net/bridge/") {
                "load br_netfilter, or policies don't see what pods of this node send one another"
            } else {
                "the running kernel does not offer it"
            };
            format!("kernel setting {}: missing: {hint}", key.replace('/', "."))
        });
        let waiting = self.patience().withholds_pods.then(|| {
            "the CNI configuration is withheld until routes to other nodes are known".to_owned()
        });
        self.plan
            .notes()
            .iter()
            .map(ToString::to_string)
            .chain(missing)
            .chain(self.cni_fault.clone())
            .chain(waiting)
            .collect()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long an earlier run's routes stay is a matter of time"
)]
fn now() -> Instant {
    Instant::now()
}
