//! The system calls of a netlink socket; the only unsafe code of the room.
#![expect(unsafe_code, reason = "socket calls that std does not wrap")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{NetlinkError, Only};

/// Where type, port and payload are in a message.
const KIND_OFFSET: u32 = 4;
const PORT_OFFSET: u32 = 12;
const PAYLOAD_OFFSET: u32 = 16;

/// What one receive call gave.
pub(super) enum Received {
    /// A datagram of this length from the netlink port `from`; the length may exceed the buffer.
    Datagram { length: usize, from: u32 },
    /// The time limit passed, or nothing was there and we did not want to wait.
    Nothing,
    /// `ENOBUFS`: messages for us were dropped.
    Overflow,
}

pub(super) fn open(protocol: i32) -> Result<OwnedFd, NetlinkError> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
    if fd < 0 {
        return Err(NetlinkError::last("socket"));
    }
    // SAFETY: the descriptor is new, valid and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = kernel_address();
    // SAFETY: `address` is a valid sockaddr_nl of the length passed and outlives the call.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            length_of(&address),
        )
    };
    if result < 0 {
        return Err(NetlinkError::last("bind"));
    }
    Ok(fd)
}

/// Sets an integer option; `false` if the kernel refuses it.
pub(super) fn set_option(fd: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> bool {
    set(fd, level, option, &value)
}

/// The port that a socket was bound to.
pub(super) fn port(fd: BorrowedFd<'_>) -> Result<u32, NetlinkError> {
    let mut address = kernel_address();
    let mut length = length_of(&address);
    // SAFETY: `address` is valid for writes of `length` bytes.
    let result =
        unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    if result < 0 {
        return Err(NetlinkError::last("getsockname"));
    }
    Ok(address.nl_pid)
}

/// Has the kernel drop datagrams whose first message bears one of these ports (at most 200), or
/// is not as `only` says; `false` if it refuses.
pub(super) fn filter(fd: BorrowedFd<'_>, ports: &[u32], only: Option<Only>) -> bool {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let Ok(count) = u8::try_from(ports.len()) else {
        return false;
    };
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Filters load words and halves as big-endian ones. The last line drops, the one before keeps.
    let mut filter = vec![instruction(LOAD_WORD, 0, 0, PORT_OFFSET)];
    let after_ports = if only.is_some() { 5 } else { 0 };
    for (port, left) in ports.iter().zip((1..=count).rev()) {
        filter.push(instruction(
            JUMP_IF_EQUAL,
            left + after_ports,
            0,
            port.to_be(),
        ));
    }
    if let Some(only) = only {
        let [one, other] = only.kinds.map(|kind| u32::from(kind.to_be()));
        filter.push(instruction(LOAD_HALF, 0, 0, KIND_OFFSET));
        filter.push(instruction(JUMP_IF_EQUAL, 1, 0, one));
        filter.push(instruction(JUMP_IF_EQUAL, 0, 2, other));
        filter.push(instruction(LOAD_BYTE, 0, 0, PAYLOAD_OFFSET + only.offset));
        filter.push(instruction(JUMP_IF_EQUAL, 0, 1, u32::from(only.value)));
    }
    filter.push(instruction(RETURN, 0, 0, u32::MAX));
    filter.push(instruction(RETURN, 0, 0, 0));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // The kernel copies the program, which `filter` holds until after the call.
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Limits the time that a receive call waits.
pub(super) fn set_timeout(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let value = libc::timeval {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(timeout.subsec_micros()).max(1),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &value)
}

fn set<T>(fd: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> bool {
    // SAFETY: `value` is valid for reads of the length passed and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            length_of(value),
        )
    };
    result == 0
}

/// Sends one datagram to the kernel, which carries out its messages before this returns.
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), NetlinkError> {
    let address = kernel_address();
    loop {
        // SAFETY: `bytes` and `address` are valid for reads of the lengths passed.
        let sent = unsafe {
            libc::sendto(
                fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                (&raw const address).cast(),
                length_of(&address),
            )
        };
        if sent >= 0 {
            return Ok(());
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(NetlinkError::last("sendto"));
        }
    }
}

/// Receives one datagram.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    wait: bool,
) -> Result<Received, NetlinkError> {
    let flags = libc::MSG_TRUNC | if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        let mut address = kernel_address();
        let mut address_length = length_of(&address);
        // SAFETY: `buffer` is valid for writes of its length, `address` of `address_length`.
        let length = unsafe {
            libc::recvfrom(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
                (&raw mut address).cast(),
                &raw mut address_length,
            )
        };
        if let Ok(length) = usize::try_from(length) {
            return Ok(Received::Datagram {
                length,
                from: address.nl_pid,
            });
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => return Ok(Received::Nothing),
            Some(libc::ENOBUFS) => return Ok(Received::Overflow),
            _ => return Err(NetlinkError::last("recvfrom")),
        }
    }
}

/// Waits until there is something to receive; `None` waits for ever. `false` when time is up.
pub(super) fn wait_readable(
    fd: BorrowedFd<'_>,
    within: Option<Duration>,
) -> Result<bool, NetlinkError> {
    let milliseconds = within.map_or(-1, |within| {
        i32::try_from(within.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `entry` is one valid pollfd.
    let ready = unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
    if ready < 0 {
        return match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted => Ok(false),
            _ => Err(NetlinkError::last("poll")),
        };
    }
    Ok(ready > 0)
}

/// The address of the kernel (port 0), which as our own lets the kernel choose one.
fn kernel_address() -> libc::sockaddr_nl {
    // SAFETY: sockaddr_nl is integers only, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

fn length_of<T>(_: &T) -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
