//! The BGP speaker beside the controllers: what it has learned goes to routing, what it says to the
//! journal and the health page, and at the end its sessions are closed in order.

use std::future::pending;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::daemon::now;
use crate::bfd::{self, Event, Transition};
use crate::bgp::fsm::Stop;
use crate::bgp::rib::BestPaths;
use crate::bgp::speaker::{
    Handle, Input, ListenError, Listeners, Note, Notes, Options, PeerKey, Restarted, spawn,
};
use crate::config::BgpConfig;
use crate::kernel::rtnl::{Interfaces, PathQuery, Rtnl};
use crate::net::{ByFamily, Family};
use crate::reconcile::{HealthBoard, with_causes};
use crate::routing::{Learned, PROTOCOL};

/// How long peers may take to read our last words.
const FAREWELL: Duration = Duration::from_secs(2);

/// Between two looks at whether all helpers have told their routes.
const LOOK: Duration = Duration::from_millis(250);

/// Why there is no BGP.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("no thread for BFD: {0}")]
    Bfd(#[from] io::Error),
}

/// A speaker that runs, with what it has learned.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) handle: Handle,
    pub(super) bfd: bfd::Handle,
    pub(super) learned: watch::Receiver<Learned>,
    pub(super) learning: Arc<Learning>,
}

/// What has been learned, in numbers.
#[derive(Debug, Default)]
pub(super) struct Learning {
    /// Changes of best paths; only grows.
    pub(super) changes: AtomicU64,
    /// Prefixes with a best path now.
    pub(super) prefixes: AtomicU64,
}

// === impl Speaker ===

impl Speaker {
    /// Starts it without peers. It is a restart (RFC 4724 section 4.1) where the kernel has routes
    /// of an earlier run of ours, which go on to forward.
    ///
    /// # Errors
    /// Where there can be no thread for BFD.
    pub(super) fn start(config: &BgpConfig, board: &Arc<HealthBoard>) -> Result<Self, StartError> {
        let preserved = preserved();
        let is_restart = config.graceful_restart && (preserved.v4 || preserved.v6);
        let restarted = is_restart.then_some(Restarted {
            deferral: config.graceful_restart_deferral_time,
            preserved,
        });
        let options = Options {
            listen: Vec::new(),
            seed: random(),
            restarted,
        };
        let (handle, notes) = spawn(&options)?;
        tokio::spawn(follow(notes));
        let (bfd, events) = bfd::spawn(random())?;
        tokio::spawn(follow_bfd(events, handle.clone()));
        tokio::spawn(follow_listeners(handle.listeners(), Arc::clone(board)));
        let deferred = ByFamily {
            v4: is_restart,
            v6: is_restart,
        };
        let first = Learned {
            best: BestPaths::default(),
            deferred,
        };
        let (learned, to_plan) = watch::channel(first);
        let learning = Arc::<Learning>::default();
        tokio::spawn(learn(handle.clone(), learned, Arc::clone(&learning)));
        Ok(Self {
            handle,
            bfd,
            learned: to_plan,
            learning,
        })
    }

    /// Ends all sessions, and waits a little until the peers have been told. BFD goes first: by
    /// its AdminDown they know that our silence is no failure of the way.
    pub(super) async fn stop(&self, is_graceful: bool) {
        if timeout(FAREWELL, self.bfd.stop()).await.is_err() {
            warn!("BFD did not end in time");
        }
        let why = match is_graceful {
            true => Stop::Restart,
            false => Stop::Shutdown("the daemon stops".to_owned()),
        };
        self.handle.input(Input::StopAll(why));
        if timeout(FAREWELL, self.handle.drained()).await.is_err() {
            warn!("a BGP peer did not take its last message in time");
        }
    }
}

/// Of which families the kernel has routes of ours from an earlier run.
fn preserved() -> ByFamily<bool> {
    let has = |family| {
        let query = PathQuery {
            family: Some(family),
            protocol: PROTOCOL,
            table: None,
        };
        let paths = Rtnl::open().and_then(|mut rtnl| rtnl.paths(query));
        paths.is_ok_and(|paths| !paths.is_empty())
    };
    ByFamily {
        v4: has(Family::V4),
        v6: has(Family::V6),
    }
}

/// What the standard library seeds its own tables with.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Tells the speaker whose way is lost, until BFD ends.
async fn follow_bfd(mut events: mpsc::Receiver<Event>, speaker: Handle) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Changed { key, to } => {
                let peer = key.remote;
                match to {
                    Transition::Up => info!(%peer, "BFD session up"),
                    Transition::AdminDown => info!(%peer, "BFD session taken down by the peer"),
                    Transition::Down {
                        diagnostic,
                        control_plane_independent,
                    } => {
                        warn!(%peer, %diagnostic, "BFD session down");
                        speaker.input(Input::BfdDown {
                            peer,
                            control_plane_independent,
                        });
                    }
                }
            }
            Event::Failed(error) => warn!(reason = with_causes(&error), "BFD"),
        }
    }
}

/// Hands on what the speaker shows, and whether it shows everything.
async fn learn(handle: Handle, learned: watch::Sender<Learned>, learning: Arc<Learning>) {
    let mut best = handle.best_paths();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    loop {
        let deferred = handle.ask(|core| ByFamily {
            v4: core.is_deferred(Family::V4),
            v6: core.is_deferred(Family::V6),
        });
        let Some(deferred) = deferred.await else {
            return;
        };
        let shown = best.borrow_and_update().clone();
        let changes = shown.changes_since(&learned.borrow().best).len();
        learning.changes.fetch_add(number(changes), Relaxed);
        learning.prefixes.store(number(shown.len()), Relaxed);
        let new = Learned {
            best: shown,
            deferred,
        };
        learned.send_replace(new);
        // The end of the wait for helpers alone changes no path.
        let again = async {
            match deferred.v4 || deferred.v6 {
                true => sleep(LOOK).await,
                false => pending().await,
            }
        };
        tokio::select! {
            changed = best.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// Logs what the speaker says, until it ends.
async fn follow(mut notes: Notes) {
    while let Some((peer, note)) = notes.recv().await {
        tell(peer, &note);
    }
}

async fn follow_listeners(mut listeners: watch::Receiver<Listeners>, board: Arc<HealthBoard>) {
    loop {
        let fault = faults(&listeners.borrow_and_update());
        if let Some(fault) = &fault {
            warn!(fault, "peers can't connect to us; tried again each second");
        }
        board.condition("bgp", false, fault, now());
        if listeners.changed().await.is_err() {
            return;
        }
    }
}

/// Where peers can't connect to, and why.
fn faults(listeners: &Listeners) -> Option<String> {
    let faults: Vec<_> = listeners
        .iter()
        .filter_map(|(address, fault)| {
            let fault = fault.as_ref()?;
            Some(format!("BGP can't listen at {address}: {fault}"))
        })
        .collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

fn tell(peer: PeerKey, note: &Note) {
    match note {
        Note::Up => info!(%peer, "BGP session established"),
        Note::Down(down) => {
            let routes = match down.graceful {
                true => "kept while the peer restarts",
                false => "withdrawn",
            };
            warn!(%peer, reason = %down.reason, routes, "BGP session lost");
        }
        Note::ManyPrefixes { family, count } => {
            warn!(%peer, ?family, count, "the peer is near its limit of prefixes");
        }
        Note::Faults(faults) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            let faults = faults.join("; ");
            warn!(%peer, faults, "faults in an UPDATE, handled as RFC 7606 says");
        }
        Note::Failed(failure) => {
            warn!(%peer, reason = %failure, "no BGP session yet; it is tried again");
        }
        Note::Refused(refusal) => info!(%peer, reason = %refusal, "BGP connection refused"),
        Note::Password(fault) => {
            warn!(%peer, fault, "the kernel does not take the peer's password");
        }
    }
}
