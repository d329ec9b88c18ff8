//! The words rules are made of. No I/O.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::firewall::Name;
use crate::kernel::iptables::object::Position;
use crate::net::{Family, Prefix, Protocol};

/// The NFLOG group of refused packets, as upstream's documentation names it.
pub const LOG_GROUP: u16 = 100;
/// How many packets a minute a chain logs, and how many at once.
pub const LOG_PER_MINUTE: u32 = 10;

/// Every address and port that IPVS serves on this node.
pub const SERVED: SetDef = SetDef {
    name: Name::of("kube-router-svip-prt"),
    kind: SetKind::AddressPort,
};

/// A table of the packet filter that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Filter,
    Nat,
}

/// What the members of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// `hash:ip`
    Address,
    /// `hash:ip,port`
    AddressPort,
    /// `hash:net`
    Prefix,
    /// `hash:ip,port,net`
    AddressPortPrefix,
    /// `hash:net,port`
    PrefixPort,
    /// `hash:net,net` of single addresses.
    AddressPair,
}

/// A set by name; the same name stands for one set in each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetDef {
    pub name: Name,
    pub kind: SetKind,
}

/// A member of a set; its family decides which of the two sets it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    Address(IpAddr),
    AddressPort(IpAddr, Protocol, u16),
    Prefix(Prefix),
    AddressPortPrefix(IpAddr, Protocol, u16, Prefix),
    PrefixPort(Prefix, Protocol, u16),
    AddressPair(IpAddr, IpAddr),
}

/// Which end of the packet a set's dimension is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    Source,
    Destination,
}

/// ICMP messages by meaning; each family has its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IcmpType {
    EchoRequest,
    EchoReply,
    DestinationUnreachable,
    TimeExceeded,
    /// IPv6 only.
    PacketTooBig,
    /// IPv6 only.
    NeighbourSolicitation,
    /// IPv6 only.
    NeighbourAdvertisement,
    ParameterProblem,
    /// IPv6 only.
    RouterSolicitation,
    /// IPv6 only.
    RouterAdvertisement,
    /// IPv6 only: queries, reports and their end (RFC 2710, RFC 3810).
    MulticastListener(MulticastListener),
}

/// Messages by which a host says which groups it listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MulticastListener {
    Query,
    Report,
    Done,
    ReportV2,
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Part of a connection that is known, or an error about one (`RELATED,ESTABLISHED`).
    Known,
    /// Fits no connection and begins none.
    Invalid,
    /// TCP from the midst of a connection that is not known. Connection tracking takes it for the
    /// first packet of a new one, whichever end sends it (`nf_conntrack_tcp_loose`).
    Midway,
}

/// Sends a packet to the chain that stands for its address; without one it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dispatch {
    pub name: Name,
    pub direction: Direction,
}

/// A condition; a rule applies when all of its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    InSet {
        set: SetDef,
        directions: &'static [Direction],
    },
    NotInSet {
        set: SetDef,
        directions: &'static [Direction],
    },
    Protocol(Protocol),
    Icmp(IcmpType),
    /// The packet belongs to an IPVS connection, client to server, forwarded by masquerading.
    IpvsMasqueraded,
    /// A transport protocol and a range of its destination ports.
    Ports(Protocol, u16, u16),
    Prefix(Direction, Prefix),
    State(ConnectionState),
    /// The address is one of the node's own.
    Local(Direction),
    NotLocal(Direction),
    /// IPVS will take the packet: its end is a Service, not this node. On `INPUT` only.
    ServedByIpvs,
}

/// What becomes of the packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    Accept,
    Drop,
    Return,
    /// `icmp-port-unreachable`, `icmp6-port-unreachable`.
    RejectPort,
    /// A TCP reset; only behind `Match::Protocol(Tcp)`.
    RejectReset,
    /// Source NAT to one address, ports chosen at random.
    SourceNat(IpAddr),
    /// Source NAT to the address of the link by which the packet leaves, ports chosen at random.
    Masquerade,
    /// To another chain of the same table, and back at its end.
    Jump(Name),
    /// To another chain of the same table, whose end is the end of this one, too.
    Goto(Name),
    Dispatch(Dispatch),
    /// A copy to whoever reads [`LOG_GROUP`], at a limited rate, with this prefix.
    Log(Name),
}

/// Conditions, an action, and the reason shown to whoever lists the rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub action: Action,
    pub comment: Cow<'static, str>,
}

/// A chain of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    pub table: Table,
    pub name: Name,
    pub rules: Vec<Rule>,
}

/// A rule in a chain that is not ours, leading into one that is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Jump {
    pub table: Table,
    /// A built-in chain: `INPUT`, `POSTROUTING`.
    pub from: &'static str,
    pub matches: Vec<Match>,
    pub to: Name,
    pub comment: Cow<'static, str>,
    pub position: Position,
}

/// All rules of one owner in one family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ruleset {
    pub family: Family,
    pub sets: Vec<SetDef>,
    pub chains: Vec<Chain>,
    pub jumps: Vec<Jump>,
}

// === impl Table ===

impl Table {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

// === impl SetDef ===

impl SetDef {
    /// The kernel's name of the set of one family: IPv6 ones are prefixed `inet6:`.
    #[must_use]
    pub fn kernel_name(&self, family: Family) -> String {
        match family {
            Family::V4 => self.name.to_string(),
            Family::V6 => format!("inet6:{}", self.name),
        }
    }
}

// === impl Member ===

impl Member {
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Address(address)
            | Self::AddressPort(address, ..)
            | Self::AddressPortPrefix(address, ..)
            | Self::AddressPair(address, _) => Family::of(*address),
            Self::Prefix(prefix) | Self::PrefixPort(prefix, ..) => Family::of_prefix(prefix),
        }
    }
}

/// As `ipset` writes members.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::AddressPort(address, protocol, port) => write!(f, "{address},{protocol}:{port}"),
            Self::Prefix(prefix) => write!(f, "{}", Bare(*prefix)),
            Self::AddressPortPrefix(address, protocol, port, prefix) => {
                write!(f, "{address},{protocol}:{port},{}", Bare(*prefix))
            }
            Self::PrefixPort(prefix, protocol, port) => {
                write!(f, "{},{protocol}:{port}", Bare(*prefix))
            }
            Self::AddressPair(one, other) => write!(f, "{one},{other}"),
        }
    }
}

/// A prefix as ipset prints it: without the length where it is a single address.
struct Bare(Prefix);

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}
