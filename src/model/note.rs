//! What a user got wrong, as a value: the object, the field and the reason.

use std::fmt;
use std::sync::Arc;

/// Which object a [`Note`] speaks of: `Service shop/cart`, `Node n1`, `file web.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The Kubernetes kind, or `file`.
    pub kind: &'static str,
    /// `namespace/name`, or `name` where there is no namespace.
    pub name: Arc<str>,
}

/// A part of an object that was left out, and why. The rest of the object stands.
///
/// Notes are logged once when they appear, counted, and shown by the health page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note {
    pub object: ObjectRef,
    /// Path of the field, `spec.externalIPs[1]`; empty when the whole object is meant.
    pub field: Arc<str>,
    pub reason: Arc<str>,
}

// === impl ObjectRef ===

impl ObjectRef {
    #[must_use]
    pub fn new(kind: &'static str, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

// === impl Note ===

impl Note {
    #[must_use]
    pub fn new(object: ObjectRef, field: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Self {
        Self {
            object,
            field: field.into(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.object, self.reason)
        } else {
            write!(f, "{}: {}: {}", self.object, self.field, self.reason)
        }
    }
}
