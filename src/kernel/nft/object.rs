//! nf_tables as plain data (`linux/netfilter/nf_tables.h`, nft(8)).
//!
//! Everything stands in tables of family `inet`, which see both IPv4 and IPv6. No I/O. Texts are
//! those of the `nft` tool (in `text`); members of sets are in `element`.

use std::fmt;
use std::net::IpAddr;
use std::ops::BitOr;
use std::sync::Arc;

use crate::net::Family;

pub use super::element::{Element, Key, KeyType, Set, Term};

/// Longest name of a table, chain or set in bytes (`NFT_NAME_MAXLEN` less the closing zero).
pub const NAME_MAX: usize = 255;
/// Longest comment or log prefix in bytes (`NFTNL_UDATA_COMMENT_MAXLEN`, `NF_LOG_PREFIXLEN`).
pub const LABEL_MAX: usize = 127;
/// `NFT_LIMIT_PKT_BURST_DEFAULT`
const BURST_DEFAULT: u32 = 5;

/// A name that the `nft` tool could not read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name in nf_tables: a letter, then letters, digits, / - _ . up to 255 bytes")]
pub struct InvalidName(pub String);

/// The name of a table, chain, set or map. Copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A comment or log prefix: text that fits between quotes. Copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

/// A table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    pub name: Name,
    /// Only the socket that made or adopted it may change it, and it stays when that socket is
    /// closed (`NFT_TABLE_F_OWNER` and `NFT_TABLE_F_PERSIST`, Linux 6.9 and later).
    pub is_owned: bool,
}

/// Where in a packet's way a base chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// What becomes of packets that reach the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    Accept,
    Drop,
}

/// What makes a chain a base chain, of type `filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base {
    pub hook: Hook,
    /// Lower ones come first; 0 is iptables' filter table.
    pub priority: i32,
    pub policy: Policy,
}

/// A chain without its rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain {
    pub name: Name,
    /// Nothing for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Written when the chain is made; the kernel never changes it afterwards.
    pub comment: Option<Label>,
}

/// What is evaluated for a packet, in order, until one does not match.
///
/// [`Rule::new`] puts in what its expressions depend on, so that rules can be compared with those
/// read from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    exprs: Vec<Expr>,
    comment: Option<Label>,
}

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

// === impl Name ===

impl Name {
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
        let name = name.as_ref();
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_inside = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if name.len() > NAME_MAX || !name.starts_with(is_start) || !name.chars().all(is_inside) {
            return Err(InvalidName(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// A name that stands in the kernel, where any text can.
    pub(super) fn from_kernel(name: &str) -> Self {
        Self(name.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Label ===

impl Label {
    /// Any text; what the `nft` tool would take for something else is replaced (double quotes by
    /// single ones, `\` by `/`, `$` by `_`, control characters by spaces), and what is longer than
    /// [`LABEL_MAX`] bytes is cut off.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut label = String::with_capacity(text.len().min(LABEL_MAX));
        for c in text.chars() {
            if label.len() + c.len_utf8() > LABEL_MAX {
                break;
            }
            label.push(match c {
                '"' => '\'',
                '\\' => '/',
                '$' => '_',
                c if c.is_control() => ' ',
                c => c,
            });
        }
        Self(label.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Hook ===

impl Hook {
    pub const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// `NF_INET_*`
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

// === impl Rule ===

impl Rule {
    /// A rule of these expressions and what they depend on (`meta nfproto ipv4` before
    /// `ip saddr`, `meta l4proto icmp` before `icmp type`), which is put in front of each
    /// expression unless an earlier one says it already.
    #[must_use]
    pub fn new(exprs: impl IntoIterator<Item = Expr>) -> Self {
        let mut all: Vec<Expr> = Vec::new();
        for mut expr in exprs {
            if let Expr::Limit(limit) = &mut expr
                && limit.burst == 0
            {
                limit.burst = BURST_DEFAULT;
            }
            let needed = expr.dependencies();
            for dependency in needed.into_iter().flatten() {
                if !dependency.is_latest_in(&all) {
                    all.push(dependency);
                }
            }
            all.push(expr);
        }
        Self {
            exprs: all,
            comment: None,
        }
    }

    /// Exactly these expressions, as they stand in the kernel.
    pub(super) fn read(exprs: Vec<Expr>, comment: Option<Label>) -> Self {
        Self { exprs, comment }
    }

    #[must_use]
    pub fn with_comment(mut self, comment: Label) -> Self {
        self.comment = Some(comment);
        self
    }

    #[must_use]
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    #[must_use]
    pub fn comment(&self) -> Option<&Label> {
        self.comment.as_ref()
    }
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
    fn is_latest_in(&self, exprs: &[Self]) -> bool {
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
            Self::Reject(Reject::TcpReset) => [Some(Self::L4proto(Test::Is(TCP))), None],
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
