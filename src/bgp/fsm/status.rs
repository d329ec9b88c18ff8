//! What can be told of a peer: its state, since when, what went over the wire, what went wrong.

use std::fmt;
use std::time::Instant;

use super::event::{Failure, Reason};
use super::open::Terms;
use crate::bgp::wire::{MessageType, Notification};

/// The states of RFC 4271 section 8.2.2, in the order of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    #[default]
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

/// Messages of one direction, by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageCounts {
    pub opens: u64,
    pub updates: u64,
    pub notifications: u64,
    pub keepalives: u64,
    pub route_refreshes: u64,
}

/// Since the peer was configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub sent: MessageCounts,
    pub received: MessageCounts,
    /// How often the session was established.
    pub established: u64,
    /// How often an established session ended.
    pub lost: u64,
}

/// Something that went wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap<T> {
    pub at: Instant,
    pub what: T,
}

/// The deadlines of the timers that run; those of connections are of the one that got furthest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timers {
    pub idle_hold: Option<Instant>,
    pub connect_retry: Option<Instant>,
    pub delay_open: Option<Instant>,
    pub hold: Option<Instant>,
    pub keepalive: Option<Instant>,
    pub send_hold: Option<Instant>,
}

/// A view of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    /// That of the connection that got furthest.
    pub state: State,
    /// When it came into this state; the base of "up for" and "down for".
    pub since: Instant,
    /// Whether somebody stopped it.
    pub stopped: bool,
    /// In Idle without a timer and without being stopped: until an operator starts it.
    pub timers: Timers,
    /// RFC 4271's ConnectRetryCounter: attempts since the last OPEN was accepted.
    pub connect_retries: u32,
    /// Of the established session.
    pub terms: Option<&'a Terms>,
    pub counters: Counters,
    pub last_sent: Option<&'a Mishap<Notification>>,
    pub last_received: Option<&'a Mishap<Notification>>,
    /// Why the last attempt at a session failed; none since one was established.
    pub last_failure: Option<&'a Mishap<Failure>>,
    /// Why the last established session ended.
    pub last_down: Option<&'a Mishap<Reason>>,
}

// === impl State ===

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

// === impl MessageCounts ===

impl MessageCounts {
    pub(super) fn count(&mut self, kind: MessageType, more: u64) {
        let counter = match kind {
            MessageType::Open => &mut self.opens,
            MessageType::Update => &mut self.updates,
            MessageType::Notification => &mut self.notifications,
            MessageType::Keepalive => &mut self.keepalives,
            MessageType::RouteRefresh => &mut self.route_refreshes,
        };
        *counter = counter.saturating_add(more);
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.opens + self.updates + self.notifications + self.keepalives + self.route_refreshes
    }
}
