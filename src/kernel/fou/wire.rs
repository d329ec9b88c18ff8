//! Messages of the generic netlink family `fou` as bytes (`linux/fou.h`).
//!
//! ```text
//! PORT be16, AF u8, IPPROTO u8, TYPE u8, LOCAL_V4|V6, PEER_V4|V6, PEER_PORT be16, IFINDEX s32
//! ```

use super::object::{Change, Payload, Port};
use crate::kernel::genl::{self, FamilyId};
use crate::kernel::netlink::{Message, NetlinkError, Request};
use crate::net::Family;

const VERSION: u8 = 1;

const CMD_ADD: u8 = 1;
const CMD_DEL: u8 = 2;
const CMD_GET: u8 = 3;

const ATTR_PORT: u16 = 1;
const ATTR_AF: u16 = 2;
const ATTR_IPPROTO: u16 = 3;
const ATTR_TYPE: u16 = 4;
const ATTR_LOCAL_V4: u16 = 6;
const ATTR_LOCAL_V6: u16 = 7;
const ATTR_PEER_V4: u16 = 8;
const ATTR_PEER_V6: u16 = 9;
const ATTR_PEER_PORT: u16 = 10;
const ATTR_IFINDEX: u16 = 11;

const ENCAP_DIRECT: u8 = 1;
const ENCAP_GUE: u8 = 2;

pub(super) fn list(family: FamilyId) -> Request {
    family.request(CMD_GET, VERSION, 0)
}

pub(super) fn change(family: FamilyId, change: Change) -> Request {
    let (command, port) = match change {
        Change::Add(port) => (CMD_ADD, port),
        Change::Del(port) => (CMD_DEL, port),
    };
    let [af, _] = port.family.af().to_le_bytes();
    let mut request = family.request(command, VERSION, 0);
    let mut attributes = request.attributes();
    attributes.be16(ATTR_PORT, port.number).u8(ATTR_AF, af);
    match port.payload {
        // Kernels since 6.4 refuse a protocol of 0.
        Payload::Gue => attributes.u8(ATTR_TYPE, ENCAP_GUE),
        Payload::Direct(protocol) => attributes
            .u8(ATTR_IPPROTO, protocol)
            .u8(ATTR_TYPE, ENCAP_DIRECT),
    };
    request
}

/// `None` for ports of one address, peer or link, and for types unknown here: never ours.
pub(super) fn port(message: &Message<'_>) -> Result<Option<Port>, NetlinkError> {
    let (mut af, mut number, mut kind, mut protocol) = (0, 0, 0, 0);
    for attr in message.attributes(genl::HEADER)? {
        match attr.kind {
            ATTR_PORT => number = attr.be16()?,
            ATTR_AF => af = u16::from(attr.u8()?),
            ATTR_IPPROTO => protocol = attr.u8()?,
            ATTR_TYPE => kind = attr.u8()?,
            ATTR_LOCAL_V4 | ATTR_LOCAL_V6 | ATTR_PEER_V4 | ATTR_PEER_V6 | ATTR_PEER_PORT
            | ATTR_IFINDEX
                if attr.value.iter().any(|byte| *byte != 0) =>
            {
                return Ok(None);
            }
            _ => {}
        }
    }
    let payload = match kind {
        ENCAP_DIRECT => Payload::Direct(protocol),
        ENCAP_GUE => Payload::Gue,
        _ => return Ok(None),
    };
    let family = Family::ALL.into_iter().find(|family| family.af() == af);
    Ok(family.map(|family| Port {
        family,
        number,
        payload,
    }))
}
