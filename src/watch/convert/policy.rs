//! NetworkPolicies.
//!
//! What cannot be read refuses: a peer, a port or a rule that means nothing allows nothing. A
//! policy of unclear reach isolates more pods and allows nothing: what it allows would otherwise
//! open pods that only other policies isolate.

use std::fmt::Arguments;
use std::sync::Arc;

use super::notes::Notes;
use super::peer::peer;
use super::selector::selector;
use super::service::{noted, protocol};
use super::{Converted, Interner, entries, port, port_name, read, reference};
use crate::model::{NetworkPolicy, ObjectName, PolicyPort, PolicyRule, PortSpec, Selector};
use crate::watch::wire::{self, Field, IntOrText, PolicySpec};

type List<T> = Field<Vec<Field<T>>>;

/// Which way a rule lets traffic through.
#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

/// Whether a policy speaks of a direction.
#[derive(Clone, Copy)]
enum Speaks {
    No,
    Yes,
    /// Perhaps: it is closed.
    Unclear,
}

/// A NetworkPolicy under the name that the cluster knows it by.
#[must_use]
pub(crate) fn policy(
    name: &ObjectName,
    wire: &wire::NetworkPolicy,
    intern: &mut Interner,
) -> Converted<NetworkPolicy> {
    let mut notes = Notes::new(reference::<wire::NetworkPolicy>(Some(name)));
    let no_spec = PolicySpec::default();
    let policy = match &wire.spec {
        Field::Absent => of_spec(name, &no_spec, intern, &mut notes),
        Field::Good(spec) => of_spec(name, spec, intern, &mut notes),
        wrong @ Field::Wrong(_) => {
            read(wrong, "spec", &mut notes);
            closed(name)
        }
    };
    Converted {
        object: Some(policy),
        notes: notes.finish(),
    }
}

/// In the place of a policy of which nothing can be read: every pod of its namespace is closed.
#[must_use]
pub(crate) fn closed(name: &ObjectName) -> NetworkPolicy {
    NetworkPolicy {
        name: name.clone(),
        pods: Selector::default(),
        ingress: Some(Vec::new()),
        egress: Some(Vec::new()),
    }
}

fn of_spec(
    name: &ObjectName,
    spec: &PolicySpec,
    intern: &mut Interner,
    notes: &mut Notes,
) -> NetworkPolicy {
    if let Some(unknown) = &spec.unknown {
        notes.add("spec", unknown_field(unknown));
    }
    let path = "spec.podSelector";
    let (pods, is_whole) = match read(&spec.pods, path, notes) {
        Some(wire) => selector(wire, path, intern, notes),
        None => (Selector::default(), spec.pods == Field::Absent),
    };
    if !is_whole {
        notes.add(
            path,
            "not readable as a whole: the policy isolates more pods and allows nothing",
        );
    }
    let (ingress, egress) = types(spec, notes);
    let mut rules = |speaks, direction| match speaks {
        Speaks::No => None,
        Speaks::Yes if is_whole => Some(rules(spec, direction, intern, notes)),
        Speaks::Yes | Speaks::Unclear => Some(Vec::new()),
    };
    NetworkPolicy {
        name: name.clone(),
        pods,
        ingress: rules(ingress, Direction::Ingress),
        egress: rules(egress, Direction::Egress),
    }
}

/// Whether the policy speaks of ingress and of egress (`policyTypes`, with the API server's
/// default).
fn types(spec: &PolicySpec, notes: &mut Notes) -> (Speaks, Speaks) {
    let path = "spec.policyTypes";
    let list = match &spec.types {
        Field::Good(list) if !list.is_empty() => list,
        Field::Good(_) | Field::Absent => return (Speaks::Yes, default_egress(spec, notes)),
        Field::Wrong(_) => {
            read(&spec.types, path, notes);
            return (Speaks::Unclear, Speaks::Unclear);
        }
    };
    let known = entries(&spec.types, path, notes);
    let otherwise = match known.iter().all(|(_, kind)| is_type(kind)) && known.len() == list.len() {
        true => Speaks::No,
        false => Speaks::Unclear,
    };
    let (mut ingress, mut egress) = (otherwise, otherwise);
    for (i, kind) in known {
        match &**kind {
            "Ingress" => ingress = Speaks::Yes,
            "Egress" => egress = Speaks::Yes,
            other => {
                let reason = format!("unknown type {}: Ingress or Egress", wire::quoted(other));
                notes.add(format_args!("{path}[{i}]"), reason);
            }
        }
    }
    (ingress, egress)
}

fn is_type(kind: &str) -> bool {
    matches!(kind, "Ingress" | "Egress")
}

/// Without `policyTypes` a policy is about egress if it has rules for it.
fn default_egress(spec: &PolicySpec, notes: &mut Notes) -> Speaks {
    match read(&spec.egress, "spec.egress", notes) {
        Some(rules) if !rules.is_empty() => Speaks::Yes,
        // A misspelt key may have been the rules, or the types.
        _ if spec.unknown.is_some() || matches!(spec.egress, Field::Wrong(_)) => Speaks::Unclear,
        _ => Speaks::No,
    }
}

fn rules(
    spec: &PolicySpec,
    direction: Direction,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Vec<PolicyRule> {
    let (list, path) = match direction {
        Direction::Ingress => (&spec.ingress, "spec.ingress"),
        Direction::Egress => (&spec.egress, "spec.egress"),
    };
    let Some(list) = read(list, path, notes) else {
        return Vec::new();
    };
    let mut rules = Vec::with_capacity(list.len());
    for (i, wire) in list.iter().enumerate() {
        let path = format_args!("{path}[{i}]");
        let rule = match wire {
            Field::Absent => noted(Err("null".to_owned()), path, notes),
            wire => {
                read(wire, path, notes).and_then(|wire| rule(wire, direction, path, intern, notes))
            }
        };
        rules.push(rule.unwrap_or_else(nothing));
    }
    rules
}

/// A rule that allows nothing: the others keep their places.
fn nothing() -> PolicyRule {
    PolicyRule {
        peers: Some(Vec::new()),
        ports: Some(Vec::new()),
    }
}

fn rule(
    wire: &wire::PolicyRule,
    direction: Direction,
    path: Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<PolicyRule> {
    let (peers_of, key, other, other_key) = match direction {
        Direction::Ingress => (&wire.from, "from", &wire.to, "to"),
        Direction::Egress => (&wire.to, "to", &wire.from, "from"),
    };
    let unknown = match other {
        Field::Absent => wire.unknown.as_deref(),
        Field::Good(_) | Field::Wrong(_) => Some(other_key),
    };
    if let Some(unknown) = unknown {
        notes.add(path, unknown_field(unknown));
        return None;
    }
    let peers = each(
        peers_of,
        format_args!("{path}.{key}"),
        notes,
        |wire, path, notes| peer(wire, path, intern, notes),
    );
    let ports = each(
        &wire.ports,
        format_args!("{path}.ports"),
        notes,
        |wire, path, notes| policy_port(wire, path, intern, notes),
    );
    Some(PolicyRule { peers, ports })
}

/// The entries that mean something; `None` for a list that is missing or empty.
fn each<T: wire::Shape, U>(
    list: &List<T>,
    path: Arguments<'_>,
    notes: &mut Notes,
    mut convert: impl FnMut(&T, Arguments<'_>, &mut Notes) -> Option<U>,
) -> Option<Vec<U>> {
    match list {
        Field::Absent => return None,
        Field::Good(list) if list.is_empty() => return None,
        Field::Good(_) | Field::Wrong(_) => {}
    }
    let mut found = Vec::new();
    for (i, wire) in entries(list, path, notes) {
        found.extend(convert(wire, format_args!("{path}[{i}]"), notes));
    }
    found.shrink_to_fit();
    Some(found)
}

fn policy_port(
    wire: &wire::PolicyPort,
    path: Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<PolicyPort> {
    let refuse = |reason: String, notes: &mut Notes| {
        notes.add(path, format_args!("{reason}: the port matches nothing"));
    };
    if let Some(unknown) = &wire.unknown {
        refuse(unknown_field(unknown), notes);
        return None;
    }
    let protocol = protocol(&wire.protocol, path, notes)?;
    let last = match &wire.end_port {
        Field::Absent => None,
        end => {
            let place = format_args!("{path}.endPort");
            Some(noted(port(*read(end, place, notes)?), place, notes)?)
        }
    };
    let place = format_args!("{path}.port");
    let spec = match (&wire.port, last) {
        (Field::Absent, None) => PortSpec::All,
        (Field::Absent, Some(_)) => {
            refuse("an endPort without a port".to_owned(), notes);
            return None;
        }
        (wire, last) => match (read(wire, place, notes)?, last) {
            (IntOrText::Number(number), last) => {
                let first = noted(port(*number), place, notes)?;
                let last = last.unwrap_or(first);
                if last < first {
                    refuse(format!("endPort {last} lies below port {first}"), notes);
                    return None;
                }
                PortSpec::Range(first..=last)
            }
            (IntOrText::Text(_), Some(_)) => {
                refuse("an endPort behind a named port".to_owned(), notes);
                return None;
            }
            (IntOrText::Text(name), None) => {
                PortSpec::Named(noted(named(name, intern), place, notes)?)
            }
        },
    };
    Some(PolicyPort {
        protocol,
        port: spec,
    })
}

/// A port's name, which must have a letter in it (RFC 6335, section 5.1).
fn named(name: &str, intern: &mut Interner) -> Result<Arc<str>, String> {
    let is_named = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    match port_name(&Field::Good(name.into())) {
        Ok(_) if is_named => Ok(intern.text(name)),
        _ => Err(format!("{} cannot name a port", wire::quoted(name))),
    }
}

pub(super) fn unknown_field(name: impl AsRef<str>) -> String {
    format!("unknown field {}", wire::quoted(name.as_ref()))
}
