//! A directory of YAML files as a cluster.
//!
//! Files end in `.yaml`, `.yml` or `.json`; hidden ones are passed over. A file that breaks keeps
//! its last good objects and is reported with its line. Of two files that describe one object
//! the first by name wins. Put a file in place by renaming it: a half-written one is read as it is.

mod document;
mod folder;
mod live;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use self::live::ManifestSource;

use self::folder::Folder;
use super::source::Scope;
use super::store::Store;
use crate::model::{Note, Snapshot};

/// The directory of manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read the directory of manifests {}", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Reads a directory once: the whole cluster it describes, and what had to be left out of it.
///
/// # Errors
/// Where the directory cannot be listed. A broken file is a note.
pub fn load(dir: &Path) -> Result<(Arc<Snapshot>, Vec<Note>), ManifestError> {
    let mut folder = open(dir)?;
    let mut store = Store::default();
    for event in folder.lists() {
        store.handle(event);
    }
    let snapshot = store.publish().unwrap_or_default();
    let notes = snapshot.notes.to_vec();
    Ok((snapshot, notes))
}

fn open(dir: &Path) -> Result<Folder, ManifestError> {
    let mut folder = Folder::new(dir, Scope::ALL);
    let read = folder.read_all();
    read.map_err(|error| folder_error(dir, error))?;
    Ok(folder)
}

fn folder_error(dir: &Path, source: io::Error) -> ManifestError {
    ManifestError::Directory {
        path: dir.to_owned(),
        source,
    }
}

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod tests;
