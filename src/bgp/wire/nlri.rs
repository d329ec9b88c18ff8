//! NLRI: prefixes on the wire (RFC 4271 section 4.3), with or without path identifier (RFC 7911).
//!
//! ```text
//! +---------------------+-------------+---------------------------+
//! | path identifier (32)| length (8)  | prefix, whole octets only |   repeated
//! | if negotiated       | in bits     | 0 to 4 or 0 to 16         |
//! +---------------------+-------------+---------------------------+
//! ```

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::reader::Reader;
use crate::net::{Family, Prefix};

/// One prefix of an UPDATE, masked: bits of the host are as irrelevant as RFC 4271 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    pub prefix: Prefix,
    /// 0 without add-path.
    pub path_id: u32,
}

/// The prefixes of one field, still in the bytes they came in; nothing is allocated per prefix.
///
/// Exists only for fields that were read through to the end without fault.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NlriList {
    family: Family,
    add_path: bool,
    bytes: Bytes,
}

/// Prefixes in the order of the wire.
#[derive(Debug, Clone)]
pub struct NlriIter<'a> {
    family: Family,
    add_path: bool,
    reader: Reader<'a>,
}

/// A field that can't be read through to its end (RFC 7606 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NlriError {
    #[error("a prefix of {0} bits")]
    PrefixLength(u8),
    #[error("a prefix that does not fit")]
    Overrun,
}

// === impl Nlri ===

impl From<Prefix> for Nlri {
    fn from(prefix: Prefix) -> Self {
        Self {
            prefix: prefix.trunc(),
            path_id: 0,
        }
    }
}

/// The prefix, and behind it the path identifier if there is one.
impl fmt::Display for Nlri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path_id {
            0 => write!(f, "{}", self.prefix),
            id => write!(f, "{} path {id}", self.prefix),
        }
    }
}

impl Nlri {
    /// Octets on the wire.
    pub(super) fn encoded_len(&self, add_path: bool) -> usize {
        let id = if add_path { 4 } else { 0 };
        id + 1 + usize::from(self.prefix.prefix_len().div_ceil(8))
    }

    pub(super) fn encode(&self, add_path: bool, into: &mut Vec<u8>) {
        if add_path {
            into.extend_from_slice(&self.path_id.to_be_bytes());
        }
        let bits = self.prefix.prefix_len();
        into.push(bits);
        let octets = usize::from(bits.div_ceil(8));
        match self.prefix {
            Prefix::V4(prefix) => into.extend(prefix.network().octets().iter().take(octets)),
            Prefix::V6(prefix) => into.extend(prefix.network().octets().iter().take(octets)),
        }
    }
}

// === impl NlriList ===

impl NlriList {
    /// Takes a field over after one walk through it.
    pub(super) fn checked(family: Family, add_path: bool, bytes: Bytes) -> Result<Self, NlriError> {
        check(family, add_path, &bytes)?;
        Ok(Self {
            family,
            add_path,
            bytes,
        })
    }

    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[must_use]
    pub fn iter(&self) -> NlriIter<'_> {
        NlriIter {
            family: self.family,
            add_path: self.add_path,
            reader: Reader::new(&self.bytes),
        }
    }
}

impl<'a> IntoIterator for &'a NlriList {
    type Item = Nlri;
    type IntoIter = NlriIter<'a>;

    fn into_iter(self) -> NlriIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for NlriList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|nlri| nlri.to_string()))
            .finish()
    }
}

// === impl NlriIter ===

impl Iterator for NlriIter<'_> {
    type Item = Nlri;

    #[inline]
    fn next(&mut self) -> Option<Nlri> {
        let path_id = if self.add_path { self.reader.u32()? } else { 0 };
        let bits = self.reader.u8()?;
        let octets = usize::from(bits.div_ceil(8));
        let prefix = match self.family {
            Family::V4 => v4(self.reader.padded(octets)?, bits)?,
            Family::V6 => v6(self.reader.padded(octets)?, bits)?,
        };
        Some(Nlri { prefix, path_id })
    }
}

fn check(family: Family, add_path: bool, bytes: &[u8]) -> Result<(), NlriError> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        if add_path {
            reader.u32().ok_or(NlriError::Overrun)?;
        }
        let bits = reader.u8().ok_or(NlriError::Overrun)?;
        if bits > family.host_bits() {
            return Err(NlriError::PrefixLength(bits));
        }
        reader
            .take(usize::from(bits.div_ceil(8)))
            .ok_or(NlriError::Overrun)?;
    }
    Ok(())
}

#[inline]
fn v4(octets: [u8; 4], bits: u8) -> Option<Prefix> {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into()));
    let address = Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask.unwrap_or(0));
    Some(Prefix::V4(ipnet::Ipv4Net::new(address, bits).ok()?))
}

#[inline]
fn v6(octets: [u8; 16], bits: u8) -> Option<Prefix> {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into()));
    let address = Ipv6Addr::from_bits(u128::from_be_bytes(octets) & mask.unwrap_or(0));
    Some(Prefix::V6(ipnet::Ipv6Net::new(address, bits).ok()?))
}
