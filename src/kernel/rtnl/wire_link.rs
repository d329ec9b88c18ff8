//! Messages of links as bytes (`linux/if_link.h`, `if_tunnel.h`, `ip6_tunnel.h`).
//!
//! ```text
//! struct ifinfomsg { u8 family; u8 pad; u16 type; s32 index; u32 flags; u32 change; }   16
//! IFLA_LINKINFO { INFO_KIND "ipip", INFO_DATA { IPTUN_LOCAL, REMOTE, …, ENCAP_TYPE, … } }
//! ```

use super::object::{Encap, EncapKind, Link, LinkKind, Tunnel, TunnelMode};
use super::wire::{Octets, header, ip, unspecified};
use crate::kernel::netlink::{
    AttrReader, AttrWriter, Message, NLM_F_CREATE, NLM_F_EXCL, NetlinkError, Request,
};
use crate::net::Family;

const LINK_HEADER: usize = 16;

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_LOOPBACK: u32 = libc::IFF_LOOPBACK as u32;
/// `RTEXT_FILTER_SKIP_STATS`: links without their counters.
const EXT_MASK_SKIP_STATS: u32 = 1 << 3;

const IPTUN_LINK: u16 = 1;
const IPTUN_LOCAL: u16 = 2;
const IPTUN_REMOTE: u16 = 3;
const IPTUN_TTL: u16 = 4;
const IPTUN_TOS: u16 = 5;
const IPTUN_ENCAP_LIMIT: u16 = 6;
const IPTUN_FLOWINFO: u16 = 7;
const IPTUN_FLAGS: u16 = 8;
const IPTUN_PROTO: u16 = 9;
const IPTUN_PMTUDISC: u16 = 10;
const IPTUN_ENCAP_TYPE: u16 = 15;
const IPTUN_ENCAP_FLAGS: u16 = 16;
const IPTUN_ENCAP_SPORT: u16 = 17;
const IPTUN_ENCAP_DPORT: u16 = 18;

/// `IP6_TNL_F_IGN_ENCAP_LIMIT`.
const FLAG_NO_ENCAP_LIMIT: u32 = 1;
/// `IP6_TNL_F_USE_ORIG_TCLASS`.
const FLAG_INNER_CLASS: u32 = 2;
/// `IP6_TNL_F_*` that are settings; higher bits are what the kernel found out by itself.
const FLAGS_SETTINGS: u32 = 0xffff;
/// Where the traffic class is in `IFLA_IPTUN_FLOWINFO`.
const CLASS_SHIFT: u32 = 20;
/// A type of service or traffic class of 1: that of the packet inside.
const CLASS_INHERIT: u8 = 1;

// === requests ===

/// All links.
pub(super) fn get_links() -> Request {
    let mut request = Request::new(libc::RTM_GETLINK, 0).payload(&link_header(0, 0, 0));
    request
        .attributes()
        .u32(libc::IFLA_EXT_MASK, EXT_MASK_SKIP_STATS);
    request
}

/// One link by its name.
pub(super) fn get_link(name: &str) -> Request {
    let mut request = Request::new(libc::RTM_GETLINK, 0).payload(&link_header(0, 0, 0));
    request
        .attributes()
        .strz(libc::IFLA_IFNAME, name)
        .u32(libc::IFLA_EXT_MASK, EXT_MASK_SKIP_STATS);
    request
}

/// A new link, up from the start.
pub(super) fn new_link(name: &str, kind: &LinkKind) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL)
        .payload(&link_header(0, IFF_UP, IFF_UP));
    let mut attributes = request.attributes();
    attributes.strz(libc::IFLA_IFNAME, name);
    linkinfo(&mut attributes, kind);
    request
}

/// Other ends or another encapsulation for a tunnel.
pub(super) fn set_tunnel(index: u32, tunnel: &Tunnel) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, 0).payload(&link_header(index, 0, 0));
    linkinfo(&mut request.attributes(), &LinkKind::Tunnel(*tunnel));
    request
}

pub(super) fn set_mtu(index: u32, mtu: u32) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, 0).payload(&link_header(index, 0, 0));
    request.attributes().u32(libc::IFLA_MTU, mtu);
    request
}

pub(super) fn set_up(index: u32) -> Request {
    Request::new(libc::RTM_NEWLINK, 0).payload(&link_header(index, IFF_UP, IFF_UP))
}

pub(super) fn del_link(index: u32) -> Request {
    Request::new(libc::RTM_DELLINK, 0).payload(&link_header(index, 0, 0))
}

fn linkinfo(attributes: &mut AttrWriter<'_>, kind: &LinkKind) {
    attributes.nest(libc::IFLA_LINKINFO, |attributes| {
        attributes.strz(libc::IFLA_INFO_KIND, kind.name());
        if let LinkKind::Tunnel(tunnel) = kind {
            attributes.nest(libc::IFLA_INFO_DATA, |attributes| {
                self::tunnel(attributes, tunnel);
            });
        }
    });
}

fn tunnel(attributes: &mut AttrWriter<'_>, tunnel: &Tunnel) {
    if let Some(link) = tunnel.link {
        attributes.u32(IPTUN_LINK, link);
    }
    attributes
        .bytes(IPTUN_LOCAL, Octets::of(tunnel.local).as_slice())
        .bytes(IPTUN_REMOTE, Octets::of(tunnel.remote).as_slice())
        .u8(IPTUN_TTL, tunnel.ttl)
        .u8(IPTUN_PROTO, tunnel.mode.number());
    match tunnel.mode.family() {
        Family::V4 => {
            attributes
                .u8(IPTUN_TOS, tunnel.tos)
                .u8(IPTUN_PMTUDISC, u8::from(tunnel.pmtudisc));
        }
        Family::V6 => {
            let mut flags = tunnel.flags;
            let mut class = u32::from(tunnel.tos) << CLASS_SHIFT;
            if tunnel.encap_limit.is_none() {
                flags |= FLAG_NO_ENCAP_LIMIT;
            }
            if tunnel.tos == CLASS_INHERIT {
                flags |= FLAG_INNER_CLASS;
                class = 0;
            }
            attributes
                .u8(IPTUN_ENCAP_LIMIT, tunnel.encap_limit.unwrap_or(0))
                .be32(IPTUN_FLOWINFO, class)
                .u32(IPTUN_FLAGS, flags);
        }
    }
    // Told even where there is none, so that a change takes away what was there.
    let encap = tunnel.encap;
    attributes
        .u16(
            IPTUN_ENCAP_TYPE,
            encap.map_or(0, |encap| encap.kind.number()),
        )
        .u16(IPTUN_ENCAP_FLAGS, encap.map_or(0, |encap| encap.flags))
        .be16(
            IPTUN_ENCAP_SPORT,
            encap.map_or(0, |encap| encap.source_port),
        )
        .be16(
            IPTUN_ENCAP_DPORT,
            encap.map_or(0, |encap| encap.destination_port),
        );
}

fn link_header(index: u32, flags: u32, change: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

// === decoders ===

pub(super) fn link(message: &Message<'_>) -> Result<Option<Link>, NetlinkError> {
    let header: [u8; LINK_HEADER] = header(message)?;
    let [family, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = header;
    // Bridges notify about their ports with their own family.
    if i32::from(family) != libc::AF_UNSPEC {
        return Ok(None);
    }
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut link = Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: String::new(),
        kind: LinkKind::Plain,
        is_up: flags & IFF_UP != 0,
        is_loopback: flags & IFF_LOOPBACK != 0,
        mtu: 0,
        master: None,
    };
    for attr in message.attributes(LINK_HEADER)? {
        match attr.kind {
            libc::IFLA_IFNAME => link.name = attr.text(),
            libc::IFLA_MTU => link.mtu = attr.u32()?,
            libc::IFLA_MASTER => link.master = Some(attr.u32()?),
            libc::IFLA_LINKINFO => {
                link.kind = link_kind(&attr.nested())?;
            }
            _ => {}
        }
    }
    Ok(Some(link))
}

fn link_kind(linkinfo: &AttrReader<'_>) -> Result<LinkKind, NetlinkError> {
    let Some(kind) = linkinfo.find_kind(libc::IFLA_INFO_KIND) else {
        return Ok(LinkKind::Plain);
    };
    let name = kind.text();
    let family = match name.as_str() {
        "ipip" => Family::V4,
        "ip6tnl" => Family::V6,
        _ => return Ok(LinkKind::from_name(&name)),
    };
    let data = linkinfo.find_kind(libc::IFLA_INFO_DATA);
    let data = data.map_or_else(|| AttrReader::new(&[]), |data| data.nested());
    read_tunnel(family, data).map(LinkKind::Tunnel)
}

fn read_tunnel(family: Family, data: AttrReader<'_>) -> Result<Tunnel, NetlinkError> {
    let nowhere = unspecified(family).addr();
    let mut tunnel = Tunnel::new(TunnelMode::from_number(family, 0), nowhere, nowhere);
    let mut encap = Encap {
        kind: EncapKind::Other(0),
        source_port: 0,
        destination_port: 0,
        flags: 0,
    };
    let (mut limit, mut flags, mut class) = (0, 0, 0);
    for attr in data {
        match attr.kind {
            IPTUN_LINK => tunnel.link = Some(attr.u32()?).filter(|index| *index != 0),
            IPTUN_LOCAL => tunnel.local = ip(&attr, family)?,
            IPTUN_REMOTE => tunnel.remote = ip(&attr, family)?,
            IPTUN_TTL => tunnel.ttl = attr.u8()?,
            IPTUN_TOS => tunnel.tos = attr.u8()?,
            IPTUN_PROTO => tunnel.mode = TunnelMode::from_number(family, attr.u8()?),
            IPTUN_PMTUDISC => tunnel.pmtudisc = attr.u8()? != 0,
            IPTUN_ENCAP_LIMIT => limit = attr.u8()?,
            IPTUN_FLOWINFO => class = attr.be32()? >> CLASS_SHIFT,
            IPTUN_FLAGS => flags = attr.u32()? & FLAGS_SETTINGS,
            IPTUN_ENCAP_TYPE => encap.kind = EncapKind::from_number(attr.u16()?),
            IPTUN_ENCAP_FLAGS => encap.flags = attr.u16()?,
            IPTUN_ENCAP_SPORT => encap.source_port = attr.be16()?,
            IPTUN_ENCAP_DPORT => encap.destination_port = attr.be16()?,
            _ => {}
        }
    }
    if family == Family::V6 {
        tunnel.flags = flags & !(FLAG_NO_ENCAP_LIMIT | FLAG_INNER_CLASS);
        tunnel.encap_limit = (flags & FLAG_NO_ENCAP_LIMIT == 0).then_some(limit);
        let [.., class] = class.to_be_bytes();
        tunnel.tos = match flags & FLAG_INNER_CLASS {
            0 => class,
            _ => CLASS_INHERIT,
        };
    }
    tunnel.encap = Some(encap).filter(|encap| encap.kind != EncapKind::Other(0));
    Ok(tunnel)
}
