//! Sockets as a peer's transport wants them: TCP MD5, TTL, local address.
//!
//! References: RFC 2385, 5082; `linux/tcp.h` (`struct tcp_md5sig`), ip(7), ipv6(7), tcp(7).
#![expect(unsafe_code, reason = "socket options that tokio does not wrap")]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::bgp::speaker::desired::{Transport, Ttl};
use crate::net::{Prefix, host_prefix};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// What only a direct neighbour's packets arrive with (RFC 5082).
const MAX_TTL: libc::c_int = 255;
/// `linux/tcp.h`.
const TCP_MD5SIG_EXT: libc::c_int = 32;
/// `linux/tcp.h`: the prefix length counts.
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
/// `TCP_MD5SIG_MAXKEYLEN`.
const MAX_KEY: usize = 80;

/// `struct tcp_md5sig` of `linux/tcp.h`.
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; MAX_KEY],
}

/// Listens at one address, of its own family alone.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address.ip())?;
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
    }
    // A peer with TTL security drops our SYN-ACK otherwise; it is sent before we know for whom.
    set_sent_ttl(&socket, address.ip(), MAX_TTL)?;
    // Its TTL says how far a peer is whose first words are there before we ask for theirs.
    set(&socket, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, &1)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connects to a peer from the local address, with its password and TTL.
pub(super) async fn connect(peer: IpAddr, transport: &Transport) -> io::Result<TcpStream> {
    let socket = socket(peer)?;
    if let Some(local) = transport.local_address {
        socket.bind(on_link(local, 0, transport.interface))?;
    }
    if let Some(password) = &transport.password {
        set_md5(&socket, host_prefix(peer), password)?;
    }
    set_ttl(&socket, peer, transport.ttl)?;
    let to = on_link(peer, transport.port, transport.interface);
    socket.connect(to).await
}

/// Whether a connection came over the link that the peer is expected on.
pub(super) fn is_on_link(from: SocketAddr, interface: Option<u32>) -> bool {
    match from {
        SocketAddr::V6(from) if from.ip().is_unicast_link_local() => {
            interface == Some(from.scope_id())
        }
        _ => true,
    }
}

/// Only link-local addresses are of one link.
fn on_link(address: IpAddr, port: u16, interface: Option<u32>) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            SocketAddrV6::new(address, port, 0, interface.unwrap_or(0)).into()
        }
        _ => SocketAddr::new(address, port),
    }
}

fn socket(of: IpAddr) -> io::Result<TcpSocket> {
    match of {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }
}

/// Sets the key of the segments of peers within a prefix; an empty one takes it away. On a listener
/// it holds for the connections that come; the key of the longest prefix counts.
pub(super) fn set_md5(socket: &impl AsRawFd, peers: Prefix, password: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a password of over 80 octets");
    let mut key = [0; MAX_KEY];
    key.get_mut(..password.len())
        .ok_or_else(too_long)?
        .copy_from_slice(password);
    let signature = TcpMd5Sig {
        address: storage(peers.network()),
        flags: TCP_MD5SIG_FLAG_PREFIX,
        prefix_length: peers.prefix_len(),
        key_length: u16::try_from(password.len()).map_err(|_| too_long())?,
        interface: 0,
        key,
    };
    match set(socket, libc::IPPROTO_TCP, TCP_MD5SIG_EXT, &signature) {
        // No key was there to be taken away, or the kernel knows of none.
        Err(error)
            if password.is_empty()
                && matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOPROTOOPT)) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Of what goes out, and for [`Ttl::Security`] of what may come in.
pub(super) fn set_ttl(socket: &impl AsRawFd, peer: IpAddr, ttl: Ttl) -> io::Result<()> {
    let send = match ttl {
        // To both families' options -1 is the default.
        Ttl::Default => -1,
        Ttl::Send(ttl) => ttl.into(),
        Ttl::Security { .. } => MAX_TTL,
    };
    set_sent_ttl(socket, peer, send)?;
    let (level, option) = match peer {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    match least(ttl) {
        Some(least) => set(socket, level, option, &least),
        None => Ok(()),
    }
}

fn least(ttl: Ttl) -> Option<libc::c_int> {
    match ttl {
        Ttl::Default | Ttl::Send(_) => None,
        Ttl::Security { hops } => Some(MAX_TTL + 1 - libc::c_int::from(hops.max(1))),
    }
}

/// Whether a connection that was accepted has come from near enough, by the TTL of its first
/// packet: what follows that may be here before [`set_ttl`]. Without that packet (the kernel does
/// not keep it under a flood) it has not.
pub(super) fn is_near(socket: &impl AsRawFd, ttl: Ttl) -> bool {
    let Some(least) = least(ttl) else {
        return true;
    };
    syn_ttl(socket).is_some_and(|ttl| libc::c_int::from(ttl) >= least)
}

/// Of the SYN that a connection began with, if it is of one listener's that keeps them.
fn syn_ttl(socket: &impl AsRawFd) -> Option<u8> {
    // Headers of IP and TCP with all options.
    let mut packet = [0_u8; 256];
    let mut length = libc::socklen_t::try_from(packet.len()).ok()?;
    // SAFETY: `packet` is writable for `length` octets, the kernel keeps no pointer to either.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            packet.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let packet = packet.get(..usize::try_from(length).ok()?)?;
    // RFC 791 section 3.1, RFC 8200 section 3.
    match (result, packet.first()? >> 4) {
        (0, 4) => packet.get(8).copied(),
        (0, 6) => packet.get(7).copied(),
        _ => None,
    }
}

fn set_sent_ttl(socket: &impl AsRawFd, of: IpAddr, ttl: libc::c_int) -> io::Result<()> {
    match of {
        IpAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_TTL, &ttl),
        IpAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &ttl),
    }
}

fn storage(address: IpAddr) -> libc::sockaddr_storage {
    // SAFETY: all-zero octets are a valid `sockaddr_storage` of the family AF_UNSPEC.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let at = ptr::from_mut(&mut storage);
    match address {
        IpAddr::V4(address) => {
            let to = at.cast::<libc::sockaddr_in>();
            // SAFETY: `sockaddr_storage` is as large and as strictly aligned as any address.
            let to = unsafe { &mut *to };
            to.sin_family = libc::AF_INET as libc::sa_family_t;
            to.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
        }
        IpAddr::V6(address) => {
            let to = at.cast::<libc::sockaddr_in6>();
            // SAFETY: as above.
            let to = unsafe { &mut *to };
            to.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            to.sin6_addr.s6_addr = address.octets();
        }
    }
    storage
}

fn set<T>(socket: &impl AsRawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let fd: RawFd = socket.as_raw_fd();
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: `value` is readable for `length` octets, the kernel keeps no pointer to it.
    let result =
        unsafe { libc::setsockopt(fd, level, option, ptr::from_ref(value).cast(), length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
