//! Bytes: commands to netlink messages, and the kernel's answers to objects.
//!
//! Invariant: decoding never panics and ignores what it does not know. Attribute numbers and
//! layouts are those of `include/uapi/linux/ip_vs.h`; addresses are always 16 bytes, ports
//! big-endian, an IPv4 netmask an address in network byte order, an IPv6 one a prefix length, and
//! flags a pair of value and mask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::object::{
    Command, ForwardMethod, Persistence, RealKey, RealServer, RealStats, ServiceFlags, Stats,
    Timeouts, UnknownScheduler, VirtualKey, VirtualServer,
};
use super::text::mask;
use crate::kernel::genl::{self, FamilyId};
use crate::kernel::netlink::{Attr, AttrReader, AttrWriter, Message, NetlinkError, Request};
use crate::net::{Family, Protocol};

/// `IPVS_GENL_VERSION`.
const VERSION: u8 = 1;

/// `IPVS_CMD_*`.
mod cmd {
    pub(super) const NEW_SERVICE: u8 = 1;
    pub(super) const SET_SERVICE: u8 = 2;
    pub(super) const DEL_SERVICE: u8 = 3;
    pub(super) const GET_SERVICE: u8 = 4;
    pub(super) const NEW_DEST: u8 = 5;
    pub(super) const SET_DEST: u8 = 6;
    pub(super) const DEL_DEST: u8 = 7;
    pub(super) const GET_DEST: u8 = 8;
    pub(super) const SET_CONFIG: u8 = 12;
    pub(super) const GET_CONFIG: u8 = 13;
    pub(super) const GET_INFO: u8 = 15;
}

/// `IPVS_CMD_ATTR_*`.
mod top {
    pub(super) const SERVICE: u16 = 1;
    pub(super) const DEST: u16 = 2;
    pub(super) const TIMEOUT_TCP: u16 = 4;
    pub(super) const TIMEOUT_TCP_FIN: u16 = 5;
    pub(super) const TIMEOUT_UDP: u16 = 6;
}

/// `IPVS_SVC_ATTR_*`.
mod svc {
    pub(super) const AF: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const ADDR: u16 = 3;
    pub(super) const PORT: u16 = 4;
    pub(super) const FWMARK: u16 = 5;
    pub(super) const SCHED_NAME: u16 = 6;
    pub(super) const FLAGS: u16 = 7;
    pub(super) const TIMEOUT: u16 = 8;
    pub(super) const NETMASK: u16 = 9;
    pub(super) const STATS: u16 = 10;
    pub(super) const STATS64: u16 = 12;
}

/// `IPVS_DEST_ATTR_*`.
mod dest {
    pub(super) const ADDR: u16 = 1;
    pub(super) const PORT: u16 = 2;
    pub(super) const FWD_METHOD: u16 = 3;
    pub(super) const WEIGHT: u16 = 4;
    pub(super) const U_THRESH: u16 = 5;
    pub(super) const L_THRESH: u16 = 6;
    pub(super) const ACTIVE_CONNS: u16 = 7;
    pub(super) const INACT_CONNS: u16 = 8;
    pub(super) const PERSIST_CONNS: u16 = 9;
    pub(super) const STATS: u16 = 10;
    pub(super) const ADDR_FAMILY: u16 = 11;
    pub(super) const STATS64: u16 = 12;
}

/// `IPVS_INFO_ATTR_VERSION`.
const INFO_VERSION: u16 = 1;

/// An answer that we cannot turn into objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error("unknown address family {0}")]
    Family(u16),
    #[error("unknown protocol {0}")]
    Protocol(u16),
    #[error(transparent)]
    Scheduler(#[from] UnknownScheduler),
    #[error("unknown forwarding method {0}")]
    Forward(u32),
}

// === Requests ===

/// The message of a command.
#[must_use]
pub fn encode(family: FamilyId, command: &Command) -> Request {
    let (number, key) = match command {
        Command::AddVirtual(server) => (cmd::NEW_SERVICE, server.key),
        Command::SetVirtual(server) => (cmd::SET_SERVICE, server.key),
        Command::DelVirtual(key) => (cmd::DEL_SERVICE, *key),
        Command::AddReal(key, _) => (cmd::NEW_DEST, *key),
        Command::SetReal(key, _) => (cmd::SET_DEST, *key),
        Command::DelReal(key, _) => (cmd::DEL_DEST, *key),
    };
    let mut request = family.request(number, VERSION, 0);
    let mut attributes = request.attributes();
    attributes.nest(top::SERVICE, |nest| {
        put_key(nest, &key);
        if let Command::AddVirtual(server) | Command::SetVirtual(server) = command {
            put_server(nest, server);
        }
    });
    match command {
        Command::AddReal(_, real) | Command::SetReal(_, real) => {
            attributes.nest(top::DEST, |nest| put_real(nest, real));
        }
        Command::DelReal(_, real) => {
            attributes.nest(top::DEST, |nest| put_real_key(nest, real));
        }
        _ => {}
    }
    request
}

/// Lists all virtual servers; to be dumped.
pub(super) fn list_virtuals(family: FamilyId) -> Request {
    family.request(cmd::GET_SERVICE, VERSION, 0)
}

/// Asks for one virtual server.
pub(super) fn get_virtual(family: FamilyId, key: &VirtualKey) -> Request {
    let mut request = family.request(cmd::GET_SERVICE, VERSION, 0);
    request
        .attributes()
        .nest(top::SERVICE, |nest| put_key(nest, key));
    request
}

/// Lists the real servers of a virtual server; to be dumped. The kernel answers a missing virtual
/// server with an empty list.
pub(super) fn list_reals(family: FamilyId, key: &VirtualKey) -> Request {
    let mut request = family.request(cmd::GET_DEST, VERSION, 0);
    request
        .attributes()
        .nest(top::SERVICE, |nest| put_key(nest, key));
    request
}

pub(super) fn get_timeouts(family: FamilyId) -> Request {
    family.request(cmd::GET_CONFIG, VERSION, 0)
}

pub(super) fn set_timeouts(family: FamilyId, timeouts: &Timeouts) -> Request {
    let mut request = family.request(cmd::SET_CONFIG, VERSION, 0);
    request
        .attributes()
        .u32(top::TIMEOUT_TCP, timeouts.tcp)
        .u32(top::TIMEOUT_TCP_FIN, timeouts.tcp_fin)
        .u32(top::TIMEOUT_UDP, timeouts.udp);
    request
}

pub(super) fn get_version(family: FamilyId) -> Request {
    family.request(cmd::GET_INFO, VERSION, 0)
}

fn put_key(nest: &mut AttrWriter<'_>, key: &VirtualKey) {
    nest.u16(svc::AF, key.family().af());
    match key {
        VirtualKey::Address {
            address,
            protocol,
            port,
        } => {
            nest.u16(svc::PROTOCOL, u16::from(protocol.number()));
            nest.bytes(svc::ADDR, &address_bytes(*address));
            nest.be16(svc::PORT, *port);
        }
        VirtualKey::FwMark { mark, .. } => {
            nest.u32(svc::FWMARK, *mark);
        }
    }
}

fn put_server(nest: &mut AttrWriter<'_>, server: &VirtualServer) {
    let family = server.key.family();
    let kernels = ServiceFlags::PERSISTENT | ServiceFlags::HASHED;
    let mut flags = server.flags.without(kernels);
    let mut affinity = Persistence {
        timeout: 0,
        prefix_length: family.host_bits(),
    };
    if let Some(persistence) = server.persistence {
        flags = flags | ServiceFlags::PERSISTENT;
        affinity = persistence;
    }
    let mut value_and_mask = [0xff; 8];
    value_and_mask[..4].copy_from_slice(&flags.0.to_ne_bytes());
    nest.strz(svc::SCHED_NAME, server.scheduler.name());
    nest.bytes(svc::FLAGS, &value_and_mask);
    nest.u32(svc::TIMEOUT, affinity.timeout);
    match family {
        Family::V4 => nest.be32(svc::NETMASK, mask(affinity.prefix_length)),
        Family::V6 => nest.u32(svc::NETMASK, u32::from(affinity.prefix_length)),
    };
}

fn put_real_key(nest: &mut AttrWriter<'_>, key: &RealKey) {
    nest.bytes(dest::ADDR, &address_bytes(key.address));
    nest.be16(dest::PORT, key.port);
    nest.u16(dest::ADDR_FAMILY, Family::of(key.address).af());
}

fn put_real(nest: &mut AttrWriter<'_>, real: &RealServer) {
    put_real_key(nest, &real.key);
    nest.u32(dest::FWD_METHOD, real.forward.number());
    nest.u32(dest::WEIGHT, real.weight);
    nest.u32(dest::U_THRESH, real.upper_threshold);
    nest.u32(dest::L_THRESH, real.lower_threshold);
}

/// `union nf_inet_addr`.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

// === Answers ===

/// A virtual server and its counters from one message of a list.
pub fn decode_virtual(message: &Message<'_>) -> Result<(VirtualServer, Stats), DecodeError> {
    let attributes = message.attributes(genl::HEADER)?;
    let nest = required(attributes.find_kind(top::SERVICE), "service")?.nested();
    let key = decode_key(&nest)?;
    let raw = required(nest.find_kind(svc::FLAGS), "service flags")?.u32()?;
    let flags = ServiceFlags(raw);
    let persistence = if flags.contains(ServiceFlags::PERSISTENT) {
        Some(Persistence {
            timeout: required(nest.find_kind(svc::TIMEOUT), "service timeout")?.u32()?,
            prefix_length: decode_netmask(&nest, key.family())?,
        })
    } else {
        None
    };
    let scheduler = required(nest.find_kind(svc::SCHED_NAME), "scheduler")?
        .text()
        .parse()?;
    let flags = flags.without(ServiceFlags::PERSISTENT | ServiceFlags::HASHED);
    let stats = decode_stats(&nest, svc::STATS64, svc::STATS)?;
    Ok((
        VirtualServer {
            key,
            scheduler,
            flags,
            persistence,
        },
        stats,
    ))
}

/// A real server and its counters from one message of the list of a virtual server of this
/// family.
pub fn decode_real(
    message: &Message<'_>,
    family: Family,
) -> Result<(RealServer, RealStats), DecodeError> {
    let attributes = message.attributes(genl::HEADER)?;
    let nest = required(attributes.find_kind(top::DEST), "destination")?.nested();
    // Kernels before 3.18 know no destinations of another family.
    let family = match nest.find_kind(dest::ADDR_FAMILY) {
        Some(attr) => decode_family(attr.u16()?)?,
        None => family,
    };
    let address = required(nest.find_kind(dest::ADDR), "destination address")?;
    let key = RealKey {
        address: decode_address(&address, family)?,
        port: required(nest.find_kind(dest::PORT), "destination port")?.be16()?,
    };
    let number = |kind| nest.find_kind(kind).map_or(Ok(0), |attr| attr.u32());
    let method = number(dest::FWD_METHOD)?;
    let real = RealServer {
        key,
        forward: ForwardMethod::from_flags(method).ok_or(DecodeError::Forward(method))?,
        weight: required(nest.find_kind(dest::WEIGHT), "weight")?.u32()?,
        upper_threshold: number(dest::U_THRESH)?,
        lower_threshold: number(dest::L_THRESH)?,
    };
    let stats = RealStats {
        key,
        stats: decode_stats(&nest, dest::STATS64, dest::STATS)?,
        active: number(dest::ACTIVE_CONNS)?,
        inactive: number(dest::INACT_CONNS)?,
        persistent: number(dest::PERSIST_CONNS)?,
    };
    Ok((real, stats))
}

pub(super) fn decode_timeouts(message: &Message<'_>) -> Result<Timeouts, DecodeError> {
    let attributes = message.attributes(genl::HEADER)?;
    let seconds = |kind| -> Result<u32, DecodeError> {
        Ok(required(attributes.find_kind(kind), "timeout")?.u32()?)
    };
    Ok(Timeouts {
        tcp: seconds(top::TIMEOUT_TCP)?,
        tcp_fin: seconds(top::TIMEOUT_TCP_FIN)?,
        udp: seconds(top::TIMEOUT_UDP)?,
    })
}

/// Major, minor and patch number.
pub(super) fn decode_version(message: &Message<'_>) -> Result<[u8; 3], DecodeError> {
    let attributes = message.attributes(genl::HEADER)?;
    let version = required(attributes.find_kind(INFO_VERSION), "version")?.u32()?;
    let [_, major, minor, patch] = version.to_be_bytes();
    Ok([major, minor, patch])
}

fn required<'a>(attr: Option<Attr<'a>>, name: &'static str) -> Result<Attr<'a>, NetlinkError> {
    attr.ok_or(NetlinkError::Missing(name))
}

fn decode_family(number: u16) -> Result<Family, DecodeError> {
    let family = Family::ALL.into_iter().find(|family| family.af() == number);
    family.ok_or(DecodeError::Family(number))
}

fn decode_address(attr: &Attr<'_>, family: Family) -> Result<IpAddr, NetlinkError> {
    Ok(match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(attr.array::<4>()?)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(attr.array::<16>()?)),
    })
}

fn decode_key(nest: &AttrReader<'_>) -> Result<VirtualKey, DecodeError> {
    let family = decode_family(required(nest.find_kind(svc::AF), "address family")?.u16()?)?;
    if let Some(mark) = nest.find_kind(svc::FWMARK) {
        return Ok(VirtualKey::FwMark {
            mark: mark.u32()?,
            family,
        });
    }
    let number = required(nest.find_kind(svc::PROTOCOL), "protocol")?.u16()?;
    let protocol = u8::try_from(number).ok().and_then(Protocol::from_number);
    let address = required(nest.find_kind(svc::ADDR), "service address")?;
    Ok(VirtualKey::Address {
        address: decode_address(&address, family)?,
        protocol: protocol.ok_or(DecodeError::Protocol(number))?,
        port: required(nest.find_kind(svc::PORT), "service port")?.be16()?,
    })
}

/// The prefix length; of a mask with gaps (which only others set) its leading ones.
fn decode_netmask(nest: &AttrReader<'_>, family: Family) -> Result<u8, NetlinkError> {
    let attr = required(nest.find_kind(svc::NETMASK), "service netmask")?;
    let length = match family {
        Family::V4 => attr.be32()?.leading_ones(),
        Family::V6 => attr.u32()?.min(128),
    };
    Ok(u8::try_from(length).unwrap_or(family.host_bits()))
}

/// The counters, from the nest with 64 bits each where the kernel sends it (since 4.1).
fn decode_stats(nest: &AttrReader<'_>, wide: u16, narrow: u16) -> Result<Stats, NetlinkError> {
    let Some(attr) = nest.find_kind(wide).or_else(|| nest.find_kind(narrow)) else {
        return Ok(Stats::default());
    };
    let mut stats = Stats::default();
    for attr in attr.nested() {
        let field = match attr.kind {
            1 => &mut stats.connections,
            2 => &mut stats.packets_in,
            3 => &mut stats.packets_out,
            4 => &mut stats.bytes_in,
            5 => &mut stats.bytes_out,
            6 => &mut stats.connection_rate,
            7 => &mut stats.packet_rate_in,
            8 => &mut stats.packet_rate_out,
            9 => &mut stats.byte_rate_in,
            10 => &mut stats.byte_rate_out,
            _ => continue,
        };
        *field = if attr.value.len() < 8 {
            u64::from(attr.u32()?)
        } else {
            attr.u64()?
        };
    }
    Ok(stats)
}
