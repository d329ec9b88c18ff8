//! The socket.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::object::Record;
use super::{Error, wire};
use crate::kernel::netlink::{Event, Socket};

/// Bytes of each packet: both IP headers, some extensions, and the ports.
const PACKET_BYTES: u32 = 128;
/// What may wait to be read; beyond it the kernel drops records and says so.
const RECEIVE_BUFFER: i32 = 1 << 20;

/// What a group has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Nothing within the time given.
    Quiet,
    /// Packets in the order in which they were logged.
    Records(Vec<Record>),
    /// Packets were logged faster than they were read; some are lost.
    Lost,
}

/// The reader of one group in the network namespace in which it was opened.
///
/// Its descriptor can be polled with others.
#[derive(Debug)]
pub struct Nflog {
    socket: Socket,
}

// === impl Nflog ===

impl Nflog {
    pub fn open(group: u16) -> Result<Self, Error> {
        let mut socket = Socket::open(libc::NETLINK_NETFILTER)?;
        socket.set_receive_buffer(RECEIVE_BUFFER)?;
        match socket.request(&wire::bind(group, PACKET_BYTES)) {
            Ok(_) => Ok(Self { socket }),
            // The kernel says the same when the privilege is missing.
            Err(error) if error.is(libc::EPERM) => Err(Error::NotAllowed(group)),
            Err(source) => Err(Error::Group { group, source }),
        }
    }

    /// The next packets, which the kernel hands over within a tenth of a second; waits at most
    /// `within`, with `None` for ever.
    pub fn next(&mut self, within: Option<Duration>) -> Result<Notice, Error> {
        let messages = match self.socket.next_event(within)? {
            Event::Quiet => return Ok(Notice::Quiet),
            Event::Overflow => return Ok(Notice::Lost),
            Event::Messages(messages) => messages,
        };
        let mut records = Vec::new();
        for message in &messages {
            records.extend(wire::decode(&message)?);
        }
        Ok(Notice::Records(records))
    }
}

impl AsFd for Nflog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
