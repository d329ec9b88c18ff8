//! Network policy: which packets of this node's pods pass.
//!
//! Owns the chains `KUBE-ROUTER-{INPUT,FORWARD,OUTPUT,NETPOL}` and `KUBE-NWPLCY-*`, the jumps into
//! the first three, and the sets `kube-router-local-pods`, `kube-router-self`, `KUBE-SRC-*` and
//! `KUBE-DST-*`.

mod change;
mod controller;
mod explain;
mod input;
mod kernel;
pub mod plan;
mod print;
mod quarantine;
mod recheck;
mod standing;

pub use change::{Change, Withheld};
pub use controller::{Netpol, Observed};
pub use explain::{Answer, End, Judgement, Question};
pub use input::{Input, Settings};
pub use kernel::{HostKernel, Kernel, Kind, TABLE, predecessor};
pub use plan::{CLOSED_LOG, Flow, Plan};
pub use print::{NAMES, print};
pub use standing::Standing;
