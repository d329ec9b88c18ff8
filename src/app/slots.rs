//! The controllers that run, each with its part of the configuration.

use std::sync::Arc;

use super::daemon::settings;
use crate::config::Config;
use crate::model::{NodeFacts, Snapshot};
use crate::reconcile::Slot;
use crate::{netpol, proxy};

/// A controller's slot and what it is told of the configuration.
#[derive(Debug)]
pub(super) struct Fed<I, S> {
    pub(super) slot: Slot<I>,
    pub(super) settings: Arc<S>,
}

/// The controllers of this node; `None` is switched off.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) proxy: Option<Fed<proxy::Input, proxy::Settings>>,
    pub(super) netpol: Option<Fed<netpol::Input, netpol::Settings>>,
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
        }
    }

    /// How many controllers there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.proxy.is_some()) + usize::from(self.netpol.is_some())
    }

    /// Hands the newest of everything to those that it is enough for: without pods and policies
    /// nothing of network policy is planned, and what the kernel holds stays.
    pub(super) fn put(&self, snapshot: &Arc<Snapshot>, facts: &Arc<NodeFacts>) {
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
        changed
    }

    pub(super) fn stop(&self) {
        if let Some(fed) = &self.proxy {
            fed.slot.stop();
        }
        if let Some(fed) = &self.netpol {
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
