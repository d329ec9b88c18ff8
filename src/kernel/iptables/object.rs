//! Tables, chains and rules of iptables as text (`iptables-restore(8)`).
//!
//! No I/O. Rules do not survive a round trip through the kernel as text, so each of ours
//! carries a hash of itself in its comment, and what is installed is compared by hashes alone.

use std::fmt;

pub use super::saved::{Saved, parse};

/// What the comment of every rule of ours starts with.
pub const COMMENT_PREFIX: &str = "kube-router:";

/// Longest name of a chain in bytes (`XT_EXTENSION_MAXNAMELEN` less the closing zero).
const NAME_MAX: usize = 28;
/// Longest comment in bytes (`XT_MAX_COMMENT_LEN` less the closing zero).
const COMMENT_MAX: usize = 255;

/// A name that iptables would not take for a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a chain: 1 to 28 bytes, without spaces, not starting with - or !")]
pub struct InvalidChain(pub String);

/// A table with its built-in chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Raw,
    Mangle,
    Nat,
    Filter,
}

/// The name of a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName(String);

/// A rule of ours. Control characters in its texts are replaced by spaces, so that a rule is
/// always one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    matches: String,
    note: String,
    target: String,
}

/// Tells rules of ours from one another: the same for the same text, in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleHash(pub u64);

/// A chain of ours with all its rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain {
    pub name: ChainName,
    pub rules: Vec<Rule>,
}

/// Where in a foreign chain a rule of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Before all foreign rules, after our own earlier ones; enforced.
    First,
    /// Right after the last rule of another owner of ours, at the top where there is none; enforced.
    /// For one owner per chain: two would chase each other. Beside a `First` one it stands behind it.
    Behind,
    /// Appended when absent; not enforced.
    Last,
}

/// A rule of ours in a chain that is not ours, such as a jump from `INPUT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guest {
    pub chain: ChainName,
    pub position: Position,
    pub rule: Rule,
}

/// All that is ours in one table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Own {
    pub table: Table,
    pub chains: Vec<Chain>,
    /// In the order in which they are to stand.
    pub guests: Vec<Guest>,
}

/// One change inside a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edit {
    /// Creates the chain, or replaces its contents at once.
    ReplaceChain(Chain),
    DeleteChain(ChainName),
    /// Puts the rule at this place, counted from 1; at the end without a place.
    InsertRule {
        chain: ChainName,
        place: Option<usize>,
        rule: Rule,
    },
    /// Removes the first rule with exactly this text, as `iptables-save` printed it.
    DeleteRule {
        chain: ChainName,
        text: String,
    },
}

/// Changes of one table that take effect together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableEdits {
    pub table: Table,
    pub edits: Vec<Edit>,
}

// === impl Table ===

impl Table {
    pub const ALL: [Self; 4] = [Self::Raw, Self::Mangle, Self::Nat, Self::Filter];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mangle => "mangle",
            Self::Nat => "nat",
            Self::Filter => "filter",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl ChainName ===

impl ChainName {
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidChain> {
        let name = name.into();
        let is_bad = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty()
            || name.len() > NAME_MAX
            || name.starts_with(['-', '!', ':', '*', '#', '"'])
            || name.contains(is_bad)
        {
            return Err(InvalidChain(name));
        }
        Ok(Self(name))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Rule ===

impl Rule {
    /// `matches` such as `-m set --match-set NAME dst`, `target` such as `-j ACCEPT`, both as
    /// iptables takes them and possibly empty; `note` says to people what the rule is for.
    #[must_use]
    pub fn new(matches: &str, target: &str, note: &str) -> Self {
        Self {
            matches: one_line(matches),
            note: one_line(note).replace(['"', '\\'], " "),
            target: one_line(target),
        }
    }

    #[must_use]
    pub fn matches(&self) -> &str {
        &self.matches
    }

    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    #[must_use]
    pub fn hash(&self) -> RuleHash {
        let mut hash = Fnv::new();
        for part in [&self.matches, &self.note, &self.target] {
            hash.write(part.as_bytes());
            hash.write(&[0]);
        }
        RuleHash(hash.0)
    }

    fn comment(&self) -> String {
        let mut comment = format!("{COMMENT_PREFIX}{}", self.hash());
        if !self.note.is_empty() {
            comment.push(' ');
            comment.push_str(&self.note);
        }
        let mut end = comment.len().min(COMMENT_MAX);
        while !comment.is_char_boundary(end) {
            end -= 1;
        }
        comment.truncate(end);
        comment
    }
}

/// What follows `-A CHAIN`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.matches.is_empty() {
            write!(f, "{} ", self.matches)?;
        }
        write!(f, "-m comment --comment \"{}\"", self.comment())?;
        if !self.target.is_empty() {
            write!(f, " {}", self.target)?;
        }
        Ok(())
    }
}

// === impl RuleHash ===

impl RuleHash {
    /// Reads the hash out of a comment of ours.
    #[must_use]
    pub fn from_comment(comment: &str) -> Option<Self> {
        let digits = comment.strip_prefix(COMMENT_PREFIX)?.get(..16)?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for RuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// === impl TableEdits ===

impl TableEdits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }
}

/// The input of `iptables-restore`.
impl fmt::Display for TableEdits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*{}", self.table)?;
        self.write_declarations(f)?;
        self.write_deleted_rules(f)?;
        self.write_contents(f)?;
        self.write_deleted_chains(f)?;
        writeln!(f, "COMMIT")
    }
}

impl TableEdits {
    /// Naming a chain creates or empties it.
    fn write_declarations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for edit in &self.edits {
            match edit {
                Edit::ReplaceChain(Chain { name, .. }) | Edit::DeleteChain(name) => {
                    writeln!(f, ":{name} - [0:0]")?;
                }
                Edit::InsertRule { .. } | Edit::DeleteRule { .. } => {}
            }
        }
        Ok(())
    }

    fn write_deleted_rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for edit in &self.edits {
            if let Edit::DeleteRule { chain, text } = edit {
                writeln!(f, "-D {chain} {}", one_line(text))?;
            }
        }
        Ok(())
    }

    fn write_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for edit in &self.edits {
            match edit {
                Edit::ReplaceChain(chain) => {
                    for rule in &chain.rules {
                        writeln!(f, "-A {} {rule}", chain.name)?;
                    }
                }
                Edit::InsertRule {
                    chain,
                    place: Some(place),
                    rule,
                } => writeln!(f, "-I {chain} {place} {rule}")?,
                Edit::InsertRule {
                    chain,
                    place: None,
                    rule,
                } => writeln!(f, "-A {chain} {rule}")?,
                Edit::DeleteChain(_) | Edit::DeleteRule { .. } => {}
            }
        }
        Ok(())
    }

    /// Last, when nothing refers to them any more.
    fn write_deleted_chains(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for edit in &self.edits {
            if let Edit::DeleteChain(name) = edit {
                writeln!(f, "-X {name}")?;
            }
        }
        Ok(())
    }
}

/// The input of one `iptables-restore --noflush` for these tables; empty tables are left out.
#[must_use]
pub fn restore_input(tables: &[TableEdits]) -> String {
    let changed = tables.iter().filter(|table| !table.is_empty());
    changed.map(ToString::to_string).collect()
}

fn one_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

/// FNV-1a, 64 bits: fixed for ever, unlike the standard library's hash.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
