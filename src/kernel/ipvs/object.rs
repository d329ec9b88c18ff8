//! IPVS virtual and real servers as plain data (`include/uapi/linux/ip_vs.h`).
//!
//! No I/O. The names are IPVS's own: a *virtual server* is what Kubernetes calls a Service
//! port on one address, a *real server* is an endpoint of it.

use std::net::IpAddr;

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
