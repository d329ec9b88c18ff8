//! Pod networking: routes, tunnels, the bridge, the CNI configuration.
//!
//! Owns, and knows again by:
//! - routes of protocol [`PROTOCOL`] in the main table (metric [`METRIC`]) and in table 77;
//! - policy rules that lead to table 77;
//! - links `tun-` with eleven hexadecimal digits that are tunnels, upstream's included;
//! - GUE ports that are planned, that this process opened, or that a tunnel of ours sends to;
//! - the bridge `kube-bridge`, the sets `kube-router-pod-subnets` and `kube-router-node-ips`, and
//!   the chains `KUBE-ROUTER-POD-*`;
//! - of the CNI configuration what `plan::cni` says;
//! - a list of kernel settings.
//!
//! Everything is planned from the present inputs ([`plan`]), compared with what stands ([`change`])
//! and applied step by step. What stands of an earlier run is adopted: a restart changes nothing.

mod announced;
mod apply;
pub mod change;
mod cni_file;
mod controller;
mod follow;
mod input;
mod kernel;
mod lost;
mod observe;
pub mod plan;
mod print;
mod rooms;
mod text;

pub use announced::Announced;
pub use apply::Withheld;
pub use controller::Routing;
pub use follow::follow;
pub use input::{Input, Learned, Settings};
pub use kernel::{Fault, HeldRoads, HeldSet, Kernel, RouteEdit, Unsupported};
pub use lost::Lost;
pub use plan::Plan;
pub use plan::bgp::{BgpPlan, BgpSettings, desired as desired_bgp, print as print_bgp};
pub use print::print;
pub use rooms::{HostKernel, OpenError, RoomKernel, Speech};

/// Who made our routes and rules: a number that nobody else has (`rt_protos.d/kube-router.conf`).
pub const PROTOCOL: u8 = crate::kernel::rtnl::object::PROTOCOL_KUBE_ROUTER;
/// The metric of our routes: behind what the host itself says of the same prefix (static routes
/// and networks of links have 0, those of network managers 100 and more), never in its place.
pub const METRIC: u32 = 179;
/// Where our rules stand among the policy rules: before the main table.
pub const PRIORITY: u32 = 32_000;

#[cfg(test)]
mod tests;
