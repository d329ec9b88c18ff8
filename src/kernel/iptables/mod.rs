//! iptables through `iptables-restore --noflush` and `iptables-save` (iptables-restore(8)).
//!
//! ```text
//! Own ──┐
//!       ├► Saved::changes ─► TableEdits ─► iptables-restore ─► kernel ─► iptables-save ─► Saved
//! Saved ┘
//! ```
//!
//! The only room that starts programs; none runs longer than its deadline. Naming a chain in
//! the input replaces its contents at once. Rules are recognised by the hash in their comment,
//! never by comparing text.

mod fake;
mod handle;
pub mod object;
mod process;
mod saved;

use std::fmt;
use std::time::Duration;

pub use fake::FakeIptables;
pub use handle::Iptables;
pub use object::{
    COMMENT_PREFIX, Chain, ChainName, Edit, Guest, InvalidChain, Own, Position, Rule, RuleHash,
    Table, TableEdits, restore_input,
};
pub use saved::{ParseError, Saved, SavedChain, SavedRule, parse, split_words};

/// What went wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no {program} in {path}")]
    NotFound { program: String, path: &'static str },
    #[error("{program} does not start: {error}")]
    Start { program: String, error: String },
    #[error("{program} took longer than {after:?} and was killed")]
    TimedOut { program: String, after: Duration },
    /// Another program held the lock all the time; worth trying again.
    #[error("{program}: another program holds the xtables lock")]
    Locked { program: String },
    #[error("{program} ({status}): {stderr}{}", at_line(*line, text.as_deref()))]
    Refused {
        program: String,
        /// The tool itself says that it is worth trying again.
        is_transient: bool,
        status: String,
        /// The line of the input at fault, counted from 1, where the tool names it.
        line: Option<usize>,
        text: Option<String>,
        stderr: String,
    },
    #[error("{program}: {source}")]
    Unreadable { program: String, source: ParseError },
}

/// Which kernel interface the tools use. Both may hold rules at once, in different tables of
/// the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Nft,
    Legacy,
}

/// What can be done with tables; [`Iptables`] and [`FakeIptables`] do.
pub trait RuleTables {
    /// Carries out changes: those of one table together or not at all.
    fn restore(&mut self, tables: &[TableEdits]) -> Result<(), Error>;

    /// What stands in a table.
    fn save(&mut self, table: Table) -> Result<Saved, Error>;
}

// === impl Error ===

impl Error {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::TimedOut { .. } => true,
            Self::Refused { is_transient, .. } => *is_transient,
            Self::NotFound { .. } | Self::Start { .. } | Self::Unreadable { .. } => false,
        }
    }
}

fn at_line(line: Option<usize>, text: Option<&str>) -> String {
    match (line, text) {
        (Some(line), Some(text)) => format!(", at line {line}: {text}"),
        (Some(line), None) => format!(", at line {line}"),
        (None, _) => String::new(),
    }
}

// === impl Variant ===

impl Variant {
    /// `iptables-restore v1.8.9 (nf_tables)`; versions before 1.8 are legacy and say nothing.
    fn from_version(text: &str) -> Self {
        if text.contains("(nf_tables)") {
            Self::Nft
        } else {
            Self::Legacy
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        })
    }
}

#[cfg(test)]
mod tests;
