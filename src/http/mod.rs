//! The health and metrics pages.
//!
//! | Page | Answer |
//! |---|---|
//! | `/healthz` | 200 `OK`, or 500 with a reason per line: a part makes no progress or has failed for long |
//! | `/readyz` | 200 `OK`, or 503 with a reason per line; `?verbose` tells of every part either way |
//! | `/statez` | the same as JSON |
//! | `/metrics` | Prometheus text format, on a listener of its own |
//!
//! Nothing that a client does can hold a page back for others: headers have to arrive in time,
//! connections are few and short-lived, and the kernel is read on a blocking thread, once at a
//! time.

mod page;
mod server;

#[cfg(test)]
mod tests;

pub use page::Page;
pub use server::{BindError, Limits, Site, bind, serve};
