//! nf_tables as plain data (`linux/netfilter/nf_tables.h`, nft(8)).
//!
//! Everything stands in tables of family `inet`, which see both IPv4 and IPv6. No I/O. Texts are
//! those of the `nft` tool (in `text`); rules' expressions are in `expr`, members of sets in
//! `element`.

use std::fmt;
use std::sync::Arc;

pub use super::element::{Element, Key, KeyType, Set, Term};
pub use super::expr::{
    AddressType, CtStates, Expr, Field, Limit, Reject, Side, Test, Unit, Verdict,
};

/// Longest name of a table, chain or set in bytes (`NFT_NAME_MAXLEN` less the closing zero).
pub const NAME_MAX: usize = 255;
/// Longest comment or log prefix in bytes (`NFTNL_UDATA_COMMENT_MAXLEN`, `NF_LOG_PREFIXLEN`).
pub const LABEL_MAX: usize = 127;
/// `NFT_LIMIT_PKT_BURST_DEFAULT`
const BURST_DEFAULT: u32 = 5;

/// A name that the `nft` tool could not read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name in nf_tables: a letter, then letters, digits, / - _ . up to 255 bytes")]
pub struct InvalidName(pub String);

/// The name of a table, chain, set or map. Copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A comment or log prefix: text that fits between quotes. Copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

/// A table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    pub name: Name,
    /// Only the socket that made or adopted it may change it, and it stays when that socket is
    /// closed (`NFT_TABLE_F_OWNER` and `NFT_TABLE_F_PERSIST`, Linux 6.9 and later).
    pub is_owned: bool,
}

/// Where in a packet's way a base chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// What becomes of packets that reach the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    Accept,
    Drop,
}

/// What makes a chain a base chain, of type `filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base {
    pub hook: Hook,
    /// Lower ones come first; 0 is iptables' filter table.
    pub priority: i32,
    pub policy: Policy,
}

/// A chain without its rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain {
    pub name: Name,
    /// Nothing for a chain that is only jumped to.
    pub base: Option<Base>,
    /// Written when the chain is made; the kernel never changes it afterwards.
    pub comment: Option<Label>,
}

/// What is evaluated for a packet, in order, until one does not match.
///
/// [`Rule::new`] puts in what its expressions depend on, so that rules can be compared with those
/// read from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    exprs: Vec<Expr>,
    comment: Option<Label>,
}

// === impl Name ===

impl Name {
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
        let name = name.as_ref();
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_inside = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if name.len() > NAME_MAX || !name.starts_with(is_start) || !name.chars().all(is_inside) {
            return Err(InvalidName(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// A name that stands in the kernel, where any text can.
    pub(super) fn from_kernel(name: &str) -> Self {
        Self(name.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Label ===

impl Label {
    /// Any text; what the `nft` tool would take for something else is replaced (double quotes by
    /// single ones, `\` by `/`, `$` by `_`, control characters by spaces), and what is longer than
    /// [`LABEL_MAX`] bytes is cut off.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut label = String::with_capacity(text.len().min(LABEL_MAX));
        for c in text.chars() {
            if label.len() + c.len_utf8() > LABEL_MAX {
                break;
            }
            label.push(match c {
                '"' => '\'',
                '\\' => '/',
                '$' => '_',
                c if c.is_control() => ' ',
                c => c,
            });
        }
        Self(label.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Hook ===

impl Hook {
    pub const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// `NF_INET_*`
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

// === impl Rule ===

impl Rule {
    /// A rule of these expressions and what they depend on (`meta nfproto ipv4` before
    /// `ip saddr`, `meta l4proto icmp` before `icmp type`), which is put in front of each
    /// expression unless an earlier one says it already.
    #[must_use]
    pub fn new(exprs: impl IntoIterator<Item = Expr>) -> Self {
        let mut all: Vec<Expr> = Vec::new();
        for mut expr in exprs {
            if let Expr::Limit(limit) = &mut expr
                && limit.burst == 0
            {
                limit.burst = BURST_DEFAULT;
            }
            let needed = expr.dependencies();
            for dependency in needed.into_iter().flatten() {
                if !dependency.is_latest_in(&all) {
                    all.push(dependency);
                }
            }
            all.push(expr);
        }
        Self {
            exprs: all,
            comment: None,
        }
    }

    /// Exactly these expressions, as they stand in the kernel.
    pub(super) fn read(exprs: Vec<Expr>, comment: Option<Label>) -> Self {
        Self { exprs, comment }
    }

    #[must_use]
    pub fn with_comment(mut self, comment: Label) -> Self {
        self.comment = Some(comment);
        self
    }

    #[must_use]
    pub fn exprs(&self) -> &[Expr] {
        &self.exprs
    }

    #[must_use]
    pub fn comment(&self) -> Option<&Label> {
        self.comment.as_ref()
    }
}
