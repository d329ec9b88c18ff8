//! Neutral firewall rules: what is meant, not how one backend writes it.
//!
//! A [`Ruleset`] is the whole of one owner's rules of one family: sets, chains, and the jumps that
//! lead from the kernel's hooks into those chains. Members of sets are no part of it: they change
//! often, rules hardly ever. `render::iptables` writes it for `iptables-restore` and ipset.
//!
//! An owner whose chains come and go keeps a [`Wanted`] instead, which remembers what of it moved;
//! [`changes`] compares it with what stands, [`walk`] says what it does to a packet.

mod backend;
mod change;
mod machine;
mod name;
mod render;
mod rules;
mod wanted;

pub use crate::kernel::iptables::object::Position;
pub use backend::{
    Applied, Backend, Failed, Fault, Names, Nftables, Outcome, Withheld, Xtables, apply,
    iptables_script, nftables_script,
};
pub use change::{Change, Seen, changes};
pub use machine::{Hook, Packet, Payload, Step, Tracked, Verdict, walk};
pub use name::Name;
pub use render::ipset::{
    definition as set_definition, entry as set_entry, member as set_member, set_type,
    type_name as set_type_name,
};
pub use render::iptables::{
    is_proxy_chain, is_routing_chain, nothing as no_rules, own as own_rules, saved as saved_rules,
};
pub use rules::{
    Action, Chain, ConnectionState, Direction, Dispatch, IcmpType, Jump, LOG_GROUP, LOG_PER_MINUTE,
    Match, Member, MulticastListener, Rule, Ruleset, SERVED, SetDef, SetKind, Table,
};
pub use wanted::{ChainKey, Members, SetKey, TargetKey, Wanted};
