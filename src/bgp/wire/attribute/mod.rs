//! Path attributes (RFC 4271 section 4.3): one by one as on the wire, and the set a route has.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+---------------+----------------------+----------
//! |O|T|P|E|unused |  code (8)     | length (8, 16 if E)  | value ...
//! +-+-+-+-+-+-+-+-+---------------+----------------------+----------
//! ```

mod codes;
mod community;
mod decode;
mod encode;
mod set;
mod value;

use std::fmt;
use std::net::Ipv4Addr;

pub(super) use codes::AttributeCodes;
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub(super) use decode::RawAttribute;
pub(super) use encode::encode_attributes;
pub use set::{Attributes, PartialBits};
pub use value::{Aggregator, NextHop, Origin, UnknownAttribute};

use super::as_path::AsPath;
use super::family::AddressFamily;

/// The type code of a path attribute; any number a peer sends has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeCode(pub u8);

/// The flags octet; the low four bits are of no meaning and kept only where an unknown attribute
/// is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttributeFlags(pub u8);

/// One attribute, its value read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathAttribute {
    Origin(Origin),
    AsPath(AsPath),
    NextHop(Ipv4Addr),
    MultiExitDisc(u32),
    LocalPref(u32),
    AtomicAggregate,
    Aggregator(Aggregator),
    Communities(Vec<Community>),
    OriginatorId(Ipv4Addr),
    ClusterList(Vec<Ipv4Addr>),
    ExtendedCommunities(Vec<ExtendedCommunity>),
    /// Only between `validate` and the merge with AS_PATH (RFC 6793).
    As4Path(AsPath),
    /// Likewise.
    As4Aggregator(Aggregator),
    LargeCommunities(Vec<LargeCommunity>),
    Unknown(UnknownAttribute),
}

// === impl AttributeCode ===

impl AttributeCode {
    pub const ORIGIN: Self = Self(1);
    pub const AS_PATH: Self = Self(2);
    pub const NEXT_HOP: Self = Self(3);
    pub const MULTI_EXIT_DISC: Self = Self(4);
    pub const LOCAL_PREF: Self = Self(5);
    pub const ATOMIC_AGGREGATE: Self = Self(6);
    pub const AGGREGATOR: Self = Self(7);
    pub const COMMUNITIES: Self = Self(8);
    pub const ORIGINATOR_ID: Self = Self(9);
    pub const CLUSTER_LIST: Self = Self(10);
    pub const MP_REACH_NLRI: Self = Self(14);
    pub const MP_UNREACH_NLRI: Self = Self(15);
    pub const EXTENDED_COMMUNITIES: Self = Self(16);
    pub const AS4_PATH: Self = Self(17);
    pub const AS4_AGGREGATOR: Self = Self(18);
    pub const LARGE_COMMUNITIES: Self = Self(32);

    /// The bits Optional and Transitive that the attribute has to have; `None` if we don't know
    /// it.
    #[must_use]
    pub fn flags(self) -> Option<AttributeFlags> {
        match self {
            Self::ORIGIN
            | Self::AS_PATH
            | Self::NEXT_HOP
            | Self::LOCAL_PREF
            | Self::ATOMIC_AGGREGATE => Some(AttributeFlags::WELL_KNOWN),
            Self::MULTI_EXIT_DISC
            | Self::ORIGINATOR_ID
            | Self::CLUSTER_LIST
            | Self::MP_REACH_NLRI
            | Self::MP_UNREACH_NLRI => Some(AttributeFlags::OPTIONAL),
            Self::AGGREGATOR
            | Self::COMMUNITIES
            | Self::EXTENDED_COMMUNITIES
            | Self::AS4_PATH
            | Self::AS4_AGGREGATOR
            | Self::LARGE_COMMUNITIES => Some(AttributeFlags::OPTIONAL_TRANSITIVE),
            _ => None,
        }
    }
}

/// The RFC's name, or the number.
impl fmt::Display for AttributeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::ORIGIN => "ORIGIN",
            Self::AS_PATH => "AS_PATH",
            Self::NEXT_HOP => "NEXT_HOP",
            Self::MULTI_EXIT_DISC => "MULTI_EXIT_DISC",
            Self::LOCAL_PREF => "LOCAL_PREF",
            Self::ATOMIC_AGGREGATE => "ATOMIC_AGGREGATE",
            Self::AGGREGATOR => "AGGREGATOR",
            Self::COMMUNITIES => "COMMUNITIES",
            Self::ORIGINATOR_ID => "ORIGINATOR_ID",
            Self::CLUSTER_LIST => "CLUSTER_LIST",
            Self::MP_REACH_NLRI => "MP_REACH_NLRI",
            Self::MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
            Self::EXTENDED_COMMUNITIES => "EXTENDED COMMUNITIES",
            Self::AS4_PATH => "AS4_PATH",
            Self::AS4_AGGREGATOR => "AS4_AGGREGATOR",
            Self::LARGE_COMMUNITIES => "LARGE_COMMUNITIES",
            Self(other) => return write!(f, "attribute {other}"),
        })
    }
}

// === impl PathAttribute ===

impl PathAttribute {
    #[must_use]
    pub fn code(&self) -> AttributeCode {
        match self {
            Self::Origin(_) => AttributeCode::ORIGIN,
            Self::AsPath(_) => AttributeCode::AS_PATH,
            Self::NextHop(_) => AttributeCode::NEXT_HOP,
            Self::MultiExitDisc(_) => AttributeCode::MULTI_EXIT_DISC,
            Self::LocalPref(_) => AttributeCode::LOCAL_PREF,
            Self::AtomicAggregate => AttributeCode::ATOMIC_AGGREGATE,
            Self::Aggregator(_) => AttributeCode::AGGREGATOR,
            Self::Communities(_) => AttributeCode::COMMUNITIES,
            Self::OriginatorId(_) => AttributeCode::ORIGINATOR_ID,
            Self::ClusterList(_) => AttributeCode::CLUSTER_LIST,
            Self::ExtendedCommunities(_) => AttributeCode::EXTENDED_COMMUNITIES,
            Self::As4Path(_) => AttributeCode::AS4_PATH,
            Self::As4Aggregator(_) => AttributeCode::AS4_AGGREGATOR,
            Self::LargeCommunities(_) => AttributeCode::LARGE_COMMUNITIES,
            Self::Unknown(unknown) => unknown.code,
        }
    }
}

// === impl AttributeFlags ===

impl AttributeFlags {
    pub const WELL_KNOWN: Self = Self(0x40);
    pub const OPTIONAL: Self = Self(0x80);
    pub const OPTIONAL_TRANSITIVE: Self = Self(0xc0);
    const PARTIAL: u8 = 0x20;
    const EXTENDED_LENGTH: u8 = 0x10;

    #[must_use]
    pub fn is_optional(self) -> bool {
        self.0 & 0x80 != 0
    }

    #[must_use]
    pub fn is_transitive(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Somebody on the way did not know the attribute.
    #[must_use]
    pub fn is_partial(self) -> bool {
        self.0 & Self::PARTIAL != 0
    }

    pub(super) fn is_extended_length(self) -> bool {
        self.0 & Self::EXTENDED_LENGTH != 0
    }

    /// Optional and Transitive alone, which RFC 7606 section 3 c compares.
    pub(super) fn category(self) -> Self {
        Self(self.0 & 0xc0)
    }

    pub(super) fn with_partial(self, partial: bool) -> Self {
        Self(self.0 | if partial { Self::PARTIAL } else { 0 })
    }

    pub(super) fn with_extended_length(self, extended: bool) -> Self {
        let others = self.0 & !Self::EXTENDED_LENGTH;
        Self(others | if extended { Self::EXTENDED_LENGTH } else { 0 })
    }
}

/// The value of MP_REACH_NLRI or MP_UNREACH_NLRI, its parts delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MpReach<'a> {
    pub(super) family: AddressFamily,
    pub(super) next_hop: &'a [u8],
    pub(super) nlri: &'a [u8],
}
