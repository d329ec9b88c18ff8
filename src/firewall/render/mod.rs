//! Rulesets in the words of a backend.

pub mod iptables;
