//! Rulesets in the words of a backend.

mod icmp;
pub(super) mod ipset;
pub(super) mod iptables;
pub(super) mod nft;
