//! Bytes ⇄ BGP messages (RFC 4271), pure: no socket, no clock, no state but what is passed in.
//!
//! ```text
//!  stream ─► Codec::next_frame ─► frame ─► Codec::decode ─► Message ─┬─► Open, Notification, RouteRefresh
//!                                                                    └─► ParsedUpdate ─► validate ─► Update
//!  Message ─► Codec::encode ─► bytes          prefixes that share attributes ─► UpdateWriter ─► bytes
//! ```
//!
//! - What comes from outside never panics and never costs memory beyond a small multiple of its own
//!   length: fields are slices of the frame, and a bad attribute can't shift the next one.
//! - [`validate`] gives every fault its verdict by RFC 7606. What it lets through is well formed:
//!   prefixes are masked and not over-long, AS paths have four octets per AS on every session.
//! - Nothing is guessed from the bytes: what was negotiated is passed in ([`Negotiated`]).
//! - Families: IPv4 and IPv6 unicast. Others are carried in capabilities and ROUTE-REFRESH, and
//!   ignored in UPDATEs.
//!
//! The header of each message (RFC 4271 section 4.1):
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                  marker: 16 octets of all ones                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          length               |      type     |  body ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

mod as4;
mod as_path;
mod attribute;
mod capability;
mod codec;
mod error;
mod family;
mod message;
mod negotiated;
mod nlri;
mod notification;
mod open;
mod reader;
mod route_refresh;
mod update;
mod validate;
mod writer;

pub use as_path::{AsPath, AsPathError, Segment, SegmentKind};
pub use attribute::{
    Aggregator, AttributeCode, AttributeFlags, Attributes, Community, ExtendedCommunity,
    LargeCommunity, NextHop, Origin, PartialBits, PathAttribute, UnknownAttribute,
};
pub use capability::{
    AddPathFamily, AddPathMode, Capability, ExtendedNextHop, Fqdn, GracefulFamily, GracefulRestart,
    LongLivedFamily,
};
pub use codec::{Codec, MessageLimit};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use family::{AddressFamily, Afi, Safi};
pub use message::{Message, MessageType};
pub use negotiated::{FamilyTerms, Negotiated, PeerKind};
pub use nlri::{Nlri, NlriIter, NlriList};
pub use notification::{
    CeaseSubcode, ErrorCode, FsmSubcode, HeaderSubcode, Notification, OpenSubcode,
    RouteRefreshSubcode, UpdateSubcode,
};
pub use open::{HoldTime, Open};
pub use route_refresh::{RefreshSubtype, RouteRefresh};
pub use update::{Announcement, AttributeFault, FaultAction, FaultKind, ParsedUpdate, Update};
pub use validate::validate;
pub use writer::UpdateWriter;

#[cfg(test)]
mod tests;

/// Stands for an AS number of four octets where only two fit (RFC 6793 section 9).
pub const AS_TRANS: u16 = 23456;
/// The only version of BGP.
pub const VERSION: u8 = 4;
