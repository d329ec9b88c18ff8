//! One file's text to the objects in it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;

use crate::model::{Note, ObjectName, ObjectRef};
use crate::watch::source::Scope;
use crate::watch::wire::{
    self, EndpointSlice, Namespace, NetworkPolicy, Node, Object, Pod, Service,
};

/// Which object a manifest describes.
pub(super) type Key = (&'static str, ObjectName);

/// An object as its file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Manifest {
    Service(Box<Service>),
    Slice(Box<EndpointSlice>),
    Node(Box<Node>),
    Pod(Box<Pod>),
    Namespace(Box<Namespace>),
    Policy(Box<NetworkPolicy>),
    /// Of a kind that nobody wants: it must be whole, no more.
    Unread,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) objects: BTreeMap<Key, Manifest>,
    pub(super) notes: Vec<Note>,
    /// A part of the file could not be read, so that objects may be missing from it.
    pub(super) is_broken: bool,
}

/// A document with the number of its first line.
struct Document<'a> {
    line: usize,
    text: &'a str,
}

struct Reader<'a> {
    file: &'a str,
    scope: Scope,
    parsed: Parsed,
}

/// Reads all documents of a file; `file` is its name, for the notes.
pub(super) fn parse(file: &str, bytes: &[u8], scope: Scope) -> Parsed {
    let mut reader = Reader {
        file,
        scope,
        parsed: Parsed::default(),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            for document in documents(text.trim_start_matches('\u{feff}')) {
                reader.document(&document);
            }
        }
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            reader.broken(line, "not UTF-8 text");
        }
    }
    reader.parsed
}

/// A note on a file.
pub(super) fn file_note(file: &str, line: Option<usize>, reason: impl Into<String>) -> Note {
    let field = line.map(|line| format!("line {line}")).unwrap_or_default();
    Note::new(ObjectRef::new("file", file), field, reason.into())
}

// === impl Reader ===

impl Reader<'_> {
    fn document(&mut self, document: &Document<'_>) {
        let value = match read(document.text) {
            Ok(value) => value,
            Err((line, reason)) => {
                let line = document.line + line.saturating_sub(1);
                return self.broken(line, reason);
            }
        };
        self.object(value, document.line);
    }

    fn object(&mut self, mut value: Value, line: usize) {
        let Value::Object(fields) = &mut value else {
            if !value.is_null() {
                self.broken(line, "expected an object: a mapping");
            }
            return;
        };
        let kind = match fields.get("kind").and_then(Value::as_str) {
            Some(kind) => kind.to_owned(),
            None => return self.broken(line, "an object without a kind"),
        };
        if kind == "List" || fields.get("items").is_some_and(Value::is_array) {
            if let Some(Value::Array(items)) = fields.remove("items") {
                for item in items {
                    self.object(item, line);
                }
            }
            return;
        }
        match kind.as_str() {
            "Service" => self.keep(value, line, Manifest::Service),
            "EndpointSlice" => self.keep(value, line, Manifest::Slice),
            "Node" => self.keep(value, line, Manifest::Node),
            "Pod" => self.keep_policies(value, line, Manifest::Pod),
            "Namespace" => self.keep_policies(value, line, Manifest::Namespace),
            "NetworkPolicy" => self.keep_policies(value, line, Manifest::Policy),
            other => self.note(line, format!("unknown kind {}", wire::quoted(other))),
        }
    }

    /// An object of the kinds that network policy needs.
    fn keep_policies<W: Object>(
        &mut self,
        value: Value,
        line: usize,
        manifest: fn(Box<W>) -> Manifest,
    ) {
        match self.scope.policies {
            true => self.keep(value, line, manifest),
            false => self.keep::<W>(value, line, |_| Manifest::Unread),
        }
    }

    fn keep<W: Object>(&mut self, value: Value, line: usize, manifest: fn(Box<W>) -> Manifest) {
        match wire::decode_value::<W>(value) {
            Ok(object) => match wire::name_of(&*object) {
                Some(name) => self.insert((W::KIND, name), line, manifest(object)),
                None => self.broken(line, format!("{} without a usable name", W::KIND)),
            },
            Err(error) => self.broken(line, format!("{}: {}", W::KIND, error.reason)),
        }
    }

    fn insert(&mut self, key: Key, line: usize, manifest: Manifest) {
        match self.parsed.objects.entry(key) {
            Entry::Vacant(place) => {
                place.insert(manifest);
            }
            Entry::Occupied(place) => {
                let reason = format!("{} is already described above", describe(place.key()));
                self.note(line, reason);
            }
        }
    }

    fn note(&mut self, line: usize, reason: impl Into<String>) {
        let note = file_note(self.file, Some(line), reason);
        self.parsed.notes.push(note);
    }

    fn broken(&mut self, line: usize, reason: impl Into<String>) {
        self.parsed.is_broken = true;
        self.note(line, reason);
    }
}

/// `Service shop/cart`.
pub(super) fn describe((kind, name): &Key) -> String {
    match *kind {
        <Node as Object>::KIND | <Namespace as Object>::KIND => format!("{kind} {}", name.name),
        _ => format!("{kind} {name}"),
    }
}

/// The value of one document; errors carry their line within it, from 1.
fn read(text: &str) -> Result<Value, (usize, String)> {
    // JSON is a part of YAML, but its own parser is faster and never guesses.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        (usize::try_from(line).unwrap_or(1), reason)
    })
}

/// Cuts a stream at its `---` lines, so that a broken document costs only itself.
fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) && at > start {
            documents.extend(document(text, start..at, start_line));
            (start, start_line) = (at, index + 1);
        }
        at += line.len();
    }
    documents.extend(document(text, start..at, start_line));
    documents
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Nothing for a document of comments and directives only.
fn document(text: &str, range: std::ops::Range<usize>, line: usize) -> Option<Document<'_>> {
    let text = text.get(range)?;
    let has_content = text.lines().any(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim();
        !(line.is_empty() || line.starts_with(['#', '%']) || line == "...")
    });
    has_content.then_some(Document { line, text })
}
