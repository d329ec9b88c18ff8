//! The proxy as a controller.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::kernel::ipvs::object::VirtualKey;
use crate::proxy::apply::apply;
use crate::proxy::change::{Change, Observed, changes, removal};
use crate::proxy::kernel::Kernel;
use crate::proxy::observe::{Ownership, observe};
use crate::proxy::plan::Plan;
use crate::proxy::{Input, Settings};
use crate::reconcile::{Controller, ObserveError, Report, Scope};

/// Services to IPVS on one node.
#[derive(Debug)]
pub struct Proxy<K> {
    kernel: K,
    plan: Plan,
    /// Keys this process has programmed: ours even when the link that shows it is gone.
    programmed: BTreeSet<VirtualKey>,
    /// Settings the kernel does not have, as of the last read-back.
    missing: Vec<String>,
    /// The node's links at the last read-back: new ones bring settings of their own.
    links: Vec<Arc<str>>,
    /// Where the look in between went last.
    glanced: Option<VirtualKey>,
    foreign: usize,
}

// === impl Proxy ===

impl<K: Kernel> Proxy<K> {
    #[must_use]
    pub fn new(kernel: K) -> Self {
        Self {
            kernel,
            plan: Plan::default(),
            programmed: BTreeSet::new(),
            missing: Vec::new(),
            links: Vec::new(),
            glanced: None,
            foreign: 0,
        }
    }

    #[must_use]
    pub fn current(&self) -> &Plan {
        &self.plan
    }

    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Removes everything of ours; needs neither a cluster nor a daemon. `settings` and `facts`
    /// only help to recognise NodePorts.
    ///
    /// # Errors
    /// Where the kernel can't be read.
    pub fn cleanup(
        &mut self,
        settings: &Settings,
        facts: &crate::model::NodeFacts,
        dry_run: bool,
    ) -> Result<(Vec<String>, Report<Change>), ObserveError> {
        let nothing = Plan::default();
        let ownership = Ownership {
            plan: &nothing,
            programmed: &self.programmed,
            facts: Some(facts),
            node_ports: settings.cluster.node_ports.clone(),
            excluded: &settings.proxy.excluded_cidrs,
        };
        let mut seen = observe(&mut self.kernel, &ownership)?;
        let steps = removal(&seen);
        let printed = steps.iter().map(ToString::to_string).collect();
        let steps = if dry_run { Vec::new() } else { steps };
        Ok((
            printed,
            apply(&mut self.kernel, steps, &mut seen, false, &|| {}),
        ))
    }

    /// After a pass: what is as planned needs no further look, and shares the plan's memory.
    fn settle(&mut self, seen: &mut Observed) {
        let plan = &mut self.plan;
        for key in plan.virtuals.touched().clone() {
            match (plan.virtuals.get(&key), seen.virtuals.get_mut(&key)) {
                (Some(planned), Some(held)) if planned == held => {
                    *held = Arc::clone(planned);
                    self.programmed.insert(key);
                    plan.virtuals.settle(&key);
                }
                (None, None) => {
                    self.programmed.remove(&key);
                    plan.virtuals.settle(&key);
                }
                _ => {}
            }
        }
        for key in plan.vips.touched().clone() {
            if plan.vips.get(&key) == seen.vips.get(&key) {
                plan.vips.settle(&key);
            }
        }
        for key in plan.members.touched().clone() {
            if plan.members.get(&key).is_some() == seen.members.contains_key(&key) {
                plan.members.settle(&key);
            }
        }
    }
}

impl<K: Kernel> Controller for Proxy<K> {
    type Input = Input;
    type Observed = Observed;
    type Change = Change;

    const NAME: &'static str = "proxy";

    fn plan(&mut self, input: &Input) {
        self.plan.update(input);
    }

    fn observe(&mut self) -> Result<Observed, ObserveError> {
        let input = self.plan.input().cloned();
        let (facts, cluster, proxy) = match &input {
            Some(input) => (
                Some(&*input.facts),
                Some(&input.settings.cluster),
                Some(&input.settings.proxy),
            ),
            None => (None, None, None),
        };
        let ownership = Ownership {
            plan: &self.plan,
            programmed: &self.programmed,
            facts,
            node_ports: cluster.map_or(0..=0, |cluster| cluster.node_ports.clone()),
            excluded: proxy.map_or(&[], |proxy| &proxy.excluded_cidrs),
        };
        let seen = observe(&mut self.kernel, &ownership)?;
        self.programmed.extend(seen.virtuals.keys());
        self.foreign = seen.foreign;
        // A link that isn't there has no settings, and that is no fault.
        let of_link = |key: &str| key.starts_with("net/ipv4/conf/");
        if let Some(input) = &input {
            self.links.clone_from(&input.facts.links);
        }
        self.missing = seen
            .sysctls
            .iter()
            .filter(|(key, value)| value.is_none() && !of_link(key))
            .map(|(key, _)| key.clone())
            .collect();
        Ok(seen)
    }

    fn changes(&self, seen: &Observed, scope: Scope) -> Vec<Change> {
        changes(&self.plan, seen, scope)
    }

    fn apply(
        &mut self,
        steps: Vec<Change>,
        seen: &mut Observed,
        beat: &dyn Fn(),
    ) -> Report<Change> {
        let guarded = self
            .plan
            .input()
            .is_some_and(|input| input.settings.proxy.service_firewall);
        let report = apply(&mut self.kernel, steps, seen, guarded, beat);
        self.settle(seen);
        report
    }

    /// IPVS tells nobody when its table changes, and a flushed table would let a Service's port
    /// through to a listener of the node: so one virtual server is asked for at a time, in turn.
    fn glance(&mut self, seen: &Observed) -> bool {
        if self
            .plan
            .input()
            .is_some_and(|input| input.facts.links != self.links)
        {
            return true;
        }
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.glanced.map_or(Unbounded, Excluded);
        let next = seen
            .virtuals
            .range((after, Unbounded))
            .next()
            .or_else(|| seen.virtuals.iter().next());
        let Some((key, _)) = next else { return false };
        self.glanced = Some(*key);
        matches!(self.kernel.has_virtual(key), Ok(false))
    }

    fn kind(change: &Change) -> &'static str {
        change.kind()
    }

    fn summary(&self) -> String {
        format!(
            "{} services, {} virtual servers, {} endpoints",
            self.plan.service_count(),
            self.plan.virtuals.len(),
            self.plan.endpoint_count()
        )
    }

    fn notes(&self) -> Vec<String> {
        let missing = self.missing.iter().map(|key| {
            let hint = if key.starts_with("net/bridge/") {
                "load br_netfilter, or pods of this node can't reach one another through a Service"
            } else {
                "the running kernel does not offer it"
            };
            format!("kernel setting {}: missing: {hint}", key.replace('/', "."))
        });
        self.plan
            .notes()
            .iter()
            .map(ToString::to_string)
            .chain(missing)
            .collect()
    }
}
