//! IP sets by nfnetlink, many entries per message (`linux/netfilter/ipset/ip_set.h`, ipset(8)).
//!
//! Sets of unknown types are listed as foreign and never made. Entries that are refused are
//! named each with its reason; all others of the same call take effect.

mod fake;
mod handle;
pub mod object;
mod wire;

pub use fake::FakeIpset;
pub use handle::Ipset;
pub use object::{
    Command, Definition, Entry, InvalidName, IpProtocol, Listed, Selector, SetName, SetType,
    without_zero_length,
};

use std::fmt;

use crate::kernel::netlink::NetlinkError;
use crate::net::Family;

const ERR_FIND_TYPE: i32 = 4098;
const ERR_BUSY: i32 = 4100;
const ERR_EXIST_SETNAME2: i32 = 4101;
const ERR_TYPE_MISMATCH: i32 = 4102;
const ERR_EXIST: i32 = 4103;
const ERR_INVALID_CIDR: i32 = 4104;
const ERR_REFERENCED: i32 = 4108;
const ERR_HASH_FULL: i32 = 4352;

/// What went wrong with a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("kernel has no set type {kind} for {family}: {source}")]
    NoType {
        kind: SetType,
        family: Family,
        source: NetlinkError,
    },
    #[error("set {0} is of a type that is not spoken here")]
    Foreign(SetName),
    #[error("set {0} exists")]
    Exists(SetName),
    #[error("no set {0}")]
    NoSet(SetName),
    /// A rule or another set refers to it.
    #[error("set {0} is in use")]
    Busy(SetName),
    /// Only sets of one type and family can be swapped.
    #[error("set {0} and the other are of different types")]
    TypeMismatch(SetName),
    #[error("set {set}: {}", list(refused))]
    Entries { set: SetName, refused: Vec<Refusal> },
    #[error("set {set}: {source}")]
    Set { set: SetName, source: NetlinkError },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// An entry that was not added or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub entry: Entry,
    pub reason: Reason,
}

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("is there already")]
    Exists,
    #[error("is not there")]
    Missing,
    /// `maxelem` is reached.
    #[error("does not fit, the set is full")]
    Full,
    /// A length of 0, which needs [`without_zero_length`].
    #[error("has a prefix length that sets do not take")]
    PrefixLength,
    #[error("{0}")]
    Kernel(NetlinkError),
}

/// Whether what is already as wanted is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Adding what is there, and deleting what is not, succeeds.
    Ignored,
    Refused,
}

/// What the kernel can do with sets; [`Ipset`] and [`FakeIpset`] do.
pub trait Sets {
    /// Sets with or without their members, by name.
    fn list(&mut self, selector: &Selector, with_members: bool) -> Result<Vec<Listed>, Error>;

    /// Whether the kernel has sets of this type; a module for it is loaded if there is one.
    fn has_type(&mut self, kind: SetType, family: Family) -> Result<bool, Error>;

    fn create(&mut self, definition: &Definition) -> Result<(), Error>;

    fn add(&mut self, set: &SetName, entries: &[Entry], existing: Existing) -> Result<(), Error>;

    fn del(&mut self, set: &SetName, entries: &[Entry], missing: Existing) -> Result<(), Error>;

    fn flush(&mut self, set: &SetName) -> Result<(), Error>;

    /// Exchanges the contents of two sets at once; rules keep referring by name.
    fn swap(&mut self, one: &SetName, other: &SetName) -> Result<(), Error>;

    fn destroy(&mut self, set: &SetName) -> Result<(), Error>;

    /// Makes the set hold exactly these entries, at once for all who use it: they are filled
    /// into `temporary`, which takes the set's place. A set that is missing is created.
    fn replace(
        &mut self,
        definition: &Definition,
        entries: &[Entry],
        temporary: &SetName,
    ) -> Result<(), Error> {
        let fresh = Definition {
            name: temporary.clone(),
            ..definition.clone()
        };
        match self.destroy(temporary) {
            Ok(()) | Err(Error::NoSet(_)) => {}
            Err(error) => return Err(error),
        }
        self.create(&fresh)?;
        let filled = self.add(temporary, entries, Existing::Ignored);
        // Refused entries are the caller's to judge; the others are to take effect.
        if !matches!(filled, Ok(()) | Err(Error::Entries { .. })) {
            return filled.and(self.destroy(temporary));
        }
        match self.create(definition) {
            Ok(()) | Err(Error::Exists(_)) => {}
            Err(error) => return Err(error),
        }
        self.swap(temporary, &definition.name)?;
        self.destroy(temporary)?;
        filled
    }

    /// One command as it is printed.
    fn run(&mut self, command: &Command) -> Result<(), Error> {
        match command {
            Command::Create(definition) => self.create(definition),
            Command::Add(set, entries) => self.add(set, entries, Existing::Ignored),
            Command::Del(set, entries) => self.del(set, entries, Existing::Ignored),
            Command::Flush(set) => self.flush(set),
            Command::Swap(one, other) => self.swap(one, other),
            Command::Destroy(set) => self.destroy(set),
        }
    }
}

// === impl Error ===

impl Error {
    /// What the kernel's errno means for a set.
    fn on(set: &SetName, source: NetlinkError) -> Self {
        let set = set.clone();
        match source.errno() {
            Some(libc::EEXIST) => Self::Exists(set),
            Some(libc::ENOENT | ERR_EXIST_SETNAME2) => Self::NoSet(set),
            Some(ERR_BUSY | ERR_REFERENCED) => Self::Busy(set),
            Some(ERR_TYPE_MISMATCH) => Self::TypeMismatch(set),
            _ => Self::Set { set, source },
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

// === impl Refusal ===

impl Refusal {
    fn new(entry: Entry, is_add: bool, error: NetlinkError) -> Self {
        let reason = match error.errno() {
            Some(ERR_EXIST) if is_add => Reason::Exists,
            Some(ERR_EXIST) => Reason::Missing,
            Some(ERR_HASH_FULL) => Reason::Full,
            Some(ERR_INVALID_CIDR) => Reason::PrefixLength,
            _ => Reason::Kernel(error),
        };
        Self { entry, reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.entry, self.reason)
    }
}

#[cfg(test)]
mod tests;
