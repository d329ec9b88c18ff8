//! Rulesets in the words of a backend.

pub(super) mod ipset;
pub(super) mod iptables;
