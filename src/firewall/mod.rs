//! Neutral firewall rules: what is meant, not how one backend writes it.
//!
//! A [`Ruleset`] is the whole of one owner's rules of one family: sets, chains, and the jumps that
//! lead from the kernel's hooks into those chains. Members of sets are no part of it: they change
//! often, rules hardly ever. `render::iptables` writes it for `iptables-restore` and ipset.

mod render;
mod rules;

pub use render::ipset::{
    definition as set_definition, entry as set_entry, member as set_member, set_type,
    type_name as set_type_name,
};
pub use render::iptables::{
    is_proxy_chain, nothing as no_rules, own as own_rules, saved as saved_rules,
};
pub use rules::{
    Action, Chain, Direction, IcmpType, Jump, Match, Member, Rule, Ruleset, SetDef, SetKind, Table,
};
