//! Neutral firewall rules: what is meant, not how one backend writes it.
//!
//! A [`Ruleset`] is the whole of one owner's rules of one family: sets, chains, and the jumps that
//! lead from the kernel's hooks into those chains. Members of sets are no part of it: they change
//! often, rules hardly ever. `render::iptables` writes it for `iptables-restore` and ipset.

mod rules;

pub mod render;

pub use rules::{
    Action, Chain, Direction, IcmpType, Jump, Match, Member, Rule, Ruleset, SetDef, SetKind, Table,
};
