//! The CNI configuration: what we say of it, merged into what is there.
//!
//! Ours are `mtu` of the plugin of type `bridge` and the range sets of its `ipam`; every other key
//! stays as it is. A range set of the very shape that we write, one `subnet` and nothing else, is
//! ours: it goes when the node has that range no more. Range sets that say more are somebody's.

use serde_json::{Map, Value, json};

use crate::net::Prefix;
use crate::routing::plan::host::{BRIDGE, CniPlan};

/// What a node without any CNI configuration gets.
const TEMPLATE: &str = include_str!("../../../cni/10-kuberouter.conflist");

/// A document that nothing can be merged into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CniError {
    #[error("no JSON: {0}")]
    Syntax(String),
    #[error("neither a list of plugins nor a plugin with a type")]
    NoPlugin,
    #[error("no plugin of type bridge among the plugins")]
    NoBridge,
    #[error("{0} is no {1}")]
    Shape(&'static str, &'static str),
}

/// The document as it should be. `text` is what is there; without one it is the packaged one.
///
/// # Errors
/// Where the document is not of the shape that CNI asks for: it is left alone then.
pub fn merged(text: Option<&str>, plan: &CniPlan) -> Result<String, CniError> {
    let text = text.unwrap_or(TEMPLATE);
    let before: Value =
        serde_json::from_str(text).map_err(|error| CniError::Syntax(error.to_string()))?;
    let mut document = before.clone();
    let bridge = bridge(&mut document)?;
    if !bridge.contains_key("bridge") {
        bridge.insert("bridge".to_owned(), json!(BRIDGE));
    }
    if let Some(mtu) = plan.mtu {
        bridge.insert("mtu".to_owned(), json!(mtu));
    }
    let ipam = bridge.entry("ipam").or_insert_with(|| json!({}));
    let ipam = ipam
        .as_object_mut()
        .ok_or(CniError::Shape("ipam", "object"))?;
    merge_ranges(ipam, &plan.ranges)?;
    if document == before {
        return Ok(text.to_owned());
    }
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| CniError::Syntax(error.to_string()))?;
    text.push('\n');
    Ok(text)
}

/// The plugin that makes the bridge: the first of a list, or the only one.
fn bridge(document: &mut Value) -> Result<&mut Map<String, Value>, CniError> {
    let document = document.as_object_mut().ok_or(CniError::NoPlugin)?;
    if !document.contains_key("plugins") {
        return match document.get("type") {
            Some(Value::String(kind)) if kind == "bridge" => Ok(document),
            Some(Value::String(_)) => Err(CniError::NoBridge),
            _ => Err(CniError::NoPlugin),
        };
    }
    let plugins = document
        .get_mut("plugins")
        .and_then(Value::as_array_mut)
        .ok_or(CniError::Shape("plugins", "list"))?;
    let is_bridge = |plugin: &&mut Value| plugin.get("type").is_some_and(|kind| kind == "bridge");
    let bridge = plugins.iter_mut().find(is_bridge);
    bridge
        .and_then(Value::as_object_mut)
        .ok_or(CniError::NoBridge)
}

fn merge_ranges(ipam: &mut Map<String, Value>, wanted: &[Prefix]) -> Result<(), CniError> {
    let mut sets = match ipam.remove("ranges") {
        None => Vec::new(),
        Some(Value::Array(sets)) => sets,
        Some(_) => return Err(CniError::Shape("ipam.ranges", "list")),
    };
    // The older way to say one range; its neighbours (`gateway`, `rangeStart`) go with it.
    if let Some(subnet) = ipam.remove("subnet") {
        let mut range = Map::from_iter([("subnet".to_owned(), subnet)]);
        for key in ["rangeStart", "rangeEnd", "gateway"] {
            range.extend(ipam.remove(key).map(|value| (key.to_owned(), value)));
        }
        sets.insert(0, json!([range]));
    }
    sets.retain(|set| ours(set).is_none_or(|subnet| wanted.contains(&subnet)));
    for range in wanted {
        if !sets.iter().any(|set| names(set, range)) {
            sets.push(json!([{ "subnet": range.to_string() }]));
        }
    }
    ipam.insert("ranges".to_owned(), Value::Array(sets));
    Ok(())
}

/// The subnet of a range set that we may have written.
fn ours(set: &Value) -> Option<Prefix> {
    let [Value::Object(range)] = set.as_array()?.as_slice() else {
        return None;
    };
    (range.len() == 1).then_some(())?;
    subnet(range)
}

/// Whether any range of the set is this one.
fn names(set: &Value, range: &Prefix) -> bool {
    let ranges = set.as_array().into_iter().flatten();
    ranges
        .filter_map(Value::as_object)
        .any(|one| subnet(one) == Some(*range))
}

fn subnet(range: &Map<String, Value>) -> Option<Prefix> {
    let text = range.get("subnet")?.as_str()?;
    text.parse::<Prefix>().ok().map(|prefix| prefix.trunc())
}
