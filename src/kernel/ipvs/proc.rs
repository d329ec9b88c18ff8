//! `/proc/net/ip_vs`: the real servers of all virtual servers in one reading
//! (`ip_vs_info_seq_show` in `net/netfilter/ipvs/ip_vs_ctl.c`).
//!
//! What stands there of a virtual server itself is not exact: no family of a mark, no scheduler
//! flags, one-packet only for IPv4, and the timeout in ticks of unknown length. So only its key is
//! taken. Connection thresholds of real servers do not stand there either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::object::{ForwardMethod, RealKey, RealServer, VirtualKey};
use crate::net::Protocol;

/// A line of the file that we do not understand, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is no virtual or real server")]
pub struct ProcError(pub usize);

/// One virtual server and its real servers in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcEntry {
    /// `None` for a mark, whose family does not stand in the file.
    pub key: Option<VirtualKey>,
    /// With thresholds of 0.
    pub reals: Vec<RealServer>,
}

/// Reads the whole file.
pub fn parse_proc(text: &str) -> Result<Vec<ProcEntry>, ProcError> {
    let mut entries: Vec<ProcEntry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let heading = line.starts_with("IP Virtual Server version")
            || line.starts_with("Prot LocalAddress")
            || line.starts_with("  -> RemoteAddress");
        if heading {
            continue;
        }
        let understood = match line.strip_prefix("  -> ") {
            Some(rest) => entries.last_mut().and_then(|entry| {
                entry.reals.push(real(rest)?);
                Some(())
            }),
            None => virtual_key(line).map(|key| {
                entries.push(ProcEntry {
                    key,
                    reals: Vec::new(),
                })
            }),
        };
        understood.ok_or(ProcError(index + 1))?;
    }
    Ok(entries)
}

/// `TCP  0A60000A:0050 rr `, `UDP  [fd00:…:0011]:0050 sh `, `FWM  0000004D rr `.
fn virtual_key(line: &str) -> Option<Option<VirtualKey>> {
    let (protocol, rest) = line.split_once(' ')?;
    let target = rest.split_whitespace().next()?;
    if protocol == "FWM" {
        return u32::from_str_radix(target, 16).ok().map(|_| None);
    }
    let protocol: Protocol = protocol.parse().ok()?;
    let RealKey { address, port } = endpoint(target)?;
    Some(Some(VirtualKey::Address {
        address,
        protocol,
        port,
    }))
}

/// `0A000001:1F90      Masq    1      0          0         `.
fn real(line: &str) -> Option<RealServer> {
    let mut words = line.split_whitespace();
    let RealKey { address, port } = endpoint(words.next()?)?;
    let forward = match words.next()? {
        "Masq" => ForwardMethod::Masquerade,
        "Local" => ForwardMethod::Local,
        "Tunnel" => ForwardMethod::Tunnel,
        "Route" => ForwardMethod::Direct,
        "Bypass" => ForwardMethod::Bypass,
        _ => return None,
    };
    let weight = words.next()?.parse().ok()?;
    Some(RealServer::new(address, port, forward, weight))
}

fn endpoint(text: &str) -> Option<RealKey> {
    let (address, port) = text.rsplit_once(':')?;
    let inner = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match inner {
        Some(inner) => IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?)),
    };
    Some(RealKey {
        address,
        port: u16::from_str_radix(port, 16).ok()?,
    })
}
