//! The life of a running daemon: feeds inputs to the controllers, answers signals, keeps systemd
//! informed, and ends in order.

use std::future::{Future, pending};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{error, info, warn};

use super::notes::Notes;
use super::slots::Slots;
use super::speaker::Speaker;
use super::systemd::{Dialogue, Word};
use crate::config::{Config, LogLevel};
use crate::model::{NodeFacts, Note, Service, Snapshot};
use crate::proxy::Settings;
use crate::reconcile::{Ended, HealthBoard};
use crate::routing::Learned;
use crate::watch::Lost;

/// How long a controller may take to finish the pass it is in.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the operating system asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Stop,
    Reload,
}

/// How a daemon ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was asked to; the data path is in place.
    Stopped,
    /// A controller ended by itself.
    Controller(Ended),
    /// A part that never ends did: a bug.
    Lost(&'static str),
}

/// What the controllers live on; `None` is not known yet.
#[derive(Debug)]
pub(super) struct Feeds {
    pub(super) snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(super) facts: watch::Receiver<Option<Arc<NodeFacts>>>,
    /// What had to be made up about the node.
    pub(super) node_notes: watch::Receiver<Vec<Note>>,
    /// Why the cluster's objects are not up to date.
    pub(super) cluster_fault: watch::Receiver<Option<String>>,
    /// Why this node is not known.
    pub(super) node_fault: watch::Receiver<Option<String>>,
    /// What may have been taken from us.
    pub(super) lost: mpsc::Receiver<Lost>,
    /// What BGP has learned; `None` where it is not spoken.
    pub(super) learned: Option<watch::Receiver<Learned>>,
}

/// Everything between the edges.
pub(super) struct Daemon<Load, SetLevel, Say> {
    pub(super) config: Config,
    /// Reads the configuration again; the reason why it is refused.
    pub(super) load: Load,
    /// Changes how much is logged.
    pub(super) set_level: SetLevel,
    /// Tells the service manager.
    pub(super) say: Say,
    pub(super) board: Arc<HealthBoard>,
    pub(super) slots: Slots,
    pub(super) speaker: Option<Speaker>,
    pub(super) feeds: Feeds,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) ended: mpsc::Receiver<Ended>,
    pub(super) dialogue: Dialogue,
    /// What was left out or made up so far.
    pub(super) notes: Notes,
    pub(super) began: Instant,
    /// Whether it was said that the cluster's objects are late.
    pub(super) late: bool,
    /// Whether the last report was a healthy one.
    pub(super) healthy: bool,
}

/// What woke the daemon.
enum Wake {
    Signal(Signal),
    Ended(Option<Ended>),
    Input,
    Learned,
    Fault,
    Lost(Lost),
    Tick,
    /// A source that never ends did.
    Over(&'static str),
}

// === impl Daemon ===

impl<Load, SetLevel, Say> Daemon<Load, SetLevel, Say>
where
    Load: FnMut() -> Result<Config, String>,
    SetLevel: Fn(LogLevel),
    Say: FnMut(&[Word]),
{
    /// Runs until a signal or a controller ends it.
    pub(super) async fn run(mut self) -> End {
        self.note_faults();
        self.feed();
        let mut tick = now();
        loop {
            match self.wait(tick).await {
                Wake::Signal(Signal::Stop) => return self.stop().await,
                Wake::Signal(Signal::Reload) => {
                    self.reload();
                    tick = now();
                }
                Wake::Ended(Some(ended)) => return End::Controller(ended),
                Wake::Ended(None) => return End::Lost("the controllers"),
                Wake::Over(what) => return End::Lost(what),
                Wake::Input => self.feed(),
                Wake::Learned => self.feed_routing(),
                Wake::Fault => self.note_faults(),
                Wake::Lost(lost) => self.look_after(lost),
                Wake::Tick => {
                    self.tell();
                    tick = now() + self.dialogue.pause();
                }
            }
        }
    }

    async fn wait(&mut self, tick: Instant) -> Wake {
        let feeds = &mut self.feeds;
        tokio::select! {
            signal = self.signals.recv() => signal.map_or(Wake::Over("the signals"), Wake::Signal),
            ended = self.ended.recv() => Wake::Ended(ended),
            wake = changed(feeds.snapshot.changed(), Wake::Input, "the cluster's watch") => wake,
            wake = changed(feeds.facts.changed(), Wake::Input, "the node's watch") => wake,
            wake = changed(feeds.node_fault.changed(), Wake::Fault, "the node's watch") => wake,
            lost = feeds.lost.recv() => lost.map_or(Wake::Over("the node's watch"), Wake::Lost),
            wake = changed(feeds.cluster_fault.changed(), Wake::Fault, "the cluster's watch") => wake,
            wake = changed(feeds.node_notes.changed(), Wake::Input, "the node's watch") => wake,
            wake = learned(&mut feeds.learned) => wake,
            () = sleep_until(tick.into()) => Wake::Tick,
        }
    }

    /// Hands the newest of everything to the controllers once all of it is known.
    fn feed(&mut self) {
        let snapshot = self.feeds.snapshot.borrow_and_update().clone();
        let facts = self.feeds.facts.borrow_and_update().clone();
        let made_up = self.feeds.node_notes.borrow_and_update().clone();
        self.notes.tell(
            &self.board,
            snapshot.as_ref().map(|snapshot| &snapshot.notes),
            made_up,
        );
        if let (Some(snapshot), Some(facts)) = (snapshot, facts) {
            self.slots.put(&snapshot, &facts, self.feeds.learned());
        }
    }

    /// Hands what has been learned to who routes by it.
    fn feed_routing(&mut self) {
        let snapshot = self.feeds.snapshot.borrow().clone();
        let facts = self.feeds.facts.borrow().clone();
        let learned = self.feeds.learned();
        if let (Some(snapshot), Some(facts), Some(learned)) = (snapshot, facts, learned) {
            self.slots.put_routing(&snapshot, &facts, learned);
        }
    }

    /// Asks for a read-back, unless it was the proxy itself that removed what no Service has any
    /// more.
    fn look_after(&mut self, lost: Lost) {
        let snapshot = self.feeds.snapshot.borrow().clone();
        let is_wanted = |vip| snapshot.is_some_and(|snapshot| has_address(&snapshot, vip));
        if match lost {
            Lost::Link => true,
            Lost::Address(vip) => is_wanted(vip),
        } {
            if let Some(proxy) = &self.slots.proxy {
                proxy.slot.foreign_change();
            }
            while self.feeds.lost.try_recv().is_ok() {}
        }
    }

    fn note_faults(&mut self) {
        let cluster = self.feeds.cluster_fault.borrow_and_update().clone();
        let node = self.feeds.node_fault.borrow_and_update().clone();
        self.board.condition("cluster", true, cluster, now());
        self.board.condition("node", true, node, now());
    }

    fn tell(&mut self) {
        self.note_lateness();
        let was_ready = self.dialogue.is_ready();
        let report = self.board.report(now());
        let words = self.dialogue.words(&report, now());
        (self.say)(&words);
        if self.dialogue.is_ready() && !was_ready {
            info!(state = report.status(), "ready");
        }
        let unhealthy = report.unhealthy();
        if unhealthy.is_empty() != self.healthy {
            self.healthy = unhealthy.is_empty();
            match self.healthy {
                true => info!("healthy again"),
                false => warn!(reasons = unhealthy.join("; "), "unhealthy"),
            }
        }
    }

    /// Says once that the cluster's first lists take longer than they may.
    fn note_lateness(&mut self) {
        let limit = self.config.cluster.cache_sync_timeout;
        if self.late
            || self.feeds.snapshot.borrow().is_some()
            || now().saturating_duration_since(self.began) < limit
        {
            return;
        }
        self.late = true;
        let fault = self.feeds.cluster_fault.borrow().clone();
        warn!(
            ?limit,
            fault, "the cluster's objects are late, nothing is touched before they are known"
        );
    }

    /// Takes a new configuration over, or keeps the running one and says why.
    fn reload(&mut self) {
        let ready = self.dialogue.is_ready();
        if ready {
            (self.say)(&[Word::Reloading]);
        }
        let fault = match (self.load)() {
            Ok(new) => self.take_over(new),
            Err(reason) => Some(reason),
        };
        match &fault {
            None => info!("configuration reloaded"),
            Some(reason) => {
                error!(
                    reason,
                    "new configuration refused, the running one stays in force"
                );
            }
        }
        let fault = fault.map(|reason| format!("new configuration refused: {reason}"));
        self.board.condition("config", false, fault, now());
        // READY ends the reload; it must not stand for a start that has not got there yet.
        if ready {
            (self.say)(&[Word::Ready]);
        }
    }

    /// Why not, if it can't be done.
    fn take_over(&mut self, new: Config) -> Option<String> {
        let fixed = self.config.restart_needed(&new);
        if !fixed.is_empty() {
            return Some(format!(
                "{} can only change with a restart",
                fixed.join(", ")
            ));
        }
        (self.set_level)(new.log.level);
        let means_something = self.slots.configure(&new);
        self.config = new;
        if means_something {
            self.feed();
        }
        None
    }

    async fn stop(mut self) -> End {
        info!("stopping, the data path stays in place");
        (self.say)(&[
            Word::Stopping,
            Word::Status("stopping; the data path stays in place".into()),
        ]);
        self.slots.stop();
        let all_ended = async {
            for _ in 0..self.slots.len() {
                self.ended.recv().await;
            }
        };
        if timeout(FAREWELL, all_ended).await.is_err() {
            warn!("a pass did not end in time and is left where it is");
        }
        if let Some(speaker) = &self.speaker {
            speaker.stop(self.config.bgp.graceful_restart).await;
        }
        End::Stopped
    }
}

// === impl Feeds ===

impl Feeds {
    fn learned(&mut self) -> Option<Learned> {
        let learned = self.learned.as_mut()?;
        Some(learned.borrow_and_update().clone())
    }
}

/// Without BGP there is nothing to wait for.
async fn learned(feed: &mut Option<watch::Receiver<Learned>>) -> Wake {
    match feed {
        Some(feed) => changed(feed.changed(), Wake::Learned, "the BGP speaker").await,
        None => pending().await,
    }
}

async fn changed(
    change: impl Future<Output = Result<(), watch::error::RecvError>>,
    wake: Wake,
    what: &'static str,
) -> Wake {
    change.await.map_or(Wake::Over(what), |()| wake)
}

/// Whether any Service is to answer there.
fn has_address(snapshot: &Snapshot, address: IpAddr) -> bool {
    let holds = |service: &Service| {
        let all = service.cluster_ips.iter().chain(&service.external_ips);
        all.chain(&service.load_balancer_ips)
            .any(|own| *own == address)
    };
    snapshot
        .services
        .iter()
        .any(|(_, service)| service.is_proxied() && holds(service))
}

/// What of the configuration is the proxy's business.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        proxy: config.proxy.clone(),
        cluster: config.cluster.clone(),
        families: config.node.families,
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon's clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}
