//! The service proxy: Services to IPVS.
//!
//! Owns virtual servers, the addresses of `kube-dummy-if`, the sets `kube-router-svip*`,
//! `kube-router-inside` and `kube-router-local-ips`, the chains `KUBE-ROUTER-SERVICES` (filter)
//! and `KUBE-ROUTER-SVC-MASQ` (nat), and a list of sysctls. What makes a kernel object ours stands
//! in `proxy::apply`.
//!
//! Not here yet, with their place: direct return (mark and tunnel entries beside the address
//! entries of a `Fragment`), hairpin (a third chain of the ruleset), graceful termination (a
//! weight of 0 and a deadline instead of `DelReal`), health-check node ports (a field of the plan).

mod apply;
pub mod change;
mod controller;
mod input;
mod kernel;
mod observe;
pub mod plan;
mod print;
mod rooms;

pub use apply::Withheld;
pub use controller::Proxy;
pub use input::{Input, Settings};
pub use kernel::{Fault, HeldSet, Kernel};
pub use plan::Plan;
pub use print::print;
pub use rooms::{HostKernel, OpenError, RoomKernel};
