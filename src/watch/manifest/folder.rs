//! What a directory's files say, and what changed since it was last told.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{self, Key, Manifest, describe, file_note};
use crate::model::{Note, ObjectName};
use crate::watch::source::{ClusterEvent, Event, Kind, Scope};
use crate::watch::wire::{EndpointSlice, Namespace, NetworkPolicy, Node, Object, Pod, Service};

/// Larger files are not read, in bytes.
const LARGEST: u64 = 256 << 20;

/// A directory of manifests, as far as it was read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    scope: Scope,
    files: BTreeMap<String, File>,
    /// What was told last.
    told: BTreeMap<Key, Arc<Manifest>>,
    /// What is wrong with the directory itself.
    trouble: Option<String>,
}

#[derive(Debug, Default)]
struct File {
    objects: BTreeMap<Key, Arc<Manifest>>,
    notes: Vec<Note>,
}

// === impl Folder ===

impl Folder {
    pub(super) fn new(path: &Path, scope: Scope) -> Self {
        Self {
            path: path.to_owned(),
            scope,
            files: BTreeMap::new(),
            told: BTreeMap::new(),
            trouble: None,
        }
    }

    /// Reads every file; those that are gone are forgotten.
    ///
    /// # Errors
    /// Where the directory cannot be listed: everything stays as it was.
    pub(super) fn read_all(&mut self) -> io::Result<()> {
        let mut names = Vec::new();
        let listed = std::fs::read_dir(&self.path).and_then(|entries| {
            for entry in entries {
                names.extend(entry?.file_name().into_string());
            }
            Ok(())
        });
        self.trouble = None;
        listed?;
        names.retain(|name| is_manifest(name));
        self.files.retain(|name, _| names.contains(name));
        for name in names {
            self.read(&name);
        }
        Ok(())
    }

    /// The directory cannot be listed: everything stays, with a note.
    pub(super) fn unreadable(&mut self, error: &io::Error) {
        let path = self.path.display();
        self.trouble = Some(format!("{path}: {error}, its last objects stay"));
    }

    /// Reads one file again, or forgets it if it is gone.
    pub(super) fn read(&mut self, name: &str) {
        if !is_manifest(name) {
            return;
        }
        match read_file(&self.path.join(name)) {
            Ok(Some(bytes)) => {
                let parsed = document::parse(name, &bytes, self.scope);
                let file = self.files.entry(name.to_owned()).or_default();
                file.take_in(parsed);
            }
            Ok(None) => {
                self.files.remove(name);
            }
            Err(error) => {
                let file = self.files.entry(name.to_owned()).or_default();
                file.notes = vec![file_note(name, None, error.to_string())];
            }
        }
    }

    /// All objects as complete lists: how a source begins.
    pub(super) fn lists(&mut self) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        let (objects, notes) = self.in_force();
        let mut ends = Vec::new();
        list::<Service>(&mut events, &mut ends);
        list::<EndpointSlice>(&mut events, &mut ends);
        list::<Node>(&mut events, &mut ends);
        if self.scope.policies {
            list::<Pod>(&mut events, &mut ends);
            list::<Namespace>(&mut events, &mut ends);
            list::<NetworkPolicy>(&mut events, &mut ends);
        }
        let applied = objects.values().filter_map(|m| apply(m, true));
        events.extend(applied);
        events.append(&mut ends);
        events.push(ClusterEvent::Source(notes));
        self.told = objects;
        events
    }

    /// What changed since the last call.
    pub(super) fn changes(&mut self) -> Vec<ClusterEvent> {
        let (objects, notes) = self.in_force();
        let mut events = Vec::new();
        let gone = |key: &&Key| !objects.contains_key(*key);
        for (kind, name) in self.told.keys().filter(gone) {
            events.extend(delete(kind, name).filter(|_| self.tells(kind)));
        }
        for (key, manifest) in &objects {
            if self.told.get(key) != Some(manifest) {
                events.extend(apply(manifest, false));
            }
        }
        events.push(ClusterEvent::Source(notes));
        self.told = objects;
        events
    }

    /// Whether objects of a kind are told at all.
    fn tells(&self, kind: &str) -> bool {
        let for_policies = [Pod::KIND, Namespace::KIND, NetworkPolicy::KIND];
        self.scope.policies || !for_policies.contains(&kind)
    }

    /// Of two files that describe the same object the first by name wins.
    fn in_force(&self) -> (BTreeMap<Key, Arc<Manifest>>, Vec<Note>) {
        let mut objects = BTreeMap::new();
        let mut origin: BTreeMap<&Key, &str> = BTreeMap::new();
        let mut notes: Vec<Note> = Vec::new();
        if let Some(trouble) = &self.trouble {
            notes.push(file_note("manifests", None, trouble.as_str()));
        }
        for (name, file) in &self.files {
            notes.extend(file.notes.iter().cloned());
            for (key, manifest) in &file.objects {
                if let Some(first) = origin.get(key) {
                    let reason = format!("{} is already described in {first}", describe(key));
                    notes.push(file_note(name, None, reason));
                } else {
                    origin.insert(key, name);
                    objects.insert(key.clone(), Arc::clone(manifest));
                }
            }
        }
        (objects, notes)
    }
}

// === impl File ===

impl File {
    /// A broken file adds and changes objects but takes none away.
    fn take_in(&mut self, parsed: document::Parsed) {
        let mut objects = BTreeMap::new();
        for (key, manifest) in parsed.objects {
            let known = self.objects.get(&key).filter(|known| ***known == manifest);
            let manifest = known.map_or_else(|| Arc::new(manifest), Arc::clone);
            objects.insert(key, manifest);
        }
        if parsed.is_broken {
            for (key, manifest) in std::mem::take(&mut self.objects) {
                objects.entry(key).or_insert(manifest);
            }
        }
        self.objects = objects;
        self.notes = parsed.notes;
    }
}

/// Whether a file of this name is read: no hidden files, no editors' leftovers.
pub(super) fn is_manifest(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
    !name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// `None` for a file that is gone, and for anything but a file.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !found.is_file() {
        return Ok(None);
    }
    if found.len() > LARGEST {
        let reason = format!("{} bytes are more than {LARGEST}", found.len());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The beginning of a kind's list, and its end for later.
fn list<K: Kind>(events: &mut Vec<ClusterEvent>, ends: &mut Vec<ClusterEvent>) {
    events.push(K::event(Event::Init));
    ends.push(K::event(Event::InitDone));
}

fn apply(manifest: &Manifest, of_list: bool) -> Option<ClusterEvent> {
    fn event<K: Kind + Clone>(object: &K, of_list: bool) -> ClusterEvent {
        let object = Ok(Box::new(object.clone()));
        K::event(if of_list {
            Event::InitApply(object)
        } else {
            Event::Apply(object)
        })
    }
    match manifest {
        Manifest::Service(object) => Some(event(&**object, of_list)),
        Manifest::Slice(object) => Some(event(&**object, of_list)),
        Manifest::Node(object) => Some(event(&**object, of_list)),
        Manifest::Pod(object) => Some(event(&**object, of_list)),
        Manifest::Namespace(object) => Some(event(&**object, of_list)),
        Manifest::Policy(object) => Some(event(&**object, of_list)),
        Manifest::Unread => None,
    }
}

fn delete(kind: &str, name: &ObjectName) -> Option<ClusterEvent> {
    fn event<K: Kind>(kind: &str, name: &ObjectName) -> Option<ClusterEvent> {
        (kind == K::KIND).then(|| K::event(Event::Delete(name.clone())))
    }
    event::<Service>(kind, name)
        .or_else(|| event::<EndpointSlice>(kind, name))
        .or_else(|| event::<Node>(kind, name))
        .or_else(|| event::<Pod>(kind, name))
        .or_else(|| event::<Namespace>(kind, name))
        .or_else(|| event::<NetworkPolicy>(kind, name))
}
