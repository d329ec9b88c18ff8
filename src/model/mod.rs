//! The cluster in our words: only meaningful fields, parsed once, never strings that mean
//! something else.
//!
//! Values are immutable behind `Arc`s. A [`Snapshot`] is cheap to clone, and what changed between
//! two of them is found by identity ([`Table::changed_since`]), not by comparing values.
//!
//! No Kubernetes wire types here: `watch::convert` is the only door.

mod annotation;
mod bgp;
mod facts;
mod labels;
mod name;
mod namespace;
mod node;
mod note;
mod pod;
mod policy;
mod selector;
mod service;
mod slice;
mod snapshot;
mod table;

pub use annotation::ServiceAnnotations;
pub use bgp::{AnnotatedBfd, AnnotatedPeer, Communities, NodeBgp, PathPrepend, Reflector};
pub use facts::{LocalAddress, NodeFacts};
pub use labels::Labels;
pub use name::ObjectName;
pub use namespace::Namespace;
pub use node::Node;
pub use note::{Note, ObjectRef};
pub use pod::{NamedPort, Pod};
pub use policy::{IpBlock, NetworkPolicy, Peer, PolicyPort, PolicyRule, PortSpec};
pub use selector::{Requirement, Selector};
pub use service::{Service, ServiceKind, ServicePort, TrafficDistribution, TrafficPolicy};
pub use slice::{Endpoint, EndpointSlice, SlicePort, SliceSet};
pub use snapshot::Snapshot;
pub use table::Table;
