//! Kernel parameters as plain data.

use std::fmt;

/// A path below `/proc/sys` that could lead elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path below /proc/sys")]
pub struct InvalidKey(pub String);

/// A parameter by its path below `/proc/sys`, such as `net/ipv4/vs/conntrack`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A parameter that had another value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Changed {
    pub key: Key,
    pub old: String,
    pub new: String,
}

// === impl Key ===

impl Key {
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidKey> {
        let path = path.into();
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if path.split('/').all(is_plain) {
            Ok(Self(path))
        } else {
            Err(InvalidKey(path))
        }
    }

    /// The path below the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }
}

/// As `sysctl` takes it: with slashes, because names of links may hold dots.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Changed ===

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sysctl -w {}={}", self.key, self.new)
    }
}
