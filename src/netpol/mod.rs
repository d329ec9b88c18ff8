//! Network policy: which packets of this node's pods pass.
//!
//! Owns the chains `KUBE-ROUTER-{INPUT,FORWARD,OUTPUT,NETPOL}` and `KUBE-NWPLCY-*`, the jumps into
//! the first three, and the sets `kube-router-local-pods`, `kube-router-self`, `KUBE-SRC-*` and
//! `KUBE-DST-*`.

mod input;
pub mod plan;

pub use input::{Input, Settings};
pub use plan::Plan;
