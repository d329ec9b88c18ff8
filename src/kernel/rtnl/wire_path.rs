//! Messages of routes with any number of next hops as bytes (`linux/rtnetlink.h`).
//!
//! ```text
//! struct rtmsg      as in `wire`
//! one next hop:     RTA_OIF, RTA_GATEWAY or RTA_VIA; RTNH_F_ONLINK in the header's flags
//! several:          RTA_MULTIPATH: struct rtnexthop { u16 len; u8 flags; u8 weight - 1; s32 index; },
//!                   RTA_GATEWAY or RTA_VIA; again
//! ```

use super::object::{Hop, PathQuery, PathRoute, RouteKind, Scope};
use super::path::{default_metric, with_gateway, without_device_gateway};
use super::wire::{
    Octets, ROUTE_HEADER, RTA_VIA, af, family_of, gateway, gateway_attribute, header, ip,
    unspecified,
};
use crate::kernel::netlink::{
    Attr, AttrReader, Message, NLM_F_CREATE, NLM_F_REPLACE, NetlinkError, Request,
};
use crate::net::{Family, Prefix};

/// `RTNH_F_ONLINK`.
const ONLINK: u8 = 4;
/// `RTAX_MTU` inside `RTA_METRICS`.
const METRIC_MTU: u16 = 2;
/// `sizeof(struct rtnexthop)`, and `RTNH_ALIGNTO`.
const HOP_HEADER: usize = 8;
const HOP_ALIGN: usize = 4;
/// `sizeof(struct rtattr)`.
const ATTR_HEADER: usize = 4;

// === requests ===

/// Routes of one protocol and family; a kernel that filters strictly lists no others.
pub(super) fn get(family: Family, query: PathQuery) -> Request {
    let mut header = [0; ROUTE_HEADER];
    header[0] = af(family);
    header[5] = query.protocol;
    header[7] = RouteKind::Unicast.number();
    let mut request = Request::new(libc::RTM_GETROUTE, 0).payload(&header);
    if let Some(table) = query.table {
        request.attributes().u32(libc::RTA_TABLE, table);
    }
    request
}

pub(super) fn replace(path: &PathRoute) -> Request {
    let scope = match path.next_hops.iter().any(|hop| hop.gateway.is_some()) {
        true => Scope::GLOBAL,
        false => Scope::LINK,
    };
    let mut header = route_header(path, scope);
    if let [only] = path.next_hops.as_slice() {
        header[8..].copy_from_slice(&u32::from(hop_flags(only)).to_ne_bytes());
    }
    let mut request =
        Request::new(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE).payload(&header);
    key(&mut request, path);
    let mut attributes = request.attributes();
    match path.next_hops.as_slice() {
        [only] => {
            if let Some(link) = only.link {
                attributes.u32(libc::RTA_OIF, link);
            }
            if let Some(gateway) = only.gateway {
                let (kind, bytes) = gateway_attribute(gateway, path.family());
                attributes.bytes(kind, &bytes);
            }
        }
        several => {
            attributes.bytes(libc::RTA_MULTIPATH, &multipath(several, path.family()));
        }
    }
    if let Some(source) = path.source {
        attributes.bytes(libc::RTA_PREFSRC, Octets::of(source).as_slice());
    }
    if let Some(mtu) = path.mtu {
        attributes.nest(libc::RTA_METRICS, |attributes| {
            attributes.u32(METRIC_MTU, mtu);
        });
    }
    request
}

/// By key and protocol alone: the kernel then deletes the route with all its next hops.
pub(super) fn delete(path: &PathRoute) -> Request {
    let header = route_header(path, Scope::NOWHERE);
    let mut request = Request::new(libc::RTM_DELROUTE, 0).payload(&header);
    key(&mut request, path);
    request
}

fn route_header(path: &PathRoute, scope: Scope) -> [u8; ROUTE_HEADER] {
    let mut header = [0; ROUTE_HEADER];
    header[0] = af(path.family());
    header[1] = path.destination.prefix_len();
    header[4] = u8::try_from(path.table).unwrap_or(libc::RT_TABLE_UNSPEC);
    header[5] = path.protocol;
    // IPv6 routes have no scope.
    header[6] = match path.family() {
        Family::V4 => scope.0,
        Family::V6 => Scope::GLOBAL.0,
    };
    header[7] = RouteKind::Unicast.number();
    header
}

fn key(request: &mut Request, path: &PathRoute) {
    let destination = Octets::of(path.destination.addr());
    request
        .attributes()
        .bytes(libc::RTA_DST, destination.as_slice())
        .u32(libc::RTA_TABLE, path.table)
        .u32(libc::RTA_PRIORITY, path.metric_number());
}

fn hop_flags(hop: &Hop) -> u8 {
    if hop.onlink { ONLINK } else { 0 }
}

fn multipath(hops: &[Hop], family: Family) -> Vec<u8> {
    let mut bytes = Vec::new();
    for hop in hops {
        let hop = with_gateway(*hop, family);
        let attribute = hop.gateway.map(|to| gateway_attribute(to, family));
        let value = attribute
            .as_ref()
            .map_or(0, |(_, value)| ATTR_HEADER + value.len());
        // Both at most 32 bytes.
        let (length, value) = ((HOP_HEADER + value) as u16, value as u16);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&[hop_flags(&hop), hop.weight.saturating_sub(1)]);
        bytes.extend_from_slice(&hop.link.unwrap_or(0).to_ne_bytes());
        if let Some((kind, gateway)) = attribute {
            bytes.extend_from_slice(&value.to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&gateway);
        }
        bytes.resize(bytes.len().next_multiple_of(HOP_ALIGN), 0);
    }
    bytes
}

// === decoder ===

/// `None` for routes that are no [`PathRoute`]: of other kinds, by source or type of service,
/// clones.
pub(super) fn path(message: &Message<'_>) -> Result<Option<PathRoute>, NetlinkError> {
    let header: [u8; ROUTE_HEADER] = header(message)?;
    let [
        family,
        length,
        source_length,
        tos,
        table,
        protocol,
        _,
        kind,
        f0,
        f1,
        f2,
        f3,
    ] = header;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let is_path = source_length == 0
        && tos == 0
        && kind == RouteKind::Unicast.number()
        && flags & libc::RTM_F_CLONED == 0;
    let Some(family) = family_of(family).filter(|_| is_path) else {
        return Ok(None);
    };
    let mut only = Hop {
        gateway: None,
        link: None,
        weight: 1,
        onlink: flags & u32::from(ONLINK) != 0,
    };
    let mut path = PathRoute::new(unspecified(family), Vec::new());
    (path.table, path.protocol) = (u32::from(table), protocol);
    let mut destination = path.destination.addr();
    for attr in message.attributes(ROUTE_HEADER)? {
        match attr.kind {
            libc::RTA_DST => destination = ip(&attr, family)?,
            libc::RTA_TABLE => path.table = attr.u32()?,
            libc::RTA_PREFSRC => path.source = Some(ip(&attr, family)?),
            libc::RTA_PRIORITY => {
                path.metric = Some(attr.u32()?).filter(|it| *it != default_metric(family));
            }
            libc::RTA_METRICS => {
                let mtu = attr.nested().find_kind(METRIC_MTU);
                path.mtu = mtu.map(|mtu| mtu.u32()).transpose()?;
            }
            libc::RTA_MULTIPATH => path.next_hops = read_multipath(&attr, family)?,
            libc::RTA_OIF => only.link = Some(attr.u32()?),
            libc::RTA_GATEWAY | RTA_VIA => only.gateway = gateway(&attr, family)?,
            _ => {}
        }
    }
    if path.next_hops.is_empty() {
        path.next_hops.push(without_device_gateway(only));
    }
    path.next_hops.sort_unstable();
    let prefix = Prefix::new(destination, length).ok();
    Ok(prefix.map(|destination| PathRoute {
        destination: destination.trunc(),
        ..path
    }))
}

fn read_multipath(attr: &Attr<'_>, family: Family) -> Result<Vec<Hop>, NetlinkError> {
    let (mut hops, mut rest) = (Vec::new(), attr.value);
    while let Some([l0, l1, flags, weight, i0, i1, i2, i3]) = rest.first_chunk().copied() {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(attributes) = rest.get(HOP_HEADER..length) else {
            break;
        };
        let mut hop = Hop {
            gateway: None,
            link: Some(u32::from_ne_bytes([i0, i1, i2, i3])),
            weight: weight.saturating_add(1),
            onlink: flags & ONLINK != 0,
        };
        for attr in AttrReader::new(attributes) {
            if matches!(attr.kind, libc::RTA_GATEWAY | RTA_VIA) {
                hop.gateway = gateway(&attr, family)?;
            }
        }
        hops.push(without_device_gateway(hop));
        rest = rest
            .get(length.next_multiple_of(HOP_ALIGN)..)
            .unwrap_or_default();
    }
    Ok(hops)
}
