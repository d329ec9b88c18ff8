//! What the configuration may say: every section, key, kind of value and default.
//!
//! The tables in [`super::keys`] are the one source of the check, the defaults, `etc/config.toml`
//! and the manual page `kube-router.toml(5)`.

use std::fmt::Write as _;

use super::keys::SECTIONS;
use super::span::Span;
use super::value::{self, Fault};

/// The version that a refused key is told about.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One `[section]` of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    pub name: &'static str,
    /// A sentence or two in an operator's words.
    pub prose: &'static str,
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    pub kind: Kind,
    /// The default as TOML text.
    pub default: &'static str,
    pub status: Status,
    /// One or two lines in an operator's words.
    pub prose: &'static str,
}

/// Whether this version acts on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    InForce,
    /// The on/off switch of a part that this version lacks: only `false` is accepted.
    Switch(&'static str),
    /// A key of a part that this version lacks: setting it is an error.
    Later(&'static str),
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Text(Text),
    Integer(Integer),
    /// A list of distinct texts.
    List(Text),
    /// Tables with these fields, each `[[section.name]]` in the file.
    Tables(&'static [Field]),
    /// Belongs to a part that this version lacks; nothing is accepted.
    Unread,
}

/// One key of the tables of [`Kind::Tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// As TOML text; what stands in the shipped file.
    pub example: &'static str,
    pub absent: Absent,
    /// One or two lines in an operator's words.
    pub prose: &'static str,
}

/// What it means that a field is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It may not be.
    Refused,
    /// The words for it: the end of the sentence "Left out: ...".
    Means(&'static str),
}

/// What a number may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    Within(i64, i64),
    /// An AS number for private use (RFC 6996).
    PrivateAsn,
    /// An AS number that a peer can have: neither reserved nor for documentation.
    PeerAsn,
}

/// What a string may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// A Kubernetes node name, or empty.
    NodeName,
    /// An absolute path, or empty.
    Path,
    /// A duration above zero.
    Period,
    /// A duration in whole seconds that the kernel can count; zero is allowed.
    Seconds,
    /// `ADDRESS:PORT`, `:PORT`, or empty.
    Listen,
    /// An absolute path of a URL.
    UrlPath,
    /// The URL of an API server.
    Server,
    /// `FIRST-LAST`.
    PortRange,
    /// A CIDR without host bits.
    Prefix,
    /// An address that one host has.
    Address,
    /// Empty, `generate` or an IPv4 address.
    RouterId,
    /// A duration within bounds.
    Span(&'static Span),
    /// Words for the operator at the other end (RFC 9003).
    Shutdown,
    /// `primary`, `all`, `link:NAME` or a CIDR.
    NodePortAddress,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

// === impl Key ===

impl Key {
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path
            .split_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    /// Whether this version reads the key at all.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !matches!(self.status, Status::Later(_))
    }

    /// Everything that is wrong with a value for this key; empty when nothing is.
    #[must_use]
    pub fn faults(&self, value: &figment::value::Value) -> Vec<Fault> {
        match self.status {
            Status::Later(part) => vec![Fault::whole(format!(
                "{part} is not part of version {VERSION}; remove the key"
            ))],
            Status::Switch(part) if value.to_bool() == Some(true) => vec![Fault::whole(format!(
                "{part} is not part of version {VERSION}; remove the key or set it to false"
            ))],
            Status::InForce | Status::Switch(_) => value::faults(self.kind, value),
        }
    }
}

// === impl Kind ===

impl Kind {
    /// What is expected, with an example: the end of an error line.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Text(text) => text.expected(),
            Self::Integer(integer) => integer.expected(),
            Self::List(text) => format!("a list of strings, each {}", text.expected()),
            Self::Tables(_) => "tables, each in a section of its own".to_owned(),
            Self::Unread => "nothing: this version does not read the key".to_owned(),
        }
    }
}

// === impl Integer ===

impl Integer {
    #[must_use]
    pub fn accepts(self, number: i64) -> bool {
        match self {
            Self::Within(min, max) => (min..=max).contains(&number),
            Self::PrivateAsn => {
                matches!(number, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
            }
            Self::PeerAsn => matches!(
                number,
                1..=23_455 | 23_457..=63_999 | 64_512..=65_534 | 131_072..=4_294_967_294
            ),
        }
    }

    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Within(min, max) => format!("a number from {min} to {max}"),
            Self::PrivateAsn => "an AS number for private use: 64512 to 65534, or 4200000000 to \
                                 4294967294"
                .to_owned(),
            Self::PeerAsn => {
                "an AS number that is not reserved: 1 to 23455, 23457 to 63999, 64512 \
                              to 65534, or 131072 to 4294967294"
                    .to_owned()
            }
        }
    }
}

// === impl Text ===

impl Text {
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::NodeName => {
                "a node name as Kubernetes has it (lower-case letters, digits, '-' and '.')"
            }
            Self::Path => "an absolute path",
            Self::Period => "a duration above zero, such as \"30s\", \"5m\" or \"1h30m\"",
            Self::Seconds => {
                "a duration in whole seconds up to 2147483s, such as \"0s\" or \"15m\""
            }
            Self::Listen => {
                "ADDRESS:PORT such as \"127.0.0.1:20244\" or \"[::]:20244\", \":PORT\" for all \
                 addresses, or \"\" for none"
            }
            Self::UrlPath => "a path that begins with '/', such as \"/metrics\"",
            Self::Server => "a URL such as \"https://192.0.2.10:6443\"",
            Self::PortRange => "FIRST-LAST with FIRST below LAST, such as \"30000-32767\"",
            Self::Prefix => "a CIDR such as \"10.96.0.0/12\" or \"fd00:10:96::/112\"",
            Self::NodePortAddress => {
                "\"primary\", \"all\", \"link:NAME\" or a CIDR such as \"192.0.2.0/24\""
            }
            Self::Address => "an address such as \"192.0.2.1\" or \"2001:db8::1\"",
            Self::RouterId => {
                "an IPv4 address such as \"192.0.2.1\", \"generate\", or \"\" for the node's own"
            }
            Self::Span(span) => span.expected,
            Self::Shutdown => "a text of at most 255 octets",
            Self::Choice(words) => return choice(words),
        }
        .to_owned()
    }
}

// === free functions ===

fn choice(words: &[&str]) -> String {
    let mut out = String::from("one of ");
    for (index, word) in words.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}\"{word}\"");
    }
    out
}

/// Every section, in the order of the shipped file.
#[must_use]
pub fn sections() -> &'static [Section] {
    SECTIONS
}

/// Every key, in the order of the shipped file.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    sections().iter().flat_map(|section| section.keys)
}

#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    keys().find(|key| key.path == path)
}
