//! nflog messages as bytes.
//!
//! ```text
//! struct nfgenmsg { u8 family; u8 version; be16 group; }    4
//! CONFIG: CMD { u8 }, MODE { be32 range; u8 mode; u8 pad }, TIMEOUT, QTHRESH
//! PACKET: PACKET_HDR { be16 protocol; u8 hook; u8 pad }, IFINDEX_*, PREFIX, PAYLOAD
//! ```

use super::object::Record;
use crate::kernel::netlink::{Message, NetlinkError, Request};

const NFNL_SUBSYS_ULOG: u16 = 4;
const MSG_PACKET: u16 = 0;
const MSG_CONFIG: u16 = 1;
const HEADER: usize = 4;

const CFG_CMD: u16 = 1;
const CFG_MODE: u16 = 2;
const CFG_TIMEOUT: u16 = 4;
const CFG_QTHRESH: u16 = 5;
const CMD_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;

const PACKET_HDR: u16 = 1;
const MARK: u16 = 2;
const IFINDEX_INDEV: u16 = 4;
const IFINDEX_OUTDEV: u16 = 5;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;

/// How long a record waits for others, in hundredths of a second.
const TIMEOUT: u32 = 10;
/// Records that are sent without waiting for more.
const QUEUE_THRESHOLD: u32 = 32;

/// Binds the sending socket to a group, with at most `bytes` of each packet.
pub(super) fn bind(group: u16, bytes: u32) -> Request {
    let [high, low] = group.to_be_bytes();
    let kind = NFNL_SUBSYS_ULOG << 8 | MSG_CONFIG;
    let mut request = Request::new(kind, 0).payload(&[0, 0, high, low]);
    let mut mode = bytes.to_be_bytes().to_vec();
    mode.extend_from_slice(&[COPY_PACKET, 0]);
    request
        .attributes()
        .u8(CFG_CMD, CMD_BIND)
        .bytes(CFG_MODE, &mode)
        .be32(CFG_TIMEOUT, TIMEOUT)
        .be32(CFG_QTHRESH, QUEUE_THRESHOLD);
    request
}

/// Reads a logged packet; nothing for messages of other kinds.
pub fn decode(message: &Message<'_>) -> Result<Option<Record>, NetlinkError> {
    if message.kind != NFNL_SUBSYS_ULOG << 8 | MSG_PACKET {
        return Ok(None);
    }
    let mut record = Record::default();
    for attr in message.attributes(HEADER)? {
        match attr.kind {
            PACKET_HDR => {
                let [_, _, hook] = attr.array::<3>()?;
                record.hook = hook;
            }
            MARK => record.mark = attr.be32()?,
            IFINDEX_INDEV => record.in_link = Some(attr.be32()?),
            IFINDEX_OUTDEV => record.out_link = Some(attr.be32()?),
            PAYLOAD => record.payload = attr.value.to_vec(),
            PREFIX => record.prefix = attr.text(),
            _ => {}
        }
    }
    Ok(Some(record))
}
