//! The one task that owns the core: it feeds events in and carries orders out.

use std::net::SocketAddr;
use std::time::Instant;

use rustc_hash::FxHashMap;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use super::connection::{Alive, Running};
use super::listening::Listening;
use super::{Command, tcp};
use crate::bgp::fsm::ConnectionId;
use crate::bgp::rib::BestPaths;
use crate::bgp::speaker::core::SpeakerCore;
use crate::bgp::speaker::desired::{ListenRange, PeerDesired, PeerKey};
use crate::bgp::speaker::input::{ConnectionKey, Input, Note, Output};
use crate::net::{Prefix, host_prefix};

/// Something from the tasks around.
#[derive(Debug)]
pub(super) enum Event {
    Input(Input),
    Dialed(ConnectionKey, TcpStream),
    Accepted(TcpStream, SocketAddr),
}

/// Events that may wait; who has more waits himself.
pub(super) const EVENTS: usize = 64;
/// A new view of the best paths waits for so many times what the last one took to make: of a full
/// table it takes long, and while that comes in it would be made again and again.
const VIEW_REST: u32 = 4;

pub(super) struct Owner {
    pub(super) core: SpeakerCore,
    pub(super) listening: Listening,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) to_us: mpsc::Sender<Event>,
    pub(super) best: watch::Sender<BestPaths>,
    pub(super) notes: mpsc::UnboundedSender<(PeerKey, Note)>,
    pub(super) connections: FxHashMap<ConnectionKey, Connection>,
    pub(super) next_serial: u32,
    pub(super) has_new_best: bool,
    /// When the next view may be made.
    pub(super) view_at: Instant,
    /// Every connection holds the sender until it has said everything.
    pub(super) alive: (Alive, mpsc::Receiver<()>),
}

#[derive(Debug)]
pub(super) enum Connection {
    Dialing(AbortHandle),
    Running(Running),
}

// === impl Owner ===

#[expect(clippy::disallowed_methods, reason = "the edge that reads the clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Owner {
    /// Until nobody has a handle any more.
    pub(super) async fn run(mut self) {
        loop {
            let of_core = self.core.poll_timeout().into_iter();
            let of_view = self.has_new_best.then_some(self.view_at);
            let deadline = of_core.chain(self.listening.poll_timeout()).chain(of_view);
            let deadline = deadline.min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(event) = self.events.recv() => {
                    self.happen(event);
                    // All that is there comes before timers, but no more than that.
                    for _ in 0..EVENTS {
                        let Ok(event) = self.events.try_recv() else { break };
                        self.happen(event);
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(now).into()), if deadline.is_some() => {}
            }
            let now = now();
            if self.core.poll_timeout().is_some_and(|due| due <= now) {
                let out = self.core.handle_timeout(now);
                self.carry_out(out);
            }
            if self.listening.poll_timeout().is_some_and(|due| due <= now) {
                self.listening.try_all(now);
            }
            if self.has_new_best && self.view_at <= now {
                self.show_best();
            }
        }
    }

    fn show_best(&mut self) {
        let start = now();
        self.has_new_best = false;
        self.best.send_replace(self.core.best_paths());
        let end = now();
        self.view_at = end + VIEW_REST * end.saturating_duration_since(start);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::SetDesired(desired) => {
                let before = self.core.ranges().to_vec();
                let out = self.core.set_desired(now(), *desired);
                self.set_range_passwords(&before);
                self.carry_out(out);
            }
            Command::Listen(addresses) => self.listening.want(addresses, now()),
            Command::Input(input) => self.happen(Event::Input(input)),
            Command::Drain(drained) => self.drain(drained),
            Command::Ask(question) => question(&mut self.core),
        }
    }

    /// Answers when the connections of now have ended.
    fn drain(&mut self, drained: oneshot::Sender<()>) {
        let (alive, mut gone) = std::mem::replace(&mut self.alive, mpsc::channel(1));
        tokio::spawn(async move {
            drop(alive);
            gone.recv().await;
            // Who asked may have gone.
            let _ = drained.send(());
        });
    }

    fn happen(&mut self, event: Event) {
        let input = match event {
            Event::Input(input) => {
                if let Input::Closed(key) | Input::Unreachable(key, _) = &input {
                    self.connections.remove(key);
                }
                input
            }
            Event::Dialed(key, stream) => {
                // Given up meanwhile if it is no longer there.
                let Some(connection) = self.connections.get_mut(&key) else {
                    return;
                };
                let running = Running::start(stream, key, &self.to_us, self.alive.0.clone());
                *connection = Connection::Running(running);
                Input::Connected(key)
            }
            Event::Accepted(stream, from) => {
                let Ok(local) = stream.local_addr() else {
                    return;
                };
                let id = ConnectionId::incoming(self.next_serial);
                self.next_serial = self.next_serial.wrapping_add(1);
                let key = ConnectionKey {
                    peer: from.ip(),
                    id,
                };
                let wanted = self.core.wanted_by(key.peer);
                let is_set = wanted.map(|it| &it.transport).is_none_or(|transport| {
                    tcp::is_on_link(from, transport.interface)
                        && tcp::is_near(&stream, transport.ttl)
                        && tcp::set_ttl(&stream, key.peer, transport.ttl).is_ok()
                });
                if !is_set {
                    return;
                }
                let running = Running::start(stream, key, &self.to_us, self.alive.0.clone());
                self.connections.insert(key, Connection::Running(running));
                let local = local.ip();
                Input::Accepted { key, local }
            }
        };
        let out = self.core.handle(now(), input);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Expect { peer, as_wanted } => self.expect(peer, &as_wanted),
                Output::Forget { peer } => self.set_password(host_prefix(peer), &[]),
                Output::Connect { key, to } => self.dial(key, to),
                Output::Send(key, octets) => {
                    if let Some(Connection::Running(running)) = self.connections.get(&key) {
                        running.send(octets);
                    }
                }
                Output::Close(key) => {
                    if let Some(Connection::Dialing(dialing)) = self.connections.remove(&key) {
                        dialing.abort();
                    }
                }
                Output::BestPathsChanged => self.has_new_best = true,
                Output::Note { peer, note } => {
                    // Who does not want to know has dropped his end.
                    let _ = self.notes.send((peer, note));
                }
            }
        }
    }

    fn expect(&mut self, peer: PeerKey, wanted: &PeerDesired) {
        let password = wanted.transport.password.as_deref().unwrap_or_default();
        self.set_password(host_prefix(peer), password);
    }

    fn set_range_passwords(&mut self, before: &[ListenRange]) {
        let after = self.core.ranges().to_vec();
        for old in before {
            let is_kept = after.iter().any(|range| range.prefix == old.prefix);
            if !is_kept && old.peer.transport.password.is_some() {
                self.set_password(old.prefix, &[]);
            }
        }
        for range in &after {
            let password = range.peer.transport.password.as_deref();
            let of = |old: &&ListenRange| old.prefix == range.prefix;
            let old = before.iter().find(of);
            if old.and_then(|old| old.peer.transport.password.as_deref()) != password {
                self.set_password(range.prefix, password.unwrap_or_default());
            }
        }
    }

    fn set_password(&mut self, peers: Prefix, password: &[u8]) {
        if let Err(error) = self.listening.set_password(peers, password) {
            let note = Note::Password(error.to_string());
            let _ = self.notes.send((peers.addr(), note));
        }
    }

    fn dial(&mut self, key: ConnectionKey, to: std::sync::Arc<PeerDesired>) {
        let events = self.to_us.clone();
        let dialing = tokio::spawn(async move {
            let event = match tcp::connect(key.peer, &to.transport).await {
                Ok(stream) => Event::Dialed(key, stream),
                Err(error) => Event::Input(Input::Unreachable(key, error.to_string())),
            };
            // The owner is gone where this fails.
            let _ = events.send(event).await;
        });
        let dialing = Connection::Dialing(dialing.abort_handle());
        self.connections.insert(key, dialing);
    }
}
