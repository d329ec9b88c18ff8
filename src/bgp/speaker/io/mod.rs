//! The speaker's sockets: one task owns the core, each connection has one that reads and one that
//! writes.
//!
//! - Whoever reads waits when the owner is busy; whoever does not read at the other end is told no
//!   more than the core's bound.
//! - A connection that is to be closed has five seconds to take what is queued.

mod connection;
mod listening;
mod owner;
mod tcp;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::listening::Listeners;
use self::listening::Listening;
use self::owner::{EVENTS, Owner};
use super::core::{Restarted, SpeakerCore};
use super::desired::{Desired, PeerKey};
use super::input::{Input, Note};
use crate::bgp::rib::BestPaths;

/// A speaker that runs, for as long as somebody has its handle.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    best: watch::Receiver<BestPaths>,
    listeners: watch::Receiver<Listeners>,
}

/// How a speaker starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where peers connect to from the start; may be empty, and [`Handle::listen`] changes it.
    pub listen: Vec<SocketAddr>,
    /// Random.
    pub seed: u64,
    pub restarted: Option<Restarted>,
}

/// Why a speaker can't start.
#[derive(Debug, thiserror::Error)]
#[error("can't listen at {address}: {reason}")]
pub struct ListenError {
    pub address: SocketAddr,
    pub reason: Arc<str>,
}

/// What the speaker wants to be logged.
pub type Notes = mpsc::UnboundedReceiver<(PeerKey, Note)>;

enum Command {
    SetDesired(Box<Desired>),
    Listen(BTreeSet<SocketAddr>),
    Input(Input),
    Drain(oneshot::Sender<()>),
    Ask(Box<dyn FnOnce(&mut SpeakerCore) + Send>),
}

/// Starts a speaker that wants nothing yet, on the current runtime.
///
/// # Errors
/// An address that it can't listen at.
pub fn spawn(options: &Options) -> Result<(Handle, Notes), ListenError> {
    let (commands, to_obey) = mpsc::unbounded_channel();
    let (to_us, events) = mpsc::channel(EVENTS);
    let (best, view) = watch::channel(BestPaths::default());
    let (notes, to_log) = mpsc::unbounded_channel();
    let mut listening = Listening::new(to_us.clone());
    listening.want(options.listen.iter().copied().collect(), owner::now());
    let listeners = listening.state();
    let mut states = listeners.borrow().clone().into_iter();
    if let Some((address, Some(reason))) = states.find(|(_, fault)| fault.is_some()) {
        return Err(ListenError { address, reason });
    }
    let owner = Owner {
        core: SpeakerCore::new(options.seed, options.restarted),
        listening,
        commands: to_obey,
        events,
        to_us,
        best,
        notes,
        connections: rustc_hash::FxHashMap::default(),
        next_serial: 0,
        has_new_best: false,
        view_at: owner::now(),
        alive: mpsc::channel(1),
    };
    tokio::spawn(owner.run());
    let handle = Handle {
        commands,
        best: view,
        listeners,
    };
    Ok((handle, to_log))
}

// === impl Handle ===

impl Handle {
    /// Wants this from now on.
    pub fn set_desired(&self, desired: Desired) {
        self.command(Command::SetDesired(Box::new(desired)));
    }

    /// Listens there from now on and nowhere else; what can't be done yet is tried each second.
    pub fn listen(&self, addresses: BTreeSet<SocketAddr>) {
        self.command(Command::Listen(addresses));
    }

    /// Where peers can connect to.
    #[must_use]
    pub fn listeners(&self) -> watch::Receiver<Listeners> {
        self.listeners.clone()
    }

    /// What operators, BFD and the kernel have to say.
    pub fn input(&self, input: Input) {
        self.command(Command::Input(input));
    }

    /// Looks at the core, between two events; `None` if the speaker has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SpeakerCore) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Ask(Box::new(move |core| {
            // Who asked may have gone.
            let _ = answer.send(question(core));
        })));
        answered.await.ok()
    }

    /// Returns when the connections of now have ended and their last words are written; meant for
    /// after [`Input::StopAll`].
    pub async fn drained(&self) {
        let (drained, answer) = oneshot::channel();
        self.command(Command::Drain(drained));
        // A speaker that has ended has no connections.
        let _ = answer.await;
    }

    /// The best paths, as they change.
    #[must_use]
    pub fn best_paths(&self) -> watch::Receiver<BestPaths> {
        self.best.clone()
    }

    fn command(&self, command: Command) {
        // The owner ends only with the last handle, or with the runtime.
        let _ = self.commands.send(command);
    }
}
