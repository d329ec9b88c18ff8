//! Rulesets in the words of a backend.

pub mod ipset;
pub mod iptables;
