//! Communities of 4, 8 and 12 octets (RFC 1997, RFC 4360, RFC 8092).

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// `AS:value`, or one of the well-known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

/// Type, subtype and value as on the wire; carried, not interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

/// `global:local1:local2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// An AS number.
    pub global: u32,
    pub local1: u32,
    pub local2: u32,
}

/// Text that is no community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no community: a number, AS:value or a well-known name")]
pub struct CommunityError(String);

// === impl Community ===

impl Community {
    /// RFC 8326.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// RFC 7999.
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// RFC 9494: stale for long; use it last.
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// RFC 9494: never keep it for long.
    pub const NO_LLGR: Self = Self(0xffff_0007);
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// RFC 3765.
    pub const NO_PEER: Self = Self(0xffff_ff04);

    const NAMED: [(Self, &str); 8] = [
        (Self::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
        (Self::BLACKHOLE, "blackhole"),
        (Self::LLGR_STALE, "llgr-stale"),
        (Self::NO_LLGR, "no-llgr"),
        (Self::NO_EXPORT, "no-export"),
        (Self::NO_ADVERTISE, "no-advertise"),
        (Self::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
        (Self::NO_PEER, "no-peer"),
    ];

    #[must_use]
    pub fn new(asn: u16, value: u16) -> Self {
        Self(u32::from(asn) << 16 | u32::from(value))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(community, _)| community == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

/// A number of 32 bits, `AS:value`, or a well-known name in either case.
impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let named = Self::NAMED
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        let number = || -> Result<Self, ParseIntError> {
            match text.split_once(':') {
                Some((asn, value)) => Ok(Self::new(asn.parse()?, value.parse()?)),
                None => text.parse().map(Self),
            }
        };
        named
            .map(|(community, _)| *community)
            .or_else(|| number().ok())
            .ok_or_else(|| CommunityError(text.to_owned()))
    }
}

// === impl ExtendedCommunity ===

impl ExtendedCommunity {
    /// Whether it may leave the AS (RFC 4360 section 2: the bit is clear).
    #[must_use]
    pub fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

/// Route targets and origins of two-octet ASes by name, others in hexadecimal.
impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        let name = match (kind, subtype) {
            (0, 2) => "rt",
            (0, 3) => "ro",
            _ => return write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        };
        let asn = u16::from_be_bytes([a, b]);
        write!(f, "{name}:{asn}:{}", u32::from_be_bytes([c, d, e, g]))
    }
}

// === impl LargeCommunity ===

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let mut numbers = text.split(':').map(|part| part.parse().ok());
        match (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            numbers.next(),
        ) {
            (Some(Some(global)), Some(Some(local1)), Some(Some(local2)), None) => Ok(Self {
                global,
                local1,
                local2,
            }),
            _ => Err(CommunityError(text.to_owned())),
        }
    }
}
