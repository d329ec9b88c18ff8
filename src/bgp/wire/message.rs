//! The five messages and their types.

use super::codec::MessageLimit;
use super::notification::Notification;
use super::open::Open;
use super::route_refresh::RouteRefresh;
use super::update::ParsedUpdate;

/// A whole message as `Codec::decode` gives it; an UPDATE still has to pass `validate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Open(Open),
    Update(ParsedUpdate),
    Notification(Notification),
    Keepalive,
    RouteRefresh(RouteRefresh),
}

/// The type octet of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    Open,
    Update,
    Notification,
    Keepalive,
    RouteRefresh,
}

// === impl Message ===

impl Message {
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Open(_) => MessageType::Open,
            Self::Update(_) => MessageType::Update,
            Self::Notification(_) => MessageType::Notification,
            Self::Keepalive => MessageType::Keepalive,
            Self::RouteRefresh(_) => MessageType::RouteRefresh,
        }
    }
}

// === impl MessageType ===

impl MessageType {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// Whether a message of so many octets, header included, can be of this type at all (RFC 4271
    /// section 6.1); the upper limit is the session's.
    pub(super) fn allows(self, length: usize) -> bool {
        match self {
            Self::Open => (29..=MessageLimit::Standard.octets()).contains(&length),
            Self::Update | Self::RouteRefresh => length >= 23,
            Self::Notification => length >= 21,
            Self::Keepalive => length == 19,
        }
    }
}
