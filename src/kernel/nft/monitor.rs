//! Notifications of changes (`NFNLGRP_NFTABLES`).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::object::Name;
use super::{Error, wire};
use crate::kernel::netlink::{Event, Message, NetlinkError, Socket};

/// `NFNLGRP_NFTABLES`
const GROUP: u32 = 7;

/// What is listened for.
#[derive(Debug)]
enum Watched {
    /// A table of family `inet`.
    Table(Name),
    /// Chains of a table of `ip` and `ip6`, by their names.
    Chains(Name, fn(&str) -> bool),
}

/// What a [`Monitor`] has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Nothing within the time given.
    Quiet,
    /// Something changed, but nothing that is watched; more may be waiting.
    Elsewhere,
    /// Somebody changed what is watched.
    Changed,
    /// Notifications were lost: anything may have changed.
    Overflow,
}

/// Watches one table, or chains of one, for changes by others.
///
/// Needs `CAP_NET_ADMIN`. Its descriptor can be polled with others.
///
/// While anybody listens, the kernel makes one notification of 8 KiB for each element of a
/// transaction before it sends any, left out or not: 100,000 elements in one transaction take
/// 800 MB for a moment. Fill large sets before opening a monitor, in parts, or while it is paused.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    watched: Watched,
    ignored: Option<u32>,
}

// === impl Monitor ===

impl Monitor {
    /// Watches a table of family `inet` and all that is in it.
    pub fn open(table: Name) -> Result<Self, Error> {
        Self::watch(Watched::Table(table))
    }

    /// Watches the rules of some chains, and the chains themselves, of a table of families `ip` and
    /// `ip6`, as iptables' nft variant keeps them. Policies of base chains don't count: tools set
    /// them anew with every change of others.
    pub fn open_chains(table: Name, is_watched: fn(&str) -> bool) -> Result<Self, Error> {
        Self::watch(Watched::Chains(table, is_watched))
    }

    fn watch(watched: Watched) -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_NETFILTER)?;
        socket.subscribe(GROUP)?;
        Ok(Self {
            socket,
            watched,
            ignored: None,
        })
    }

    /// Leaves out what the socket of this port does ([`Tables::port`](super::Tables::port)). To be told
    /// again whenever that may be another one; the kernel then does not even send those
    /// notifications.
    pub fn leave_out(&mut self, port: u32) -> Result<(), Error> {
        if self.ignored != Some(port) {
            self.socket.ignore_ports(&[port])?;
            self.ignored = Some(port);
        }
        Ok(())
    }

    /// Stops listening, so that a large transaction takes no memory for notifications.
    pub fn pause(&mut self) -> Result<(), Error> {
        Ok(self.socket.unsubscribe(GROUP)?)
    }

    /// Listens again. What others did meanwhile is not told; the ruleset's generation is then not
    /// the one that follows from one's own transactions.
    pub fn resume(&mut self) -> Result<(), Error> {
        Ok(self.socket.subscribe(GROUP)?)
    }

    /// The next notice; waits at most `within`, with `None` for ever.
    pub fn next(&mut self, within: Option<Duration>) -> Result<Notice, Error> {
        let messages = match self.socket.next_event(within)? {
            Event::Quiet => return Ok(Notice::Quiet),
            Event::Overflow => return Ok(Notice::Overflow),
            Event::Messages(messages) => messages,
        };
        let mut foreign = messages
            .iter()
            .filter(|message| Some(message.port) != self.ignored);
        // What cannot be read may be about what is watched.
        if foreign.any(|message| self.watched.concerns(&message).unwrap_or(true)) {
            return Ok(Notice::Changed);
        }
        Ok(Notice::Elsewhere)
    }
}

// === impl Watched ===

impl Watched {
    fn concerns(&self, message: &Message<'_>) -> Result<bool, NetlinkError> {
        match self {
            Self::Table(table) => Ok(wire::in_table(message, table)?.is_some()),
            Self::Chains(table, is_watched) => Ok(match wire::touched_elsewhere(message, table)? {
                wire::Touched::Nothing => false,
                wire::Touched::Chain(chain) => is_watched(&chain),
                wire::Touched::Table => true,
            }),
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
