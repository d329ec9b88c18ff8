//! The peers of a router, all in one thread: each tells its routes as fast as the router reads,
//! and keeps track of the prefixes that it was told.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::places::{ROUTER, peer};
use super::routers::Setup;
use super::stream;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds that we propose; not 0, which some take for the time that a write may take.
const HOLD_TIME: u16 = 240;
/// Between KEEPALIVEs; the routers propose 90 s and more.
const KEEPALIVES: Duration = Duration::from_secs(20);
const HEADER: usize = 19;
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;

#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    to_tell: Arc<[u8]>,
    told: usize,
    input: Vec<u8>,
    /// One for each prefix of [`stream::own_routes`].
    has: Vec<bool>,
    pub held: usize,
    /// Its own prefixes; some reflectors tell them to where they are from.
    own: Range<usize>,
}

/// All sessions up, nothing told yet.
pub fn connect(setup: &Setup) -> Vec<Session> {
    let sessions = (0..setup.peers).map(|number| {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            match Session::open(setup, number) {
                Ok(session) => return session,
                Err(error) if Instant::now() > end => panic!("no session {number}: {error}"),
                // It does not listen yet, or does not know the peer yet.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    });
    sessions.collect()
}

/// Tells and hears until `done`, which is asked at least each 10 ms; gives the time, or none if
/// that is more than [`PATIENCE`].
pub fn run(sessions: &mut [Session], mut done: impl FnMut(&[Session]) -> bool) -> Option<Duration> {
    let start = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut alive = start;
    while !done(sessions) {
        if start.elapsed() > PATIENCE {
            return None;
        }
        if alive.elapsed() > KEEPALIVES {
            alive = Instant::now();
            let quiet = sessions.iter_mut().filter(|session| session.has_told());
            for session in quiet {
                session.to_tell = message(KEEPALIVE, &[]).into();
                session.told = 0;
            }
        }
        let mut polled: Vec<libc::pollfd> = sessions.iter().map(Session::polled).collect();
        let count = libc::nfds_t::try_from(polled.len()).unwrap();
        // SAFETY: so many structures are there.
        unsafe { libc::poll(polled.as_mut_ptr(), count, 10) };
        for (session, polled) in sessions.iter_mut().zip(&polled) {
            if polled.revents & libc::POLLOUT != 0 {
                session.tell();
            }
            if polled.revents & !libc::POLLOUT != 0 {
                session.hear(&mut buffer);
            }
        }
    }
    Some(start.elapsed())
}

impl Session {
    fn open(setup: &Setup, number: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((peer(number), 0)).into())?;
        socket.connect(&SocketAddr::from((ROUTER, 179)).into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(&greeting(setup, number))?;
        for awaited in [OPEN, KEEPALIVE] {
            let mut header = [0; HEADER];
            stream.read_exact(&mut header)?;
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let mut body = vec![0; length - HEADER];
            stream.read_exact(&mut body)?;
            if header[18] != awaited {
                return Err(io::Error::other(format!("a {} {body:?}", header[18])));
            }
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            to_tell: Arc::from([]),
            told: 0,
            input: Vec::new(),
            has: Vec::new(),
            held: 0,
            own: 0..0,
        })
    }

    /// From the next [`run`] on; prefixes of these numbers don't count as held.
    pub fn will_tell(&mut self, octets: Arc<[u8]>, own: Range<usize>) {
        self.to_tell = octets;
        self.own = own;
        self.told = 0;
    }

    pub fn has_told(&self) -> bool {
        self.told == self.to_tell.len()
    }

    /// Says that it goes (Cease, administrative shutdown) and goes.
    pub fn close(mut self) {
        let said = self.stream.write_all(&message(NOTIFICATION, &[6, 2]));
        said.unwrap();
    }

    fn polled(&self) -> libc::pollfd {
        let wants = if self.has_told() { 0 } else { libc::POLLOUT };
        libc::pollfd {
            fd: self.stream.as_raw_fd(),
            events: libc::POLLIN | wants,
            revents: 0,
        }
    }

    fn tell(&mut self) {
        match self.stream.write(&self.to_tell[self.told..]) {
            Ok(count) => self.told += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("the router hung up: {error}"),
        }
    }

    fn hear(&mut self, buffer: &mut [u8]) {
        let count = match self.stream.read(buffer) {
            Ok(0) => panic!("the router hung up"),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("the router hung up: {error}"),
        };
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        while let Some(header) = input.get(at..at + HEADER) {
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let Some(body) = input.get(at + HEADER..at + length) else {
                break;
            };
            assert_ne!(header[18], NOTIFICATION, "the router complains: {body:?}");
            if header[18] == UPDATE {
                self.update(body);
            }
            at += length;
        }
        input.drain(..at);
        self.input = input;
    }

    fn update(&mut self, body: &[u8]) {
        let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        let withdrawn = length(0);
        let attributes = length(2 + withdrawn);
        self.prefixes(&body[2..2 + withdrawn], false);
        self.prefixes(&body[4 + withdrawn + attributes..], true);
    }

    fn prefixes(&mut self, mut octets: &[u8], is_there: bool) {
        while let Some((length, rest)) = octets.split_first() {
            let count = usize::from(length.div_ceil(8));
            let mut address = [0; 4];
            address[..count].copy_from_slice(&rest[..count]);
            octets = &rest[count..];
            let Some(number) = stream::number(u32::from_be_bytes(address)) else {
                continue;
            };
            if self.own.contains(&number) {
                continue;
            }
            if self.has.len() <= number {
                self.has.resize(number + 1, false);
            }
            if self.has[number] != is_there {
                self.has[number] = is_there;
                self.held = if is_there {
                    self.held + 1
                } else {
                    self.held - 1
                };
            }
        }
    }
}

/// All that a peer has to say before its routes.
pub fn greeting(setup: &Setup, number: usize) -> Vec<u8> {
    let open = open(setup.peer_as(number), number);
    [open, message(KEEPALIVE, &[])].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    let length = u16::try_from(HEADER + body.len()).unwrap();
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// IPv4 unicast and AS numbers of four octets.
fn open(asn: u32, number: usize) -> Vec<u8> {
    const AS_TRANS: u16 = 23_456;
    let mut body = vec![4];
    body.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
    body.extend(HOLD_TIME.to_be_bytes());
    body.extend(peer(number).octets());
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
    capabilities.extend(asn.to_be_bytes());
    let length = u8::try_from(capabilities.len()).unwrap();
    body.extend([length + 2, 2, length]);
    body.extend(capabilities);
    message(OPEN, &body)
}
