//! Kernel parameters below `/proc/sys`: read, and written only where they differ (sysctl(8)).
//!
//! A parameter that the kernel lacks is an error of its own, because it usually means a module
//! that is not loaded.

mod fake;
mod handle;
pub mod object;

pub use fake::FakeSysctl;
pub use handle::Sysctl;
pub use object::{Changed, InvalidKey, Key};

/// What went wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("kernel has no parameter {0}")]
    Missing(Key),
    #[error("{key}: {error}")]
    Unreadable { key: Key, error: String },
    #[error("{key} cannot be set to {value}: {error}")]
    Unwritable {
        key: Key,
        value: String,
        error: String,
    },
}

/// What can be done with parameters; [`Sysctl`] and [`FakeSysctl`] do.
pub trait Parameters {
    /// The value without the closing line break.
    fn read(&mut self, key: &Key) -> Result<String, Error>;

    /// Writes unconditionally; most callers want [`Parameters::set`].
    fn write(&mut self, key: &Key, value: &str) -> Result<(), Error>;

    /// Writes the value if the parameter has another; then the old value comes back.
    fn set(&mut self, key: &Key, value: &str) -> Result<Option<Changed>, Error> {
        let old = self.read(key)?;
        if old == value {
            return Ok(None);
        }
        self.write(key, value)?;
        Ok(Some(Changed {
            key: key.clone(),
            old,
            new: value.to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests;
