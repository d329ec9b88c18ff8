//! Sets, maps and their members.

use std::net::IpAddr;

use super::object::{Label, Name, Verdict};
use crate::net::{Family, Prefix};

/// Bytes of the longest key: two IPv6 addresses, a protocol and a port.
pub(super) const KEY_MAX: usize = 40;
/// The length of keys that did not fit.
const TOO_LONG: u8 = u8::MAX;

/// The type of one field of a key, as `nft` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    Ipv4Addr,
    Ipv6Addr,
    InetProto,
    InetService,
}

/// A set, or a map from keys to verdicts, without its members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set {
    pub name: Name,
    /// The fields of a key; one is plain, several are concatenated.
    pub key: Vec<KeyType>,
    /// Members may be ranges, of each field.
    pub is_interval: bool,
    /// Members carry a [`Verdict`].
    pub is_map: bool,
    /// Most members; the kernel also takes it as a hint for its hash table.
    pub size: Option<u32>,
    pub comment: Option<Label>,
}

/// One field of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    Address(IpAddr),
    Prefix(Prefix),
    Addresses(IpAddr, IpAddr),
    Protocol(u8),
    Protocols(u8, u8),
    Port(u16),
    /// Both ends are included.
    Ports(u16, u16),
}

/// The bytes of a key as the kernel compares them: fields in network byte order, each padded to
/// four bytes. A key that is longer than any set allows is sent empty, which no set takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(super) bytes: [u8; KEY_MAX],
    pub(super) length: u8,
}

/// A member of a set or map. Allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    pub(super) low: Key,
    /// The last key of the range; `low` again for a single key.
    pub(super) high: Key,
    pub(super) verdict: Option<Verdict>,
}

// === impl KeyType ===

impl KeyType {
    pub(super) const ALL: [Self; 4] = [
        Self::Ipv4Addr,
        Self::Ipv6Addr,
        Self::InetProto,
        Self::InetService,
    ];

    #[must_use]
    pub fn of_address(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4Addr,
            Family::V6 => Self::Ipv6Addr,
        }
    }

    /// Bytes of a value, without padding.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Ipv4Addr => 4,
            Self::Ipv6Addr => 16,
            Self::InetProto => 1,
            Self::InetService => 2,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4Addr => "ipv4_addr",
            Self::Ipv6Addr => "ipv6_addr",
            Self::InetProto => "inet_proto",
            Self::InetService => "inet_service",
        }
    }
}

// === impl Set ===

impl Set {
    /// A set of single keys; change its fields for more.
    #[must_use]
    pub fn new(name: Name, key: impl Into<Vec<KeyType>>) -> Self {
        Self {
            name,
            key: key.into(),
            is_interval: false,
            is_map: false,
            size: None,
            comment: None,
        }
    }

    /// A map of single keys to verdicts.
    #[must_use]
    pub fn map(name: Name, key: impl Into<Vec<KeyType>>) -> Self {
        Self {
            is_map: true,
            ..Self::new(name, key)
        }
    }

    /// Whether ranges of several fields make it a set of the kernel's type pipapo; ranges of one
    /// field are kept as the starts and ends of intervals.
    pub(super) fn has_ranges_of_fields(&self) -> bool {
        self.is_interval && self.key.len() > 1
    }
}

// === impl Term ===

impl Term {
    fn write(&self, low: &mut Key, high: &mut Key) {
        match *self {
            Self::Address(address) => {
                low.push_address(address);
                high.push_address(address);
            }
            Self::Prefix(prefix) => {
                low.push_address(prefix.network());
                high.push_address(prefix.broadcast());
            }
            Self::Addresses(first, last) => {
                low.push_address(first);
                high.push_address(last);
            }
            Self::Protocol(protocol) => {
                low.push(&[protocol]);
                high.push(&[protocol]);
            }
            Self::Protocols(first, last) => {
                low.push(&[first]);
                high.push(&[last]);
            }
            Self::Port(port) => {
                low.push(&port.to_be_bytes());
                high.push(&port.to_be_bytes());
            }
            Self::Ports(first, last) => {
                low.push(&first.to_be_bytes());
                high.push(&last.to_be_bytes());
            }
        }
    }

    fn read(kind: KeyType, low: &[u8], high: &[u8]) -> Option<Self> {
        let is_one = low == high;
        Some(match kind {
            KeyType::Ipv4Addr | KeyType::Ipv6Addr => {
                let (low, high) = (address(low)?, address(high)?);
                match (is_one, prefix_between(low, high)) {
                    (true, _) => Self::Address(low),
                    (false, Some(prefix)) => Self::Prefix(prefix),
                    (false, None) => Self::Addresses(low, high),
                }
            }
            KeyType::InetProto => match (*low.first()?, *high.first()?) {
                (low, _) if is_one => Self::Protocol(low),
                (low, high) => Self::Protocols(low, high),
            },
            KeyType::InetService => {
                let port = |bytes: &[u8]| Some(u16::from_be_bytes(*bytes.first_chunk()?));
                match (port(low)?, port(high)?) {
                    (low, _) if is_one => Self::Port(low),
                    (low, high) => Self::Ports(low, high),
                }
            }
        })
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

/// The prefix that reaches exactly from one address to the other.
pub(super) fn prefix_between(low: IpAddr, high: IpAddr) -> Option<Prefix> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let common = (bits(low) ^ bits(high)).leading_zeros();
    let length = u8::try_from(common).ok()?.min(Family::of(low).host_bits());
    let prefix = Prefix::new(low, length).ok()?;
    (prefix.network() == low && prefix.broadcast() == high).then_some(prefix)
}

// === impl Key ===

impl Key {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; KEY_MAX],
        length: 0,
    };

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    fn push_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.push(&address.octets()),
            IpAddr::V6(address) => self.push(&address.octets()),
        }
    }

    /// Appends a field and its padding.
    pub(super) fn push(&mut self, value: &[u8]) {
        let start = usize::from(self.length);
        let end = (start + value.len() + 3) & !3;
        match (
            self.bytes.get_mut(start..start + value.len()),
            u8::try_from(end),
        ) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(value);
                self.length = length;
            }
            _ => self.length = TOO_LONG,
        }
    }

    /// The next key of a set of one field; nothing after the last.
    pub(super) fn successor(mut self, width: usize) -> Option<Self> {
        for byte in self.bytes.get_mut(..width)?.iter_mut().rev() {
            let (next, has_wrapped) = byte.overflowing_add(1);
            *byte = next;
            if !has_wrapped {
                return Some(self);
            }
        }
        None
    }

    /// The key before this one in a set of one field.
    pub(super) fn predecessor(mut self, width: usize) -> Option<Self> {
        for byte in self.bytes.get_mut(..width)?.iter_mut().rev() {
            let (next, has_wrapped) = byte.overflowing_sub(1);
            *byte = next;
            if !has_wrapped {
                return Some(self);
            }
        }
        None
    }

    /// The last key of a set of one field.
    pub(super) fn last(width: usize) -> Self {
        let mut key = Self::EMPTY;
        key.push(&[0xff; KEY_MAX][..width.min(KEY_MAX)]);
        key
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:02x?})", self.as_bytes())
    }
}

// === impl Element ===

impl Element {
    /// A member of these fields, in the order of the set's key.
    #[must_use]
    pub fn new(terms: impl IntoIterator<Item = Term>) -> Self {
        let (mut low, mut high) = (Key::EMPTY, Key::EMPTY);
        for term in terms {
            term.write(&mut low, &mut high);
        }
        let verdict = None;
        Self { low, high, verdict }
    }

    /// A member of a map.
    #[must_use]
    pub fn to(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// The fields, if this is a member of a set of such a key.
    #[must_use]
    pub fn terms(&self, key: &[KeyType]) -> Option<Vec<Term>> {
        let (low, high) = (self.low.as_bytes(), self.high.as_bytes());
        let mut terms = Vec::with_capacity(key.len());
        let mut start = 0;
        for kind in key {
            let end = start + kind.width();
            terms.push(Term::read(
                *kind,
                low.get(start..end)?,
                high.get(start..end)?,
            )?);
            start = (end + 3) & !3;
        }
        (start == low.len()).then_some(terms)
    }

    /// Whether a single key is this one or, field by field, within its range.
    pub(super) fn covers(&self, fields: &[KeyType], key: &Key) -> bool {
        let mut start = 0;
        fields.iter().all(|kind| {
            let end = start + kind.width();
            let low = self.low.bytes.get(start..end);
            let (value, high) = (key.bytes.get(start..end), self.high.bytes.get(start..end));
            start = end.next_multiple_of(4);
            low <= value && value <= high
        })
    }

    /// Whether there is a key that both this and the other cover.
    pub(super) fn overlaps(&self, fields: &[KeyType], other: &Self) -> bool {
        let mut start = 0;
        fields.iter().all(|kind| {
            let end = start + kind.width();
            let part = |key: &'_ Key| -> Option<[u8; 16]> {
                let mut padded = [0; 16];
                padded
                    .get_mut(..end - start)?
                    .copy_from_slice(key.bytes.get(start..end)?);
                Some(padded)
            };
            let meets =
                part(&self.low) <= part(&other.high) && part(&other.low) <= part(&self.high);
            start = end.next_multiple_of(4);
            meets
        })
    }
}
