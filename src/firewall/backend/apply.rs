//! Carries steps out, and keeps one bad object from holding back all others.
//!
//! A step that the kernel refuses is left out with everything that builds on it, and the rest is
//! tried again. Addresses that were to be sent to a chain that could not be made go to the chain
//! that refuses everything: what protects fails closed.

use std::collections::BTreeSet;

use super::{Backend, Fault, Outcome};
use crate::firewall::{Action, Chain, ChainKey, Change, Match, Seen, SetKey, Wanted};
use crate::net::Family;

/// How many objects may be refused in one pass before the rest is left for the next.
const ROUNDS: usize = 32;

/// A step that did not work.
#[derive(Debug)]
pub struct Failed {
    pub step: Change,
    pub reason: Fault,
    /// The kernel refused this very step, and will again.
    pub is_refused: bool,
}

/// What became of a list of steps.
#[derive(Debug, Default)]
pub struct Applied {
    pub done: usize,
    pub failures: Vec<Failed>,
}

/// A step that was not tried because it builds on one that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("withheld: what it builds on was refused; its addresses are closed")]
pub struct Withheld;

/// What the kernel will not take, and what cannot stand without it.
#[derive(Debug, Default)]
struct Refused {
    sets: BTreeSet<SetKey>,
    chains: BTreeSet<ChainKey>,
}

/// Carries out the steps in order; what worked goes into `seen`. `beat` is called after every
/// round.
pub fn apply<B: Backend + ?Sized>(
    backend: &mut B,
    mut steps: Vec<Change>,
    wanted: &Wanted,
    seen: &mut Seen,
    beat: &dyn Fn(),
) -> Applied {
    let mut applied = Applied::default();
    let mut refused = Refused::default();
    for round in 1..=ROUNDS {
        let outcomes = backend.run(&steps, wanted);
        beat();
        let (mut left, mut is_refused, mut is_stale) = (Vec::new(), false, false);
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => {
                    seen.take(&step);
                    applied.done += 1;
                }
                Outcome::Refused(reason) => {
                    refused.note(&step);
                    is_refused = true;
                    applied.failures.push(Failed {
                        step,
                        reason,
                        is_refused: true,
                    });
                }
                Outcome::Stale(reason) => {
                    is_stale = true;
                    left.push(Failed::for_now(step, reason));
                }
                Outcome::Left(reason) => left.push(Failed::for_now(step, reason)),
            }
        }
        if left.is_empty() || !is_refused || is_stale || round == ROUNDS {
            applied.failures.extend(left);
            return applied;
        }
        steps = refused.without(left, wanted, &mut applied.failures);
    }
    applied
}

// === impl Failed ===

impl Failed {
    fn for_now(step: Change, reason: Fault) -> Self {
        Self {
            step,
            reason,
            is_refused: false,
        }
    }
}

// === impl Refused ===

impl Refused {
    fn note(&mut self, step: &Change) {
        match step {
            Change::AddSet(key, _) => {
                self.sets.insert(*key);
            }
            Change::SetChain(family, chain) => {
                self.chains.insert(key(*family, chain));
            }
            _ => {}
        }
    }

    /// What can still be done of the steps that were left; the others become failures.
    fn without(
        &mut self,
        left: Vec<Failed>,
        wanted: &Wanted,
        failures: &mut Vec<Failed>,
    ) -> Vec<Change> {
        let mut steps: Vec<Change> = left.into_iter().map(|failed| failed.step).collect();
        // Chains may stand before those that they jump to.
        loop {
            let known = self.chains.len();
            for step in &steps {
                if let Change::SetChain(family, chain) = step
                    && self.is_broken(*family, chain)
                {
                    self.chains.insert(key(*family, chain));
                }
            }
            if self.chains.len() == known {
                break;
            }
        }
        let mut kept = Vec::with_capacity(steps.len());
        for step in steps.drain(..) {
            let (instead, is_whole) = self.instead(&step, wanted);
            kept.extend(instead);
            if !is_whole {
                failures.push(Failed::for_now(step, Withheld.into()));
            }
        }
        kept
    }

    fn is_broken(&self, family: Family, chain: &Chain) -> bool {
        let uses_set = |condition: &Match| match condition {
            Match::InSet { set, .. } | Match::NotInSet { set, .. } => {
                self.sets.contains(&SetKey::new(family, *set))
            }
            _ => false,
        };
        chain.rules.iter().any(|rule| {
            let jumps = match rule.action {
                Action::Jump(name) | Action::Goto(name) => {
                    self.chains.contains(&ChainKey { family, name })
                }
                _ => false,
            };
            jumps || rule.matches.iter().any(uses_set)
        })
    }

    /// The step as far as it can be done, and whether that is all of it.
    fn instead(&self, step: &Change, wanted: &Wanted) -> (Option<Change>, bool) {
        match step {
            Change::AddMembers(key, _) => {
                let is_good = !self.sets.contains(key);
                (is_good.then(|| step.clone()), is_good)
            }
            Change::SetChain(family, chain) => {
                let is_good = !self.chains.contains(&key(*family, chain));
                (is_good.then(|| step.clone()), is_good)
            }
            Change::SetTargets(family, dispatch, targets) => {
                let family = *family;
                let mut is_whole = true;
                let mut targets = targets.clone();
                for (_, name) in &mut targets {
                    if self.chains.contains(&ChainKey {
                        family,
                        name: *name,
                    }) {
                        (*name, is_whole) = (wanted.closed, false);
                    }
                }
                (
                    Some(Change::SetTargets(family, *dispatch, targets)),
                    is_whole,
                )
            }
            Change::SetJumps(jumps) => {
                let is_good = !jumps.iter().any(|(family, jump)| {
                    let (family, name) = (*family, jump.to);
                    self.chains.contains(&ChainKey { family, name })
                });
                (is_good.then(|| step.clone()), is_good)
            }
            other => (Some(other.clone()), true),
        }
    }
}

fn key(family: Family, chain: &Chain) -> ChainKey {
    ChainKey {
        family,
        name: chain.name,
    }
}
