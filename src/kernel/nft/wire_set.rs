//! Sets and their members as bytes.
//!
//! ```text
//! NEWSET:     TABLE, NAME, FLAGS, KEY_TYPE, KEY_LEN, DATA_TYPE, DESC { SIZE, CONCAT }, USERDATA
//! NEWSETELEM: TABLE, SET, ELEMENTS { ELEM { KEY, KEY_END, FLAGS, DATA } … }
//! ```
//!
//! Ranges are written in two ways. In sets of one field a range is two members, its start and the
//! key after its end, which bears a flag; the range that ends with the last key has no end. In
//! sets of several fields a range is one member with two keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::element::Key;
use super::object::{Element, KeyType, Name, Set, Verdict};
use super::observed::ObservedSet;
use super::{wire, wire_rule, wire_rule_read};
use crate::kernel::netlink::{
    Attr, AttrReader, AttrWriter, Message, Messages, NLM_F_CREATE, NetlinkError, Request,
};

/// `sizeof(struct nlmsghdr)`
const NLMSG_HEADER: usize = 16;
/// Most bytes of one message of members; an attribute's length has 16 bits.
const MESSAGE_BYTES: usize = 60_000;

pub(super) const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DESC: u16 = 9;
const SET_ID: u16 = 10;
const SET_USERDATA: u16 = 13;
const DESC_SIZE: u16 = 1;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;

const F_CONSTANT: u32 = 1 << 1;
const F_INTERVAL: u32 = 1 << 2;
const F_MAP: u32 = 1 << 3;
const F_CONCAT: u32 = 1 << 7;
const DATA_VERDICT: u32 = 0xffff_ff00;
/// Bits of each field's type in the number of a concatenation's (`TYPE_BITS` of nft).
const TYPE_BITS: u32 = 6;

/// `NFTNL_UDATA_SET_*`; the values are numbers in the machine's byte order.
const UDATA_KEY_BYTEORDER: u8 = 0;
const UDATA_DATA_BYTEORDER: u8 = 1;
const UDATA_COMMENT: u8 = 7;
const BYTEORDER_BIG_ENDIAN: u32 = 2;

const ELEMENTS: u16 = 3;
const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const ELEM_FLAGS: u16 = 3;
const ELEM_KEY_END: u16 = 10;
const ELEM_F_INTERVAL_END: u32 = 1;

// === requests ===

pub(super) fn new_set(table: &Name, set: &Set) -> Request {
    let mut request = wire::request_in(wire::MSG_NEWSET, NLM_F_CREATE, table);
    let mut attributes = request.attributes();
    attributes
        .strz(SET_NAME, set.name.as_str())
        .be32(SET_FLAGS, flags(set))
        .be32(SET_KEY_TYPE, key_type(&set.key))
        .be32(SET_KEY_LEN, number(key_length(&set.key)))
        // Only for references within a batch, of which we have none.
        .be32(SET_ID, 1);
    if set.is_map {
        attributes.be32(SET_DATA_TYPE, DATA_VERDICT);
    }
    if set.size.is_some() || set.has_ranges_of_fields() {
        attributes.nest(SET_DESC, |desc| write_description(desc, set));
    }
    attributes.bytes(SET_USERDATA, &userdata(set));
    request
}

/// The most members, and the lengths of the fields that ranges are of.
fn write_description(desc: &mut AttrWriter<'_>, set: &Set) {
    if let Some(size) = set.size {
        desc.be32(DESC_SIZE, size);
    }
    if set.has_ranges_of_fields() {
        desc.nest(DESC_CONCAT, |concat| {
            for kind in &set.key {
                concat.nest(wire_rule::LIST_ELEM, |field| {
                    field.be32(FIELD_LEN, number(kind.width()));
                });
            }
        });
    }
}

fn flags(set: &Set) -> u32 {
    let of = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    of(set.is_interval, F_INTERVAL)
        | of(set.is_map, F_MAP)
        | of(set.has_ranges_of_fields(), F_CONCAT)
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Bytes of a key: each field of a concatenation fills registers.
fn key_length(key: &[KeyType]) -> usize {
    match key {
        [one] => one.width(),
        fields => fields
            .iter()
            .map(|kind| kind.width().next_multiple_of(4))
            .sum(),
    }
}

/// The numbers that `nft` gives types; the kernel only keeps them.
fn type_number(kind: KeyType) -> u32 {
    match kind {
        KeyType::Ipv4Addr => 7,
        KeyType::Ipv6Addr => 8,
        KeyType::InetProto => 12,
        KeyType::InetService => 13,
    }
}

fn key_type(key: &[KeyType]) -> u32 {
    let numbers = key.iter().map(|kind| type_number(*kind));
    numbers.fold(0, |all, number| all.wrapping_shl(TYPE_BITS) | number)
}

/// What `nft` notes down for itself: without the byte order it prints numbers reversed.
fn userdata(set: &Set) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |kind: u8, value: u32| {
        bytes.extend_from_slice(&[kind, 4]);
        bytes.extend_from_slice(&value.to_ne_bytes());
    };
    let is_plain = set.key.len() == 1;
    push(
        UDATA_KEY_BYTEORDER,
        if is_plain { BYTEORDER_BIG_ENDIAN } else { 0 },
    );
    if set.is_map {
        push(UDATA_DATA_BYTEORDER, 0);
    }
    if let Some(comment) = &set.comment {
        bytes.extend(wire::udata(UDATA_COMMENT, comment));
    }
    bytes
}

/// Members in as few messages as they fit, each with the index of its first.
pub(super) fn elements(
    message: u16,
    flags: u16,
    table: &Name,
    set: &Set,
    elements: &[Element],
    push: &mut dyn FnMut(usize, Request),
) {
    let mut rest = elements;
    while !rest.is_empty() {
        let first = elements.len() - rest.len();
        let mut request = wire::request_in(message, flags, table);
        let mut attributes = request.attributes();
        attributes.strz(SET_NAME, set.name.as_str());
        attributes.nest(ELEMENTS, |list| {
            while list.message_len() < MESSAGE_BYTES
                && let Some((element, others)) = rest.split_first()
            {
                write_element(list, set, element);
                rest = others;
            }
        });
        push(first, request);
    }
}

fn write_element(list: &mut AttrWriter<'_>, set: &Set, element: &Element) {
    let (low, high) = (&element.low, &element.high);
    if !set.is_interval || set.key.len() > 1 {
        // Ranges are refused by the kernel where the set has none.
        let end = (low != high || set.is_interval).then_some(high);
        write_member(list, set, end, element);
        return;
    }
    write_member(list, set, None, element);
    let width = key_length(&set.key);
    if let Some(end) = high.successor(width) {
        list.nest(wire_rule::LIST_ELEM, |member| {
            write_key(member, ELEM_KEY, set, &end);
            member.be32(ELEM_FLAGS, ELEM_F_INTERVAL_END);
        });
    }
}

fn write_member(list: &mut AttrWriter<'_>, set: &Set, end: Option<&Key>, element: &Element) {
    list.nest(wire_rule::LIST_ELEM, |member| {
        write_key(member, ELEM_KEY, set, &element.low);
        if let Some(end) = end {
            write_key(member, ELEM_KEY_END, set, end);
        }
        if let Some(verdict) = &element.verdict {
            member.nest(ELEM_DATA, |data| wire_rule::write_verdict(data, verdict));
        }
    });
}

/// A key of a single field comes without the padding that keys have here.
fn write_key(member: &mut AttrWriter<'_>, kind: u16, set: &Set, key: &Key) {
    let bytes = key.as_bytes();
    let bytes = match set.key.as_slice() {
        [one] if bytes.len() == one.width().next_multiple_of(4) => bytes.get(..one.width()),
        _ => None,
    }
    .unwrap_or(bytes);
    member.nest(kind, |data| {
        data.bytes(wire_rule::DATA_VALUE, bytes);
    });
}

/// Which member of a message of members a refusal is about, where the kernel tells.
pub(super) fn refused_element(request: &Request, error: &NetlinkError) -> Option<usize> {
    const MEMBERS_AT: usize = NLMSG_HEADER + wire::HEADER;
    let NetlinkError::Refused { offset, .. } = error else {
        return None;
    };
    let offset = (*offset)? as usize;
    let bytes = request.to_bytes(0).ok()?;
    let attributes = Messages::new(&bytes)
        .next()?
        .attributes(wire::HEADER)
        .ok()?;
    let list = attributes.find_kind(ELEMENTS)?;
    let members = list.nested();
    // The ends of ranges belong to the starts before them.
    let is_start = |member: &Attr<'_>| member.nested().find_kind(ELEM_FLAGS).is_none();
    let up_to = members.filter(|member| member.offset + MEMBERS_AT <= offset);
    up_to.filter(is_start).count().checked_sub(1)
}

/// A request for the members of a set, as a dump.
pub(super) fn get_elements(table: &Name, set: &Name) -> Request {
    wire::named(wire::MSG_GETSETELEM, table, SET_NAME, set)
}

// === decoders ===

/// Reads a set of this table, without its members; nothing for other tables' sets.
pub fn set(message: &Message<'_>, table: &Name) -> Result<Option<ObservedSet>, NetlinkError> {
    let Some(attributes) = wire::in_table(message, table)? else {
        return Ok(None);
    };
    let name = Name::from_kernel(&wire::need(&attributes, SET_NAME, "set name")?.text());
    let number = |kind| {
        attributes
            .find_kind(kind)
            .map(|attr: Attr<'_>| attr.be32())
            .transpose()
    };
    let found = number(SET_FLAGS)?.unwrap_or(0);
    let description = attributes.find_kind(SET_DESC);
    let size = description.and_then(|desc| desc.nested().find_kind(DESC_SIZE));
    let userdata = attributes.find_kind(SET_USERDATA);
    let comment = userdata.and_then(|attr| wire::find_udata(attr.value, UDATA_COMMENT));
    let key = number(SET_KEY_TYPE)?.and_then(key_types);
    let set = Set {
        name,
        key: key.unwrap_or_default(),
        is_interval: found & F_INTERVAL != 0,
        is_map: found & F_MAP != 0,
        size: size.map(|size| size.be32()).transpose()?,
        comment: comment.map(wire::label),
    };
    let has_verdicts = number(SET_DATA_TYPE)? == Some(DATA_VERDICT);
    let is_ours = !set.key.is_empty()
        && set.is_map == has_verdicts
        && found & !F_CONSTANT == flags(&set)
        && number(SET_KEY_LEN)? == Some(self::number(key_length(&set.key)));
    Ok(Some(ObservedSet {
        set: Arc::new(set),
        is_foreign: !is_ours,
        elements: Vec::new(),
        foreign_elements: 0,
    }))
}

/// The fields of a concatenation's number; nothing if one is of a type that we do not speak.
fn key_types(number: u32) -> Option<Vec<KeyType>> {
    let mut key = Vec::new();
    let mut rest = number;
    while rest != 0 {
        let number = rest & ((1 << TYPE_BITS) - 1);
        let mut all = KeyType::ALL.into_iter();
        key.push(all.find(|kind| type_number(*kind) == number)?);
        rest >>= TYPE_BITS;
    }
    key.reverse();
    Some(key)
}

/// Reads the members of a set from the messages of a dump: sorted, and how many could not be read.
pub fn members<'a>(
    set: &Set,
    messages: impl IntoIterator<Item = Message<'a>>,
) -> Result<(Vec<Element>, usize), NetlinkError> {
    let mut members = Members::default();
    for message in messages {
        members.read(set, &message)?;
    }
    Ok(members.finish(set))
}

/// Collects the members of one set.
#[derive(Debug, Default)]
struct Members {
    elements: Vec<Element>,
    /// Starts and ends of ranges in sets of one field; ends come before starts at the same key.
    bounds: BTreeMap<Key, Bound>,
    foreign: usize,
}

/// What stands at one key of a set of ranges of one field.
#[derive(Debug, Default)]
struct Bound {
    is_end: bool,
    start: Option<Option<Verdict>>,
}

impl Members {
    /// Adds the members of one message.
    fn read(&mut self, set: &Set, message: &Message<'_>) -> Result<(), NetlinkError> {
        let attributes = message.attributes(wire::HEADER)?;
        let list = attributes.find_kind(ELEMENTS);
        for member in list.iter().flat_map(|list| list.nested()) {
            self.member(set, &member.nested())?;
        }
        Ok(())
    }

    fn member(&mut self, set: &Set, member: &AttrReader<'_>) -> Result<(), NetlinkError> {
        let flags = member.find_kind(ELEM_FLAGS).map(|attr| attr.be32());
        let flags = flags.transpose()?.unwrap_or(0);
        let is_end = flags == ELEM_F_INTERVAL_END;
        let data = member.find_kind(ELEM_DATA);
        let verdict = match &data {
            Some(data) => wire_rule_read::verdict(&data.nested())?,
            None => None,
        };
        let low = key(set, member, ELEM_KEY)?;
        let is_readable = is_end || (flags == 0 && set.is_map == verdict.is_some());
        let Some(low) = low.filter(|_| is_readable) else {
            self.foreign += 1;
            return Ok(());
        };
        if set.is_interval && set.key.len() == 1 {
            let bound = self.bounds.entry(low).or_default();
            if is_end {
                bound.is_end = true;
            } else {
                bound.start = Some(verdict);
            }
            return Ok(());
        }
        let high = key(set, member, ELEM_KEY_END)?.unwrap_or(low);
        self.elements.push(Element { low, high, verdict });
        Ok(())
    }

    fn finish(mut self, set: &Set) -> (Vec<Element>, usize) {
        let width = key_length(&set.key);
        let mut open: Option<(Key, Option<Verdict>)> = None;
        for (key, bound) in std::mem::take(&mut self.bounds) {
            if let Some((low, verdict)) = open.take() {
                match key.predecessor(width) {
                    Some(high) => self.elements.push(Element { low, high, verdict }),
                    None => self.foreign += 1,
                }
            }
            open = bound.start.map(|verdict| (key, verdict));
        }
        if let Some((low, verdict)) = open {
            let high = Key::last(width);
            self.elements.push(Element { low, high, verdict });
        }
        self.elements.sort_unstable();
        (self.elements, self.foreign)
    }
}

/// A key of the right length for the set.
fn key(set: &Set, member: &AttrReader<'_>, kind: u16) -> Result<Option<Key>, NetlinkError> {
    let Some(attr) = member.find_kind(kind) else {
        return Ok(None);
    };
    let value = wire::need(&attr.nested(), wire_rule::DATA_VALUE, "value of a key")?.value;
    if value.len() != key_length(&set.key) {
        return Ok(None);
    }
    let mut key = Key::EMPTY;
    key.push(value);
    Ok(Some(key))
}
