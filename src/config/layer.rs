//! One layer of the configuration (a file, the environment, the flags), checked key by key.
//!
//! A value that is wrong is reported and left out; what is left merges with the other layers.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::environment;
use super::problem::{Origin, Problem};
use super::schema::{self, Key, Kind};
use super::suggest;

/// The good values of one layer with where each was said.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Unique among the layers; figment hands it back with each value.
    pub label: String,
    sections: BTreeMap<&'static str, Dict>,
    pub origins: BTreeMap<&'static str, Origin>,
    /// The places of tables and of their fields, by paths such as `bgp.peer[0].asn`.
    pub places: BTreeMap<String, Origin>,
    /// Keys of the schema whose value here was refused.
    pub refused: Vec<&'static str>,
    pub problems: Vec<Problem>,
}

/// From the number of an entry and a field's name to their place and text.
pub(super) type Entry<'a> = &'a dyn Fn(usize, Option<&str>) -> Option<(Origin, String)>;

/// A value on its way into a layer.
pub(super) struct Said<'a> {
    pub origin: Origin,
    pub value: Value,
    /// The value as it was written.
    pub text: String,
    /// Where entry `n` of a list stands, or a field of it, and its text.
    pub entry: Entry<'a>,
}

// === impl Layer ===

impl Layer {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            sections: BTreeMap::new(),
            origins: BTreeMap::new(),
            places: BTreeMap::new(),
            refused: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The lowest layer: every key that this version reads, at its default.
    pub(super) fn defaults() -> Self {
        let mut layer = Self::new("defaults");
        for key in schema::keys().filter(|key| key.is_read()) {
            let said = Said {
                origin: Origin::Default,
                value: super::file::value_of(key.default),
                text: key.default.to_owned(),
                entry: &|_, _| None,
            };
            layer.insert(key, said);
        }
        layer
    }

    /// Takes one value after checking it alone.
    pub(super) fn insert(&mut self, key: &'static Key, said: Said<'_>) {
        let faults = key.faults(&said.value);
        if faults.is_empty() {
            self.places.extend(places(key, &said));
            let section = self.sections.entry(key.section()).or_default();
            section.insert(key.name().to_owned(), said.value);
            self.origins.insert(key.path, said.origin);
            return;
        }
        self.refused.push(key.path);
        for fault in faults {
            let entry = fault.entry.and_then(|index| {
                let field = fault.field.as_deref();
                let (origin, text) = (said.entry)(index, field)?;
                Some((origin, entry_path(key.path, index, field), text))
            });
            let (origin, path, text) = entry
                .unwrap_or_else(|| (said.origin.clone(), key.path.to_owned(), said.text.clone()));
            self.problems.push(Problem {
                origin,
                key: path,
                value: key.is_read().then_some(text),
                text: fault.expected,
            });
        }
    }

    /// Reports a key that the schema doesn't have.
    pub(super) fn unknown(&mut self, origin: Origin, path: &str) {
        let text = match suggest::closest(path, |key| key.path.to_owned()) {
            Some(hint) => format!("unknown key; {hint}"),
            None => "unknown key".to_owned(),
        };
        self.problem(origin, path, text);
    }

    /// Reports a variable that no key has.
    pub(super) fn unknown_variable(&mut self, origin: Origin, path: &str) {
        let text = match suggest::closest(path, environment::variable) {
            Some(hint) => format!("unknown variable; {hint}"),
            None => "unknown variable".to_owned(),
        };
        self.problem(origin, "", text);
    }

    pub(super) fn problem(&mut self, origin: Origin, key: &str, text: impl Into<String>) {
        let problem = Problem {
            origin,
            key: key.to_owned(),
            value: None,
            text: text.into(),
        };
        self.problems.push(problem);
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.label.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let sections = self.sections.iter();
        let sections = sections.map(|(name, keys)| ((*name).to_owned(), Value::from(keys.clone())));
        Ok(Profile::Default.collect(sections.collect::<Dict>()))
    }
}

// === free functions ===

/// How an entry of a list, or a field of it, is named: `bgp.peer[0].asn`.
pub(super) fn entry_path(key: &str, index: usize, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("{key}[{index}].{field}"),
        None => format!("{key}[{index}]"),
    }
}

fn places(key: &Key, said: &Said<'_>) -> Vec<(String, Origin)> {
    let Kind::Tables(fields) = key.kind else {
        return Vec::new();
    };
    let names = || std::iter::once(None).chain(fields.iter().map(|field| Some(field.name)));
    let place = |index, field| {
        let (origin, _) = (said.entry)(index, field)?;
        Some((entry_path(key.path, index, field), origin))
    };
    let entries = 0..said.value.as_array().map_or(0, <[Value]>::len);
    entries
        .flat_map(|index| names().filter_map(move |field| place(index, field)))
        .collect()
}
