//! What happens to the speaker, and what it wants done.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::desired::{PeerDesired, PeerKey};
use crate::bgp::fsm::{ConnectionId, Down, Failure, Stop};
use crate::bgp::rib::Reachability;
use crate::bgp::wire::AttributeFault;
use crate::net::Family;

/// A connection of a peer, or an attempt at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    pub peer: PeerKey,
    pub id: ConnectionId,
}

/// Something that happened. What names an unknown peer or connection is ignored.
#[derive(Debug, Clone)]
pub enum Input {
    /// What [`Output::Connect`] asked for.
    Connected(ConnectionKey),
    /// A peer connected to our address `local`. The identifier is
    /// [`ConnectionId::incoming`] with a number that was not used before.
    Accepted { key: ConnectionKey, local: IpAddr },
    /// Octets, cut anywhere.
    Received(ConnectionKey, Bytes),
    /// So many octets of what [`Output::Send`] gave went into the socket.
    Written(ConnectionKey, usize),
    /// The connection is gone, or never came up.
    Closed(ConnectionKey),
    /// What [`Output::Connect`] asked for failed, with the kernel's words for it.
    Unreachable(ConnectionKey, String),
    /// BFD lost the peer.
    BfdDown {
        peer: PeerKey,
        control_plane_independent: bool,
    },
    /// How far a next hop is.
    NextHop(IpAddr, Reachability),
    /// An operator wants the session anew, with words for the other end (RFC 9003).
    Reset { peer: PeerKey, text: String },
    /// An operator wants the session up now, whatever it waits for.
    Start { peer: PeerKey },
    /// An operator wants the peer's routes again (RFC 2918).
    Refresh { peer: PeerKey, family: Family },
    /// The process ends: all sessions do.
    StopAll(Stop),
}

/// A step to be carried out, in order.
#[derive(Debug, Clone)]
pub enum Output {
    /// A peer may connect from now on, from its address or from its range; its password and TTL
    /// are needed before it does.
    Expect {
        peer: PeerKey,
        as_wanted: Arc<PeerDesired>,
    },
    /// The peer is no longer expected.
    Forget { peer: PeerKey },
    /// Open a connection; `Connected`, `Unreachable` or `Closed` answers, unless `Close` comes first.
    Connect {
        key: ConnectionKey,
        to: Arc<PeerDesired>,
    },
    /// Put octets into the connection's queue.
    Send(ConnectionKey, Bytes),
    /// Close the connection when what is queued is written, or soon if that takes long.
    Close(ConnectionKey),
    /// [`super::SpeakerCore::best_paths`] has something new, and keeps the changes until asked.
    BestPathsChanged,
    /// Something to be logged.
    Note { peer: PeerKey, note: Note },
}

/// What an operator may want to know at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    Up,
    Down(Down),
    /// An attempt at a session failed, for another reason than the one before.
    Failed(Failure),
    ManyPrefixes {
        family: Family,
        count: u32,
    },
    /// Faults of an UPDATE that did not end the session (RFC 7606).
    Faults(Vec<AttributeFault>),
    /// More peers of a range than it has room for, or a connection to the wrong address of ours.
    Refused(Refusal),
    /// The kernel does not take the peer's password, with its words.
    Password(String),
}

/// Why a connection was not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no peer is expected from there")]
    Unknown,
    #[error("the range has all {0} peers that it may have")]
    RangeFull(usize),
    #[error("it came to {found} instead of {expected}")]
    LocalAddress { expected: IpAddr, found: IpAddr },
    #[error("there is no room for more peers")]
    NoRoom,
}
