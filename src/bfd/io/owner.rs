//! The thread: waits for packets, commands and deadlines, and owns all sessions.
//!
//! - What has arrived is read before anybody is declared lost: a thread that got no processor for a
//!   while must not take its own absence for the other end's.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver as Commands, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::outbox::Outbox;
use super::socket::{self, Receiver};
use super::{Command, Event};
use crate::bfd::{ControlPacket, Error, SessionConfig, SessionKey, Table};
use crate::net::Family;

/// After which what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// After which a full channel is looked at again.
const FULL: Duration = Duration::from_millis(20);
/// Datagrams that are read from one socket before the clock is looked at.
const BATCH: usize = 1024;

pub(super) struct Owner {
    pub(super) commands: Commands<Command>,
    pub(super) wake: UnixStream,
    pub(super) outbox: Outbox,
    pub(super) table: Table,
    pub(super) desired: BTreeMap<SessionKey, SessionConfig>,
    pub(super) receivers: BTreeMap<(Family, u16), Listening>,
    pub(super) senders: BTreeMap<SessionKey, Sender>,
}

/// The receiver of a port, once it can be had.
pub(super) enum Listening {
    Open(Receiver),
    Failed { retry: Instant },
}

// === impl Owner ===

impl Owner {
    /// Until nobody has the handle any more, or somebody says so.
    pub(super) fn run(mut self) {
        loop {
            let now = clock();
            if let Next::Stop(done) = self.obey(now) {
                drop(self);
                // Whoever waited may have gone.
                let _unheard = done.map(|done| done.send(()));
                return;
            }
            self.open_receivers(now);
            self.send_due(now);
            let is_full = self.outbox.flush();
            if let Err(error) = self.wait(is_full) {
                self.outbox.push(Event::Failed(Error::Wait(error)));
                self.outbox.flush();
                return;
            }
            self.receive();
            for (key, to) in self.table.handle_timeout(clock()) {
                self.outbox.push(Event::Changed { key, to });
            }
        }
    }

    fn obey(&mut self, now: Instant) -> Next {
        loop {
            match self.commands.try_recv() {
                Ok(Command::SetDesired(desired)) => self.set_desired(now, desired),
                Ok(Command::Status(answer)) => {
                    // Whoever asked may have gone.
                    let _unheard = answer.send(self.table.status());
                }
                Ok(Command::Stop(done)) => {
                    self.set_desired(now, BTreeMap::new());
                    return Next::Stop(Some(done));
                }
                Err(TryRecvError::Empty) => return Next::GoOn,
                Err(TryRecvError::Disconnected) => {
                    self.set_desired(now, BTreeMap::new());
                    return Next::Stop(None);
                }
            }
        }
    }

    fn set_desired(&mut self, now: Instant, desired: BTreeMap<SessionKey, SessionConfig>) {
        for (key, packet) in self.table.set_desired(now, &desired) {
            self.send(now, &key, &packet);
            self.senders.remove(&key);
        }
        self.desired = desired;
        let is_used = |family: Family, port: u16| {
            let mut all = self.desired.iter();
            all.any(|(key, config)| (Family::of(key.remote), config.port) == (family, port))
        };
        self.receivers
            .retain(|(family, port), _| is_used(*family, *port));
    }

    /// Opens what is needed and not there.
    fn open_receivers(&mut self, now: Instant) {
        for (key, config) in &self.desired {
            let (family, port) = (Family::of(key.remote), config.port);
            let is_first = match self.receivers.get(&(family, port)) {
                None => true,
                Some(Listening::Failed { retry }) if *retry <= now => false,
                Some(_) => continue,
            };
            let listening = match Receiver::open(family, port) {
                Ok(receiver) => Listening::Open(receiver),
                Err(source) => {
                    if is_first {
                        let error = Error::Listen {
                            family,
                            port,
                            source,
                        };
                        self.outbox.push(Event::Failed(error));
                    }
                    Listening::Failed { retry: now + RETRY }
                }
            };
            self.receivers.insert((family, port), listening);
        }
    }

    fn send_due(&mut self, now: Instant) {
        for (key, packet) in self.table.poll_transmit(now) {
            self.send(now, &key, &packet);
        }
    }

    /// What can't be sent is lost, as it may be on its way.
    fn send(&mut self, now: Instant, key: &SessionKey, packet: &ControlPacket) {
        let Some(config) = self.desired.get(key) else {
            return;
        };
        // Always the same, so that the session keeps its port (RFC 5881 section 4).
        let random = (packet.my_discriminator.get() >> 16) as u16;
        let open = || socket::sender(key, config.port, random);
        let sender = self.senders.entry(key.clone()).or_default();
        let Err(source) = sender.send(now, open, &packet.encode()) else {
            return;
        };
        let key = key.clone();
        self.outbox.push(Event::Failed(Error::Send { key, source }));
    }

    fn wait(&self, is_full: bool) -> io::Result<()> {
        let mut sockets = vec![self.wake.as_raw_fd()];
        let mut retry = is_full.then(|| clock() + FULL);
        for listening in self.receivers.values() {
            match listening {
                Listening::Open(receiver) => sockets.push(receiver.as_raw_fd()),
                Listening::Failed { retry: at } => {
                    retry = Some(retry.map_or(*at, |other| other.min(*at)));
                }
            }
        }
        let deadline = [self.table.poll_timeout(), retry]
            .into_iter()
            .flatten()
            .min();
        let within = deadline.map(|deadline| deadline.saturating_duration_since(clock()));
        socket::wait(&sockets, within)
    }

    fn receive(&mut self) {
        // All wake-ups up to now are for commands that are looked at next.
        let mut octets = [0; 64];
        while matches!((&self.wake).read(&mut octets), Ok(1..)) {}
        for listening in self.receivers.values() {
            let Listening::Open(receiver) = listening else {
                continue;
            };
            for _ in 0..BATCH {
                match receiver.receive() {
                    Ok(Some((arrival, payload))) => {
                        // Who sends what is not for us is told nothing.
                        let result = self.table.handle_datagram(clock(), &arrival, &payload);
                        if let Ok(Some((key, to))) = result {
                            self.outbox.push(Event::Changed { key, to });
                        }
                    }
                    Ok(None) => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}

/// The socket of one session, as far as it can be had.
#[derive(Default)]
pub(super) struct Sender {
    socket: Option<UdpSocket>,
    /// When one was last opened.
    tried: Option<Instant>,
    is_failing: bool,
}

enum Next {
    GoOn,
    /// And tell that the sockets are closed.
    Stop(Option<oneshot::Sender<()>>),
}

// === impl Sender ===

impl Sender {
    /// Sends over the socket that is there or can be opened.
    ///
    /// # Errors
    /// The first failure since it last worked.
    fn send(
        &mut self,
        now: Instant,
        open: impl Fn() -> io::Result<UdpSocket>,
        packet: &[u8],
    ) -> io::Result<()> {
        let result = self.try_send(now, open, packet);
        let was_failing = mem::replace(&mut self.is_failing, result.is_err());
        if was_failing { Ok(()) } else { result }
    }

    fn try_send(
        &mut self,
        now: Instant,
        open: impl Fn() -> io::Result<UdpSocket>,
        packet: &[u8],
    ) -> io::Result<()> {
        // A new one also where the old one fails: its address may have changed.
        let is_wanted = self.socket.is_none() || self.is_failing;
        if is_wanted && self.tried.is_none_or(|tried| tried + RETRY <= now) {
            self.tried = Some(now);
            self.socket = None;
            self.socket = Some(open()?);
        }
        let Some(socket) = &self.socket else {
            return Err(ErrorKind::NotConnected.into());
        };
        // That an earlier packet found nobody is told instead of sending this one.
        let is_refused = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
        match socket.send(packet) {
            Err(error) if is_refused(&error) => match socket.send(packet) {
                Err(error) if !is_refused(&error) => Err(error),
                _ => Ok(()),
            },
            result => result.map(drop),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread's one clock")]
fn clock() -> Instant {
    Instant::now()
}
