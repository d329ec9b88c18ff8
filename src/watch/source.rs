//! Five events, whatever the origin.

use super::wire::{Decoded, EndpointSlice, Node, Service};
use crate::model::{Note, ObjectName};

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
    /// What is wrong with the source itself (files that cannot be read); replaces the last ones.
    Source(Vec<Note>),
}

/// A wire type whose events have their own variant of [`ClusterEvent`].
pub(super) trait Kind: super::wire::Object {
    fn event(event: Event<Self>) -> ClusterEvent;
}

// === impl Kind ===

impl Kind for Service {
    fn event(event: Event<Self>) -> ClusterEvent {
        ClusterEvent::Service(event)
    }
}

impl Kind for EndpointSlice {
    fn event(event: Event<Self>) -> ClusterEvent {
        ClusterEvent::Slice(event)
    }
}

impl Kind for Node {
    fn event(event: Event<Self>) -> ClusterEvent {
        ClusterEvent::Node(event)
    }
}
