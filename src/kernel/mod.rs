//! One room per kernel protocol, each written as if it were a published crate.
//!
//! Pure files of other rooms may import a room's `object` only.

pub mod conntrack;
pub mod fou;
pub mod genl;
pub mod ipset;
pub mod iptables;
pub mod ipvs;
pub mod netlink;
pub mod nflog;
pub mod nft;
pub mod rtnl;
pub mod sysctl;

#[cfg(test)]
pub(crate) mod test_mutation;
#[cfg(test)]
pub(crate) mod test_namespace;
