//! What stands in the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::{Chain, Element, Name, Rule, Set};

/// The number of a change of the namespace's ruleset; each commit counts it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// Who may change a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Anybody with the privilege.
    Nobody,
    /// This very socket.
    Mine,
    /// Anybody, as its owner is gone; who adds it again with an owner adopts it.
    Orphan,
    /// Another socket, by its netlink port (mostly the number of its process).
    Other(u32),
}

/// A table without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHeader {
    pub name: Name,
    pub ownership: Ownership,
}

/// A rule in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRule {
    /// The kernel's number for it.
    pub handle: u64,
    pub rule: Rule,
}

/// A chain with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedChain {
    pub chain: Chain,
    /// A base chain of a type, or at a hook, that this room does not speak.
    pub is_foreign: bool,
    pub rules: Vec<ObservedRule>,
}

/// A set with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSet {
    pub set: Arc<Set>,
    /// Of a kind that this room does not speak: its key and members are not told.
    pub is_foreign: bool,
    /// Sorted.
    pub elements: Vec<Element>,
    /// Members that could not be read: catch-all elements, or data other than verdicts.
    pub foreign_elements: usize,
}

/// A table with its contents; objects of other kinds are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedTable {
    pub header: TableHeader,
    pub chains: BTreeMap<Name, ObservedChain>,
    pub sets: BTreeMap<Name, ObservedSet>,
}

/// One table at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub generation: Generation,
    /// Nothing if there is no such table.
    pub table: Option<ObservedTable>,
}

// === impl ObservedChain ===

impl ObservedChain {
    /// The rules without their handles.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|observed| &observed.rule)
    }
}
