//! Waits for many sockets at once.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Level-triggered.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

// === impl Epoll ===

impl Epoll {
    pub(crate) fn new() -> Self {
        // SAFETY: no pointers are passed.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(descriptor >= 0, "epoll: {}", io::Error::last_os_error());
        // SAFETY: a new descriptor that nobody else has.
        Self(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    /// Until the socket is closed.
    pub(crate) fn add(&self, socket: RawFd, events: i32, token: usize) {
        let mut event = libc::epoll_event {
            events: u32::try_from(events).unwrap(),
            u64: u64::try_from(token).unwrap(),
        };
        let add = libc::EPOLL_CTL_ADD;
        // SAFETY: the event outlives the call.
        let added = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), add, socket, &raw mut event) };
        assert_eq!(added, 0, "epoll: {}", io::Error::last_os_error());
    }

    /// The tokens of sockets with news; none after so many milliseconds.
    pub(crate) fn wait(&self, milliseconds: i32) -> Vec<usize> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        // SAFETY: room for as many events as are said.
        let found = unsafe {
            let room = i32::try_from(events.len()).unwrap();
            libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, milliseconds)
        };
        let found = usize::try_from(found).unwrap_or_default();
        let tokens = events[..found].iter();
        tokens
            .map(|event| usize::try_from(event.u64).unwrap())
            .collect()
    }
}
