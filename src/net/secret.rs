//! Octets that nobody is to read in a log.

use std::fmt;
use std::sync::Arc;

/// A password: cheap to clone, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

// === impl Secret ===

impl Secret {
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// The octets, for the one who has to say them.
    #[must_use]
    pub fn expose(&self) -> &Arc<[u8]> {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_never_printed() {
        let secret = Secret::new(b"hunter2");
        assert_eq!(secret, Secret::new(b"hunter2"));
        assert_ne!(secret, Secret::new(b"hunter3"));
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.expose().as_ref(), b"hunter2");
    }
}
