//! Answers every probe in every namespace, from one thread.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::epoll::Epoll;
use crate::namespaces::Place;
use crate::sctp::Chunk;

/// Ports at which every address answers: the ends of every range that random policies draw from,
/// and their neighbours.
pub(crate) const PORTS: [u16; 31] = [
    1, 2, 5, 7, 9, 12, 13, 14, 52, 53, 54, 58, 65, 66, 78, 79, 80, 81, 82, 86, 90, 91, 92, 93, 94,
    1023, 1024, 5432, 8080, 30080, 65535,
];

pub(crate) const SCTP: i32 = 132;

#[derive(Debug)]
enum Ear {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Sctp(UdpSocket, IpAddr),
}

/// Ends with its owner.
#[derive(Debug)]
pub(crate) struct Server {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

// === impl Ear ===

impl Ear {
    fn answer_all(&self) {
        let mut buffer = [0; 2048];
        loop {
            let answered = match self {
                Self::Tcp(listener) => listener.accept().map(drop),
                Self::Udp(socket) => socket
                    .recv_from(&mut buffer)
                    .and_then(|(length, from)| socket.send_to(&buffer[..length], from).map(drop)),
                Self::Sctp(socket, own) => {
                    socket.recv_from(&mut buffer).and_then(|(length, from)| {
                        let chunk = Chunk::read(&buffer[..length], *own);
                        match chunk.and_then(Chunk::answer) {
                            Some(answer) => socket.send_to(&answer.bytes(), from).map(drop),
                            None => Ok(()),
                        }
                    })
                }
            };
            match answered {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An answer that could not be sent shows at the other end.
                _ => {}
            }
        }
    }
}

// === impl Server ===

impl Server {
    /// The calling thread is left in the last place.
    pub(crate) fn start(places: &[Place]) -> Self {
        let mut ears = Vec::new();
        for place in places {
            place.enter();
            for address in &place.addresses {
                ears.push(Ear::Sctp(raw(*address).unwrap().into(), *address));
                for port in PORTS {
                    let at = SocketAddr::new(*address, port);
                    let tcp = TcpListener::bind(at).unwrap();
                    tcp.set_nonblocking(true).unwrap();
                    ears.push(Ear::Tcp(tcp));
                    let udp = UdpSocket::bind(at).unwrap();
                    udp.set_nonblocking(true).unwrap();
                    ears.push(Ear::Udp(udp));
                }
            }
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let epoll = Epoll::new();
            for (token, ear) in ears.iter().enumerate() {
                let socket = match ear {
                    Ear::Tcp(socket) => socket.as_raw_fd(),
                    Ear::Udp(socket) => socket.as_raw_fd(),
                    Ear::Sctp(socket, _) => socket.as_raw_fd(),
                };
                epoll.add(socket, libc::EPOLLIN, token);
            }
            while !told.load(Ordering::Relaxed) {
                for token in epoll.wait(100) {
                    ears[token].answer_all();
                }
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and its probes are lost.
            let _ = thread.join();
        }
    }
}

/// A raw socket for SCTP, without blocking, bound to an address of the present namespace.
pub(crate) fn raw(address: IpAddr) -> io::Result<Socket> {
    let at = SocketAddr::new(address, 0);
    let socket = Socket::new(
        Domain::for_address(at),
        Type::RAW,
        Some(Protocol::from(SCTP)),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(at))?;
    Ok(socket)
}
