//! Notifications of changes (`NFNLGRP_NFTABLES`).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::object::Name;
use super::{Error, wire};
use crate::kernel::netlink::{Event, Socket};

/// `NFNLGRP_NFTABLES`
const GROUP: u32 = 7;

/// What a [`Monitor`] has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Nothing within the time given.
    Quiet,
    /// Something changed, but not in the table watched; more may be waiting.
    Elsewhere,
    /// Somebody changed the table watched.
    Changed,
    /// Notifications were lost: anything may have changed.
    Overflow,
}

/// Watches one table for changes by others.
///
/// Needs `CAP_NET_ADMIN`. Its descriptor can be polled with others.
///
/// While anybody listens, the kernel makes one notification of 8 KiB for each element of a
/// transaction before it sends any, left out or not: 100,000 elements in one transaction take
/// 800 MB for a moment. Fill large sets before opening a monitor, in parts, or while it is paused.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    table: Name,
    ignored: Option<u32>,
}

// === impl Monitor ===

impl Monitor {
    pub fn open(table: Name) -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_NETFILTER)?;
        socket.subscribe(GROUP)?;
        Ok(Self {
            socket,
            table,
            ignored: None,
        })
    }

    /// Leaves out what the socket of this port does ([`Nft::port`](super::Nft::port)). To be told
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
        let is_of_table = |message| {
            // What cannot be read may be about the table.
            wire::in_table(&message, &self.table).map_or(true, |found| found.is_some())
        };
        let mut foreign = messages.iter();
        let mut foreign = foreign
            .by_ref()
            .filter(|message| Some(message.port) != self.ignored);
        if foreign.any(is_of_table) {
            return Ok(Notice::Changed);
        }
        Ok(Notice::Elsewhere)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
