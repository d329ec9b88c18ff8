//! The set of attributes that a route has, apart from its next hop: what is interned and compared.

use std::net::Ipv4Addr;

use super::{
    Aggregator, AttributeCode, Community, ExtendedCommunity, LargeCommunity, Origin,
    UnknownAttribute,
};
use crate::bgp::wire::as_path::AsPath;

/// What the routes of one UPDATE share. Equal sets have equal bytes, so it can be interned.
///
/// Next hop and prefixes are not in it: they are in the UPDATE's announcements. The lists keep the
/// order of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    pub origin: Origin,
    /// With AS numbers of four octets, AS4_PATH merged in.
    pub as_path: AsPath,
    pub multi_exit_disc: Option<u32>,
    /// Only to and from internal peers; who gets none takes 100 by custom.
    pub local_pref: Option<u32>,
    pub atomic_aggregate: bool,
    /// AS4_AGGREGATOR merged in.
    pub aggregator: Option<Aggregator>,
    pub communities: Vec<Community>,
    pub originator_id: Option<Ipv4Addr>,
    pub cluster_list: Vec<Ipv4Addr>,
    pub extended_communities: Vec<ExtendedCommunity>,
    pub large_communities: Vec<LargeCommunity>,
    /// Optional transitive ones, by code.
    pub unknown: Vec<UnknownAttribute>,
    /// Which of the known ones came with the partial bit, which has to stay set.
    pub partial: PartialBits,
}

/// The partial bits of AGGREGATOR, COMMUNITIES, EXTENDED COMMUNITIES and LARGE_COMMUNITIES.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PartialBits(u8);

// === impl Attributes ===

impl Attributes {
    /// What an internal peer's route has that came without LOCAL_PREF.
    pub const DEFAULT_LOCAL_PREF: u32 = 100;
}

// === impl PartialBits ===

impl PartialBits {
    fn bit(code: AttributeCode) -> u8 {
        match code {
            AttributeCode::AGGREGATOR => 1,
            AttributeCode::COMMUNITIES => 2,
            AttributeCode::EXTENDED_COMMUNITIES => 4,
            AttributeCode::LARGE_COMMUNITIES => 8,
            _ => 0,
        }
    }

    #[must_use]
    pub fn has(self, code: AttributeCode) -> bool {
        self.0 & Self::bit(code) != 0
    }

    /// Of no effect for attributes that can't be partial.
    pub fn set(&mut self, code: AttributeCode) {
        self.0 |= Self::bit(code);
    }
}
