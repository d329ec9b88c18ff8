//! The environment and the command line to layers.
//!
//! `KUBE_ROUTER_SECTION__KEY` says `section.key`: `KUBE_ROUTER_PROXY__SYNC_PERIOD=30s`.
//! A list is written with commas (`10.0.0.0/8,fd00::/8`) or as TOML (`["10.0.0.0/8"]`), tables as
//! TOML alone (`[{ address = "192.0.2.1", asn = 64513 }]`).

use figment::value::Value;

use super::file;
use super::layer::{Layer, Said};
use super::problem::Origin;
use super::schema::{self, Key, Kind};

/// What the names of our variables begin with.
pub const PREFIX: &str = "KUBE_ROUTER_";

/// Beginnings of variables with our prefix that are not about the configuration: switches of the
/// build, the tests and the lab.
const NOT_CONFIGURATION: &[&str] = &[
    "KUBE_ROUTER_REQUIRE_",
    "KUBE_ROUTER_TEST_",
    "KUBE_ROUTER_LAB_",
    "KUBE_ROUTER_PREBUILT",
];

/// A flag of the command line that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// With its dashes.
    pub flag: &'static str,
    /// The key's path.
    pub key: &'static str,
    pub value: String,
}

/// The variable that sets a key.
#[must_use]
pub fn variable(key: &Key) -> String {
    let (section, name) = (key.section().to_uppercase(), key.name().to_uppercase());
    format!("{PREFIX}{section}__{name}")
}

pub(super) fn variables(environment: &[(String, String)]) -> Layer {
    let mut layer = Layer::new("environment");
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_CONFIGURATION.iter().any(|own| name.starts_with(own)) {
            continue;
        }
        let origin = Origin::Variable(name.clone());
        let path = rest.to_lowercase().replacen("__", ".", 1);
        match schema::find(&path).filter(|key| variable(key) == *name) {
            Some(key) => set(&mut layer, key, origin, text),
            None => layer.unknown_variable(origin, &path),
        }
    }
    layer
}

pub(super) fn overrides(overrides: &[Override]) -> Layer {
    let mut layer = Layer::new("command line");
    for said in overrides {
        let origin = Origin::Flag(said.flag);
        match schema::find(said.key) {
            Some(key) => set(&mut layer, key, origin, &said.value),
            None => layer.unknown(origin, said.key),
        }
    }
    layer
}

fn set(layer: &mut Layer, key: &'static Key, origin: Origin, text: &str) {
    let value = value(key.kind, text);
    let entry = |index: usize, field: Option<&str>| {
        let entry = value.as_array()?.get(index)?;
        let said = match field {
            Some(field) => entry.as_dict()?.get(field)?,
            None => entry,
        };
        Some((origin.clone(), super::render(said)))
    };
    let said = Said {
        origin: origin.clone(),
        text: super::render(&value),
        value: value.clone(),
        entry: &entry,
    };
    layer.insert(key, said);
}

/// A text without type as a value of a kind; a text that doesn't fit stays a text.
fn value(kind: Kind, text: &str) -> Value {
    match (kind, text) {
        (Kind::Bool, "true") => Value::from(true),
        (Kind::Bool, "false") => Value::from(false),
        (Kind::Integer(_), number) => number
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
        (Kind::List(_) | Kind::Tables(_), list) if list.trim_start().starts_with('[') => {
            match file::value_of(list.trim()) {
                array @ Value::Array(..) => array,
                _ => Value::from(text),
            }
        }
        (Kind::List(_), "") => Value::from(Vec::<Value>::new()),
        (Kind::List(_), list) => Value::from(
            list.split(',')
                .map(|s| Value::from(s.trim()))
                .collect::<Vec<_>>(),
        ),
        _ => Value::from(text),
    }
}
