//! Follows a directory by inotify(7).
//!
//! The directory and the one above it are watched: what is renamed, written or deleted inside is
//! read again, file by file; a directory that vanishes keeps its objects until it is back.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::folder::{Folder, is_manifest};
use super::{ManifestError, folder_error};
use crate::watch::source::{ClusterEvent, Scope};
use crate::watch::status::SourceStatus;

pub(super) const PART: &str = "manifests";

/// How often a directory that is gone is looked for; the one above it may be gone as well.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A directory of manifests that is being followed.
#[derive(Debug)]
pub(in crate::watch) struct ManifestSource {
    path: PathBuf,
    folder: Folder,
    inotify: AsyncFd<Inotify>,
    inside: Option<WatchDescriptor>,
    above: Option<WatchDescriptor>,
    status: SourceStatus,
}

/// What a batch of events asks for.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    /// Written, renamed or deleted.
    files: BTreeSet<String>,
    /// New names: complete only if they are links, else their writing has just begun.
    created: BTreeSet<String>,
    /// The directory itself changed, or events were lost.
    everything: bool,
}

// === impl ManifestSource ===

impl ManifestSource {
    /// Begins to follow a directory; must be called inside a runtime.
    ///
    /// # Errors
    /// Where the directory cannot be read or watched.
    #[expect(unsafe_code, reason = "a descriptor is registered with the runtime")]
    pub(in crate::watch) fn open(
        path: &Path,
        scope: Scope,
        status: SourceStatus,
    ) -> Result<Self, ManifestError> {
        status.announce(PART);
        let inotify = Inotify::init().and_then(|inotify| {
            // SAFETY: `Inotify` owns its descriptor until it is dropped and never exchanges it;
            // nothing here puts another one in its place.
            Ok(unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE)? })
        });
        let mut source = Self {
            path: path.to_owned(),
            folder: Folder::new(path, scope),
            inotify: inotify.map_err(|error| folder_error(path, error))?,
            inside: None,
            above: None,
            status,
        };
        // Watched first, read then: nothing falls between.
        let read = source.watch().and_then(|()| source.folder.read_all());
        read.map_err(|error| folder_error(path, error))?;
        Ok(source)
    }

    /// Tells everything, then every change, until nobody listens.
    pub(in crate::watch) async fn run(mut self, events: mpsc::Sender<ClusterEvent>) {
        let mut news = self.folder.lists();
        self.status.connected(PART, None);
        self.status.synced(PART);
        loop {
            for event in news.drain(..) {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let wanted = tokio::select! {
                wanted = next(&mut self.inotify, self.inside.as_ref(), self.above.as_ref(), &self.path) => wanted,
                () = tokio::time::sleep(LOOK_AGAIN), if self.inside.is_none() => Ok(Wanted::all()),
                () = events.closed() => return,
            };
            let wanted = wanted.unwrap_or_else(|error| {
                self.fault(&error);
                Wanted::all()
            });
            self = match tokio::task::spawn_blocking(move || self.read(wanted)).await {
                Ok(source) => source,
                Err(_) => return,
            };
            news = self.folder.changes();
        }
    }

    fn read(mut self, wanted: Wanted) -> Self {
        if wanted.everything || self.inside.is_none() {
            let read = self.watch().and_then(|()| self.folder.read_all());
            match read {
                Ok(()) => self.status.connected(PART, None),
                Err(error) => {
                    if let Some(old) = self.inside.take() {
                        let _ = self.inotify.get_ref().watches().remove(old);
                    }
                    self.folder.unreadable(&error);
                    self.fault(&error);
                }
            }
        } else {
            let links = wanted
                .created
                .iter()
                .filter(|name| is_link(&self.path.join(name)));
            for name in wanted.files.iter().chain(links) {
                self.folder.read(name);
            }
        }
        self.status.heard(PART);
        self
    }

    /// Watches whatever stands at the path now.
    fn watch(&mut self) -> io::Result<()> {
        let mut watches = self.inotify.get_ref().watches();
        if let Some(parent) = self.path.parent() {
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
            self.above = watches.add(parent, mask).ok();
        }
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let inside = watches.add(&self.path, mask)?;
        if let Some(old) = self
            .inside
            .replace(inside.clone())
            .filter(|old| *old != inside)
        {
            // A directory that was moved away is somebody else's now; a deleted one is gone anyway.
            let _ = watches.remove(old);
        }
        Ok(())
    }

    fn fault(&self, error: &io::Error) {
        let fault = format!("{}: {error}", self.path.display());
        if self.status.failed(PART, fault) {
            tracing::warn!(path = %self.path.display(), %error, "manifests cannot be read, the last objects stay");
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn all() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    fn note(&mut self, mask: EventMask, name: Option<&str>) {
        let whole = EventMask::Q_OVERFLOW
            | EventMask::IGNORED
            | EventMask::DELETE_SELF
            | EventMask::MOVE_SELF
            | EventMask::UNMOUNT;
        match name {
            _ if mask.intersects(whole) => self.everything = true,
            // `..data` of a mounted ConfigMap: all files changed at once behind their links.
            Some(name) if name.starts_with("..") => self.everything = true,
            Some(name) if is_manifest(name) => {
                let list = match mask.contains(EventMask::CREATE) {
                    true => &mut self.created,
                    false => &mut self.files,
                };
                list.insert(name.to_owned());
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.created.is_empty() && !self.everything
    }
}

/// Waits for events that ask for something, and takes in all that have arrived.
async fn next(
    inotify: &mut AsyncFd<Inotify>,
    inside: Option<&WatchDescriptor>,
    above: Option<&WatchDescriptor>,
    path: &Path,
) -> io::Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut buffer = vec![0; 16 << 10];
    while wanted.is_empty() {
        let mut ready = inotify.readable_mut().await?;
        let read = ready.try_io(|inotify| {
            let events = inotify.get_mut().read_events(&mut buffer)?;
            for event in events {
                let is_inside = Some(&event.wd) == inside;
                if is_inside || event.mask.contains(EventMask::Q_OVERFLOW) {
                    wanted.note(event.mask, event.name.and_then(|name| name.to_str()));
                } else if Some(&event.wd) == above && event.name == path.file_name() {
                    wanted.everything = true;
                }
            }
            Ok(())
        });
        // Else it was not readable after all.
        if let Ok(result) = read {
            result?;
        }
    }
    Ok(wanted)
}

/// Whether the name was given to a file that stood elsewhere before.
fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink() || found.nlink() > 1)
}
