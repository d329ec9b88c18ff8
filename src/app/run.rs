//! `kube-router run`: builds the daemon and runs it to its end.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::bgp_metrics::{self, Peers};
use super::daemon::{Daemon, End, Feeds, Signal, now};
use super::log::Log;
use super::notes::Notes;
use super::slots::Slots;
use super::speaker::Speaker;
use super::systemd::{self, Dialogue};
use super::{control, drops, policy_metrics, privileges, scrape};
use crate::cli::{Exit, RunArgs};
use crate::config::{self, Config, Sources};
use crate::http::{self, Limits, Site};
use crate::kernel::ipvs::Ipvs;
use crate::metrics::{Ages, ControllerMetrics, Histogram, Kind, Registry};
use crate::model::NodeFacts;
use crate::netpol::{self, Netpol, Standing};
use crate::proxy::{HostKernel, Input, OpenError, Proxy};
use crate::reconcile::{
    Ended, HealthBoard, HealthLimits, PartHealth, Slot, Supervision, spawn, with_causes,
};
use crate::routing::{self, Announced, Lost, Routing, Speech};
use crate::watch::Cluster;

/// Without a watchdog of systemd's: how long a pass may take before it counts as hung.
const STALLED: Duration = Duration::from_secs(60);

/// From when on passes that fail make the node unhealthy.
const FAILING: Duration = Duration::from_secs(60);

/// Runs the daemon in the foreground until a signal ends it.
///
/// # Errors
/// When the faults of the configuration cannot be written to `err`; everything later is logged.
pub fn run(
    args: &RunArgs,
    environment: Vec<(String, String)>,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let sources = args.sources(environment);
    let config = match config::load(&sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            writeln!(err, "{problems}")?;
            return Ok(Exit::BadConfig);
        }
    };
    // First of all: every thread that is started later, the log's own too, has only what is left.
    if let Err(error) = privileges::drop(config.routing.enabled) {
        writeln!(err, "kube-router: {}", with_causes(&error))?;
        return Ok(Exit::Failure);
    }
    let log = match Log::start(&config.log) {
        Ok(log) => Arc::new(log),
        Err(error) => {
            writeln!(err, "kube-router: {}", with_causes(&error))?;
            return Ok(Exit::Failure);
        }
    };
    Ok(match start(config, sources, &log) {
        Ok(exit) => exit,
        Err(fault) => {
            error!(reason = with_causes(&*fault), "cannot start");
            Exit::Failure
        }
    })
}

/// What an error at the opening of the kernel's rooms means.
pub(super) fn exit_for(error: &OpenError) -> Exit {
    if error.is_unsupported() {
        Exit::Unavailable
    } else {
        Exit::Failure
    }
}

type Fault = Box<dyn Error + Send + Sync>;

fn start(config: Config, sources: Sources, log: &Arc<Log>) -> Result<Exit, Fault> {
    // Before the runtime starts: a kernel without IPVS is told once, in these words.
    if config.proxy.enabled
        && let Err(error) = HostKernel::open()
    {
        error!("{}", with_causes(&error));
        return Ok(exit_for(&error));
    }
    let runtime = runtime()?;
    let end = runtime.block_on(serve(config, sources, log));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(exit_of(end?))
}

fn exit_of(end: End) -> Exit {
    match end {
        End::Stopped => return Exit::Success,
        End::Controller(Ended::Unavailable(error)) => {
            error!(reason = with_causes(&*error), "a controller cannot start");
        }
        End::Controller(Ended::Panicked(message)) => {
            error!(message, "a controller panicked too often");
        }
        End::Controller(Ended::Stopped) => error!("a controller ended unasked"),
        End::Lost(what) => error!(what, "ended unasked"),
    }
    Exit::Failure
}

/// The runtime of the network edges. Its threads have what the calling thread has left of its
/// capabilities.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("kr-io")
        .enable_all()
        .build()
}

async fn serve(config: Config, sources: Sources, log: &Arc<Log>) -> Result<End, Fault> {
    let signals = signals()?;
    let name = node_name(&config)?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        node = &*name,
        "starting"
    );
    let watchdog = systemd::watchdog();
    let limits = HealthLimits {
        stalled: watchdog.unwrap_or(STALLED),
        failing: FAILING,
    };
    let board = Arc::new(HealthBoard::new(limits));
    let registry = Arc::new(Registry::new(env!("CARGO_PKG_VERSION")));
    let lines = Arc::clone(log);
    registry.add(move |text| {
        text.family(
            "log_lines_dropped_total",
            Kind::Counter,
            "Log lines that found no room",
        );
        text.sample("log_lines_dropped_total", &[], lines.dropped());
    });
    let listeners = Listeners::open(&config).await?;
    let cluster = Cluster::start(&config, &name)?;
    let speaker = match config.routing.enabled {
        true => Some(Speaker::start(&config.bgp, &board)?),
        false => None,
    };
    let feeds = Feeds {
        snapshot: cluster.snapshot.clone(),
        facts: cluster.facts.clone(),
        node_notes: cluster.node_notes.clone(),
        cluster_fault: cluster.cluster_fault.clone(),
        node_fault: cluster.node_fault.clone(),
        lost: cluster.lost,
        learned: speaker.as_ref().map(|speaker| speaker.learned.clone()),
    };
    let slots = Slots::new(&config);
    let (ended, all_ended) = mpsc::channel(1);
    if let Some(fed) = &slots.proxy {
        start_proxy(&fed.slot, &board, &registry, ended.clone())?;
        collect(&registry, &feeds);
    }
    if let Some(fed) = &slots.netpol {
        start_netpol(&fed.slot, &board, &registry, ended.clone())?;
        if config.netpol.log_drops {
            drops::spawn(cluster.snapshot.clone())?;
        }
    }
    if let (Some(fed), Some(speaker)) = (&slots.routing, &speaker) {
        start_routing(&fed.slot, speaker, &board, &registry, ended.clone())?;
    }
    listeners.serve(&config, &board, &registry);
    let asked = speaker.as_ref().map(|speaker| speaker.handle.clone());
    let watched = speaker.as_ref().map(|speaker| speaker.bfd.clone());
    control::serve(config.control.socket.as_deref(), asked, watched).await?;
    let daemon = Daemon {
        config,
        load: move || load(&sources),
        set_level: |level| log.set_level(level),
        say: systemd::say,
        board,
        slots,
        speaker,
        feeds,
        signals,
        ended: all_ended,
        dialogue: Dialogue::new(watchdog),
        notes: Notes::default(),
        began: now(),
        late: false,
        healthy: true,
    };
    let end = daemon.run().await;
    // Kept to here, so that a node without controllers is not taken for one that lost them.
    drop(ended);
    Ok(end)
}

fn load(sources: &Sources) -> Result<Config, String> {
    let loaded = config::load(sources).map_err(|problems| problems.to_string().replace('\n', "; "));
    loaded.map(|loaded| loaded.config)
}

fn start_proxy(
    slot: &Slot<Input>,
    board: &HealthBoard,
    registry: &Registry,
    ended: mpsc::Sender<Ended>,
) -> io::Result<()> {
    let part = board.part("proxy", now());
    let metrics = Arc::new(ControllerMetrics::new("proxy"));
    registry.add_controller(Arc::clone(&metrics), ages(part.clone()));
    let passes = Arc::clone(&metrics);
    registry.add(move |text| {
        const NAME: &str = "controller_ipvs_services_sync_time";
        text.family(
            NAME,
            Kind::Histogram,
            "Time it took for the ipvs sync loop to complete",
        );
        text.histogram(NAME, &[], &passes.pass);
    });
    let slot = slot.clone();
    spawn(
        || Ok(Proxy::new(HostKernel::open()?)),
        move || slot.inbox(),
        |input: &Input| input.settings.proxy.sync_period,
        Supervision {
            health: part,
            metrics,
        },
        // Nobody listens any more only when the process ends anyway.
        move |end| drop(ended.blocking_send(end)),
    )?;
    Ok(())
}

fn start_netpol(
    slot: &Slot<netpol::Input>,
    board: &HealthBoard,
    registry: &Registry,
    ended: mpsc::Sender<Ended>,
) -> io::Result<()> {
    let part = board.part("netpol", now());
    let metrics = Arc::new(ControllerMetrics::new("netpol"));
    registry.add_controller(Arc::clone(&metrics), ages(part.clone()));
    let standing = Arc::new(Standing::default());
    let (passes, counts) = (Arc::clone(&metrics), Arc::clone(&standing));
    registry.add(move |text| policy_metrics::encode(text, &passes, &counts));
    let slot = slot.clone();
    spawn(
        move || Ok(Netpol::new(netpol::HostKernel::new()).counting(Arc::clone(&standing))),
        move || slot.inbox(),
        |input: &netpol::Input| input.settings.sync_period,
        Supervision {
            health: part,
            metrics,
        },
        move |end| drop(ended.blocking_send(end)),
    )?;
    Ok(())
}

fn start_routing(
    slot: &Slot<routing::Input>,
    speaker: &Speaker,
    board: &HealthBoard,
    registry: &Registry,
    ended: mpsc::Sender<Ended>,
) -> io::Result<()> {
    let part = board.part("routing", now());
    let metrics = Arc::new(ControllerMetrics::new("routing"));
    registry.add_controller(Arc::clone(&metrics), ages(part.clone()));
    let (passes, peers) = (Arc::clone(&metrics), Peers::follow(speaker.handle.clone()));
    let announced = Arc::<Announced>::default();
    let (learning, said) = (Arc::clone(&speaker.learning), Arc::clone(&announced));
    registry.add(move |text| {
        bgp_metrics::encode(text, &passes, &learning, &said);
        peers.encode(text);
    });
    let (slot, lost) = (slot.clone(), Lost::default());
    let (handle, bfd, told) = (speaker.handle.clone(), speaker.bfd.clone(), Arc::default());
    routing::follow(slot.clone(), lost.clone())?;
    spawn(
        move || {
            let speech = Speech {
                speaker: handle.clone(),
                bfd: bfd.clone(),
                told: Arc::clone(&told),
                announced: Arc::clone(&announced),
            };
            let kernel = routing::HostKernel::open(Some(speech))?;
            lost.leave_out(kernel.port()?);
            Ok(Routing::new(kernel, lost.clone()))
        },
        move || slot.inbox(),
        |input: &routing::Input| input.settings.sync_period,
        Supervision {
            health: part,
            metrics,
        },
        move |end| drop(ended.blocking_send(end)),
    )?;
    Ok(())
}

fn ages(part: PartHealth) -> impl Fn(std::time::Instant) -> Ages {
    move |now| {
        let (snapshot, read_back) = part.ages(now);
        Ages {
            snapshot,
            read_back,
        }
    }
}

/// Adds what the kernel counts.
fn collect(registry: &Registry, feeds: &Feeds) {
    let (snapshot, facts) = (feeds.snapshot.clone(), feeds.facts.clone());
    let times = Histogram::default();
    registry.add(move |text| {
        let began = now();
        match Ipvs::open().and_then(|mut ipvs| ipvs.virtual_stats()) {
            Ok(counters) => {
                scrape::encode(
                    text,
                    &counters,
                    &known(&snapshot),
                    &known::<NodeFacts>(&facts),
                );
            }
            Err(error) => tracing::warn!(%error, "the counters of IPVS cannot be read"),
        }
        scrape::encode_time(text, &times, began, now());
    });
}

fn known<T: Default>(feed: &watch::Receiver<Option<Arc<T>>>) -> Arc<T> {
    feed.borrow().clone().unwrap_or_default()
}

/// The node's name in the cluster: the configured one or the host's, in lower case.
fn node_name(config: &Config) -> io::Result<Arc<str>> {
    let name = match &config.node.name {
        Some(name) => name.clone(),
        None => fs::read_to_string("/proc/sys/kernel/hostname")?
            .trim()
            .to_lowercase(),
    };
    Ok(name.into())
}

fn signals() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(1);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = terminate.recv() => Signal::Stop,
                _ = interrupt.recv() => Signal::Stop,
                _ = hangup.recv() => Signal::Reload,
            };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// The pages' sockets, opened before anything is touched.
struct Listeners {
    health: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    async fn open(config: &Config) -> Result<Self, http::BindError> {
        let (mut health, mut metrics) = (None, None);
        if let Some(address) = config.health.listen {
            health = Some(http::bind("health.listen", address).await?);
        }
        if let Some(address) = config.metrics.listen {
            metrics = Some(http::bind("metrics.listen", address).await?);
        }
        Ok(Self { health, metrics })
    }

    fn serve(self, config: &Config, board: &Arc<HealthBoard>, registry: &Arc<Registry>) {
        let health = Site {
            health: Some(Arc::clone(board)),
            ..Site::default()
        };
        let page = (config.metrics.path.clone(), Arc::clone(registry));
        let metrics = Site {
            metrics: Some(page),
            ..Site::default()
        };
        for (listener, site) in [(self.health, health), (self.metrics, metrics)] {
            if let Some(listener) = listener {
                tokio::spawn(http::serve(listener, Arc::new(site), Limits::default()));
            }
        }
    }
}
