//! The steps of network policy.

use std::fmt;

use crate::firewall::Change as RuleChange;
use crate::net::Family;
use crate::netpol::kernel::{Kind, predecessor};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Rules(RuleChange),
    /// Lets frames between ports of a bridge pass the rules.
    FilterBridge(Family),
    /// Judges connections again that were allowed before policies changed.
    Recheck(Family),
    /// Takes away what the other backend left, now that this one's rules stand.
    Retire(Kind),
    /// Takes away the table that upstream's kube-router left, now that our rules stand.
    Supersede(Family),
}

/// A step that waits for others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("withheld: the rules in its place do not all stand yet")]
pub struct Withheld;

// === impl Change ===

impl Change {
    /// What sort of step it is, for the count of changes.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rules(step) => step.kind(),
            Self::FilterBridge(_) => "filter-bridge",
            Self::Recheck(_) => "recheck",
            Self::Retire(_) => "retire",
            Self::Supersede(_) => "supersede",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(step) => step.fmt(f),
            Self::FilterBridge(Family::V4) => {
                f.write_str("sysctl -w net.bridge.bridge-nf-call-iptables=1")
            }
            Self::FilterBridge(Family::V6) => {
                f.write_str("sysctl -w net.bridge.bridge-nf-call-ip6tables=1")
            }
            Self::Recheck(family) => {
                write!(
                    f,
                    "judge the {family} connections of this node's pods again"
                )
            }
            Self::Retire(kind) => write!(f, "remove what {} left", kind.name()),
            Self::Supersede(family) => {
                let keyword = match family {
                    Family::V4 => "ip",
                    Family::V6 => "ip6",
                };
                write!(f, "delete table {keyword} {}", predecessor(*family))
            }
        }
    }
}
