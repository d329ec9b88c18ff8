//! Conntrack messages as bytes (`linux/netfilter/nfnetlink_conntrack.h`).
//!
//! ```text
//! struct nfgenmsg { u8 family; u8 version; be16 res_id; }   4
//! FLOW:  TUPLE_ORIG { IP { SRC, DST }, PROTO { NUM, SRC_PORT, DST_PORT } }, TUPLE_REPLY {…},
//!        ID, ZONE, …
//! ```

use std::net::IpAddr;

use super::object::{Flow, Tuple};
use crate::kernel::netlink::{Attr, AttrWriter, Message, NetlinkError, Request};
use crate::net::{Family, Protocol};

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const MSG_GET: u16 = 1;
const MSG_DELETE: u16 = 2;
const HEADER: usize = 4;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_CTA_PROTO_NUM`.
const FILTER_PROTO_NUM: u32 = 1 << 3;

const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// All flows of a family and protocol. Kernels before 5.8 don't filter and send all of the
/// family; the answers are to be checked in any case.
pub(super) fn get(family: Family, protocol: Protocol) -> Request {
    let mut request = request(MSG_GET, family);
    request
        .attributes()
        .nest(CTA_TUPLE_ORIG, |tuple| {
            tuple.nest(CTA_TUPLE_PROTO, |proto| {
                proto.u8(CTA_PROTO_NUM, protocol.number());
            });
        })
        .nest(CTA_FILTER, |filter| {
            filter.u32(CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM);
            filter.u32(CTA_FILTER_REPLY_FLAGS, 0);
        });
    request
}

/// Deletes this very flow, not one that has taken its place since.
pub(super) fn delete(flow: &Flow) -> Request {
    let mut request = request(MSG_DELETE, flow.family());
    let mut attributes = request.attributes();
    attributes.nest(CTA_TUPLE_ORIG, |tuple| write_tuple(tuple, &flow.original));
    if let Some(id) = flow.id {
        attributes.be32(CTA_ID, id);
    }
    if flow.zone != 0 {
        attributes.be16(CTA_ZONE, flow.zone);
    }
    request
}

fn write_tuple(attributes: &mut AttrWriter<'_>, tuple: &Tuple) {
    attributes.nest(CTA_TUPLE_IP, |ip| match (tuple.source, tuple.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ip.bytes(CTA_IP_V4_SRC, &source.octets());
            ip.bytes(CTA_IP_V4_DST, &destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ip.bytes(CTA_IP_V6_SRC, &source.octets());
            ip.bytes(CTA_IP_V6_DST, &destination.octets());
        }
        // No flow has this; without addresses the kernel refuses the request.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    });
    attributes.nest(CTA_TUPLE_PROTO, |proto| {
        proto.u8(CTA_PROTO_NUM, tuple.protocol);
        proto.be16(CTA_PROTO_SRC_PORT, tuple.source_port);
        proto.be16(CTA_PROTO_DST_PORT, tuple.destination_port);
    });
}

fn request(command: u16, family: Family) -> Request {
    let [af, _] = family.af().to_le_bytes();
    Request::new(NFNL_SUBSYS_CTNETLINK << 8 | command, 0).payload(&[af, 0, 0, 0])
}

pub(super) fn flow(message: &Message<'_>) -> Result<Flow, NetlinkError> {
    let attributes = message.attributes(HEADER)?;
    let tuple = |kind, what| {
        let attr = attributes.find_kind(kind);
        read_tuple(&attr.ok_or(NetlinkError::Missing(what))?)
    };
    let id = attributes.find_kind(CTA_ID);
    let zone = attributes.find_kind(CTA_ZONE);
    Ok(Flow {
        original: tuple(CTA_TUPLE_ORIG, "original tuple")?,
        reply: tuple(CTA_TUPLE_REPLY, "reply tuple")?,
        id: id.map(|attr| attr.be32()).transpose()?,
        zone: zone.map_or(Ok(0), |attr| attr.be16())?,
    })
}

fn read_tuple(attr: &Attr<'_>) -> Result<Tuple, NetlinkError> {
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut source_port, mut destination_port) = (None, 0, 0);
    for part in attr.nested() {
        for attr in part.nested() {
            match (part.kind, attr.kind) {
                (CTA_TUPLE_IP, CTA_IP_V4_SRC) => source = Some(attr.array::<4>()?.into()),
                (CTA_TUPLE_IP, CTA_IP_V4_DST) => destination = Some(attr.array::<4>()?.into()),
                (CTA_TUPLE_IP, CTA_IP_V6_SRC) => source = Some(attr.array::<16>()?.into()),
                (CTA_TUPLE_IP, CTA_IP_V6_DST) => destination = Some(attr.array::<16>()?.into()),
                (CTA_TUPLE_PROTO, CTA_PROTO_NUM) => protocol = Some(attr.u8()?),
                (CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT) => source_port = attr.be16()?,
                (CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT) => destination_port = attr.be16()?,
                _ => {}
            }
        }
    }
    Ok(Tuple {
        source: source.ok_or(NetlinkError::Missing("source address"))?,
        destination: destination.ok_or(NetlinkError::Missing("destination address"))?,
        protocol: protocol.ok_or(NetlinkError::Missing("protocol"))?,
        source_port,
        destination_port,
    })
}
