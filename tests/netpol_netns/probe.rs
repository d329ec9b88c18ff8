//! Real packets: who gets an answer, and who a refusal.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use kube_router::net::Protocol;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::epoll::Epoll;
use crate::lab::Lab;
use crate::sctp::Chunk;
use crate::server::raw;

/// Everybody is long done by then, unless the packet or its answer was lost.
const DEADLINE: Duration = Duration::from_secs(10);
/// A busy host drops datagrams: those that stay without answer are sent once more after this.
const AGAIN: Duration = Duration::from_millis(700);
/// So many at once.
const AT_ONCE: usize = 512;

/// A new connection, or the first datagram.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Probe {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// By an ICMP error.
    Refused,
    /// Neither, or another error: always wrong.
    Lost(i32),
}

struct Open {
    probe: Probe,
    socket: Socket,
    question: Option<Chunk>,
}

// === impl Probe ===

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            protocol,
            port,
        } = self;
        write!(f, "{from} -> {to} {protocol} {port}")
    }
}

// === impl Open ===

impl Open {
    /// In the present namespace. The kernel picks the port at this end.
    fn new(number: usize, probe: Probe) -> io::Result<Self> {
        let (from, to) = (
            SocketAddr::new(probe.from, 0),
            SocketAddr::new(probe.to, probe.port),
        );
        let mut question = None;
        let socket = match probe.protocol {
            Protocol::Sctp => {
                let own = 20_000 + u16::try_from(number % 40_000).unwrap();
                question = Some(Chunk::init(own, probe.port));
                let socket = raw(probe.from)?;
                socket.connect(&SockAddr::from(SocketAddr::new(probe.to, 0)))?;
                socket
            }
            other => {
                let kind = if other == Protocol::Tcp {
                    Type::STREAM
                } else {
                    Type::DGRAM
                };
                let socket = Socket::new(Domain::for_address(from), kind, None)?;
                socket.set_nonblocking(true)?;
                if other == Protocol::Tcp {
                    // No TIME_WAIT: the end is a reset.
                    socket.set_linger(Some(Duration::ZERO))?;
                }
                socket.bind(&SockAddr::from(from))?;
                match socket.connect(&SockAddr::from(to)) {
                    Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                        return Err(error);
                    }
                    _ => socket,
                }
            }
        };
        let open = Self {
            probe,
            socket,
            question,
        };
        open.send()?;
        Ok(open)
    }

    fn send(&self) -> io::Result<()> {
        match (self.probe.protocol, self.question) {
            (Protocol::Tcp, _) => Ok(()),
            (_, Some(question)) => self.socket.send(&question.bytes()).map(drop),
            (_, None) => self.socket.send(b"?").map(drop),
        }
    }

    fn events(&self) -> i32 {
        match self.probe.protocol {
            Protocol::Tcp => libc::EPOLLOUT,
            _ => libc::EPOLLIN,
        }
    }

    /// `None` while nothing is known.
    fn fate(&self) -> Option<Fate> {
        if self.probe.protocol == Protocol::Tcp {
            // The kernel now and then wakes a socket before it says why.
            return match self.socket.take_error() {
                Ok(None) => self.socket.peer_addr().is_ok().then_some(Fate::Answered),
                Ok(Some(error)) | Err(error) => Some(fate(&error)),
            };
        }
        let mut buffer = [0; 256];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => match self.question {
                    None => return Some(Fate::Answered),
                    Some(question) => {
                        let chunk = Chunk::read(&buffer[..length], self.probe.from);
                        if chunk.is_some_and(|chunk| chunk.is_answer_to(question)) {
                            return Some(Fate::Answered);
                        }
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(fate(&error)),
            }
        }
    }
}

fn fate(error: &io::Error) -> Fate {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fate::Refused,
        _ => Fate::Lost(error.raw_os_error().unwrap_or_default()),
    }
}

// === impl Lab ===

impl Lab {
    /// Sends all of them; their fates in the same order. No pair of addresses may have two of
    /// SCTP among them.
    pub(crate) fn probe(&self, probes: &[Probe]) -> Vec<Fate> {
        let mut fates = vec![Fate::Lost(0); probes.len()];
        let mut by_place: Vec<(usize, usize, Probe)> = probes
            .iter()
            .enumerate()
            .map(|(number, probe)| (self.place(probe.from), number, *probe))
            .collect();
        by_place.sort_unstable();
        for some in by_place.chunks(AT_ONCE) {
            self.probe_at_once(some, &mut fates);
        }
        fates
    }

    fn probe_at_once(&self, probes: &[(usize, usize, Probe)], fates: &mut [Fate]) {
        let epoll = Epoll::new();
        let mut open: BTreeMap<usize, Open> = BTreeMap::new();
        let mut present = None;
        for (place, number, probe) in probes {
            if present != Some(*place) {
                self.places[*place].enter();
                present = Some(*place);
            }
            match Open::new(*number, *probe) {
                Ok(one) => {
                    epoll.add(one.socket.as_raw_fd(), one.events(), *number);
                    open.insert(*number, one);
                }
                Err(error) => fates[*number] = fate(&error),
            }
        }
        self.node().enter();
        let begin = Instant::now();
        let mut again = AGAIN;
        while !open.is_empty() && begin.elapsed() < DEADLINE {
            for token in epoll.wait(100) {
                if let Some(fate) = open.get(&token).and_then(Open::fate) {
                    fates[token] = fate;
                    open.remove(&token);
                }
            }
            if begin.elapsed() > again {
                again *= 2;
                open.retain(|number, one| match one.send() {
                    Ok(()) => true,
                    Err(error) => {
                        fates[*number] = fate(&error);
                        false
                    }
                });
            }
        }
    }
}
