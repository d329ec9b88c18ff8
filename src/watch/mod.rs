//! The cluster and this node as they are: sources, conversion, snapshots.
//!
//! ```text
//!  kube ──────┐
//!             ├─► Event ─► convert ─► store ─► Snapshot (watch channel)
//!  manifest ──┘
//! ```
//!
//! Nobody else knows Kubernetes' wire types.

mod convert;
mod kube;
mod manifest;
mod node;
mod source;
mod status;
mod store;
mod wire;

pub use manifest::{ManifestError, load};
pub use node::{Host, NodeObject, NodeUnknown, node_facts};
pub use status::{PartStatus, SourceStatus};
