//! Names of sets, chains and maps.

use std::fmt;

/// The most bytes that a set's name may have (`IPSET_MAXNAMELEN` less the closing zero).
const LONGEST: usize = 31;

/// The name of a set, a chain or a dispatch: short enough for every backend, and held in place,
/// since there are many and they are keys everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    bytes: [u8; LONGEST],
    length: u8,
}

// === impl Name ===

impl Name {
    /// A name that stands in the source.
    ///
    /// # Panics
    /// When it is too long: in a constant that is an error of the compiler.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "bounded by the assertion, and const"
    )]
    pub const fn of(text: &'static str) -> Self {
        let text = text.as_bytes();
        assert!(text.len() <= LONGEST, "the name is too long");
        let mut bytes = [0; LONGEST];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Self {
            bytes,
            length: text.len() as u8,
        }
    }

    /// `None` for a name that is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self {
            bytes,
            length: u8::try_from(text.len()).ok()?,
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length));
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_text_and_refuse_what_no_backend_takes() {
        const NAME: Name = Name::of("kube-router-local-pods");
        assert_eq!(Name::new("kube-router-local-pods"), Some(NAME));
        assert_eq!(NAME.to_string(), "kube-router-local-pods");
        let longest = "x".repeat(31);
        assert_eq!(Name::new(&longest).unwrap().as_str(), longest);
        assert_eq!(Name::new(&"x".repeat(32)), None);
    }
}
