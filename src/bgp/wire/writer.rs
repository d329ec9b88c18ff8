//! New UPDATEs: as many prefixes in each message as the peer takes.

use super::attribute::{AttributeCode, AttributeFlags, Attributes, NextHop, encode_attributes};
use super::codec::{HEADER, MessageLimit, put_u16, write_frame};
use super::error::EncodeError;
use super::family::AddressFamily;
use super::message::MessageType;
use super::negotiated::{FamilyTerms, Negotiated};
use super::nlri::Nlri;
use crate::net::Family;

/// Writes UPDATEs for one peer. Several messages go into one buffer, one behind the other; on an
/// error nothing is appended.
#[derive(Debug, Clone, Copy)]
pub struct UpdateWriter<'a> {
    terms: &'a Negotiated,
}

/// Header and the lengths of withdrawn routes and attributes.
const FIXED: usize = HEADER + 4;

// === impl UpdateWriter ===

impl<'a> UpdateWriter<'a> {
    #[must_use]
    pub fn new(terms: &'a Negotiated) -> Self {
        Self { terms }
    }

    /// Announces prefixes of one family that share attributes and next hop; gives the number of
    /// messages, none if there is no prefix. Prefixes of IPv4 with a next hop of IPv4 go into the
    /// NLRI field, all others into MP_REACH_NLRI, which comes first (RFC 7606 section 5.1).
    ///
    /// Prefixes of the other family are left out. What a peer of that kind may not get
    /// (LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST) is left out, too; AS path and next hop are sent
    /// as they are given.
    ///
    /// # Errors
    /// A family or next hop that was not negotiated, or attributes that leave no room for a
    /// prefix: such routes have to be withdrawn (RFC 8654 section 4).
    pub fn announce(
        &self,
        family: Family,
        attributes: &Attributes,
        next_hop: NextHop,
        prefixes: impl IntoIterator<Item = Nlri>,
        into: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        let terms = self.family(family)?;
        let plain = match (family, next_hop) {
            (Family::V4, NextHop::V4(address)) => Some(address),
            (Family::V4, NextHop::V6 { .. }) if terms.ipv6_next_hop => None,
            (Family::V6, NextHop::V6 { .. }) => None,
            _ => return Err(EncodeError::NextHop { next_hop, family }),
        };
        let mut shared = Vec::new();
        encode_attributes(attributes, plain, self.terms, &mut shared);
        let mut head = vec![0, 0, 0, 0];
        if plain.is_some() {
            head.append(&mut shared);
        } else {
            mp_head(AttributeCode::MP_REACH_NLRI, family, &mut head);
            next_hop_octets(next_hop, &mut head);
        }
        let layout = Layout {
            family,
            add_path: terms.add_path_send,
            prefixes_in: if plain.is_some() {
                Place::Nlri
            } else {
                Place::Mp
            },
            head,
            tail: shared,
        };
        layout.write(self.terms.send_limit, prefixes, into)
    }

    /// Withdraws prefixes of one family; gives the number of messages.
    ///
    /// # Errors
    /// A family that was not negotiated.
    pub fn withdraw(
        &self,
        family: Family,
        prefixes: impl IntoIterator<Item = Nlri>,
        into: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        let terms = self.family(family)?;
        let mut layout = Layout {
            family,
            add_path: terms.add_path_send,
            prefixes_in: Place::Withdrawn,
            head: vec![0, 0],
            tail: vec![0, 0],
        };
        if family == Family::V6 {
            layout.prefixes_in = Place::Mp;
            layout.head.extend([0, 0]);
            mp_head(AttributeCode::MP_UNREACH_NLRI, family, &mut layout.head);
            layout.tail.clear();
        }
        layout.write(self.terms.send_limit, prefixes, into)
    }

    /// Says that all routes of the family have been told (RFC 4724 section 2).
    ///
    /// # Errors
    /// A family that was not negotiated.
    pub fn end_of_rib(&self, family: Family, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.family(family)?;
        write_frame(MessageType::Update, self.terms.send_limit, into, |into| {
            match family {
                Family::V4 => into.extend([0, 0, 0, 0]),
                Family::V6 => {
                    let code = AttributeCode::MP_UNREACH_NLRI.0;
                    into.extend([0, 0, 0, 6, AttributeFlags::OPTIONAL.0, code, 3]);
                    address_family(family, into);
                }
            }
            Ok(())
        })
    }

    fn family(&self, family: Family) -> Result<FamilyTerms, EncodeError> {
        let terms = self.terms.family(family);
        terms.copied().ok_or(EncodeError::Family(family))
    }
}

/// Where the prefixes of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Withdrawn,
    Mp,
    Nlri,
}

/// What is the same in all messages: the octets before and behind the prefixes.
struct Layout {
    family: Family,
    add_path: bool,
    prefixes_in: Place,
    /// From the length of the withdrawn routes on.
    head: Vec<u8>,
    tail: Vec<u8>,
}

// === impl Layout ===

impl Layout {
    fn write(
        &self,
        limit: MessageLimit,
        prefixes: impl IntoIterator<Item = Nlri>,
        into: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        let fixed = HEADER + self.head.len() + self.tail.len();
        let room = limit.octets().saturating_sub(fixed);
        let is_ours = |nlri: &Nlri| Family::of_prefix(&nlri.prefix) == self.family;
        let mut prefixes = prefixes.into_iter().filter(is_ours).peekable();
        let (start, mut messages) = (into.len(), 0);
        while prefixes.peek().is_some() {
            let written = write_frame(MessageType::Update, limit, into, |into| {
                let body = into.len();
                into.extend_from_slice(&self.head);
                let first = into.len();
                let fits =
                    |nlri: &Nlri, used: usize| used + nlri.encoded_len(self.add_path) <= room;
                while let Some(nlri) = prefixes.next_if(|nlri| fits(nlri, into.len() - first)) {
                    nlri.encode(self.add_path, into);
                }
                let count = into.len() - first;
                into.extend_from_slice(&self.tail);
                self.lengths(count, into.get_mut(body..).unwrap_or_default());
                (count > 0)
                    .then_some(())
                    .ok_or(EncodeError::AttributesTooLong {
                        attributes: fixed - FIXED,
                        limit: limit.octets(),
                    })
            });
            if written.is_err() {
                into.truncate(start);
                return written.map(|()| 0);
            }
            messages += 1;
        }
        Ok(messages)
    }

    /// Fills in the lengths that depend on the prefixes, `prefixes` octets of them.
    fn lengths(&self, prefixes: usize, body: &mut [u8]) {
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let attributes = body.len() - 4;
        match self.prefixes_in {
            Place::Withdrawn => put_u16(body, 0, short(prefixes)),
            Place::Nlri => put_u16(body, 2, short(attributes - prefixes)),
            Place::Mp => {
                put_u16(body, 2, short(attributes));
                // Flags, code and this length itself are before the value.
                put_u16(body, 6, short(self.head.len() - 8 + prefixes));
            }
        }
    }
}

/// Flags, code, a length to be filled in, and the family.
fn mp_head(code: AttributeCode, family: Family, into: &mut Vec<u8>) {
    into.extend([
        AttributeFlags::OPTIONAL.with_extended_length(true).0,
        code.0,
        0,
        0,
    ]);
    address_family(family, into);
}

fn address_family(family: Family, into: &mut Vec<u8>) {
    let AddressFamily { afi, safi } = family.into();
    into.extend(afi.0.to_be_bytes());
    into.push(safi.0);
}

/// Length, octets, and the octet that is reserved.
fn next_hop_octets(next_hop: NextHop, into: &mut Vec<u8>) {
    match next_hop {
        NextHop::V4(address) => {
            into.push(4);
            into.extend(address.octets());
        }
        NextHop::V6 { global, link_local } => {
            into.push(if link_local.is_some() { 32 } else { 16 });
            into.extend(global.octets());
            into.extend(link_local.iter().flat_map(|address| address.octets()));
        }
    }
    into.push(0);
}
