//! What routing reads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bgp::rib::BestPaths;
use crate::config::{Config, OverlayEncap, OverlayType};
use crate::model::{NodeFacts, Snapshot};
use crate::net::{ByFamily, Prefix};
use crate::routing::plan::bgp::BgpSettings;
use crate::routing::plan::overlay::{Encap, Overlay, Reach};

/// The checked configuration that routes, tunnels and the node's set-up need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub families: ByFamily<bool>,
    /// `None`: no tunnels.
    pub overlay: Option<Overlay>,
    /// The MTU of pods follows from that of the node's link.
    pub auto_mtu: bool,
    /// Pods' packets out of the cluster leave with an address of the node.
    pub pod_egress: bool,
    /// The CNI configuration to keep; `None` leaves it alone.
    pub cni: Option<PathBuf>,
    /// Ranges of addresses of Services: nothing in them is ever a learned route.
    pub service_ranges: Vec<Prefix>,
    /// How often everything is read back and repaired: the shorter of `sync_period` and
    /// `injected_routes_sync_period`.
    pub sync_period: Duration,
    /// How long after the start routes of an earlier run stay, though no peer has told them yet:
    /// the graceful restart time, or without graceful restart the hold time.
    pub patience: Duration,
}

/// What the speaker has learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    pub best: BestPaths,
    /// Families of which the speaker shows nothing yet, because it waits for helpers
    /// ([`SpeakerStatus::deferred`](crate::bgp::speaker::SpeakerStatus)).
    pub deferred: ByFamily<bool>,
}

/// Immutable values, cheap to clone; equal identity means nothing changed.
#[derive(Debug, Clone)]
pub struct Input {
    pub snapshot: Arc<Snapshot>,
    pub facts: Arc<NodeFacts>,
    pub settings: Arc<Settings>,
    /// `None`: BGP is not spoken.
    pub bgp: Option<Arc<BgpSettings>>,
    pub learned: Learned,
}

/// For sessions without a hold time.
const NO_HOLD_TIME: Duration = Duration::from_secs(90);

// === impl Settings ===

impl Settings {
    /// What of the configuration is routing's business.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (routing, bgp) = (&config.routing, &config.bgp);
        let overlay = routing.enable_overlay.then_some(Overlay {
            reach: match routing.overlay_type {
                OverlayType::Subnet => Reach::Subnet,
                OverlayType::Full => Reach::Full,
            },
            encap: match routing.overlay_encap {
                OverlayEncap::Ipip => Encap::Ipip,
                OverlayEncap::Fou => Encap::Fou {
                    port: routing.overlay_encap_port,
                },
            },
        });
        let patience = match bgp.holdtime {
            _ if bgp.graceful_restart => bgp.graceful_restart_time,
            0 => NO_HOLD_TIME,
            seconds => Duration::from_secs(seconds.into()),
        };
        Self {
            families: config.node.families,
            overlay,
            auto_mtu: routing.auto_mtu,
            pod_egress: routing.enable_pod_egress,
            cni: routing.enable_cni.then(|| routing.cni_conf_file.clone()),
            service_ranges: config.cluster.service_ranges.clone(),
            sync_period: routing.sync_period.min(routing.injected_routes_sync_period),
            patience,
        }
    }
}
