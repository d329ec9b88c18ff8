//! One TOML file to a layer: every fault with its line and column.

use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Empty, Tag, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Said};
use super::problem::Origin;
use super::schema;
use super::suggest;

/// A file's text with its path: turns offsets into places.
struct Source<'a> {
    path: PathBuf,
    text: &'a str,
}

/// The layer of a file's bytes; the label is its path.
pub(super) fn layer(path: &Path, bytes: &[u8]) -> Layer {
    let mut layer = Layer::new(path.display().to_string());
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(fault) => {
            let good = bytes.get(..fault.valid_up_to()).unwrap_or_default();
            let good = String::from_utf8_lossy(good);
            let source = Source {
                path: path.to_owned(),
                text: &good,
            };
            layer.problem(source.at(good.len()), "", "the file is not UTF-8 text");
            return layer;
        }
    };
    let source = Source {
        path: path.to_owned(),
        text,
    };
    let (table, faults) = DeTable::parse_recoverable(text);
    for fault in faults {
        let at = fault.span().map_or(0, |span| span.start);
        let message = fault.message().trim().replace('\n', ", ");
        layer.problem(source.at(at), "", message);
    }
    read_sections(&source, table.get_ref(), &mut layer);
    layer
}

/// The value of a piece of TOML that is known to be well-formed, such as a default of the schema.
pub(super) fn value_of(text: &str) -> Value {
    match DeValue::parse(text) {
        Ok(value) => convert(value.get_ref()),
        Err(_) => Value::Empty(Tag::Default, Empty::Unit),
    }
}

// === impl Source ===

impl Source<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Origin::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }

    fn text(&self, span: Range<usize>) -> String {
        self.text.get(span).unwrap_or_default().to_owned()
    }
}

// === free functions ===

fn read_sections(source: &Source<'_>, table: &DeTable<'_>, layer: &mut Layer) {
    for (name, value) in in_order(table) {
        let origin = source.at(name.span().start);
        let known = schema::sections()
            .iter()
            .find(|s| s.name == name.get_ref().as_ref());
        match (known, value.get_ref()) {
            (Some(section), DeValue::Table(keys)) => read_keys(source, section.name, keys, layer),
            (Some(section), _) => {
                let text = format!(
                    "expected a section: [{}] on a line of its own",
                    section.name
                );
                layer.problem(origin, section.name, text);
            }
            (None, DeValue::Table(_)) => {
                let text = match suggest::section(name.get_ref()) {
                    Some(section) => format!("unknown section; did you mean [{section}]?"),
                    None => "unknown section".to_owned(),
                };
                layer.problem(origin, &format!("[{}]", name.get_ref()), text);
            }
            (None, _) => layer.unknown(origin, name.get_ref()),
        }
    }
}

fn read_keys(source: &Source<'_>, section: &str, keys: &DeTable<'_>, layer: &mut Layer) {
    for (name, value) in in_order(keys) {
        let path = format!("{section}.{}", name.get_ref());
        let origin = source.at(name.span().start);
        let Some(key) = schema::find(&path) else {
            layer.unknown(origin, &path);
            continue;
        };
        let entry = |index: usize, field: Option<&str>| {
            let entry = value.get_ref().as_array()?.get(index)?;
            let Some(field) = field else {
                return Some((source.at(entry.span().start), source.text(entry.span())));
            };
            let mut fields = entry.get_ref().as_table()?.iter();
            let (name, value) = fields.find(|(name, _)| name.get_ref() == field)?;
            Some((source.at(name.span().start), source.text(value.span())))
        };
        let said = Said {
            origin,
            value: convert(value.get_ref()),
            text: source.text(value.span()),
            entry: &entry,
        };
        layer.insert(key, said);
    }
}

/// The entries of a table as they stand in the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t Spanned<toml::de::DeString<'i>>,
    &'t Spanned<DeValue<'i>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// Dates, and numbers beyond 64 bits, become values that no kind accepts.
fn convert(value: &DeValue<'_>) -> Value {
    let none = || Value::Empty(Tag::Default, Empty::Unit);
    match value {
        DeValue::String(s) => Value::from(s.as_ref()),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or_else(|_| none(), Value::from)
        }
        DeValue::Float(n) => n
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| none(), Value::from),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Datetime(_) => none(),
        DeValue::Array(entries) => Value::from(
            entries
                .iter()
                .map(|e| convert(e.get_ref()))
                .collect::<Vec<_>>(),
        ),
        DeValue::Table(table) => {
            let entries = table.iter();
            let entries = entries.map(|(k, v)| (k.get_ref().to_string(), convert(v.get_ref())));
            Value::from(entries.collect::<Dict>())
        }
    }
}
