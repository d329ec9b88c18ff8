//! Five events, whatever the origin.

use super::wire::{Decoded, EndpointSlice, Namespace, NetworkPolicy, Node, Pod, Service};
use crate::config::Config;
use crate::model::{Note, ObjectName};

/// Which kinds are watched besides Services, EndpointSlices and Nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Pods, Namespaces and NetworkPolicies. A node that enforces none must not pay for them.
    pub policies: bool,
}

/// What a source says about the objects of one kind.
///
/// `Init`, any number of `InitApply` and `InitDone` make a list: what was known before and is not
/// in the list is gone. A list that is begun again replaces the one that did not end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event<T> {
    /// A list begins; what is known stays until it ends.
    Init,
    /// An object of the list.
    InitApply(Decoded<T>),
    /// The list is complete.
    InitDone,
    /// An object is new or changed.
    Apply(Decoded<T>),
    /// An object is gone.
    Delete(ObjectName),
}

/// An event of any kind, on its way to the store.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClusterEvent {
    Service(Event<Service>),
    Slice(Event<EndpointSlice>),
    Node(Event<Node>),
    Pod(Event<Pod>),
    Namespace(Event<Namespace>),
    Policy(Event<NetworkPolicy>),
    /// What is wrong with the source itself (files that cannot be read); replaces the last ones.
    Source(Vec<Note>),
}

/// A wire type whose events have their own variant of [`ClusterEvent`].
pub(super) trait Kind: super::wire::Object {
    fn event(event: Event<Self>) -> ClusterEvent;
}

// === impl Scope ===

impl Scope {
    pub(super) const ALL: Self = Self { policies: true };

    /// What the parts that are switched on need.
    #[must_use]
    pub(super) fn of(config: &Config) -> Self {
        Self {
            policies: config.netpol.enabled,
        }
    }
}

// === impl Kind ===

macro_rules! kinds {
    ($($wire:ident => $variant:ident;)*) => {$(
        impl Kind for $wire {
            fn event(event: Event<Self>) -> ClusterEvent {
                ClusterEvent::$variant(event)
            }
        }
    )*};
}

kinds! {
    Service => Service;
    EndpointSlice => Slice;
    Node => Node;
    Pod => Pod;
    Namespace => Namespace;
    NetworkPolicy => Policy;
}
