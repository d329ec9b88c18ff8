//! Packets that rules log to an nflog group (`linux/netfilter/nfnetlink_log.h`).
//!
//! One socket reads one group; nobody else can while it is open. Only the head of each packet is
//! copied, so that a record has a bound. Needs `CAP_NET_ADMIN` and nothing more: without a reader
//! the kernel logs to nobody.
//!
//! ```no_run
//! use kube_router::kernel::nflog::{Nflog, Notice};
//! let mut log = Nflog::open(100)?;
//! if let Notice::Records(records) = log.next(None)? {
//!     for record in records {
//!         println!("{}: {:?}", record.prefix, record.header());
//!     }
//! }
//! # Ok::<(), kube_router::kernel::nflog::Error>(())
//! ```

mod handle;
mod header;
pub mod object;
mod wire;

pub use handle::{Nflog, Notice};
pub use header::decode as decode_header;
pub use object::{Header, Record, Transport};
pub use wire::decode;

use crate::kernel::netlink::NetlinkError;

/// What went wrong with a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel's `EPERM` has these two reasons.
    #[error("nflog group {0} is read by somebody else, or CAP_NET_ADMIN is missing")]
    NotAllowed(u16),
    #[error("nflog group {group}: {source}")]
    Group { group: u16, source: NetlinkError },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

#[cfg(test)]
mod tests;
