//! The health and metrics pages, and the local socket.
//!
//! | Page | Answer |
//! |---|---|
//! | `/healthz` | 200 `OK`, or 500 with a reason per line: a part makes no progress or has failed for long |
//! | `/readyz` | 200 `OK`, or 503 with a reason per line; `?verbose` tells of every part either way |
//! | `/statez` | the same as JSON |
//! | `/metrics` | Prometheus text format, on a listener of its own |
//!
//! The local socket is for [`crate::control`], by the same server; what is there stands there.
//!
//! Nothing that a client does can hold a page back for others: headers have to arrive in time,
//! connections are few and short-lived, and the kernel is read on a blocking thread, once at a
//! time.

mod page;
mod server;
mod socket;

#[cfg(test)]
mod tests;

pub use page::Page;
pub use server::{BindError, Limits, Listener, Site, bind, serve};
pub use socket::{SocketError, bind_local};
