//! What rules are made of.

use std::net::IpAddr;
use std::ops::BitOr;

use super::object::{KeyType, Label, Name};
use crate::net::Family;

/// A comparison with what was read from the packet; both ends of a range are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test<T> {
    Is(T),
    Not(T),
    Within(T, T),
    Outside(T, T),
}

/// One end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Source,
    Destination,
}

/// A part of the packet that is looked up in sets and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `ip saddr`, `ip6 daddr`, …: packets of the other family never match.
    Address(Family, Side),
    /// `meta l4proto`
    L4proto,
    /// `th sport`, `th dport`: of whatever transport protocol the packet has.
    Port(Side),
}

/// What kind of address the routing tables say it is (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressType {
    Unicast,
    /// One of this host's own.
    Local,
    Broadcast,
    Anycast,
    Multicast,
}

/// Some of the states that connection tracking gives a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CtStates(pub(super) u32);

/// What becomes of the packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Leaves this base chain; the next one of the hook still sees the packet.
    Accept,
    Drop,
    Return,
    /// Goes on with the next rule; in maps, an entry that says nothing.
    Continue,
    Jump(Name),
    Goto(Name),
}

/// How a packet is refused with notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// ICMP or ICMPv6 "port unreachable", by the packet's family.
    PortUnreachable,
    /// For TCP only.
    TcpReset,
}

/// The time over which a [`Limit`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

/// A limit of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// Packets per unit; the kernel refuses 0.
    pub rate: u32,
    pub unit: Unit,
    /// Packets beyond the rate that may come at once; 5 is taken for 0.
    pub burst: u32,
    /// Matches packets above the limit instead of those below it.
    pub is_over: bool,
}

/// One expression of a rule, as the `nft` tool counts them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    /// `meta nfproto ipv4`
    Nfproto(Family),
    /// `meta l4proto 6`
    L4proto(Test<u8>),
    /// `ip saddr 192.0.2.1`; both ends of a range are of one family.
    Address(Side, Test<IpAddr>),
    /// `th dport 80`; says nothing about the transport protocol.
    Port(Side, Test<u16>),
    /// `icmp type 8`, `icmpv6 type 135`
    IcmpType(Family, Test<u8>),
    /// `tcp flags & (fin | syn | rst | ack) == syn`: the first packet of a connection, or any other.
    TcpSyn {
        is_negated: bool,
    },
    /// `ct state established,related`: one of these states, or none of them.
    CtState {
        states: CtStates,
        is_negated: bool,
    },
    /// `fib daddr type local`
    AddressType {
        side: Side,
        kind: AddressType,
        is_negated: bool,
    },
    /// `ip saddr . th dport @set`
    Lookup {
        key: Vec<Field>,
        set: Name,
        is_negated: bool,
    },
    /// `ip saddr vmap @map`
    VerdictMap {
        key: Vec<Field>,
        map: Name,
    },
    /// Counts packets and bytes; the counts are no part of the rule.
    Counter,
    Limit(Limit),
    /// To an nflog group, with at most `snaplen` bytes of the packet; 0 leaves it to the reader.
    Log {
        group: u16,
        prefix: Label,
        snaplen: u32,
    },
    Reject(Reject),
    Verdict(Verdict),
    /// Something of others that this room does not speak, by the kernel's name; never written.
    Foreign(String),
}

// === impl Test ===

impl<T: PartialOrd> Test<T> {
    /// Whether `value` passes.
    pub fn holds(&self, value: &T) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::Not(other) => value != other,
            Self::Within(low, high) => low <= value && value <= high,
            Self::Outside(low, high) => value < low || high < value,
        }
    }
}

impl<T> Test<T> {
    /// The value, or the start of the range.
    pub fn first(&self) -> &T {
        match self {
            Self::Is(value) | Self::Not(value) => value,
            Self::Within(low, _) | Self::Outside(low, _) => low,
        }
    }
}

impl<T> Test<T> {
    /// The same test of other values.
    pub(super) fn map<U>(&self, value: impl Fn(T) -> U) -> Test<U>
    where
        T: Copy,
    {
        match self {
            Self::Is(wanted) => Test::Is(value(*wanted)),
            Self::Not(other) => Test::Not(value(*other)),
            Self::Within(low, high) => Test::Within(value(*low), value(*high)),
            Self::Outside(low, high) => Test::Outside(value(*low), value(*high)),
        }
    }

    /// The same test of other values; nothing if one cannot be had.
    pub(super) fn try_map<U>(self, value: impl Fn(T) -> Option<U>) -> Option<Test<U>> {
        Some(match self {
            Self::Is(wanted) => Test::Is(value(wanted)?),
            Self::Not(other) => Test::Not(value(other)?),
            Self::Within(low, high) => Test::Within(value(low)?, value(high)?),
            Self::Outside(low, high) => Test::Outside(value(low)?, value(high)?),
        })
    }
}

// === impl Field ===

impl Field {
    /// The type of keys that this field is looked up among.
    #[must_use]
    pub fn key_type(self) -> KeyType {
        match self {
            Self::Address(family, _) => KeyType::of_address(family),
            Self::L4proto => KeyType::InetProto,
            Self::Port(_) => KeyType::InetService,
        }
    }
}

// === impl AddressType ===

impl AddressType {
    pub(super) const ALL: [(Self, u32, &'static str); 5] = [
        (Self::Unicast, 1, "unicast"),
        (Self::Local, 2, "local"),
        (Self::Broadcast, 3, "broadcast"),
        (Self::Anycast, 4, "anycast"),
        (Self::Multicast, 5, "multicast"),
    ];

    pub(super) fn number(self) -> u32 {
        let found = Self::ALL.into_iter().find(|(kind, ..)| *kind == self);
        found.map_or(0, |(_, number, _)| number)
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, known, _)| *known == number);
        found.map(|(kind, ..)| kind)
    }

    pub(super) fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(kind, ..)| *kind == self);
        found.map_or("", |(.., name)| name)
    }
}

// === impl CtStates ===

impl CtStates {
    pub const INVALID: Self = Self(1);
    pub const ESTABLISHED: Self = Self(1 << 1);
    pub const RELATED: Self = Self(1 << 2);
    pub const NEW: Self = Self(1 << 3);
    pub const UNTRACKED: Self = Self(1 << 6);

    /// Whether the two have a state in common.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for CtStates {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

// === impl Expr ===

impl Expr {
    /// Shorthand for the commonest ends of rules.
    #[must_use]
    pub fn jump(chain: Name) -> Self {
        Self::Verdict(Verdict::Jump(chain))
    }

    /// Whether this is what the expressions last made sure of, of its kind.
    pub(super) fn is_latest_in(&self, exprs: &[Self]) -> bool {
        let is_of_kind = |expr: &&Self| {
            matches!(
                (self, expr),
                (Self::Nfproto(_), Self::Nfproto(_))
                    | (Self::L4proto(_), Self::L4proto(Test::Is(_)))
            )
        };
        exprs.iter().rfind(is_of_kind) == Some(self)
    }

    /// What an earlier expression of the rule must have made sure of.
    pub(super) fn dependencies(&self) -> [Option<Self>; 2] {
        let family_of = |key: &[Field]| {
            let families = key.iter().find_map(|field| match field {
                Field::Address(family, _) => Some(*family),
                Field::L4proto | Field::Port(_) => None,
            });
            families.map(Self::Nfproto)
        };
        match self {
            Self::Address(_, test) => [Some(Self::Nfproto(Family::of(*test.first()))), None],
            Self::IcmpType(family, _) => {
                let protocol = Self::L4proto(Test::Is(icmp_protocol(*family)));
                [Some(Self::Nfproto(*family)), Some(protocol)]
            }
            Self::Lookup { key, .. } | Self::VerdictMap { key, .. } => [family_of(key), None],
            Self::TcpSyn { .. } | Self::Reject(Reject::TcpReset) => {
                [Some(Self::L4proto(Test::Is(TCP))), None]
            }
            _ => [None, None],
        }
    }
}

pub(super) const TCP: u8 = 6;

/// ICMP of a family as an IP protocol.
pub(super) fn icmp_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}
