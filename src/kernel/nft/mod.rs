//! nf_tables by nfnetlink: whole transactions, read back as they were written
//! (`linux/netfilter/nf_tables.h`, nft(8)).
//!
//! A transaction is one netlink batch: all of it takes effect at once or nothing does, and each
//! refused command is named. What a table holds is read back into the same types, so that plan and
//! kernel can be compared; what others put in and this room does not speak is kept as foreign.
//! Needs Linux 6.1; tables that only their owner can change need 6.9.
//!
//! ```no_run
//! use kube_router::kernel::nft::*;
//! let mut nft = Nft::open()?;
//! let input = Name::new("input").expect("a name");
//! let mut transaction = Transaction::new(Name::new("example").expect("a name"));
//! let base = Base { hook: Hook::Input, priority: 0, policy: Policy::Accept };
//! transaction
//!     .add_table(nft.can_own()?)
//!     .add_chain(Chain { name: input.clone(), base: Some(base), comment: None })
//!     .add_rule(&input, Rule::new([
//!         Expr::L4proto(Test::Is(6)),
//!         Expr::Port(Side::Destination, Test::Is(23)),
//!         Expr::Verdict(Verdict::Drop),
//!     ]));
//! nft.commit(&transaction, None)?;
//! # Ok::<(), kube_router::kernel::nft::Error>(())
//! ```

mod element;
mod elsewhere;
mod expr;
mod fake;
mod fake_table;
mod handle;
mod monitor;
pub mod object;
mod observed;
mod text;
mod transaction;
mod walk;
mod wire;
mod wire_rule;
mod wire_rule_read;
mod wire_set;

pub use fake::FakeNft;
pub use handle::Nft;
pub use monitor::{Monitor, Notice};
pub use object::{
    AddressType, Base, Chain, CtStates, Element, Expr, Field, Hook, InvalidName, Key, KeyType,
    Label, Limit, Name, Policy, Reject, Rule, Set, Side, Table, Term, Test, Unit, Verdict,
};
pub use observed::{
    Generation, Observed, ObservedChain, ObservedRule, ObservedSet, ObservedTable, Ownership,
    TableHeader,
};
pub use transaction::{Command, Existing, Transaction};
pub use walk::{Packet, Transport, Walk, WalkVerdict};
pub use wire::{chain as decode_chain, encode, table as decode_table};
pub use wire_rule_read::rule as decode_rule;
pub use wire_set::{members as decode_members, set as decode_set};

use std::fmt;

use crate::kernel::netlink::NetlinkError;

/// What went wrong with a transaction or with reading tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing of the transaction took effect; never empty.
    #[error("{}", list(.0))]
    Refused(Vec<Refusal>),
    /// Somebody changed the ruleset since the generation that the transaction was made for.
    #[error("the ruleset was changed by somebody else in the meantime")]
    Outdated,
    /// The ruleset kept changing while it was read.
    #[error("the ruleset was changed {tries} times in a row while it was read")]
    Unsettled { tries: u32 },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// A command that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its index in the transaction.
    pub command: usize,
    /// The index of the element in the command, where the kernel names one.
    pub element: Option<usize>,
    /// The command or the element as `nft` would write it, shortened.
    pub what: String,
    pub reason: Reason,
}

/// Why a command was refused, in the words of what it tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `EEXIST`: it is there already, overlaps a member, or is there with another verdict.
    #[error("is there already")]
    Exists,
    /// `ENOENT`: it, or something that it names, is not there.
    #[error("is not there, or names something that is not")]
    Missing,
    /// `EBUSY`: something still refers to it.
    #[error("is in use")]
    Busy,
    /// `EPERM` on one command: the table is another process's.
    #[error("belongs to another process")]
    NotOwner,
    /// `ENFILE`
    #[error("does not fit, the set is full")]
    Full,
    /// `ELOOP`, `EMLINK`: chains jump in a circle or too deep.
    #[error("would make chains jump in a circle or too deep")]
    Loop,
    #[error("{0}")]
    Kernel(NetlinkError),
}

/// What the kernel can do with tables; [`Nft`] and [`FakeNft`] do.
pub trait Tables {
    /// Carries a transaction out as a whole or not at all. With `since`, it is refused with
    /// [`Error::Outdated`] if the ruleset of the namespace was changed after that generation.
    fn commit(&mut self, transaction: &Transaction, since: Option<Generation>)
    -> Result<(), Error>;

    /// All that stands in one table, from one generation.
    fn observe(&mut self, table: &Name) -> Result<Observed, Error>;

    /// The headers of all tables of family `inet`.
    fn tables(&mut self) -> Result<Vec<TableHeader>, Error>;

    /// The number of the ruleset's last change.
    fn generation(&mut self) -> Result<Generation, Error>;

    /// Whether tables can be owned and persist (Linux 6.9).
    fn can_own(&mut self) -> Result<bool, Error>;

    /// The number under which the kernel knows who commits here: the owner of the tables, and the
    /// author of changes. Another one after a fault.
    fn port(&self) -> Result<u32, Error>;
}

// === impl Refusal ===

impl Refusal {
    fn new(
        transaction: &Transaction,
        command: usize,
        element: Option<usize>,
        reason: Reason,
    ) -> Self {
        Self {
            command,
            element,
            what: text::shortened(transaction, command, element),
            reason,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

// === impl Reason ===

impl Reason {
    fn new(source: NetlinkError) -> Self {
        match source.errno() {
            Some(libc::EEXIST) => Self::Exists,
            Some(libc::ENOENT) => Self::Missing,
            Some(libc::EBUSY) => Self::Busy,
            Some(libc::EPERM) => Self::NotOwner,
            Some(libc::ENFILE) => Self::Full,
            Some(libc::ELOOP | libc::EMLINK) => Self::Loop,
            _ => Self::Kernel(source),
        }
    }
}

fn list(refused: &[Refusal]) -> String {
    let shown = refused.iter().take(3).map(ToString::to_string);
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if refused.len() > 3 {
        text.push_str(&format!("; and {} more", refused.len() - 3));
    }
    text
}

#[cfg(test)]
mod tests;
