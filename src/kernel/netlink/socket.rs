//! The socket: one request, many, a dump, or notifications.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::NetlinkError;
use super::message::{
    Messages, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, Replies,
    Request,
};
use super::sys::{self, Received};

/// How often an interrupted or overrun dump is begun anew.
const DUMP_TRIES: u32 = 8;
/// What the kernel may queue for us; only a bound, memory is used as answers come.
const RECEIVE_BUFFER: i32 = 8 << 20;
/// The largest datagram taken at first. The kernel's dumps fill up to 32 KiB.
const DATAGRAM: usize = 64 << 10;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a socket has sent and received since it was opened; tests gate on these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Send calls.
    pub sends: u64,
    /// Receive calls.
    pub receives: u64,
}

impl Stats {
    /// What has been added since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(earlier.messages),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            sends: self.sends.saturating_sub(earlier.sends),
            receives: self.receives.saturating_sub(earlier.receives),
        }
    }
}

/// What a subscribed socket has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One datagram of notifications.
    Messages(Replies),
    /// Notifications were lost: list again what you watch.
    Overflow,
    /// Nothing within the time given.
    Quiet,
}

/// Which notifications of two types to take: those with this byte at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Only {
    pub kinds: [u16; 2],
    /// In bytes from the start of the payload.
    pub offset: u32,
    pub value: u8,
}

/// A blocking netlink socket that belongs to one thread at a time.
///
/// It stays in the network namespace of the thread that opened it. After an overflow or a
/// timeout answers may still be queued; then the next call opens the socket anew first (in the
/// calling thread's namespace). Use one socket for requests and another for notifications:
/// notifications that arrive during a request are dropped.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    protocol: i32,
    timeout: Duration,
    receive_buffer: i32,
    strict: bool,
    groups: Vec<u32>,
    /// Ports of sockets whose notifications are left out.
    ignored: Vec<u32>,
    only: Option<Only>,
    /// Answers to an abandoned request may still be queued.
    pub(super) stale: bool,
    pub(super) sequence: u32,
    stats: Stats,
    pub(super) out: Vec<u8>,
    pub(super) datagram: Vec<u8>,
}

impl Socket {
    /// Opens a socket of this protocol (`libc::NETLINK_*`) with extended acks, capped acks, a
    /// large receive buffer and a time limit of five seconds.
    pub fn open(protocol: i32) -> Result<Self, NetlinkError> {
        let socket = Self {
            fd: sys::open(protocol)?,
            protocol,
            timeout: DEFAULT_TIMEOUT,
            receive_buffer: RECEIVE_BUFFER,
            strict: false,
            groups: Vec::new(),
            ignored: Vec::new(),
            only: None,
            stale: false,
            sequence: 0,
            stats: Stats::default(),
            out: Vec::new(),
            datagram: vec![0; DATAGRAM],
        };
        socket.configure()?;
        Ok(socket)
    }

    /// Limits how long any one answer may take.
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<(), NetlinkError> {
        self.timeout = timeout;
        self.configure()
    }

    /// Bytes that the kernel may queue for us.
    pub fn set_receive_buffer(&mut self, bytes: i32) -> Result<(), NetlinkError> {
        self.receive_buffer = bytes;
        self.configure()
    }

    /// Lets the kernel check and filter dump requests (`NETLINK_GET_STRICT_CHK`).
    pub fn set_strict(&mut self, strict: bool) -> Result<(), NetlinkError> {
        self.strict = strict;
        self.configure()
    }

    /// Joins a multicast group (its number, not its bit).
    pub fn subscribe(&mut self, group: u32) -> Result<(), NetlinkError> {
        self.groups.push(group);
        self.configure()
    }

    /// Leaves a multicast group.
    pub fn unsubscribe(&mut self, group: u32) -> Result<(), NetlinkError> {
        self.groups.retain(|joined| *joined != group);
        let group = i32::try_from(group).unwrap_or(i32::MAX);
        let (netlink, option) = (libc::SOL_NETLINK, libc::NETLINK_DROP_MEMBERSHIP);
        if !sys::set_option(self.fd.as_fd(), netlink, option, group) {
            return Err(NetlinkError::last("setsockopt NETLINK_DROP_MEMBERSHIP"));
        }
        Ok(())
    }

    /// Has the kernel leave out notifications about what the sockets of these ports did, in place
    /// of those named before. They then cost no room in the receive buffer either.
    pub fn ignore_ports(&mut self, ports: &[u32]) -> Result<(), NetlinkError> {
        self.ignored = ports.to_vec();
        self.attach_filter()
    }

    /// Has the kernel leave out notifications of two types that are not as said; `None` takes
    /// them all again.
    pub fn keep_only(&mut self, only: Option<Only>) -> Result<(), NetlinkError> {
        self.only = only;
        self.attach_filter()
    }

    fn attach_filter(&self) -> Result<(), NetlinkError> {
        match sys::filter(self.fd.as_fd(), &self.ignored, self.only) {
            true => Ok(()),
            false => Err(NetlinkError::last("setsockopt SO_ATTACH_FILTER")),
        }
    }

    /// The number that the kernel gave this socket (`nl_pid`); another one after a fault.
    pub fn port(&self) -> Result<u32, NetlinkError> {
        sys::port(self.fd.as_fd())
    }

    /// What was sent and received so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// One request; returns what the kernel answered before its ack.
    pub fn request(&mut self, request: &Request) -> Result<Replies, NetlinkError> {
        self.refresh()?;
        let sequence = self.send_one(request, NLM_F_ACK)?;
        let mut replies = Replies::default();
        let outcome = self.collect(sequence, &mut replies).map(|_| replies);
        self.mark(outcome)
    }

    /// Everything that a dump request lists, consistent in itself: dumps that the kernel marks as
    /// interrupted, or whose answers were lost, are begun anew a few times.
    pub fn dump(&mut self, request: &Request) -> Result<Replies, NetlinkError> {
        let mut last = NetlinkError::Interrupted { tries: DUMP_TRIES };
        for _ in 0..DUMP_TRIES {
            self.refresh()?;
            let sequence = self.send_one(request, NLM_F_DUMP)?;
            let mut replies = Replies::default();
            let outcome = self.collect(sequence, &mut replies);
            match self.mark(outcome) {
                Ok(true) => return Ok(replies),
                Ok(false) => last = NetlinkError::Interrupted { tries: DUMP_TRIES },
                Err(error @ (NetlinkError::Overrun | NetlinkError::CutOff(_))) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The next notification; waits at most `within`, with `None` until something comes or a signal
    /// interrupts. The descriptor can be polled (readable) together with others; then pass zero.
    pub fn next_event(&mut self, within: Option<Duration>) -> Result<Event, NetlinkError> {
        if !sys::wait_readable(self.fd.as_fd(), within)? {
            return Ok(Event::Quiet);
        }
        let length = match self.receive(false) {
            Ok(length) => length,
            Err(NetlinkError::Overrun | NetlinkError::CutOff(_)) => return Ok(Event::Overflow),
            Err(NetlinkError::Timeout(_)) => return Ok(Event::Quiet),
            Err(error) => return Err(error),
        };
        let mut replies = Replies::default();
        for message in Messages::new(self.datagram.get(..length).unwrap_or_default()) {
            if message.kind != NLMSG_NOOP {
                replies.push(&message);
            }
        }
        Ok(Event::Messages(replies))
    }

    /// Sends what the kernel does not answer, and waits for the answer.
    #[cfg(test)]
    pub(super) fn request_without_header(&mut self) -> Result<Replies, NetlinkError> {
        self.out = vec![0; 4];
        self.send(1)?;
        let mut replies = Replies::default();
        let outcome = self.collect(1, &mut replies).map(|_| replies);
        self.mark(outcome)
    }

    fn configure(&self) -> Result<(), NetlinkError> {
        let fd = self.fd.as_fd();
        let (socket, netlink) = (libc::SOL_SOCKET, libc::SOL_NETLINK);
        // Without CAP_NET_ADMIN the forced size is refused; then what net.core.rmem_max allows.
        let _sized = sys::set_option(fd, socket, libc::SO_RCVBUFFORCE, self.receive_buffer)
            || sys::set_option(fd, socket, libc::SO_RCVBUF, self.receive_buffer);
        // Niceties that every supported kernel has; without them only texts are missing.
        sys::set_option(fd, netlink, libc::NETLINK_EXT_ACK, 1);
        sys::set_option(fd, netlink, libc::NETLINK_CAP_ACK, 1);
        sys::set_option(
            fd,
            netlink,
            libc::NETLINK_GET_STRICT_CHK,
            i32::from(self.strict),
        );
        if !sys::set_timeout(fd, self.timeout) {
            return Err(NetlinkError::last("setsockopt SO_RCVTIMEO"));
        }
        if !self.ignored.is_empty() || self.only.is_some() {
            self.attach_filter()?;
        }
        for group in &self.groups {
            let group = i32::try_from(*group).unwrap_or(i32::MAX);
            if !sys::set_option(fd, netlink, libc::NETLINK_ADD_MEMBERSHIP, group) {
                return Err(NetlinkError::last("setsockopt NETLINK_ADD_MEMBERSHIP"));
            }
        }
        Ok(())
    }

    /// Opens the socket anew if answers to an abandoned request may be queued in it.
    pub(super) fn refresh(&mut self) -> Result<(), NetlinkError> {
        if self.stale {
            self.fd = sys::open(self.protocol)?;
            self.configure()?;
            self.stale = false;
        }
        Ok(())
    }

    pub(super) fn mark<T>(&mut self, outcome: Result<T, NetlinkError>) -> Result<T, NetlinkError> {
        if let Err(error) = &outcome {
            self.stale |= error.is_out_of_step();
        }
        outcome
    }

    fn send_one(&mut self, request: &Request, flags: u16) -> Result<u32, NetlinkError> {
        let sequence = self.sequence.wrapping_add(1);
        self.out.clear();
        request.finish_into(&mut self.out, flags, sequence)?;
        self.sequence = sequence;
        self.send(1)?;
        Ok(sequence)
    }

    pub(super) fn send(&mut self, messages: usize) -> Result<(), NetlinkError> {
        self.stats.messages += messages as u64;
        self.stats.bytes += self.out.len() as u64;
        self.stats.sends += 1;
        let outcome = sys::send(self.fd.as_fd(), &self.out);
        self.mark(outcome)
    }

    /// Receives one datagram of the kernel's into `self.datagram`; returns its length.
    pub(super) fn receive(&mut self, wait: bool) -> Result<usize, NetlinkError> {
        loop {
            self.stats.receives += 1;
            match sys::receive(self.fd.as_fd(), &mut self.datagram, wait)? {
                Received::Datagram { length, .. } if length > self.datagram.len() => {
                    self.datagram.resize(length.next_power_of_two(), 0);
                    return Err(NetlinkError::CutOff(length));
                }
                Received::Datagram { length, from: 0 } => return Ok(length),
                Received::Datagram { .. } => {} // another process's; not the kernel's word
                Received::Nothing => return Err(NetlinkError::Timeout(self.timeout)),
                Received::Overflow => return Err(NetlinkError::Overrun),
            }
        }
    }

    /// Collects answers up to the ack or the end of the dump; `false` if it was interrupted.
    fn collect(&mut self, sequence: u32, replies: &mut Replies) -> Result<bool, NetlinkError> {
        let mut whole = true;
        loop {
            let length = self.receive(true)?;
            let datagram = self.datagram.get(..length).unwrap_or_default();
            if let Some(verdict) = absorb(datagram, sequence, replies, &mut whole) {
                return verdict.map(|()| whole);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes one datagram of the answer to request `sequence`; the verdict once it is there. `whole`
/// turns false when the kernel says that the dump was interrupted.
pub(super) fn absorb(
    datagram: &[u8],
    sequence: u32,
    replies: &mut Replies,
    whole: &mut bool,
) -> Option<Result<(), NetlinkError>> {
    for message in Messages::new(datagram).filter(|message| message.sequence == sequence) {
        *whole &= message.flags & NLM_F_DUMP_INTR == 0;
        match message.kind {
            NLMSG_ERROR | NLMSG_DONE => return Some(message.verdict()),
            NLMSG_NOOP => {}
            _ => replies.push(&message),
        }
    }
    None
}
