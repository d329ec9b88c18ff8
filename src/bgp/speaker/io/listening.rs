//! The sockets that peers connect to: opened and closed as wanted, tried again where they can't be.
//!
//! An address may come late, and another program may hold the port for a while; the others listen
//! meanwhile. A socket that opens late gets the passwords that were set before.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::owner::Event;
use super::tcp;
use crate::net::{Family, Prefix};

/// How long until an address that can't be listened at is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where peers are to connect to, and why they can't there, if so.
pub type Listeners = BTreeMap<SocketAddr, Option<Arc<str>>>;

pub(super) struct Listening {
    wanted: BTreeSet<SocketAddr>,
    open: BTreeMap<SocketAddr, Open>,
    passwords: BTreeMap<Prefix, Arc<[u8]>>,
    state: watch::Sender<Listeners>,
    to_us: mpsc::Sender<Event>,
    again: Option<Instant>,
}

struct Open {
    socket: Arc<TcpListener>,
    accepting: AbortHandle,
}

// === impl Listening ===

impl Listening {
    pub(super) fn new(to_us: mpsc::Sender<Event>) -> Self {
        Self {
            wanted: BTreeSet::new(),
            open: BTreeMap::new(),
            passwords: BTreeMap::new(),
            state: watch::Sender::default(),
            to_us,
            again: None,
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<Listeners> {
        self.state.subscribe()
    }

    /// Listens there from now on, and nowhere else.
    pub(super) fn want(&mut self, wanted: BTreeSet<SocketAddr>, now: Instant) {
        self.open.retain(|address, _| wanted.contains(address));
        self.wanted = wanted;
        self.state
            .send_modify(|state| state.retain(|address, _| self.wanted.contains(address)));
        self.try_all(now);
    }

    /// When [`Self::try_all`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.again
    }

    /// Opens what is missing.
    pub(super) fn try_all(&mut self, now: Instant) {
        let missing = self.wanted.iter();
        let missing: Vec<_> = missing
            .filter(|address| !self.open.contains_key(address))
            .copied()
            .collect();
        for address in missing {
            let fault = self.open(address).err();
            let fault = fault.map(|fault| Arc::from(fault.to_string()));
            self.state.send_if_modified(|state| {
                state.insert(address, fault.clone()).as_ref() != Some(&fault)
            });
        }
        let is_whole = self.open.len() == self.wanted.len();
        self.again = (!is_whole).then(|| now + AGAIN);
    }

    fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = Arc::new(tcp::listen(address)?);
        for (peers, password) in &self.passwords {
            if is_of_family(&socket, peers) {
                tcp::set_md5(socket.as_ref(), *peers, password)?;
            }
        }
        let accepting = tokio::spawn(accept_all(Arc::clone(&socket), self.to_us.clone()));
        let accepting = accepting.abort_handle();
        self.open.insert(address, Open { socket, accepting });
        Ok(())
    }

    /// Sets the password of the peers within a prefix, or takes it away where it is empty.
    pub(super) fn set_password(&mut self, peers: Prefix, password: &[u8]) -> io::Result<()> {
        match password {
            [] => self.passwords.remove(&peers),
            _ => self.passwords.insert(peers, password.into()),
        };
        let sockets = self.open.values().map(|open| &open.socket);
        let of_family = sockets.filter(|socket| is_of_family(socket, &peers));
        // Each of them is to have it, whatever the others say.
        let results: Vec<_> = of_family
            .map(|socket| tcp::set_md5(socket.as_ref(), peers, password))
            .collect();
        results.into_iter().collect()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn is_of_family(socket: &TcpListener, peers: &Prefix) -> bool {
    socket
        .local_addr()
        .is_ok_and(|local| Family::of(local.ip()) == Family::of_prefix(peers))
}

/// Accepts for as long as the owner is there.
async fn accept_all(listener: Arc<TcpListener>, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if events.send(Event::Accepted(stream, from)).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, or the peer has gone again: others may come later.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
