//! Why bytes are no message, and why a value does not fit into one.

use bytes::Bytes;

use super::attribute::NextHop;
use super::notification::{HeaderSubcode, Notification, OpenSubcode, UpdateSubcode};
use crate::net::Family;

/// What is wrong with a frame. Each ends the session, with [`DecodeError::notification`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("octet {at}: {kind}")]
pub struct DecodeError {
    /// Octets from the start of the message's header.
    pub at: usize,
    pub kind: DecodeErrorKind,
}

/// The faults of RFC 4271 sections 6.1 and 6.2 and of an UPDATE that can't be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    #[error("the marker is not all ones")]
    Marker,
    #[error("length {0} is not allowed")]
    Length(u16),
    #[error("unknown message type {0}")]
    MessageType(u8),
    #[error("version {0}, only {version} is spoken", version = super::VERSION)]
    Version(u8),
    #[error("AS number 0")]
    AsZero,
    #[error("BGP identifier 0.0.0.0")]
    Identifier,
    #[error("hold time of {0} s")]
    HoldTime(u16),
    #[error("unknown optional parameter {0}")]
    OptionalParameter(u8),
    #[error("optional parameters that don't fit their length")]
    OptionalParameters,
    #[error("a capability of the wrong length")]
    Capability,
    /// The lengths of withdrawn routes and attributes exceed the message (RFC 7606 section 3 b).
    #[error("the lengths of the fields exceed the message")]
    UpdateLengths,
    /// A ROUTE-REFRESH that is too long (RFC 7313 section 5); the data is the whole message.
    #[error("ROUTE-REFRESH of {} octets", .0.len())]
    RouteRefreshLength(Bytes),
}

/// Why something can't be said to this peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// RFC 8654 section 4: the routes have to be withdrawn instead.
    #[error("attributes of {attributes} octets leave no room for a prefix in {limit}")]
    AttributesTooLong { attributes: usize, limit: usize },
    #[error("a message of {length} octets, {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    #[error("next hop {next_hop} for {family} was not negotiated")]
    NextHop { next_hop: NextHop, family: Family },
    #[error("{0} was not negotiated")]
    Family(Family),
}

// === impl DecodeError ===

impl DecodeError {
    pub(super) fn new(at: usize, kind: DecodeErrorKind) -> Self {
        Self { at, kind }
    }

    /// What the peer is told, with exactly the code, subcode and data that the RFCs name.
    #[must_use]
    pub fn notification(&self) -> Notification {
        self.kind.notification()
    }
}

// === impl DecodeErrorKind ===

impl DecodeErrorKind {
    fn notification(&self) -> Notification {
        let data = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        match self {
            Self::Marker => HeaderSubcode::ConnectionNotSynchronized.into(),
            Self::Length(length) => Notification::from(HeaderSubcode::BadMessageLength)
                .with_data(data(&length.to_be_bytes())),
            Self::MessageType(kind) => {
                Notification::from(HeaderSubcode::BadMessageType).with_data(data(&[*kind]))
            }
            Self::Version(_) => Notification::from(OpenSubcode::UnsupportedVersionNumber)
                .with_data(data(&u16::from(super::VERSION).to_be_bytes())),
            Self::AsZero => OpenSubcode::BadPeerAs.into(),
            Self::Identifier => OpenSubcode::BadBgpIdentifier.into(),
            Self::HoldTime(_) => OpenSubcode::UnacceptableHoldTime.into(),
            Self::OptionalParameter(_) => OpenSubcode::UnsupportedOptionalParameter.into(),
            Self::OptionalParameters | Self::Capability => OpenSubcode::Unspecific.into(),
            Self::UpdateLengths => UpdateSubcode::MalformedAttributeList.into(),
            Self::RouteRefreshLength(message) => {
                Notification::from(super::RouteRefreshSubcode::InvalidMessageLength)
                    .with_data(message.clone())
            }
        }
    }
}
