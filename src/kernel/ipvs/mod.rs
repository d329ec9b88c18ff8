//! IPVS by generic netlink: virtual servers, real servers, timeouts, statistics.
//!
//! No program is started. Commands go out many per send with a verdict each; the table is read
//! back from one list of virtual servers and `/proc`. IPVS sends no notifications, so whoever
//! minds foreign changes reads it back from time to time. Follows `include/uapi/linux/ip_vs.h`
//! and `net/netfilter/ipvs/ip_vs_ctl.c`.
//!
//! ```no_run
//! use kube_router::kernel::ipvs::{Ipvs, Table, object::Command};
//! let mut ipvs = Ipvs::open()?;
//! let commands: Vec<Command> = ["-A -t 10.96.0.10:80 -s rr", "-a -t 10.96.0.10:80 -r 10.0.0.1:80 -m"]
//!     .iter()
//!     .filter_map(|line| line.parse().ok())
//!     .collect();
//! for (command, verdict) in commands.iter().zip(ipvs.apply(&commands)) {
//!     if let Err(error) = verdict {
//!         eprintln!("ipvsadm {command}: {error}");
//!     }
//! }
//! # Ok::<(), kube_router::kernel::ipvs::IpvsError>(())
//! ```

pub mod object;

mod error;
mod fake;
mod handle;
mod parse;
mod proc;
mod text;
mod wire;

pub use error::IpvsError;
pub use fake::FakeIpvs;
pub use handle::{Ipvs, Table};
pub use parse::{TableError, TextError, parse_table};
pub use proc::{ProcEntry, ProcError, parse_proc};
pub use text::print_table;
pub use wire::{DecodeError, decode_real, decode_virtual, encode};

#[cfg(test)]
mod tests;
