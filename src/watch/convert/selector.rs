//! Label selectors.

use super::notes::Notes;
use super::service::noted;
use super::{Interner, labels, read};
use crate::model::{Requirement, Selector};
use crate::watch::wire::{self, Expression, Field, LabelSelector};

/// Everything that could be read of a selector, and whether that is all it says: without the
/// rest it selects more.
pub(super) fn selector(
    wire: &LabelSelector,
    path: &str,
    intern: &mut Interner,
    notes: &mut Notes,
) -> (Selector, bool) {
    let given = match &wire.labels {
        Field::Good(given) => given.0.len(),
        Field::Absent | Field::Wrong(_) => 0,
    };
    let mut is_whole = wire.unknown.is_none() && !matches!(wire.labels, Field::Wrong(_));
    if let Some(unknown) = &wire.unknown {
        notes.add(
            path,
            format_args!("unknown field {}", wire::quoted(unknown)),
        );
    }
    let at = format!("{path}.matchLabels");
    let labels = labels(&wire.labels, &at, intern, notes);
    is_whole &= labels.len() == given;
    let equal = labels
        .iter()
        .map(|(key, value)| Requirement::is(key.clone(), value.clone()));
    let mut requirements: Vec<Requirement> = equal.collect();

    let at = format!("{path}.matchExpressions");
    let expressions = read(&wire.expressions, &at, notes);
    is_whole &= !matches!(wire.expressions, Field::Wrong(_));
    for (i, expression) in expressions.into_iter().flatten().enumerate() {
        let place = format!("{at}[{i}]");
        let found = match expression {
            Field::Absent => Err("null".to_owned()),
            Field::Wrong(found) => Err(format!("expected a mapping, found {found}")),
            Field::Good(expression) => requirement(expression, intern),
        };
        let found = noted(found, place, notes);
        is_whole &= found.is_some();
        requirements.extend(found);
    }
    (requirements.into_iter().collect(), is_whole)
}

/// One of `matchExpressions`, read whole or not at all.
fn requirement(wire: &Expression, intern: &mut Interner) -> Result<Requirement, String> {
    if let Some(unknown) = &wire.unknown {
        return Err(format!("unknown field {}", wire::quoted(unknown)));
    }
    let key = match &wire.key {
        Field::Good(key) if !key.is_empty() => intern.text(key),
        Field::Good(_) | Field::Absent => return Err("a condition without a key".to_owned()),
        Field::Wrong(found) => return Err(format!("expected a text as key, found {found}")),
    };
    let values = values(wire, intern)?;
    let operator = match &wire.operator {
        Field::Good(operator) => &**operator,
        Field::Absent => "",
        Field::Wrong(found) => return Err(format!("expected a text as operator, found {found}")),
    };
    match (operator, values.is_empty()) {
        ("In", false) => Ok(Requirement::In(key, values)),
        ("NotIn", false) => Ok(Requirement::NotIn(key, values)),
        ("Exists", true) => Ok(Requirement::Exists(key)),
        ("DoesNotExist", true) => Ok(Requirement::DoesNotExist(key)),
        ("In" | "NotIn", true) => Err(format!("{operator} needs values")),
        ("Exists" | "DoesNotExist", false) => Err(format!("{operator} takes no values")),
        (other, _) => Err(format!(
            "unknown operator {}: In, NotIn, Exists or DoesNotExist",
            wire::quoted(other)
        )),
    }
}

fn values(wire: &Expression, intern: &mut Interner) -> Result<Box<[std::sync::Arc<str>]>, String> {
    let list = match &wire.values {
        Field::Absent => return Ok(Box::default()),
        Field::Wrong(found) => return Err(format!("expected a list of values, found {found}")),
        Field::Good(list) => list,
    };
    let value = |field: &Field<wire::Label>| match field {
        Field::Good(value) => Ok(intern.text(&value.0)),
        Field::Absent => Ok(intern.text("")),
        Field::Wrong(found) => Err(format!("expected a text as value, found {found}")),
    };
    list.iter().map(value).collect()
}
