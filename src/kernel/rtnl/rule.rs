//! Rules that choose a routing table (`linux/fib_rules.h`, ip-rule(8)).
//!
//! No I/O. Only rules by source and destination have an object here; rules that look at anything
//! else (a mark, a link, a user) are never ours and never listed.

use super::path::{PROTOCOL_KUBE_ROUTER, TABLE_KUBE_ROUTER};
use crate::net::{Family, Prefix};

/// `from PREFIX to PREFIX lookup TABLE pref PRIORITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub family: Family,
    /// Lower numbers are asked first.
    pub priority: u32,
    /// Masked; `None` is any.
    pub source: Option<Prefix>,
    /// Masked; `None` is any.
    pub destination: Option<Prefix>,
    pub table: u32,
    /// Who made it; 0 where the maker did not say.
    pub protocol: u8,
}

// === impl Rule ===

impl Rule {
    /// Our rule that sends packets from a range of pods to our table first.
    #[must_use]
    pub fn from_pods(pods: Prefix, priority: u32) -> Self {
        Self {
            family: Family::of_prefix(&pods),
            priority,
            source: Some(pods.trunc()),
            destination: None,
            table: TABLE_KUBE_ROUTER,
            protocol: PROTOCOL_KUBE_ROUTER,
        }
    }

    /// Known by table and protocol.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.table == TABLE_KUBE_ROUTER && self.protocol == PROTOCOL_KUBE_ROUTER
    }
}
