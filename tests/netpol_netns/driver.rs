//! Brings clusters to the kernel of the node's namespace, as the daemon does.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kube_router::config::NetpolBackend;
use kube_router::firewall::{Hook, Packet, Payload, Tracked, Verdict, walk};
use kube_router::model::NodeFacts;
use kube_router::netpol::{Change, HostKernel, Kernel, Netpol, Observed, Plan};
use kube_router::reconcile::{Controller, Report, Scope};

use crate::lab::Lab;
use crate::namespaces::flush_connections;
use crate::policy_cluster::{Cluster, facts};
use crate::policy_oracle::passes;
use crate::probe::{Fate, Probe};

pub(crate) static NODE: LazyLock<NodeFacts> = LazyLock::new(facts);

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The controller with what it believes.
#[derive(Debug)]
pub(crate) struct Driver<K = HostKernel> {
    pub(crate) netpol: Netpol<K>,
    seen: Option<Observed>,
    backend: NetpolBackend,
}

// === impl Driver ===

impl Driver {
    /// A process that has just started.
    pub(crate) fn new(backend: NetpolBackend) -> Self {
        Self::with(HostKernel::new(), backend)
    }
}

impl<K: Kernel + Debug> Driver<K> {
    pub(crate) fn with(kernel: K, backend: NetpolBackend) -> Self {
        Self {
            netpol: Netpol::new(kernel),
            seen: None,
            backend,
        }
    }

    /// From now on it is the other one.
    pub(crate) fn switch(&mut self, backend: NetpolBackend) {
        self.backend = backend;
        self.seen = None;
    }

    /// One pass towards a cluster: what was done, and what failed.
    pub(crate) fn pass(&mut self, cluster: &Cluster) -> Report<Change> {
        let mut cluster = cluster.clone();
        cluster.settings.backend = self.backend;
        self.netpol.plan(&cluster.input());
        let (mut seen, scope) = match self.seen.take() {
            Some(seen) => (seen, Scope::Touched),
            None => (self.observe(), Scope::Everything),
        };
        let steps = self.netpol.changes(&seen, scope);
        let report = self.netpol.apply(steps, &mut seen, &|| {});
        // What failed is read back, as the runner does.
        self.seen = report.failures.is_empty().then_some(seen);
        report
    }

    /// A table that its owner has just let go of may be held for a moment by a program that another
    /// test is starting: it has copies of all descriptors until it runs.
    fn observe(&mut self) -> Observed {
        let begin = Instant::now();
        loop {
            match self.netpol.observe() {
                Ok(seen) => return seen,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error:?}"),
            }
        }
    }

    /// Brings a cluster to the kernel without any failure; how many steps it took.
    pub(crate) fn bring(&mut self, cluster: &Cluster) -> usize {
        let report = self.pass(cluster);
        let failures: Vec<String> = report
            .failures
            .iter()
            .map(|failed| format!("{}: {}", failed.change, failed.reason))
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
        report.applied
    }

    /// A read-back finds everything as it should be.
    pub(crate) fn audit(&mut self) {
        let seen = self.observe();
        let left = self.netpol.changes(&seen, Scope::Everything);
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "not as planned: {left:#?}");
        self.seen = Some(seen);
    }

    /// Reads back and repairs; how many steps it took.
    pub(crate) fn repair(&mut self, cluster: &Cluster) -> usize {
        self.seen = None;
        self.bring(cluster)
    }

    pub(crate) fn plan(&self) -> &Plan {
        self.netpol.current()
    }
}

/// Whether the API's text lets it pass.
pub(crate) fn is_allowed(cluster: &Cluster, probe: &Probe) -> bool {
    packets(probe)
        .iter()
        .all(|packet| passes(cluster, &NODE, packet))
}

/// The packet at every hook of this node that it passes.
fn packets(probe: &Probe) -> Vec<Packet> {
    let (from_node, to_node) = (NODE.is_local(probe.from), NODE.is_local(probe.to));
    let hook = match (from_node, to_node) {
        (true, _) => Hook::Output,
        (_, true) => Hook::Input,
        _ => Hook::Forward,
    };
    vec![Packet {
        hook,
        source: probe.from,
        destination: probe.to,
        payload: Payload::Ports(probe.protocol, probe.port),
        tracked: Tracked::New,
        from_node,
        to_node,
        served: false,
    }]
}

impl Lab {
    /// Packets fare as the oracle and the rules themselves say; everything that does not.
    pub(crate) fn disagreements(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        probes: &[Probe],
    ) -> Vec<String> {
        flush_connections();
        let fates = self.probe(probes);
        let compared = probes.iter().zip(fates).filter_map(|(probe, fate)| {
            let allowed = is_allowed(cluster, probe);
            let walked = packets(probe)
                .iter()
                .all(|packet| walk(plan.wanted(), packet).0 == Verdict::Accept);
            let expected = if allowed {
                Fate::Answered
            } else {
                Fate::Refused
            };
            (fate != expected || walked != allowed)
                .then(|| format!("{probe:?}: {fate:?}, oracle {allowed}, rules {walked}"))
        });
        compared.collect()
    }
}
