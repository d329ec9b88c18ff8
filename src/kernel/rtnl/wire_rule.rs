//! Messages of rules as bytes (`linux/fib_rules.h`).
//!
//! ```text
//! struct fib_rule_hdr { u8 family, dst_len, src_len, tos, table, res1, res2, action; u32 flags; }  12
//! ```

use super::object::Rule;
use super::wire::{Octets, af, family_of, header, ip};
use crate::kernel::netlink::{Attr, Message, NLM_F_CREATE, NLM_F_EXCL, NetlinkError, Request};
use crate::net::{Family, Prefix};

const RULE_HEADER: usize = 12;
/// `FR_ACT_TO_TBL`.
const TO_TABLE: u8 = 1;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 2;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_FLOW: u16 = 11;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PAD: u16 = 18;
const FRA_L3MDEV: u16 = 19;
const FRA_PROTOCOL: u16 = 21;

/// What the kernel shows where nothing is to be suppressed.
const SUPPRESS_NOTHING: u32 = u32::MAX;

// === requests ===

/// All rules of a family; the kernel has no filter for them.
pub(super) fn get(family: Family) -> Request {
    let mut header = [0; RULE_HEADER];
    header[0] = af(family);
    Request::new(libc::RTM_GETRULE, 0).payload(&header)
}

pub(super) fn add(rule: &Rule) -> Request {
    request(libc::RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule)
}

pub(super) fn delete(rule: &Rule) -> Request {
    request(libc::RTM_DELRULE, 0, rule)
}

fn request(kind: u16, flags: u16, rule: &Rule) -> Request {
    let length = |prefix: Option<Prefix>| prefix.map_or(0, |prefix| prefix.prefix_len());
    let mut header = [0; RULE_HEADER];
    header[0] = af(rule.family);
    header[1] = length(rule.destination);
    header[2] = length(rule.source);
    header[4] = u8::try_from(rule.table).unwrap_or(libc::RT_TABLE_UNSPEC);
    header[7] = TO_TABLE;
    let mut request = Request::new(kind, flags).payload(&header);
    let mut attributes = request.attributes();
    for (kind, prefix) in [(FRA_DST, rule.destination), (FRA_SRC, rule.source)] {
        if let Some(prefix) = prefix {
            attributes.bytes(kind, Octets::of(prefix.addr()).as_slice());
        }
    }
    attributes
        .u32(FRA_PRIORITY, rule.priority)
        .u32(FRA_TABLE, rule.table)
        .u8(FRA_PROTOCOL, rule.protocol);
    request
}

// === decoder ===

/// `None` for rules that do anything else, or look at anything else, than a [`Rule`] does.
pub(super) fn rule(message: &Message<'_>) -> Result<Option<Rule>, NetlinkError> {
    let header: [u8; RULE_HEADER] = header(message)?;
    let [
        family,
        to_length,
        from_length,
        tos,
        table,
        _,
        _,
        action,
        f0,
        f1,
        f2,
        f3,
    ] = header;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let is_plain = tos == 0 && action == TO_TABLE && flags & INVERT == 0;
    let Some(family) = family_of(family).filter(|_| is_plain) else {
        return Ok(None);
    };
    let mut rule = Rule {
        family,
        priority: 0,
        source: None,
        destination: None,
        table: u32::from(table),
        protocol: 0,
    };
    for attr in message.attributes(RULE_HEADER)? {
        match attr.kind {
            FRA_DST => rule.destination = prefix(&attr, family, to_length)?,
            FRA_SRC => rule.source = prefix(&attr, family, from_length)?,
            FRA_PRIORITY => rule.priority = attr.u32()?,
            FRA_TABLE => rule.table = attr.u32()?,
            FRA_PROTOCOL => rule.protocol = attr.u8()?,
            FRA_PAD => {}
            FRA_SUPPRESS_IFGROUP | FRA_SUPPRESS_PREFIXLEN if attr.u32()? == SUPPRESS_NOTHING => {}
            FRA_FLOW if attr.u32()? == 0 => {}
            FRA_L3MDEV if attr.u8()? == 0 => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(rule))
}

fn prefix(attr: &Attr<'_>, family: Family, length: u8) -> Result<Option<Prefix>, NetlinkError> {
    let address = ip(attr, family)?;
    Ok(Prefix::new(address, length)
        .ok()
        .map(|prefix| prefix.trunc()))
}
