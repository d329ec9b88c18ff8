//! The metrics of routing and BGP under upstream's names.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::speaker::Learning;
use crate::bgp::fsm::PeerAs;
use crate::bgp::speaker::{Handle, SpeakerStatus};
use crate::metrics::{ControllerMetrics, Kind, Text};
use crate::routing::Announced;

/// How old the counts of a page may be.
const FRESH: Duration = Duration::from_secs(2);

/// What the speaker said last.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Arc<Mutex<Vec<Peer>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    address: String,
    kind: &'static str,
    asn: String,
    /// In lower case.
    state: String,
    flaps: u64,
    received: u64,
    announced: u64,
}

/// A family with one sample for each peer: name, kind, help, value.
type Row = (&'static str, Kind, &'static str, fn(&Peer) -> u64);

// === impl Peers ===

impl Peers {
    /// Asks the speaker now and then, until it ends.
    pub(super) fn follow(handle: Handle) -> Self {
        let peers = Self::default();
        let held = peers.clone();
        tokio::spawn(async move {
            while let Some(status) = handle.ask(|core| core.status()).await {
                *held.lock() = summary(&status);
                sleep(FRESH).await;
            }
        });
        peers
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn encode(&self, text: &mut Text) {
        const INFO: &str = "bgp_peer_info";
        let peers = self.lock().clone();
        text.family(
            INFO,
            Kind::Gauge,
            "BGP peers and the state of their sessions",
        );
        for peer in &peers {
            let labels = [
                ("address", &*peer.address),
                ("type", peer.kind),
                ("asn", &*peer.asn),
                ("state", &*peer.state),
            ];
            text.sample(INFO, &labels, 1);
        }
        let families: [Row; 3] = [
            (
                "bgp_peer_sessions_lost_total",
                Kind::Counter,
                "Sessions of a BGP peer that ended",
                |peer| peer.flaps,
            ),
            (
                "bgp_peer_prefixes_received",
                Kind::Gauge,
                "Prefixes that a BGP peer announces to us",
                |peer| peer.received,
            ),
            (
                "bgp_peer_prefixes_advertised",
                Kind::Gauge,
                "Prefixes that we announce to a BGP peer",
                |peer| peer.announced,
            ),
        ];
        for (name, kind, help, value) in families {
            text.family(name, kind, help);
            for peer in &peers {
                text.sample(name, &[("address", &*peer.address)], value(peer));
            }
        }
    }
}

fn summary(status: &SpeakerStatus) -> Vec<Peer> {
    let neighbors = status.neighbors.iter();
    let peers = neighbors.map(|neighbor| {
        let session = &neighbor.desired.session;
        let (asn, is_internal) = match session.peer_as {
            PeerAs::Exactly(asn) => (asn.to_string(), asn == session.local_as),
            PeerAs::External => {
                let terms = neighbor.terms.as_ref();
                let asn = terms.map_or(0, |terms| terms.negotiated.peer_as);
                (asn.to_string(), false)
            }
        };
        let count = |a: usize, b: usize| u64::try_from(a.saturating_add(b)).unwrap_or(u64::MAX);
        Peer {
            address: neighbor.peer.to_string(),
            kind: if is_internal { "internal" } else { "external" },
            asn,
            state: neighbor.state.to_string().to_lowercase(),
            flaps: neighbor.counters.lost,
            received: count(neighbor.received.v4.accepted, neighbor.received.v6.accepted),
            announced: count(neighbor.announced.v4, neighbor.announced.v6),
        }
    });
    peers.collect()
}

/// What one pass of routing took, what was learned and what was said; upstream counts its parts.
pub(super) fn encode(
    text: &mut Text,
    passes: &ControllerMetrics,
    learning: &Learning,
    announced: &Announced,
) {
    let times = [
        (
            "host_routes_sync_time",
            "Time it took to sync the host's routes",
            &passes.pass,
        ),
        (
            "controller_routes_sync_time",
            "Time it took for controller to sync routes",
            &passes.pass,
        ),
        (
            "controller_bgp_internal_peers_sync_time",
            "Time it took to sync internal bgp peers",
            &passes.plan,
        ),
    ];
    for (name, help, time) in times {
        text.family(name, Kind::Histogram, help);
        text.histogram(name, &[], time);
    }
    const SYNCED: &str = "host_routes_synced";
    text.family(SYNCED, Kind::Gauge, "Prefixes that BGP has learned");
    text.sample(SYNCED, &[], learning.prefixes.load(Relaxed));
    const RECEIVED: &str = "controller_bgp_advertisements_received";
    text.family(RECEIVED, Kind::Counter, "BGP advertisements received");
    text.sample(RECEIVED, &[], learning.changes.load(Relaxed));
    const SENT: &str = "controller_bgp_advertisements_sent";
    text.family(SENT, Kind::Counter, "BGP advertisements sent");
    for (kind, count) in [
        ("pod-route", announced.pod_ranges()),
        ("advertise-vip", announced.vips()),
        ("withdraw-vip", announced.withdrawn_vips()),
    ] {
        text.sample(SENT, &[("type", kind)], count);
    }
}
