//! Graceful restart as two machines that know nothing of sessions but when they come and go.
//!
//! - [`Helper`]: the peer restarts, we keep its routes for a while.
//! - [`Restarting`]: we have restarted, the peers keep ours for a while.
//!
//! References: RFC 4724, RFC 8538, RFC 9494.

mod helper;
mod restarting;

pub use helper::Helper;
pub use restarting::{Released, Restarting};
