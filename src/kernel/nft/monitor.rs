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
    /// notifications. A thousand elements changed by oneself would be a thousand of them.
    pub fn leave_out(&mut self, port: u32) -> Result<(), Error> {
        if self.ignored != Some(port) {
            self.socket.ignore_ports(&[port])?;
            self.ignored = Some(port);
        }
        Ok(())
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
