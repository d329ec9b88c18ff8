//! Files below a root.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::object::Key;
use super::{Error, Parameters};

/// The kernel parameters below a directory.
#[derive(Debug, Clone)]
pub struct Sysctl {
    root: PathBuf,
}

// === impl Sysctl ===

impl Sysctl {
    /// `/proc/sys`; parameters below `net` are those of the calling thread's network namespace.
    #[must_use]
    pub fn new() -> Self {
        Self::below("/proc/sys")
    }

    #[must_use]
    pub fn below(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_owned(),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.path())
    }
}

impl Default for Sysctl {
    fn default() -> Self {
        Self::new()
    }
}

impl Parameters for Sysctl {
    fn read(&mut self, key: &Key) -> Result<String, Error> {
        let text = fs::read_to_string(self.path(key)).map_err(|error| error_of(key, &error))?;
        Ok(text.trim_end().to_owned())
    }

    fn write(&mut self, key: &Key, value: &str) -> Result<(), Error> {
        // Opened without creating: a file that is not there is a parameter the kernel lacks.
        let opened = fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.path(key));
        let written = opened.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        written.map_err(|error| match error_of(key, &error) {
            Error::Unreadable { key, error } => Error::Unwritable {
                key,
                value: value.to_owned(),
                error,
            },
            other => other,
        })
    }
}

fn error_of(key: &Key, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::Missing(key.clone()),
        _ => Error::Unreadable {
            key: key.clone(),
            error: error.to_string(),
        },
    }
}
