//! The cluster and this node as they are: sources, conversion, snapshots, facts.
//!
//! ```text
//!  kube ──────┐
//!             ├─► Event ─► convert ─► store ─► Snapshot ─┬─► snapshot ┐
//!  manifest ──┘                                          │            ├ watch channels
//!  rtnetlink ───────────────────► node::Host ─► NodeFacts ◄─► facts ──┘
//! ```
//!
//! Nobody else knows Kubernetes' wire types.

mod cluster;
mod convert;
mod kube;
mod manifest;
mod node;
mod source;
mod status;
mod store;
mod wire;

pub use cluster::{Cluster, WatchError};
pub use manifest::{ManifestError, load};
pub use node::{Host, Lost, NodeObject, NodeUnknown, node_facts};
pub use status::{PartStatus, SourceStatus};
