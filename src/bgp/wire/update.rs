//! UPDATE (RFC 4271 section 4.3), taken apart and, after `validate`, understood.

use bytes::Bytes;

use super::as_path::AsPathError;
use super::attribute::{AttributeCode, Attributes, NextHop};
use super::family::AddressFamily;
use super::nlri::NlriList;
use super::notification::{Notification, UpdateSubcode};
use super::reader::Reader;
use crate::net::Family;

/// The three fields of an UPDATE, delimited and no more.
///
/// ```text
/// +---------------------------+------------------+
/// | withdrawn routes length (16) | withdrawn ... |
/// | total attribute length (16)  | attributes .. |
/// | NLRI, up to the end of the message           |
/// +----------------------------------------------+
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedUpdate {
    pub withdrawn: Bytes,
    /// Equal bytes in one session have equal meaning: a reader may keep the last ones with their
    /// [`Attributes`].
    pub attributes: Bytes,
    pub announced: Bytes,
}

/// An UPDATE that may be acted on: what RFC 7606 wants withdrawn or discarded already is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    pub(super) withdrawn: [Option<NlriList>; 4],
    pub(super) announced: [Option<Announcement>; 2],
    /// What all announcements share; the default if nothing is announced.
    pub attributes: Attributes,
    /// All routes of the family have been told (RFC 4724 section 2).
    pub end_of_rib: Option<Family>,
    /// What was wrong, and treated as discard or withdrawal; for the log and for counters.
    pub faults: Vec<AttributeFault>,
}

/// Prefixes to be reached by one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub next_hop: NextHop,
    pub nlri: NlriList,
}

/// What RFC 7606 section 2 does with a fault; the later the harder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultAction {
    /// The attribute is dropped, the routes are taken without it.
    Discard,
    /// The routes of the UPDATE are withdrawn.
    TreatAsWithdraw,
    /// The session ends with [`AttributeFault::notification`].
    Reset,
}

/// One fault of an UPDATE, with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {kind}")]
pub struct AttributeFault {
    /// [`AttributeFault::FIELDS`] for the fields outside of the attributes.
    pub code: AttributeCode,
    pub kind: FaultKind,
    pub action: FaultAction,
    /// For a reset: the only family that is hurt. RFC 7606 section 2 lets us ignore that family
    /// from now on (RFC 4760 section 7) instead of ending the session.
    pub family: Option<Family>,
    /// For a reset: the attribute with its header, as the NOTIFICATION's data.
    pub attribute: Bytes,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("flags {0:#04x}")]
    Flags(u8),
    #[error("{0} octets")]
    Length(usize),
    /// The attributes' lengths don't add up to the field's (RFC 7606 section 4).
    #[error("it does not fit into the attributes' field")]
    Overrun,
    #[error("value {0}")]
    Origin(u8),
    #[error("{0}")]
    AsPath(AsPathError),
    /// A path of an external peer that starts with another AS.
    #[error("it does not start with the peer's AS {peer_as}")]
    FirstAs { peer_as: u32 },
    /// RFC 5065 section 5.
    #[error("confederation segments where none may be, or none where one has to be")]
    Confederation,
    #[error("AS number 0")]
    AsZero,
    #[error("{0} is no address of a host")]
    NextHop(NextHop),
    #[error("a next hop of {0} octets")]
    NextHopLength(usize),
    #[error("missing")]
    Missing,
    #[error("more than once")]
    Duplicate,
    /// Attributes that only other kinds of peers may send.
    #[error("not from this peer")]
    NotFromThisPeer,
    #[error("well-known, but not to us")]
    UnrecognizedWellKnown,
    #[error("a prefix of {0} bits")]
    PrefixLength(u8),
    #[error("a prefix that does not fit")]
    PrefixOverrun,
    #[error("{0} was not negotiated")]
    Family(AddressFamily),
}

/// What a NOTIFICATION of 4096 octets has room for.
const MAX_DATA: usize = 4096 - 21;

// === impl ParsedUpdate ===

impl ParsedUpdate {
    /// `None` if the lengths exceed the body.
    pub(super) fn decode(body: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(body);
        let length = reader.u16()?;
        let withdrawn = reader.take(length.into())?;
        let length = reader.u16()?;
        let attributes = reader.take(length.into())?;
        Some(Self {
            withdrawn: body.slice_ref(withdrawn),
            attributes: body.slice_ref(attributes),
            announced: body.slice_ref(reader.rest()),
        })
    }

    /// Fields that are too long make the message too long, which its frame refuses.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        for field in [&self.withdrawn, &self.attributes] {
            let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
            into.extend(length.to_be_bytes());
            into.extend_from_slice(field);
        }
        into.extend_from_slice(&self.announced);
    }
}

// === impl Update ===

impl Update {
    /// The prefixes that are gone, by field.
    pub fn withdrawn(&self) -> impl Iterator<Item = &NlriList> {
        self.withdrawn.iter().flatten()
    }

    /// The prefixes that are there, by next hop.
    pub fn announced(&self) -> impl Iterator<Item = &Announcement> {
        self.announced.iter().flatten()
    }
}

// === impl AttributeFault ===

impl AttributeFault {
    /// The reserved code 0 stands for the fields "withdrawn routes" and "NLRI".
    pub const FIELDS: AttributeCode = AttributeCode(0);

    /// What the peer is told if the session ends for this (RFC 4271 section 6.3); the data is the
    /// attribute where the RFC says so, cut to what fits a message that is not extended.
    #[must_use]
    pub fn notification(&self) -> Notification {
        let subcode = match self.kind {
            FaultKind::Overrun | FaultKind::Duplicate => UpdateSubcode::MalformedAttributeList,
            FaultKind::UnrecognizedWellKnown => UpdateSubcode::UnrecognizedWellKnownAttribute,
            FaultKind::Missing => UpdateSubcode::MissingWellKnownAttribute,
            FaultKind::Flags(_) => UpdateSubcode::AttributeFlagsError,
            FaultKind::Length(_) => UpdateSubcode::AttributeLengthError,
            FaultKind::Origin(_) => UpdateSubcode::InvalidOriginAttribute,
            FaultKind::NextHop(_) if self.code == AttributeCode::NEXT_HOP => {
                UpdateSubcode::InvalidNextHopAttribute
            }
            FaultKind::AsPath(_)
            | FaultKind::FirstAs { .. }
            | FaultKind::Confederation
            | FaultKind::AsZero => UpdateSubcode::MalformedAsPath,
            FaultKind::PrefixLength(_) | FaultKind::PrefixOverrun if self.code == Self::FIELDS => {
                UpdateSubcode::InvalidNetworkField
            }
            _ => UpdateSubcode::OptionalAttributeError,
        };
        let data = match subcode {
            UpdateSubcode::MalformedAttributeList | UpdateSubcode::MalformedAsPath => Bytes::new(),
            UpdateSubcode::MissingWellKnownAttribute => Bytes::copy_from_slice(&[self.code.0]),
            _ => self.attribute.slice(..self.attribute.len().min(MAX_DATA)),
        };
        Notification::from(subcode).with_data(data)
    }
}
