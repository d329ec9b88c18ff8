//! IPVS virtual and real servers as plain data (`include/uapi/linux/ip_vs.h`).
//!
//! No I/O. The names are IPVS's own: a *virtual server* is what Kubernetes calls a Service
//! port on one address, a *real server* is an endpoint of it.

use std::fmt;
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
