//! The controllers that run, each with its part of the configuration.

use std::sync::Arc;

use super::daemon::settings;
use crate::config::Config;
use crate::model::{NodeFacts, Snapshot};
use crate::reconcile::Slot;
use crate::routing::{self, BgpSettings, Learned};
use crate::{netpol, proxy};

/// A controller's slot and what it is told of the configuration.
#[derive(Debug)]
pub(super) struct Fed<I, S> {
    pub(super) slot: Slot<I>,
    pub(super) settings: Arc<S>,
}

/// The controllers of this node; `None` is switched off.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) proxy: Option<Fed<proxy::Input, proxy::Settings>>,
    pub(super) netpol: Option<Fed<netpol::Input, netpol::Settings>>,
    pub(super) routing: Option<Fed<routing::Input, routing::Settings>>,
    /// What of the configuration BGP's plan needs.
    pub(super) bgp: Arc<BgpSettings>,
}

// === impl Slots ===

impl Slots {
    /// Slots for what the configuration switches on.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            proxy: config.proxy.enabled.then(|| Fed {
                slot: Slot::new(),
                settings: Arc::new(settings(config)),
            }),
            netpol: config.netpol.enabled.then(|| Fed {
                slot: Slot::new(),
                settings: Arc::new(policy_settings(config)),
            }),
            routing: config.routing.enabled.then(|| Fed {
                slot: Slot::new(),
                settings: Arc::new(routing::Settings::new(config)),
            }),
            bgp: Arc::new(bgp_settings(config)),
        }
    }

    /// How many controllers there are.
    pub(super) fn len(&self) -> usize {
        let all = [
            self.proxy.is_some(),
            self.netpol.is_some(),
            self.routing.is_some(),
        ];
        all.into_iter().filter(|is_there| *is_there).count()
    }

    /// Hands the newest of everything to those that it is enough for: without pods and policies
    /// nothing of network policy is planned, and what the kernel holds stays.
    pub(super) fn put(
        &self,
        snapshot: &Arc<Snapshot>,
        facts: &Arc<NodeFacts>,
        learned: Option<Learned>,
    ) {
        if let Some(fed) = &self.proxy {
            fed.slot.put(proxy::Input {
                snapshot: Arc::clone(snapshot),
                facts: Arc::clone(facts),
                settings: Arc::clone(&fed.settings),
            });
        }
        if let Some(fed) = self.netpol.as_ref().filter(|_| snapshot.knows_policies) {
            fed.slot.put(netpol::Input {
                snapshot: Arc::clone(snapshot),
                facts: Arc::clone(facts),
                settings: Arc::clone(&fed.settings),
            });
        }
        if let Some(learned) = learned {
            self.put_routing(snapshot, facts, learned);
        }
    }

    /// What has been learned is routing's business alone.
    pub(super) fn put_routing(
        &self,
        snapshot: &Arc<Snapshot>,
        facts: &Arc<NodeFacts>,
        learned: Learned,
    ) {
        if let Some(fed) = &self.routing {
            fed.slot.put(routing::Input {
                snapshot: Arc::clone(snapshot),
                facts: Arc::clone(facts),
                settings: Arc::clone(&fed.settings),
                bgp: Some(Arc::clone(&self.bgp)),
                learned,
            });
        }
    }

    /// Takes over another configuration; whether it means anything to one of them.
    pub(super) fn configure(&mut self, config: &Config) -> bool {
        let mut changed = false;
        if let Some(fed) = &mut self.proxy {
            changed |= replace(&mut fed.settings, settings(config));
        }
        if let Some(fed) = &mut self.netpol {
            changed |= replace(&mut fed.settings, policy_settings(config));
        }
        if let Some(fed) = &mut self.routing {
            changed |= replace(&mut fed.settings, routing::Settings::new(config));
            changed |= replace(&mut self.bgp, bgp_settings(config));
        }
        changed
    }

    pub(super) fn stop(&self) {
        if let Some(fed) = &self.proxy {
            fed.slot.stop();
        }
        if let Some(fed) = &self.netpol {
            fed.slot.stop();
        }
        if let Some(fed) = &self.routing {
            fed.slot.stop();
        }
    }
}

fn replace<S: PartialEq>(held: &mut Arc<S>, new: S) -> bool {
    let differs = **held != new;
    if differs {
        *held = Arc::new(new);
    }
    differs
}

/// What of the configuration is network policy's business.
pub(super) fn policy_settings(config: &Config) -> netpol::Settings {
    netpol::Settings {
        families: config.node.families,
        default_deny: config.netpol.default_deny,
        log_drops: config.netpol.log_drops,
        backend: config.netpol.backend,
        established: config.netpol.established,
        sync_period: config.netpol.sync_period,
    }
}

/// What of the configuration BGP's plan needs.
fn bgp_settings(config: &Config) -> BgpSettings {
    BgpSettings {
        bgp: config.bgp.clone(),
        cluster: config.cluster.clone(),
    }
}
