//! IP sets as plain data (`linux/netfilter/ipset/ip_set.h`).
//!
//! No I/O. Texts are lines of `ipset restore`, entries are written as `ipset list` prints them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::{Family, Prefix, Protocol};

/// Longest name of a set in bytes (`IPSET_MAXNAMELEN` less the closing zero).
pub const NAME_MAX: usize = 31;

/// The smallest hash table that the kernel makes (`IPSET_MIMINAL_HASHSIZE`).
const HASH_SIZE_MIN: u32 = 64;
/// Above this the kernel may enlarge the table itself.
const HASH_SIZE_MAX: u32 = 1 << 22;
/// What the `ipset` tool gives when nothing is said.
const MAX_ENTRIES_DEFAULT: u32 = 65_536;

/// A name that the kernel or its tools would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a set: 1 to 31 bytes without spaces, quotes, commas and control characters"
)]
pub struct InvalidName(pub String);

/// The name of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(String);

/// What the entries of a set are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetType {
    HashIp,
    HashIpPort,
    HashNet,
    HashIpPortNet,
    HashNetPort,
    HashNetNet,
    /// A type that this room does not speak: such sets are listed without members, never made.
    Foreign,
}

/// A set without its entries, as it is to be created or was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Definition {
    pub name: SetName,
    pub kind: SetType,
    pub family: Family,
    /// Buckets of the hash table; a power of two.
    pub hash_size: u32,
    /// Entries that fit at most.
    pub max_entries: u32,
}

/// An IP protocol number as entries carry it; the kernel allows more than Services do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

/// One member of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    Ip(IpAddr),
    IpPort(IpAddr, IpProtocol, u16),
    Net(Prefix),
    IpPortNet(IpAddr, IpProtocol, u16, Prefix),
    NetPort(Prefix, IpProtocol, u16),
    NetNet(Prefix, Prefix),
}

/// A set as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub definition: Definition,
    /// Rules and sets that use this one; a referenced set cannot be destroyed.
    pub references: u32,
    /// As the kernel counts them; also there when members were not asked for.
    pub entry_count: u32,
    /// Sorted; empty when only headers were asked for and for foreign types.
    pub entries: Vec<Entry>,
}

/// Which sets to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    All,
    Name(SetName),
    /// Names that start with this text.
    Prefix(String),
}

/// One change, printed as lines of `ipset restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create(Definition),
    Add(SetName, Vec<Entry>),
    Del(SetName, Vec<Entry>),
    Flush(SetName),
    /// Exchanges the contents of two sets of one type at once.
    Swap(SetName, SetName),
    Destroy(SetName),
}

// === impl SetName ===

impl SetName {
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | ',');
        if name.is_empty() || name.len() > NAME_MAX || name.contains(is_bad) {
            return Err(InvalidName(name));
        }
        Ok(Self(name))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl SetType ===

impl SetType {
    /// The kernel's name; nothing for a foreign type.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::HashIp => Some("hash:ip"),
            Self::HashIpPort => Some("hash:ip,port"),
            Self::HashNet => Some("hash:net"),
            Self::HashIpPortNet => Some("hash:ip,port,net"),
            Self::HashNetPort => Some("hash:net,port"),
            Self::HashNetNet => Some("hash:net,net"),
            Self::Foreign => None,
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "hash:ip" => Self::HashIp,
            "hash:ip,port" => Self::HashIpPort,
            "hash:net" => Self::HashNet,
            "hash:ip,port,net" => Self::HashIpPortNet,
            "hash:net,port" => Self::HashNetPort,
            "hash:net,net" => Self::HashNetNet,
            _ => Self::Foreign,
        }
    }
}

impl fmt::Display for SetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("(foreign)"))
    }
}

// === impl Definition ===

impl Definition {
    /// A set that takes `wanted` entries without being enlarged on the way (the kernel doubles
    /// and rehashes, which makes filling nine times slower) and has room for as many again.
    #[must_use]
    pub fn sized_for(name: SetName, kind: SetType, family: Family, wanted: usize) -> Self {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX / 4);
        let hash_size = wanted
            .checked_next_power_of_two()
            .unwrap_or(HASH_SIZE_MAX)
            .clamp(HASH_SIZE_MIN, HASH_SIZE_MAX);
        let max_entries = wanted
            .saturating_mul(2)
            .checked_next_power_of_two()
            .unwrap_or(u32::MAX)
            .max(MAX_ENTRIES_DEFAULT);
        Self {
            name,
            kind,
            family,
            hash_size,
            max_entries,
        }
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        write!(
            f,
            "{} {} family {family} hashsize {} maxelem {}",
            self.name, self.kind, self.hash_size, self.max_entries
        )
    }
}

// === impl IpProtocol ===

impl From<Protocol> for IpProtocol {
    fn from(protocol: Protocol) -> Self {
        Self(protocol.number())
    }
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Protocol::from_number(self.0), self.0) {
            (Some(protocol), _) => f.write_str(protocol.name()),
            (None, 136) => f.write_str("udplite"),
            (None, number) => write!(f, "{number}"),
        }
    }
}

// === impl Entry ===

impl Entry {
    #[must_use]
    pub fn ip_port(address: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self::IpPort(address, protocol.into(), port)
    }

    #[must_use]
    pub fn ip_port_net(address: IpAddr, protocol: Protocol, port: u16, net: Prefix) -> Self {
        Self::IpPortNet(address, protocol.into(), port, net.trunc())
    }

    #[must_use]
    pub fn net_port(net: Prefix, protocol: Protocol, port: u16) -> Self {
        Self::NetPort(net.trunc(), protocol.into(), port)
    }

    /// The set type that holds such entries.
    #[must_use]
    pub fn kind(&self) -> SetType {
        match self {
            Self::Ip(_) => SetType::HashIp,
            Self::IpPort(..) => SetType::HashIpPort,
            Self::Net(_) => SetType::HashNet,
            Self::IpPortNet(..) => SetType::HashIpPortNet,
            Self::NetPort(..) => SetType::HashNetPort,
            Self::NetNet(..) => SetType::HashNetNet,
        }
    }

    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Ip(address) | Self::IpPort(address, ..) | Self::IpPortNet(address, ..) => {
                Family::of(*address)
            }
            Self::Net(net) | Self::NetPort(net, ..) | Self::NetNet(net, _) => {
                Family::of_prefix(net)
            }
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::IpPort(address, protocol, port) => write!(f, "{address},{protocol}:{port}"),
            Self::Net(net) => write_net(f, net),
            Self::IpPortNet(address, protocol, port, net) => {
                write!(f, "{address},{protocol}:{port},")?;
                write_net(f, net)
            }
            Self::NetPort(net, protocol, port) => {
                write_net(f, net)?;
                write!(f, ",{protocol}:{port}")
            }
            Self::NetNet(net, other) => {
                write_net(f, net)?;
                f.write_str(",")?;
                write_net(f, other)
            }
        }
    }
}

/// `ipset` leaves out the length of a prefix that holds one address.
fn write_net(f: &mut fmt::Formatter<'_>, net: &Prefix) -> fmt::Result {
    if net.prefix_len() == net.max_prefix_len() {
        write!(f, "{}", net.addr())
    } else {
        write!(f, "{net}")
    }
}

// === impl Selector ===

impl Selector {
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(wanted) => wanted.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

// === impl Command ===

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(definition) => write!(f, "create {definition}"),
            Self::Add(set, entries) => write_lines(f, "add", set, entries),
            Self::Del(set, entries) => write_lines(f, "del", set, entries),
            Self::Flush(set) => write!(f, "flush {set}"),
            Self::Swap(one, other) => write!(f, "swap {one} {other}"),
            Self::Destroy(set) => write!(f, "destroy {set}"),
        }
    }
}

fn write_lines(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    set: &SetName,
    entries: &[Entry],
) -> fmt::Result {
    for (position, entry) in entries.iter().enumerate() {
        let separator = if position == 0 { "" } else { "\n" };
        write!(f, "{separator}{verb} {set} {entry}")?;
    }
    Ok(())
}

/// The prefixes to put into a set in place of this one: sets refuse a length of 0, which two
/// halves of length 1 stand for.
#[must_use]
pub fn without_zero_length(net: Prefix) -> Vec<Prefix> {
    if net.prefix_len() > 0 {
        return vec![net.trunc()];
    }
    let halves = match net {
        Prefix::V4(_) => [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::new(128, 0, 0, 0)),
        ],
        Prefix::V6(_) => [
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0)),
        ],
    };
    halves
        .into_iter()
        .filter_map(|half| Prefix::new(half, 1).ok())
        .collect()
}
