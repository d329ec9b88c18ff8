//! The sockets: those that receive for all sessions of a port, and one per session that sends.
//!
//! References: RFC 5881 sections 4 and 5; ip(7), ipv6(7), recvmsg(2), cmsg(3), ppoll(2).
#![expect(unsafe_code, reason = "socket calls that std does not wrap")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use crate::bfd::{Arrival, LENGTH, SessionKey};
use crate::net::Family;

/// Of sent packets: what nobody but a neighbour can claim (RFC 5082).
const TTL: libc::c_int = 255;
/// Class selector 6: what routers send to each other.
const TRAFFIC_CLASS: libc::c_int = 0xc0;
/// Where a packet may come from (RFC 5881 section 4).
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;
/// Ports that may be taken before we give up.
const SOURCE_TRIES: u16 = 64;
/// More than any packet with authentication; what is longer is cut.
const PAYLOAD: usize = 2 * LENGTH + 16;

/// Receives what is sent to a port, at all addresses of a family.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: UdpSocket,
    port: u16,
}

/// Control messages, aligned as the kernel wants them.
#[repr(C, align(8))]
struct Control([u8; 128]);

// === impl Receiver ===

impl Receiver {
    pub(super) fn open(family: Family, port: u16) -> io::Result<Self> {
        let (socket, any): (_, IpAddr) = match family {
            Family::V4 => (udp(libc::AF_INET)?, Ipv4Addr::UNSPECIFIED.into()),
            Family::V6 => (udp(libc::AF_INET6)?, Ipv6Addr::UNSPECIFIED.into()),
        };
        let (level, wanted) = match family {
            Family::V4 => (libc::IPPROTO_IP, [libc::IP_RECVTTL, libc::IP_PKTINFO]),
            Family::V6 => (
                libc::IPPROTO_IPV6,
                [libc::IPV6_RECVHOPLIMIT, libc::IPV6_RECVPKTINFO],
            ),
        };
        if family == Family::V6 {
            set(&socket, level, libc::IPV6_V6ONLY, 1)?;
        }
        for option in wanted {
            set(&socket, level, option, 1)?;
        }
        bind(&socket, SocketAddr::new(any, port))?;
        let socket = UdpSocket::from(socket);
        Ok(Self { socket, port })
    }

    /// The next datagram, its payload cut to what a packet may have; `None` if there is none.
    pub(super) fn receive(&self) -> io::Result<Option<(Arrival, Vec<u8>)>> {
        let mut payload = [0_u8; PAYLOAD];
        let mut control = Control([0; 128]);
        // SAFETY: all-zero is a valid sockaddr_storage.
        let mut source: libc::sockaddr_storage = unsafe { mem::zeroed() };
        let mut part = libc::iovec {
            iov_base: payload.as_mut_ptr().cast(),
            iov_len: payload.len(),
        };
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = (&raw mut source).cast();
        message.msg_namelen = length_of(&source);
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: every pointer of `message` is to a buffer above with the length beside it.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock => Ok(None),
                _ => Err(error),
            };
        };
        let source = address(&source).ok_or(io::ErrorKind::InvalidData)?;
        let mut arrival = Arrival {
            source,
            destination: match source {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            },
            interface: 0,
            port: self.port,
            ttl: 0,
        };
        read_control(&message, &mut arrival);
        let payload = payload.get(..length).unwrap_or_default().to_vec();
        Ok(Some((arrival, payload)))
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> libc::c_int {
        self.socket.as_raw_fd()
    }
}

/// A socket that sends to one session's other end, from a port that it keeps.
pub(super) fn sender(key: &SessionKey, port: u16, random: u16) -> io::Result<UdpSocket> {
    let scope = key.interface.unwrap_or_default();
    let (socket, any) = match key.remote {
        IpAddr::V4(_) => (udp(libc::AF_INET)?, Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(_) => (udp(libc::AF_INET6)?, Ipv6Addr::UNSPECIFIED.into()),
    };
    let (level, ttl, class) = match key.remote {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TTL, libc::IP_TOS),
        IpAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_UNICAST_HOPS,
            libc::IPV6_TCLASS,
        ),
    };
    set(&socket, level, ttl, TTL)?;
    set(&socket, level, class, TRAFFIC_CLASS)?;
    bind_to_some_port(&socket, key.local.unwrap_or(any), scope, random)?;
    let socket = UdpSocket::from(socket);
    socket.connect(scoped(key.remote, port, scope))?;
    Ok(socket)
}

/// Waits until one of them can be read, the time is over, or a signal comes.
pub(super) fn wait(sockets: &[libc::c_int], within: Option<Duration>) -> io::Result<()> {
    let entry = |fd: &libc::c_int| libc::pollfd {
        fd: *fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries: Vec<_> = sockets.iter().map(entry).collect();
    let limit = within.map(|within| libc::timespec {
        tv_sec: within.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: within.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = libc::nfds_t::try_from(entries.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: `entries` holds `count` entries; `limit` is null or points to a timespec above.
    let ready = unsafe { libc::ppoll(entries.as_mut_ptr(), count, limit, ptr::null()) };
    if ready >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

fn udp(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed.
    match unsafe { libc::socket(family, kind, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a new descriptor that nobody else has.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn set(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let (fd, length) = (socket.as_raw_fd(), length_of(&value));
    // SAFETY: `value` is read for its own length.
    match unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn bind_to_some_port(socket: &OwnedFd, local: IpAddr, scope: u32, random: u16) -> io::Result<()> {
    let (first, last) = SOURCE_PORTS.into_inner();
    let range = last - first;
    let ports = (0..SOURCE_TRIES).map(|i| first + random.wrapping_add(i * 251) % range);
    let mut result = Ok(());
    for port in ports {
        result = bind(socket, scoped(local, port, scope));
        let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        if !result.as_ref().is_err_and(is_taken) {
            break;
        }
    }
    result
}

fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let result = match address {
        SocketAddr::V4(address) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            let pointer = (&raw const name).cast();
            // SAFETY: `name` is read for its own length.
            unsafe { libc::bind(socket.as_raw_fd(), pointer, length_of(&name)) }
        }
        SocketAddr::V6(address) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: address.ip().octets(),
                },
                sin6_scope_id: address.scope_id(),
            };
            let pointer = (&raw const name).cast();
            // SAFETY: `name` is read for its own length.
            unsafe { libc::bind(socket.as_raw_fd(), pointer, length_of(&name)) }
        }
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Only link-local addresses have a scope.
fn scoped(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            SocketAddrV6::new(address, port, 0, scope).into()
        }
        address => SocketAddr::new(address, port),
    }
}

fn length_of<T>(value: &T) -> libc::socklen_t {
    // Of a socket address or an int.
    size_of_val(value) as libc::socklen_t
}

fn address(storage: &libc::sockaddr_storage) -> Option<IpAddr> {
    let pointer = ptr::from_ref(storage);
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote a sockaddr_in, which the storage is large enough for.
            let name = unsafe { &*pointer.cast::<libc::sockaddr_in>() };
            Some(IpAddr::from(name.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: the kernel wrote a sockaddr_in6, which the storage is large enough for.
            let name = unsafe { &*pointer.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::from(name.sin6_addr.s6_addr))
        }
        _ => None,
    }
}

/// Destination, interface and TTL.
fn read_control(message: &libc::msghdr, arrival: &mut Arrival) {
    // SAFETY: `message` was filled in by recvmsg, and its control buffer is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it points to a whole header within the buffer, which is aligned.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        // SAFETY: the same; the data follows the header.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: the kernel writes these types with the messages of these kinds.
        unsafe {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    let ttl = data.cast::<libc::c_int>().read_unaligned();
                    arrival.ttl = u8::try_from(ttl).unwrap_or_default();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let at = data.cast::<libc::in_pktinfo>().read_unaligned();
                    arrival.destination = IpAddr::from(at.ipi_addr.s_addr.to_ne_bytes());
                    arrival.interface = at.ipi_ifindex.cast_unsigned();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let at = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    arrival.destination = IpAddr::from(at.ipi6_addr.s6_addr);
                    arrival.interface = at.ipi6_ifindex;
                }
                _ => {}
            }
        }
        // SAFETY: both are valid; null behind the last one.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
}
