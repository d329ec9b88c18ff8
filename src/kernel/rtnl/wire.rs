//! Messages of addresses and of routes with one next hop as bytes, and what all messages of
//! rtnetlink share (`linux/rtnetlink.h`, `if_addr.h`; rtnetlink(7)).
//!
//! ```text
//! struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index; }           8
//! struct rtmsg     { u8 family, dst_len, src_len, tos, table, protocol, scope, type;
//!                    u32 flags; }                                                       12
//! ```
//!
//! Decoders return `None` for messages that this room has no object for (policy routes by
//! source, other families) and errors for messages that lie about their lengths.

use std::net::IpAddr;

use super::RouteQuery;
use super::object::{Address, Change, Event, Route, RouteKind, Scope};
use super::{wire_link, wire_path, wire_rule};
use crate::kernel::netlink::{
    Attr, AttrReader, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NetlinkError, Request,
};
use crate::net::{Family, Prefix};

const ADDRESS_HEADER: usize = 8;
pub(super) const ROUTE_HEADER: usize = 12;
/// Where `rtm_protocol` is in a message's payload.
pub(super) const ROUTE_PROTOCOL_OFFSET: u32 = 5;

/// `RTA_VIA`: a gateway of another family.
pub(super) const RTA_VIA: u16 = 18;

// === requests ===

/// All addresses, or those of one link where the kernel filters strictly.
pub(super) fn get_addresses(link: Option<u32>) -> Request {
    let mut header = [0; ADDRESS_HEADER];
    header[4..].copy_from_slice(&link.unwrap_or(0).to_ne_bytes());
    Request::new(libc::RTM_GETADDR, 0).payload(&header)
}

/// Routes of one family, where the kernel filters strictly those asked for.
pub(super) fn get_routes(family: Family, query: RouteQuery) -> Request {
    let mut header = [0; ROUTE_HEADER];
    header[0] = af(family);
    let mut request = Request::new(libc::RTM_GETROUTE, 0).payload(&header);
    let mut attributes = request.attributes();
    if let Some(table) = query.table {
        attributes.u32(libc::RTA_TABLE, table);
    }
    if let Some(link) = query.link {
        attributes.u32(libc::RTA_OIF, link);
    }
    request
}

pub(super) fn change(change: &Change) -> Request {
    match change {
        Change::AddAddress(address) => {
            self::address(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address)
        }
        Change::DelAddress(address) => self::address(libc::RTM_DELADDR, 0, address),
        Change::ReplaceRoute(route) => {
            self::route(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route)
        }
        Change::DelRoute(route) => self::route(libc::RTM_DELROUTE, 0, route),
        Change::ReplacePath(path) => wire_path::replace(path),
        Change::DelPath(path) => wire_path::delete(path),
        Change::AddRule(rule) => wire_rule::add(rule),
        Change::DelRule(rule) => wire_rule::delete(rule),
        Change::SetMtu { link, mtu } => wire_link::set_mtu(*link, *mtu),
        Change::SetTunnel { link, tunnel } => wire_link::set_tunnel(*link, tunnel),
    }
}

fn address(kind: u16, flags: u16, address: &Address) -> Request {
    let [low, ..] = address.flags.to_le_bytes();
    let mut header = [0; ADDRESS_HEADER];
    header[0] = af(address.family());
    header[1] = address.prefix.prefix_len();
    header[2] = low;
    header[3] = address.scope.0;
    header[4..].copy_from_slice(&address.link.to_ne_bytes());
    let mut request = Request::new(kind, flags).payload(&header);
    let octets = Octets::of(address.prefix.addr());
    request
        .attributes()
        .bytes(libc::IFA_LOCAL, octets.as_slice())
        .bytes(libc::IFA_ADDRESS, octets.as_slice())
        .u32(libc::IFA_FLAGS, address.flags);
    request
}

fn route(kind: u16, flags: u16, route: &Route) -> Request {
    let is_delete = kind == libc::RTM_DELROUTE;
    let mut header = [0; ROUTE_HEADER];
    header[0] = af(route.family());
    header[1] = route.destination.prefix_len();
    header[4] = u8::try_from(route.table).unwrap_or(libc::RT_TABLE_UNSPEC);
    header[5] = route.protocol;
    header[6] = route.scope.0;
    header[7] = route.kind.number();
    let mut request = Request::new(kind, flags).payload(&header);
    let mut attributes = request.attributes();
    attributes
        .bytes(
            libc::RTA_DST,
            Octets::of(route.destination.addr()).as_slice(),
        )
        .u32(libc::RTA_TABLE, route.table);
    if let Some(link) = route.link {
        attributes.u32(libc::RTA_OIF, link);
    }
    if let Some(gateway) = route.gateway {
        let (kind, bytes) = gateway_attribute(gateway, route.family());
        attributes.bytes(kind, &bytes);
    }
    // IPv6 does not look at the source when it deletes; IPv4 does.
    if let Some(source) = route
        .source
        .filter(|_| !is_delete || route.family() == Family::V4)
    {
        attributes.bytes(libc::RTA_PREFSRC, Octets::of(source).as_slice());
    }
    if let Some(metric) = route.metric {
        attributes.u32(libc::RTA_PRIORITY, metric);
    }
    request
}

/// Type and value of a gateway's attribute in a route of this family (`struct rtvia` where the
/// gateway is of the other; RFC 8950).
pub(super) fn gateway_attribute(gateway: IpAddr, family: Family) -> (u16, Vec<u8>) {
    let octets = Octets::of(gateway);
    if Family::of(gateway) == family {
        return (libc::RTA_GATEWAY, octets.as_slice().to_vec());
    }
    let mut via = Family::of(gateway).af().to_ne_bytes().to_vec();
    via.extend_from_slice(octets.as_slice());
    (RTA_VIA, via)
}

pub(super) fn af(family: Family) -> u8 {
    let [low, _] = family.af().to_le_bytes();
    low
}

/// The bytes of an address in network order.
pub(super) enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(address.octets()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

// === decoders ===

/// A notification; `None` for kinds that this room has no object for. Routes are told as
/// [`Event::Path`] if `with_paths`, else as [`Event::Route`].
pub(super) fn event(
    message: &Message<'_>,
    with_paths: bool,
) -> Result<Option<Event>, NetlinkError> {
    Ok(match message.kind {
        libc::RTM_NEWLINK => wire_link::link(message)?.map(Event::Link),
        libc::RTM_DELLINK => wire_link::link(message)?.map(Event::LinkGone),
        libc::RTM_NEWROUTE if with_paths => wire_path::path(message)?.map(Event::Path),
        libc::RTM_DELROUTE if with_paths => wire_path::path(message)?.map(Event::PathGone),
        libc::RTM_NEWRULE => wire_rule::rule(message)?.map(Event::Rule),
        libc::RTM_DELRULE => wire_rule::rule(message)?.map(Event::RuleGone),
        libc::RTM_NEWADDR => address_of(message)?.map(Event::Address),
        libc::RTM_DELADDR => address_of(message)?.map(Event::AddressGone),
        libc::RTM_NEWROUTE => route_of(message)?.map(Event::Route),
        libc::RTM_DELROUTE => route_of(message)?.map(Event::RouteGone),
        _ => None,
    })
}

pub(super) fn address_of(message: &Message<'_>) -> Result<Option<Address>, NetlinkError> {
    let [family, length, flags, scope, i0, i1, i2, i3] = header::<ADDRESS_HEADER>(message)?;
    let Some(family) = family_of(family) else {
        return Ok(None);
    };
    let (mut local, mut peer, mut long_flags) = (None, None, u32::from(flags));
    for attr in message.attributes(ADDRESS_HEADER)? {
        match attr.kind {
            libc::IFA_LOCAL => local = Some(ip(&attr, family)?),
            libc::IFA_ADDRESS => peer = Some(ip(&attr, family)?),
            libc::IFA_FLAGS => long_flags = attr.u32()?,
            _ => {}
        }
    }
    // On point-to-point links IFA_ADDRESS is the other end.
    let address = local.or(peer).ok_or(NetlinkError::Missing("address"))?;
    Ok(Prefix::new(address, length).ok().map(|prefix| Address {
        link: u32::from_ne_bytes([i0, i1, i2, i3]),
        prefix,
        scope: Scope(scope),
        flags: long_flags,
    }))
}

pub(super) fn route_of(message: &Message<'_>) -> Result<Option<Route>, NetlinkError> {
    let header: [u8; ROUTE_HEADER] = header(message)?;
    let [
        family,
        length,
        source_length,
        _,
        table,
        protocol,
        scope,
        kind,
        ..,
    ] = header;
    let [.., f0, f1, f2, f3] = header;
    let is_clone = u32::from_ne_bytes([f0, f1, f2, f3]) & libc::RTM_F_CLONED != 0;
    let Some(family) = family_of(family).filter(|_| source_length == 0 && !is_clone) else {
        return Ok(None);
    };
    let mut route = Route {
        kind: RouteKind::from_number(kind),
        destination: unspecified(family),
        table: u32::from(table),
        protocol,
        scope: Scope(scope),
        link: None,
        gateway: None,
        source: None,
        metric: None,
    };
    let mut destination = route.destination.addr();
    for attr in message.attributes(ROUTE_HEADER)? {
        match attr.kind {
            libc::RTA_DST => destination = ip(&attr, family)?,
            libc::RTA_TABLE => route.table = attr.u32()?,
            libc::RTA_PREFSRC => route.source = Some(ip(&attr, family)?),
            libc::RTA_PRIORITY => route.metric = Some(attr.u32()?),
            libc::RTA_MULTIPATH => first_hop(&attr, family, &mut route)?,
            _ => hop(&attr, family, &mut route)?,
        }
    }
    let prefix = Prefix::new(destination, length).ok();
    Ok(prefix.map(|destination| Route {
        destination: destination.trunc(),
        ..route
    }))
}

/// `struct rtnexthop { u16 len; u8 flags; u8 hops; s32 ifindex; }`, then attributes.
fn first_hop(attr: &Attr<'_>, family: Family, route: &mut Route) -> Result<(), NetlinkError> {
    let [l0, l1, _, _, i0, i1, i2, i3] = attr.array()?;
    route.link = Some(u32::from_ne_bytes([i0, i1, i2, i3]));
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    for attr in AttrReader::new(attr.value.get(8..length).unwrap_or_default()) {
        hop(&attr, family, route)?;
    }
    Ok(())
}

fn hop(attr: &Attr<'_>, family: Family, route: &mut Route) -> Result<(), NetlinkError> {
    match attr.kind {
        libc::RTA_OIF => route.link = Some(attr.u32()?),
        libc::RTA_GATEWAY | RTA_VIA => route.gateway = gateway(attr, family)?,
        _ => {}
    }
    Ok(())
}

/// The gateway of `RTA_GATEWAY` or `RTA_VIA`; `None` if it is of an unknown family.
pub(super) fn gateway(attr: &Attr<'_>, family: Family) -> Result<Option<IpAddr>, NetlinkError> {
    if attr.kind != RTA_VIA {
        return ip(attr, family).map(Some);
    }
    let [f0, f1] = attr.array()?;
    let gateway = Attr {
        value: attr.value.get(2..).unwrap_or_default(),
        ..*attr
    };
    let family = u8::try_from(u16::from_ne_bytes([f0, f1]))
        .ok()
        .and_then(family_of);
    family.map(|family| ip(&gateway, family)).transpose()
}

pub(super) fn header<const N: usize>(message: &Message<'_>) -> Result<[u8; N], NetlinkError> {
    let short = || NetlinkError::ShortMessage {
        kind: message.kind,
        length: message.payload.len(),
        expected: N,
    };
    message.payload.first_chunk().copied().ok_or_else(short)
}

pub(super) fn family_of(af: u8) -> Option<Family> {
    Family::ALL
        .into_iter()
        .find(|family| family.af() == u16::from(af))
}

pub(super) fn ip(attr: &Attr<'_>, family: Family) -> Result<IpAddr, NetlinkError> {
    match family {
        Family::V4 => attr.array::<4>().map(IpAddr::from),
        Family::V6 => attr.array::<16>().map(IpAddr::from),
    }
}

pub(super) fn unspecified(family: Family) -> Prefix {
    match family {
        Family::V4 => Prefix::V4(ipnet::Ipv4Net::default()),
        Family::V6 => Prefix::V6(ipnet::Ipv6Net::default()),
    }
}
