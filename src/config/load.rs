//! Reads the layers, merges them and checks the whole.
//!
//! ```text
//! defaults ◄ config.toml ◄ config.d/*.toml ◄ KUBE_ROUTER_… ◄ flags   ─ merge ─►  raw  ─ check ─►  Config
//!              each checked alone, key by key; lists are replaced        all faults of all layers at once
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::Value;

use super::check;
use super::checked::Config;
use super::environment::{self, Override};
use super::file;
use super::layer::{Layer, entry_path};
use super::problem::{Origin, Problem, Problems};
use super::raw::Raw;
use super::schema;

/// The directory of drop-ins, beside the main file.
const DROP_INS: &str = "config.d";

/// Where a configuration comes from; loading again with the same sources is a reload.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The main file, which must exist. `None`: neither it nor drop-ins.
    pub file: Option<PathBuf>,
    /// Names and values; those without our prefix are passed over.
    pub environment: Vec<(String, String)>,
    pub overrides: Vec<Override>,
}

/// A checked configuration with the origin of each of its values.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// In the order of the schema.
    pub values: Vec<Effective>,
}

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub key: &'static str,
    /// As TOML.
    pub value: String,
    pub origin: Origin,
}

/// Loads and checks everything.
///
/// # Errors
/// All faults of all layers.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut layers = vec![Layer::defaults()];
    let mut problems = Vec::new();
    if let Some(path) = &sources.file {
        layers.extend(read_files(path, &mut problems));
    }
    layers.push(environment::variables(&sources.environment));
    layers.push(environment::overrides(&sources.overrides));

    problems.extend(
        layers
            .iter()
            .flat_map(|layer| layer.problems.iter().cloned()),
    );
    let merged = Merged::new(&layers);
    let config = merged.check(&mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            values: merged.values(),
        }),
        _ => Err(Problems(problems)),
    }
}

// === merged layers ===

/// All layers as one, and where each value is from.
pub(super) struct Merged<'a> {
    layers: &'a [Layer],
    figment: Figment,
}

impl<'a> Merged<'a> {
    fn new(layers: &'a [Layer]) -> Self {
        let figment = layers.iter().fold(Figment::new(), Figment::merge);
        Self { layers, figment }
    }

    /// Where the value of a key is from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let label = self
            .figment
            .find_metadata(key)
            .map(|metadata| metadata.name.as_ref());
        let layer = self
            .layers
            .iter()
            .find(|layer| Some(layer.label.as_str()) == label);
        layer
            .and_then(|layer| layer.origins.get(key))
            .cloned()
            .unwrap_or(Origin::Default)
    }

    /// Where a table of a key, or a field of it, was said; the key's own place if that is unknown.
    pub(super) fn entry_origin(&self, key: &str, index: usize, field: Option<&str>) -> Origin {
        let origin = self.origin(key);
        let path = entry_path(key, index, field);
        let places = self
            .layers
            .iter()
            .filter(|layer| layer.origins.get(key) == Some(&origin));
        let place = places
            .filter_map(|layer| layer.places.get(&path))
            .next_back();
        place.cloned().unwrap_or(origin)
    }

    /// The value of a key as TOML.
    pub(super) fn shown(&self, key: &str) -> String {
        self.figment
            .find_value(key)
            .map_or_else(|_| String::new(), |value| render(&value))
    }

    /// A field of a table of a key as TOML; empty if it is not said.
    pub(super) fn shown_field(&self, key: &str, index: usize, field: &str) -> String {
        let value = self.figment.find_value(key).ok();
        let entry = value
            .as_ref()
            .and_then(|value| value.as_array()?.get(index));
        entry
            .and_then(|entry| entry.as_dict()?.get(field))
            .map_or_else(String::new, render)
    }

    /// Whether a layer's value for one of these keys was refused, so that a rule about them would
    /// judge something that nobody meant.
    pub(super) fn is_refused(&self, keys: &[&str]) -> bool {
        self.layers
            .iter()
            .any(|layer| layer.refused.iter().any(|key| keys.contains(key)))
    }

    fn check(&self, problems: &mut Vec<Problem>) -> Option<Config> {
        match self.figment.extract::<Raw>() {
            Ok(raw) => {
                let (config, found) = check::check(&raw, self);
                problems.extend(found);
                config
            }
            Err(faults) => {
                problems.extend(faults.into_iter().map(|fault| Problem {
                    origin: Origin::Default,
                    key: fault.path.join("."),
                    value: None,
                    text: fault.kind.to_string(),
                }));
                None
            }
        }
    }

    fn values(&self) -> Vec<Effective> {
        let read = schema::keys().filter(|key| key.is_read());
        read.map(|key| Effective {
            key: key.path,
            value: self.shown(key.path),
            origin: self.origin(key.path),
        })
        .collect()
    }
}

// === free functions ===

fn read_files(main: &Path, problems: &mut Vec<Problem>) -> Vec<Layer> {
    // Absolute, so that every message names the file wherever it is read.
    let main = std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
    let mut fault = |path: &Path, error: &io::Error| {
        problems.push(Problem {
            origin: Origin::File {
                path: path.to_owned(),
                line: 0,
                column: 0,
            },
            key: String::new(),
            value: None,
            text: format!("cannot be read: {error}"),
        });
    };
    let mut paths = vec![main.clone()];
    let directory = main.with_file_name(DROP_INS);
    match drop_ins(&directory) {
        Ok(found) => paths.extend(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => fault(&directory, &error),
    }
    let mut layers = Vec::new();
    for path in paths {
        match fs::read(&path) {
            Ok(bytes) => layers.push(file::layer(&path, &bytes)),
            Err(error) => fault(&path, &error),
        }
    }
    layers
}

/// The drop-ins in lexical order of their names; hidden files are an editor's own.
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.ends_with(".toml") && !name.starts_with('.')) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A value as TOML.
pub(super) fn render(value: &Value) -> String {
    match value {
        Value::String(_, s) => quoted(s),
        Value::Char(_, c) => quoted(&c.to_string()),
        Value::Bool(_, b) => b.to_string(),
        Value::Num(_, n) => n.to_i128().map_or_else(
            || n.to_f64().map(|n| n.to_string()).unwrap_or_default(),
            |n| n.to_string(),
        ),
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, entries) => {
            let entries: Vec<String> = entries.iter().map(render).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Dict(_, entries) => {
            let entries: BTreeMap<_, _> = entries.iter().collect();
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key} = {}", render(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A basic string of TOML.
fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
