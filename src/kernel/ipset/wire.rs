//! ipset messages as bytes (`linux/netfilter/ipset/ip_set.h`, protocol 7; libipset(3)).
//!
//! ```text
//! struct nfgenmsg { u8 family; u8 version; be16 res_id; }   4
//! SET:   PROTOCOL, SETNAME, TYPENAME, REVISION, FAMILY, DATA { HASHSIZE, MAXELEM, … }
//! ADT:   PROTOCOL, SETNAME, LINENO, ADT { DATA { IP, PROTO, PORT, IP2, CIDR2 } … }
//! ```
//!
//! Numbers are big-endian and say so by a flag bit in the attribute's type.

use std::net::IpAddr;

use super::Error;
use super::object::{Definition, Entry, IpProtocol, Listed, SetName, SetType};
use crate::kernel::netlink::{
    Attr, AttrReader, AttrWriter, Message, NLA_F_NET_BYTEORDER, NLM_F_CREATE, NLM_F_EXCL,
    NetlinkError, Request,
};
use crate::net::{Family, Prefix};

/// Most bytes of one message of entries; an attribute's length has 16 bits.
const MESSAGE_BYTES: usize = 60_000;

const NFNL_SUBSYS_IPSET: u16 = 6;
const PROTOCOL: u8 = 7;
const HEADER: usize = 4;

const CMD_CREATE: u16 = 2;
const CMD_DESTROY: u16 = 3;
const CMD_FLUSH: u16 = 4;
const CMD_SWAP: u16 = 6;
const CMD_LIST: u16 = 7;
const CMD_ADD: u16 = 9;
const CMD_DEL: u16 = 10;
const CMD_TYPE: u16 = 13;

const ATTR_PROTOCOL: u16 = 1;
const ATTR_SETNAME: u16 = 2;
/// The second name in a swap, too.
const ATTR_TYPENAME: u16 = 3;
const ATTR_REVISION: u16 = 4;
const ATTR_FAMILY: u16 = 5;
const ATTR_FLAGS: u16 = 6;
const ATTR_DATA: u16 = 7;
const ATTR_ADT: u16 = 8;
/// Demanded beside ADT, as if we were restoring a file.
const ATTR_LINENO: u16 = 9;

/// Inside DATA.
const ATTR_IP: u16 = 1;
const ATTR_CIDR: u16 = 3;
const ATTR_PORT: u16 = 4;
const ATTR_PROTO: u16 = 7;
const ATTR_HASHSIZE: u16 = 18;
const ATTR_MAXELEM: u16 = 19;
const ATTR_IP2: u16 = 20;
const ATTR_CIDR2: u16 = 21;
const ATTR_ELEMENTS: u16 = 24;
const ATTR_REFERENCES: u16 = 25;

/// Inside IP.
const ATTR_IPADDR_IPV4: u16 = 1;
const ATTR_IPADDR_IPV6: u16 = 2;

/// `IPSET_FLAG_LIST_SETNAME` and `IPSET_FLAG_LIST_HEADER`.
const FLAG_LIST_HEADER: u32 = 1 << 2;

/// Whether an entry that is there already (or, when deleting, is not there) is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add { exclusive: bool },
    Del { exclusive: bool },
}

// === impl Verb ===

impl Verb {
    pub(super) fn is_add(self) -> bool {
        matches!(self, Self::Add { .. })
    }

    pub(super) fn is_exclusive(self) -> bool {
        match self {
            Self::Add { exclusive } | Self::Del { exclusive } => exclusive,
        }
    }
}

// === requests ===

/// The newest revision of a type in the kernel.
pub(super) fn get_type(kind: SetType, family: Family) -> Request {
    let mut request = request(CMD_TYPE, 0);
    request
        .attributes()
        .strz(ATTR_TYPENAME, kind.name().unwrap_or_default())
        .u8(ATTR_FAMILY, nfproto(family));
    request
}

pub(super) fn create(definition: &Definition, revision: u8) -> Request {
    let mut request = request(CMD_CREATE, NLM_F_CREATE | NLM_F_EXCL);
    request
        .attributes()
        .strz(ATTR_SETNAME, definition.name.as_str())
        .strz(ATTR_TYPENAME, definition.kind.name().unwrap_or_default())
        .u8(ATTR_REVISION, revision)
        .u8(ATTR_FAMILY, nfproto(definition.family))
        .nest(ATTR_DATA, |data| {
            be32(data, ATTR_HASHSIZE, definition.hash_size);
            be32(data, ATTR_MAXELEM, definition.max_entries);
        });
    request
}

pub(super) fn destroy(name: &SetName) -> Request {
    // Without the flag a set that is not there counts as destroyed.
    of_set(CMD_DESTROY, NLM_F_EXCL, name)
}

pub(super) fn flush(name: &SetName) -> Request {
    of_set(CMD_FLUSH, 0, name)
}

pub(super) fn swap(one: &SetName, other: &SetName) -> Request {
    let mut request = of_set(CMD_SWAP, 0, one);
    request.attributes().strz(ATTR_TYPENAME, other.as_str());
    request
}

/// One set or all, with or without members.
pub(super) fn list(name: Option<&SetName>, with_members: bool) -> Request {
    let mut request = request(CMD_LIST, 0);
    let mut attributes = request.attributes();
    if let Some(name) = name {
        attributes.strz(ATTR_SETNAME, name.as_str());
    }
    if !with_members {
        be32(&mut attributes, ATTR_FLAGS, FLAG_LIST_HEADER);
    }
    request
}

/// Entries in as few messages as they fit; with each the number of its entries.
pub(super) fn entries(verb: Verb, set: &SetName, entries: &[Entry]) -> Vec<(Request, usize)> {
    let mut messages = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (message, count) = some_entries(verb, set, rest);
        messages.push((message, count));
        rest = rest.get(count..).unwrap_or_default();
    }
    messages
}

/// A message of one entry.
pub(super) fn single(verb: Verb, set: &SetName, entry: &Entry) -> Request {
    some_entries(verb, set, std::slice::from_ref(entry)).0
}

/// A message of the first entries and how many they are; at least one.
fn some_entries(verb: Verb, set: &SetName, entries: &[Entry]) -> (Request, usize) {
    let command = if verb.is_add() { CMD_ADD } else { CMD_DEL };
    let flags = if verb.is_exclusive() { NLM_F_EXCL } else { 0 };
    let mut request = request(command, flags);
    let mut count = 0;
    let mut attributes = request.attributes();
    be32(&mut attributes, ATTR_LINENO, 0);
    attributes
        .strz(ATTR_SETNAME, set.as_str())
        .nest(ATTR_ADT, |adt| {
            for entry in entries {
                if count > 0 && adt.message_len() > MESSAGE_BYTES {
                    break;
                }
                adt.nest(ATTR_DATA, |data| write_entry(data, entry));
                count += 1;
            }
        });
    (request, count)
}

fn write_entry(data: &mut AttrWriter<'_>, entry: &Entry) {
    match entry {
        Entry::Ip(address) => write_ip(data, ATTR_IP, *address),
        Entry::IpPort(address, protocol, port) => write_ip_port(data, *address, *protocol, *port),
        Entry::Net(net) => {
            write_ip(data, ATTR_IP, net.network());
            data.u8(ATTR_CIDR, net.prefix_len());
        }
        Entry::IpPortNet(address, protocol, port, net) => {
            write_ip_port(data, *address, *protocol, *port);
            write_net2(data, net);
        }
        Entry::NetPort(net, protocol, port) => {
            write_ip_port(data, net.network(), *protocol, *port);
            data.u8(ATTR_CIDR, net.prefix_len());
        }
        Entry::NetNet(net, other) => {
            write_ip(data, ATTR_IP, net.network());
            data.u8(ATTR_CIDR, net.prefix_len());
            write_net2(data, other);
        }
    }
}

fn write_net2(data: &mut AttrWriter<'_>, net: &Prefix) {
    write_ip(data, ATTR_IP2, net.network());
    data.u8(ATTR_CIDR2, net.prefix_len());
}

fn write_ip_port(data: &mut AttrWriter<'_>, address: IpAddr, protocol: IpProtocol, port: u16) {
    write_ip(data, ATTR_IP, address);
    data.u8(ATTR_PROTO, protocol.0);
    data.be16(ATTR_PORT | NLA_F_NET_BYTEORDER, port);
}

fn write_ip(data: &mut AttrWriter<'_>, kind: u16, address: IpAddr) {
    data.nest(kind, |ip| match address {
        IpAddr::V4(address) => {
            ip.bytes(ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, &address.octets());
        }
        IpAddr::V6(address) => {
            ip.bytes(ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER, &address.octets());
        }
    });
}

fn of_set(command: u16, flags: u16, name: &SetName) -> Request {
    let mut request = request(command, flags);
    request.attributes().strz(ATTR_SETNAME, name.as_str());
    request
}

fn request(command: u16, flags: u16) -> Request {
    let [family, ..] = libc::AF_INET.to_le_bytes();
    let mut request =
        Request::new(NFNL_SUBSYS_IPSET << 8 | command, flags).payload(&[family, 0, 0, 0]);
    request.attributes().u8(ATTR_PROTOCOL, PROTOCOL);
    request
}

fn be32(data: &mut AttrWriter<'_>, kind: u16, value: u32) {
    data.be32(kind | NLA_F_NET_BYTEORDER, value);
}

/// `NFPROTO_IPV4` and `NFPROTO_IPV6` are the address families.
fn nfproto(family: Family) -> u8 {
    let [low, _] = family.af().to_le_bytes();
    low
}

// === decoders ===

/// The revision in the answer to [`get_type`].
pub(super) fn revision(message: &Message<'_>) -> Result<u8, NetlinkError> {
    let revision = message.attributes(HEADER)?.find_kind(ATTR_REVISION);
    revision.ok_or(NetlinkError::Missing("revision"))?.u8()
}

/// Adds one message of a listing to the sets found so far. Long sets come in several messages,
/// of which the later ones repeat the name only.
pub(super) fn gather(message: &Message<'_>, sets: &mut Vec<Listed>) -> Result<(), Error> {
    let attributes = message.attributes(HEADER)?;
    let missing = NetlinkError::Missing;
    let name = attributes
        .find_kind(ATTR_SETNAME)
        .ok_or(missing("name"))?
        .text();
    let is_continued = sets
        .last()
        .is_some_and(|set| set.definition.name.as_str() == name);
    if !is_continued {
        // A name of a foreign set that we could not write ourselves.
        let Ok(name) = SetName::new(name) else {
            return Ok(());
        };
        sets.push(header(name, &attributes)?);
    }
    let (Some(set), Some(adt)) = (sets.last_mut(), attributes.find_kind(ATTR_ADT)) else {
        return Ok(());
    };
    if set.definition.kind == SetType::Foreign {
        return Ok(());
    }
    for data in adt.nested().filter(|attr| attr.kind == ATTR_DATA) {
        set.entries
            .push(entry(set.definition.kind, set.definition.family, &data)?);
    }
    Ok(())
}

fn header(name: SetName, attributes: &AttrReader<'_>) -> Result<Listed, NetlinkError> {
    let kind = attributes.find_kind(ATTR_TYPENAME);
    let kind = kind.ok_or(NetlinkError::Missing("type"))?.text();
    let family = attributes.find_kind(ATTR_FAMILY);
    let family = family.map(|attr| attr.u8()).transpose()?;
    let family = Family::ALL
        .into_iter()
        .find(|known| Some(nfproto(*known)) == family);
    let mut listed = Listed {
        definition: Definition {
            name,
            // Without an address family (bitmap:port, list:set) it is none of ours.
            kind: family.map_or(SetType::Foreign, |_| SetType::from_name(&kind)),
            family: family.unwrap_or(Family::V4),
            hash_size: 0,
            max_entries: 0,
        },
        references: 0,
        entry_count: 0,
        entries: Vec::new(),
    };
    let data = attributes.find_kind(ATTR_DATA);
    for attr in data.iter().flat_map(|data| data.nested()) {
        match attr.kind {
            ATTR_HASHSIZE => listed.definition.hash_size = attr.be32()?,
            ATTR_MAXELEM => listed.definition.max_entries = attr.be32()?,
            ATTR_REFERENCES => listed.references = attr.be32()?,
            ATTR_ELEMENTS => listed.entry_count = attr.be32()?,
            _ => {}
        }
    }
    Ok(listed)
}

fn entry(kind: SetType, family: Family, data: &Attr<'_>) -> Result<Entry, NetlinkError> {
    let mut fields = Fields::new(family);
    for attr in data.nested() {
        fields.read(&attr, family)?;
    }
    fields.entry(kind)
}

/// The parts of one entry; absent lengths mean one address.
struct Fields {
    ip: Option<IpAddr>,
    cidr: u8,
    protocol: Option<u8>,
    port: Option<u16>,
    ip2: Option<IpAddr>,
    cidr2: u8,
}

impl Fields {
    fn new(family: Family) -> Self {
        Self {
            ip: None,
            cidr: family.host_bits(),
            protocol: None,
            port: None,
            ip2: None,
            cidr2: family.host_bits(),
        }
    }

    fn read(&mut self, attr: &Attr<'_>, family: Family) -> Result<(), NetlinkError> {
        match attr.kind {
            ATTR_IP => self.ip = Some(read_ip(attr, family)?),
            ATTR_CIDR => self.cidr = attr.u8()?,
            ATTR_PROTO => self.protocol = Some(attr.u8()?),
            ATTR_PORT => self.port = Some(attr.be16()?),
            ATTR_IP2 => self.ip2 = Some(read_ip(attr, family)?),
            ATTR_CIDR2 => self.cidr2 = attr.u8()?,
            _ => {}
        }
        Ok(())
    }

    fn entry(&self, kind: SetType) -> Result<Entry, NetlinkError> {
        let ip = self.ip.ok_or(NetlinkError::Missing("address"))?;
        let ports = || {
            let protocol = self.protocol.ok_or(NetlinkError::Missing("protocol"))?;
            let port = self.port.ok_or(NetlinkError::Missing("port"))?;
            Ok((IpProtocol(protocol), port))
        };
        let second = || {
            let ip2 = self.ip2.ok_or(NetlinkError::Missing("second address"))?;
            prefix(ip2, self.cidr2)
        };
        Ok(match kind {
            SetType::HashIp => Entry::Ip(ip),
            SetType::HashNet => Entry::Net(prefix(ip, self.cidr)?),
            SetType::HashIpPort => {
                let (protocol, port) = ports()?;
                Entry::IpPort(ip, protocol, port)
            }
            SetType::HashIpPortNet => {
                let (protocol, port) = ports()?;
                Entry::IpPortNet(ip, protocol, port, second()?)
            }
            SetType::HashNetPort => {
                let (protocol, port) = ports()?;
                Entry::NetPort(prefix(ip, self.cidr)?, protocol, port)
            }
            SetType::HashNetNet => Entry::NetNet(prefix(ip, self.cidr)?, second()?),
            SetType::Foreign => return Err(NetlinkError::Missing("known type")),
        })
    }
}

fn prefix(address: IpAddr, length: u8) -> Result<Prefix, NetlinkError> {
    let prefix = Prefix::new(address, length);
    let prefix = prefix.map_err(|_| NetlinkError::Missing("valid prefix length"))?;
    Ok(prefix.trunc())
}

fn read_ip(attr: &Attr<'_>, family: Family) -> Result<IpAddr, NetlinkError> {
    let missing = NetlinkError::Missing("address of the set's family");
    match family {
        Family::V4 => {
            let ip = attr.nested().find_kind(ATTR_IPADDR_IPV4).ok_or(missing)?;
            ip.array::<4>().map(IpAddr::from)
        }
        Family::V6 => {
            let ip = attr.nested().find_kind(ATTR_IPADDR_IPV6).ok_or(missing)?;
            ip.array::<16>().map(IpAddr::from)
        }
    }
}
