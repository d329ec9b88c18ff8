//! Import and export policies: which routes are taken, which are told, and what changes in them.
//!
//! A policy is a list of statements; the first one that fits and decides counts, each one that
//! fits on the way may change attributes. Evaluation is pure, and says which statement decided.
//!
//! A condition on an empty set fits nothing, never everything.

mod evaluate;
mod prefix_set;
mod statement;

pub use evaluate::{Route, Verdict, evaluate};
pub use prefix_set::{PrefixRange, PrefixRangeError, PrefixSet};
pub use statement::{Action, Condition, NeighborSet, Peer, Policy, Source, Statement};

#[cfg(test)]
mod tests;
