//! What happens to a peer, and what is to be done about it.

use std::fmt;

use super::open::{OpenFault, Terms};
use crate::bgp::wire::{Message, MessageType, Notification, ParsedUpdate, RouteRefresh};
use crate::net::Family;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

/// One TCP connection of a peer, or an attempt at one. The peer numbers the outgoing ones, whoever
/// accepts numbers the incoming ones; a number is never used twice for one peer and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub direction: Direction,
    pub serial: u32,
}

/// An input. The numbers are those of RFC 4271 section 8.1. Events of connections that the peer
/// does not know (any more) are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Events 1 and 3 to 7: an operator or the configuration wants the peer up. Ends every wait.
    Start,
    /// Events 2 and 8.
    Stop(Stop),
    /// An operator wants the session anew: Cease, then at once from the start. The words are for
    /// the other end (RFC 9003).
    Reset(String),
    /// Event 16: what `Action::Connect` asked for.
    Connected(ConnectionId),
    /// Events 14 and 17: the peer connected. (15, an invalid one, is the listener's to refuse.)
    Accepted(ConnectionId),
    /// Event 18: the connection is gone, or never came up.
    Closed(ConnectionId),
    /// Event 18 in Connect: the attempt failed, with the kernel's words for it.
    Unreachable(ConnectionId, String),
    /// Events 19, 20 and 24 to 27: a message, as it was decoded.
    Message(ConnectionId, Message),
    /// Events 21, 22 and 28: octets that are no message, or an UPDATE that RFC 7606 answers with a
    /// reset; with what the peer is to be told.
    Fault(ConnectionId, Notification),
    /// Something was written to the connection's socket: the peer does read (RFC 9687).
    Written(ConnectionId),
    /// UPDATEs were put into the connection's queue; a KEEPALIVE can wait.
    UpdatesSent(ConnectionId, u64),
    /// The peer has told all routes of a family (RFC 4724 section 2).
    EndOfRib(Family),
    /// How many prefixes the peer has told, after each change.
    Prefixes(Family, u32),
    /// We want the peer's routes again (RFC 2918).
    Refresh(Family),
    /// BFD lost the peer. The rule for BFD and graceful restart is in the room's documentation.
    BfdDown { control_plane_independent: bool },
}

/// Why a peer is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// By an operator, with words for the one at the other end (RFC 9003).
    Shutdown(String),
    /// It is no longer configured.
    Deconfigured,
    /// We are about to restart: a peer that knows graceful restart is left without a word, so that
    /// it keeps our routes.
    Restart,
}

/// A step to be carried out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection; `Connected` or `Closed` answers, unless `Close` comes first.
    Connect(ConnectionId),
    /// Put a message into the connection's queue.
    Send(ConnectionId, Message),
    /// Close the connection when what is queued is written, or soon if that takes long; give up
    /// the attempt. No event of this connection counts from now on.
    Close(ConnectionId),
    /// The session is Established on this connection: tell it the routes, then End-of-RIB.
    Up(ConnectionId, Box<Terms>),
    /// The session is gone. What becomes of the peer's routes is said by `Routes`, per family.
    Down(Down),
    /// What becomes of the routes that the peer told.
    Routes(Family, Fate),
    /// An UPDATE of the established session, still to be validated.
    Deliver(ParsedUpdate),
    /// The peer wants routes again, or marks the beginning or end of its own; the family was
    /// negotiated.
    Refresh(RouteRefresh),
    /// More prefixes than the warning's mark.
    ManyPrefixes { family: Family, count: u32 },
    /// An attempt at a session failed for another reason than the one before.
    Failed(Failure),
}

/// Why an attempt did not lead to a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// With the kernel's words.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// ConnectRetryTimer expired in Connect.
    #[error("no answer: packets are dropped on the way, or the passwords differ")]
    NoAnswer,
    #[error("the peer's OPEN is refused: {0}")]
    Open(OpenFault),
    /// The connection was there, but not for long enough.
    #[error("{0} before the session was up")]
    Ended(Reason),
}

/// What becomes of a family's routes from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// All go.
    Drop,
    /// Those already stale go, all others become stale and stay in use (RFC 4724 section 4.2).
    Stale,
    /// All are stale now and least preferred: LLGR_STALE is added, those with NO_LLGR go (RFC 9494
    /// section 4.2).
    LongLived,
    /// Those still stale go.
    Flush,
}

/// The end of an established session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    pub reason: Reason,
    /// The peer's routes are kept, and the peer keeps ours, where that was negotiated.
    pub graceful: bool,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// We said so.
    Sent(Notification),
    /// The peer said so.
    Received(Notification),
    /// TCP said so.
    ConnectionLost,
    /// The peer did not read (RFC 9687); telling it would not have reached it.
    SendHoldTimerExpired,
    /// A message before we had sent our OPEN, so that no NOTIFICATION could be sent.
    Premature(MessageType),
    /// We had something to say, but our OPEN was not out yet.
    Unsaid(Notification),
    /// The peer opened a newer connection.
    Superseded,
    /// We restart gracefully.
    Restart,
    /// BFD lost the peer; without a word, so that graceful restart goes on.
    BfdDown,
}

// === impl ConnectionId ===

impl ConnectionId {
    #[must_use]
    pub fn incoming(serial: u32) -> Self {
        Self {
            direction: Direction::Incoming,
            serial,
        }
    }

    pub(super) fn outgoing(serial: u32) -> Self {
        Self {
            direction: Direction::Outgoing,
            serial,
        }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Outgoing => write!(f, "outgoing {}", self.serial),
            Direction::Incoming => write!(f, "incoming {}", self.serial),
        }
    }
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(notification) => write!(f, "sent {notification}"),
            Self::Received(notification) => write!(f, "received {notification}"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::SendHoldTimerExpired => f.write_str("send hold timer expired"),
            Self::Premature(kind) => write!(f, "{kind:?} before our OPEN"),
            Self::Unsaid(notification) => write!(f, "not sent: {notification}"),
            Self::Superseded => f.write_str("the peer opened a newer connection"),
            Self::Restart => f.write_str("graceful restart of our own"),
            Self::BfdDown => f.write_str("BFD down"),
        }
    }
}
