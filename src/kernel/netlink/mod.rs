//! Netlink: framing, attributes, requests with acks, dumps, notifications.
//!
//! A blocking socket on `libc` alone. The kernel answers a request inside the send call, so
//! nothing is gained by waiting asynchronously, and many requests per send cost one ack.
//! Invariants: readers never panic, whatever the bytes; every wait has an end; answers lost or
//! dumps interrupted are noticed. Follows `include/uapi/linux/netlink.h` and
//! `Documentation/userspace-api/netlink/intro.rst`.
//!
//! ```no_run
//! use kube_router::kernel::netlink::{Request, Socket};
//! let mut socket = Socket::open(libc::NETLINK_ROUTE)?;
//! let mut request = Request::new(libc::RTM_GETLINK, 0).payload(&[0; 16]);
//! request.attributes().u32(libc::IFLA_EXT_MASK, 1);
//! for message in &socket.dump(&request)? {
//!     let name = message.attributes(16)?.find_kind(libc::IFLA_IFNAME).map(|attr| attr.text());
//! }
//! # Ok::<(), kube_router::kernel::netlink::NetlinkError>(())
//! ```

mod attr;
mod batch;
mod error;
mod message;
mod socket;
mod sys;
mod transaction;

pub use attr::{Attr, AttrReader, AttrWriter, NLA_F_NESTED, NLA_F_NET_BYTEORDER};
pub use batch::{BATCH_BYTES, BATCH_MESSAGES};
pub use error::NetlinkError;
pub use message::{
    Message, Messages, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_MULTI,
    NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, Replies, Request,
};
pub use socket::{Event, Only, Socket, Stats};

#[cfg(test)]
mod tests;
