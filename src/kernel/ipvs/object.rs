//! IPVS virtual and real servers as plain data (`include/uapi/linux/ip_vs.h`).
//!
//! No I/O. The names are IPVS's own: a *virtual server* is what Kubernetes calls a Service
//! port on one address, a *real server* is an endpoint of it. Everything prints as
//! `ipvsadm -S -n` does (see `text.rs`).

use std::fmt;
use std::net::IpAddr;
use std::ops::BitOr;
use std::str::FromStr;

use crate::net::{Family, Protocol};

/// What identifies a virtual server in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualKey {
    /// By address, protocol and port.
    Address {
        address: IpAddr,
        protocol: Protocol,
        port: u16,
    },
    /// By the packet's mark; the family is part of the key.
    FwMark { mark: u32, family: Family },
}

/// How packets reach a real server (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardMethod {
    /// `IP_VS_CONN_F_MASQ`, 0.
    Masquerade,
    /// `IP_VS_CONN_F_LOCALNODE`, 1: the kernel's own choice for a local address.
    Local,
    /// `IP_VS_CONN_F_TUNNEL`, 2.
    Tunnel,
    /// `IP_VS_CONN_F_DROUTE`, 3.
    Direct,
    /// `IP_VS_CONN_F_BYPASS`, 4.
    Bypass,
}

/// What identifies a real server inside its virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealKey {
    pub address: IpAddr,
    pub port: u16,
}

/// A scheduler by its kernel name, at most 15 bytes (`IP_VS_SCHEDNAME_MAXLEN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduler {
    Rr,
    Wrr,
    Lc,
    Wlc,
    Fo,
    Ovf,
    Lblc,
    Lblcr,
    Dh,
    Sh,
    Mh,
    Sed,
    Nq,
    Twos,
}

/// Flags of a virtual server that an administrator sets (`IP_VS_SVC_F_*`); `hashed` (0x2) is the
/// kernel's own and never stands here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceFlags(pub u32);

/// Affinity of a client to its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    /// Seconds since the client's last connection; 1 or more.
    pub timeout: u32,
    /// Clients that share this many leading bits share a real server: 32 or 128 is per address.
    pub prefix_length: u8,
}

/// A virtual server without its real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualServer {
    pub key: VirtualKey,
    pub scheduler: Scheduler,
    pub flags: ServiceFlags,
    pub persistence: Option<Persistence>,
}

/// A real server of some virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealServer {
    pub key: RealKey,
    pub forward: ForwardMethod,
    /// 0 means: no new connections, established ones stay.
    pub weight: u32,
    /// Above this many connections no new ones; 0 is no limit.
    pub upper_threshold: u32,
    /// Back in rotation below this many; 0 lets the kernel choose.
    pub lower_threshold: u32,
}

/// A virtual server with everything behind it; `reals` is sorted by key without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualTable {
    pub server: VirtualServer,
    pub reals: Vec<RealServer>,
}

/// One change of the kernel's table, printed as `ipvsadm` would be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    AddVirtual(VirtualServer),
    SetVirtual(VirtualServer),
    DelVirtual(VirtualKey),
    AddReal(VirtualKey, RealServer),
    SetReal(VirtualKey, RealServer),
    DelReal(VirtualKey, RealKey),
}

/// How long idle connections are kept, in seconds; 0 in a request leaves a value as it is
/// (`IPVS_CMD_SET_CONFIG`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeouts {
    pub tcp: u32,
    /// After a FIN was seen.
    pub tcp_fin: u32,
    pub udp: u32,
}

/// Counters since the object was added, and their rates per second (`IPVS_*_ATTR_STATS64`). The
/// kernel brings them up to date every two seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connection_rate: u64,
    pub packet_rate_in: u64,
    pub packet_rate_out: u64,
    pub byte_rate_in: u64,
    pub byte_rate_out: u64,
}

/// What went through a virtual server and each of its real servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualStats {
    pub key: VirtualKey,
    pub stats: Stats,
    pub reals: Vec<RealStats>,
}

/// What goes through one real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealStats {
    pub key: RealKey,
    pub stats: Stats,
    /// Connections that are established.
    pub active: u32,
    /// Connections in any other state.
    pub inactive: u32,
    /// Clients that are bound to this real server by persistence.
    pub persistent: u32,
}

/// A name that is no scheduler of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown IPVS scheduler {0:?}")]
pub struct UnknownScheduler(pub String);

// === impl VirtualKey ===

impl VirtualKey {
    /// A virtual server's address and port.
    #[must_use]
    pub fn new(address: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self::Address {
            address,
            protocol,
            port,
        }
    }

    /// The family of the packets it takes.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::FwMark { family, .. } => *family,
        }
    }
}

// === impl VirtualServer ===

impl VirtualServer {
    /// A virtual server without flags and persistence.
    #[must_use]
    pub fn new(key: VirtualKey, scheduler: Scheduler) -> Self {
        Self {
            key,
            scheduler,
            flags: ServiceFlags::default(),
            persistence: None,
        }
    }

    #[must_use]
    pub fn with_flags(self, flags: ServiceFlags) -> Self {
        Self { flags, ..self }
    }

    /// Each client address stays at its real server for `timeout` seconds after its last connection.
    #[must_use]
    pub fn with_persistence(self, timeout: u32) -> Self {
        let prefix_length = self.key.family().host_bits();
        Self {
            persistence: Some(Persistence {
                timeout,
                prefix_length,
            }),
            ..self
        }
    }
}

// === impl RealServer ===

impl RealServer {
    /// A real server without connection limits.
    #[must_use]
    pub fn new(address: IpAddr, port: u16, forward: ForwardMethod, weight: u32) -> Self {
        let key = RealKey { address, port };
        Self {
            key,
            forward,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

// === impl VirtualTable ===

impl VirtualTable {
    /// Brings the real servers into order; of two with one key the first stays.
    #[must_use]
    pub fn new(server: VirtualServer, mut reals: Vec<RealServer>) -> Self {
        reals.sort_by_key(|real| real.key);
        reals.dedup_by_key(|real| real.key);
        Self { server, reals }
    }

    /// The commands that make this table where there is none.
    pub fn commands(&self) -> impl Iterator<Item = Command> + '_ {
        let reals = self
            .reals
            .iter()
            .map(|real| Command::AddReal(self.server.key, *real));
        std::iter::once(Command::AddVirtual(self.server)).chain(reals)
    }
}

// === impl Command ===

impl Command {
    /// The virtual server that this command is about.
    #[must_use]
    pub fn key(&self) -> VirtualKey {
        match self {
            Self::AddVirtual(server) | Self::SetVirtual(server) => server.key,
            Self::DelVirtual(key)
            | Self::AddReal(key, _)
            | Self::SetReal(key, _)
            | Self::DelReal(key, _) => *key,
        }
    }
}

// === impl ServiceFlags ===

impl ServiceFlags {
    /// `IP_VS_SVC_F_PERSISTENT`. Not set here: [`VirtualServer::persistence`] says it.
    pub const PERSISTENT: Self = Self(0x1);
    /// `IP_VS_SVC_F_HASHED`, the kernel's own.
    pub const HASHED: Self = Self(0x2);
    /// `IP_VS_SVC_F_ONEPACKET`: each UDP packet is scheduled alone.
    pub const ONE_PACKET: Self = Self(0x4);
    /// `IP_VS_SVC_F_SCHED1`: flag-1; sh-fallback, mh-fallback.
    pub const SCHED_1: Self = Self(0x8);
    /// `IP_VS_SVC_F_SCHED2`: flag-2; sh-port, mh-port.
    pub const SCHED_2: Self = Self(0x10);
    /// `IP_VS_SVC_F_SCHED3`: flag-3.
    pub const SCHED_3: Self = Self(0x20);

    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for ServiceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

// === impl Scheduler ===

impl Scheduler {
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Fo,
        Self::Ovf,
        Self::Lblc,
        Self::Lblcr,
        Self::Dh,
        Self::Sh,
        Self::Mh,
        Self::Sed,
        Self::Nq,
        Self::Twos,
    ];

    /// The kernel's name of it; the module is `ip_vs_` and this.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Mh => "mh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Twos => "twos",
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheduler {
    type Err = UnknownScheduler;

    fn from_str(text: &str) -> Result<Self, UnknownScheduler> {
        let found = Self::ALL
            .into_iter()
            .find(|scheduler| scheduler.name() == text);
        found.ok_or_else(|| UnknownScheduler(text.to_owned()))
    }
}

// === impl ForwardMethod ===

impl ForwardMethod {
    /// The value of `IPVS_DEST_ATTR_FWD_METHOD`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Masquerade => 0,
            Self::Local => 1,
            Self::Tunnel => 2,
            Self::Direct => 3,
            Self::Bypass => 4,
        }
    }

    /// The method of these connection flags; other bits (`IP_VS_CONN_F_*`) are ignored.
    #[must_use]
    pub fn from_flags(flags: u32) -> Option<Self> {
        match flags & 7 {
            0 => Some(Self::Masquerade),
            1 => Some(Self::Local),
            2 => Some(Self::Tunnel),
            3 => Some(Self::Direct),
            4 => Some(Self::Bypass),
            _ => None,
        }
    }
}
