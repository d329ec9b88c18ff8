//! What the kernel will not take: told until it is taken or no longer wanted.
//!
//! The addresses that were to be judged by it are closed (`firewall::apply`), everything else is
//! programmed.

use std::collections::BTreeSet;
use std::fmt;

use crate::firewall::{
    ChainKey, Change as RuleChange, Failed, Match, Name, SetKey, Wanted, Withheld,
};
use crate::model::ObjectName;
use crate::netpol::plan::{CHAINS, CLOSED, SETS};
use crate::netpol::{Change, Plan};
use crate::reconcile::{Failure, Isolated};

/// How many policies and pods one line names.
const SHOWN: usize = 8;

/// The steps that were refused in the last pass that had any.
#[derive(Debug, Default)]
pub(super) struct Quarantine(Vec<Refused>);

#[derive(Debug)]
struct Refused {
    step: RuleChange,
    reason: String,
}

// === impl Quarantine ===

impl Quarantine {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn add(&mut self, step: &RuleChange, reason: &dyn fmt::Display) {
        let (step, reason) = (step.clone(), reason.to_string());
        self.0.push(Refused { step, reason });
    }

    /// Forgets what is wanted no more: nobody tries it again.
    pub(super) fn keep_wanted(&mut self, wanted: &Wanted) {
        self.0.retain(|refused| refused.is_wanted(wanted));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A line for each: what was refused and why, and who is closed for it.
    pub(super) fn lines(&self, plan: &Plan) -> Vec<String> {
        self.0.iter().map(|refused| refused.line(plan)).collect()
    }
}

// === impl Refused ===

impl Refused {
    fn is_wanted(&self, wanted: &Wanted) -> bool {
        match &self.step {
            RuleChange::SetChain(family, chain) => {
                let (family, name) = (*family, chain.name);
                wanted.chains.get(&ChainKey { family, name }) == Some(chain)
            }
            RuleChange::AddSet(key, _) | RuleChange::AddMembers(key, _) => {
                wanted.members.get(key).is_some()
            }
            _ => true,
        }
    }

    fn line(&self, plan: &Plan) -> String {
        let chains: Vec<Name> = match &self.step {
            RuleChange::SetChain(_, chain) => vec![chain.name],
            RuleChange::AddSet(key, _) | RuleChange::AddMembers(key, _) => users(plan, key),
            _ => Vec::new(),
        };
        let (mut policies, mut pods) = (BTreeSet::new(), BTreeSet::new());
        for judged in chains.into_iter().filter_map(|name| plan.judged(name)) {
            let flow = judged.flow.name();
            policies.extend(judged.policies);
            pods.extend(judged.pods.into_iter().map(|pod| (pod, flow)));
        }
        let mut line = format!("quarantined: {}: {}", self.step, self.reason);
        if !policies.is_empty() {
            line.push_str("; policies ");
            line.push_str(&some(policies.iter().map(ObjectName::to_string)));
        }
        if !pods.is_empty() {
            let closed = pods.iter().map(|(pod, flow)| format!("{pod} ({flow})"));
            line.push_str("; closed: ");
            line.push_str(&some(closed));
        }
        line
    }
}

/// What a step that did not work means for the node. One that was refused, or that builds on one that
/// was, is isolated where it is an isolation's own: the pods that it would have judged are closed.
pub(super) fn failure(failed: Failed) -> Failure<Change> {
    let is_own = match &failed.step {
        RuleChange::SetChain(_, chain) => chain.name != CLOSED && !CHAINS.contains(&chain.name),
        RuleChange::AddSet(key, _) | RuleChange::AddMembers(key, _) => !SETS.contains(&key.def),
        RuleChange::SetTargets(..) => true,
        _ => false,
    };
    let is_lasting = failed.is_refused || failed.reason.is::<Withheld>();
    Failure {
        change: Change::Rules(failed.step),
        reason: match is_own && is_lasting {
            true => Isolated(failed.reason).into(),
            false => failed.reason,
        },
    }
}

/// The chains that read a set.
fn users(plan: &Plan, key: &SetKey) -> Vec<Name> {
    let chains = plan.wanted().chains.iter();
    let of_family = chains.filter(|(chain, _)| chain.family == key.family);
    let reads = of_family.filter(|(_, chain)| {
        let mut matches = chain.rules.iter().flat_map(|rule| &rule.matches);
        matches.any(|one| match one {
            Match::InSet { set, .. } | Match::NotInSet { set, .. } => *set == key.def,
            _ => false,
        })
    });
    reads.map(|(chain, _)| chain.name).collect()
}

fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
