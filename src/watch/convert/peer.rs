//! Whom a NetworkPolicy's rule speaks of.

use std::fmt::Arguments;

use super::notes::Notes;
use super::policy::unknown_field;
use super::selector::selector;
use super::service::noted;
use super::{Interner, entries, read};
use crate::model::{IpBlock, Peer};
use crate::net::{Family, Prefix};
use crate::watch::wire::{self, Field, LabelSelector, PolicyPeer};

/// A peer that is read whole; nothing else matches anybody.
pub(super) fn peer(
    wire: &PolicyPeer,
    path: Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<Peer> {
    let is_absent = |field: &Field<LabelSelector>| *field == Field::Absent;
    let has_selector = !is_absent(&wire.pods) || !is_absent(&wire.namespaces);
    let refused = match (&wire.unknown, has_selector, &wire.block) {
        (Some(unknown), _, _) => unknown_field(unknown),
        (None, true, Field::Absent) => return selected(wire, path, intern, notes),
        (None, false, Field::Good(block)) => {
            return block_of(block, path, notes).map(Peer::Block);
        }
        (None, true, _) => "an ipBlock and a selector".to_owned(),
        (None, false, Field::Absent) => "neither a selector nor an ipBlock".to_owned(),
        (None, false, Field::Wrong(_)) => {
            read(&wire.block, format_args!("{path}.ipBlock"), notes);
            return None;
        }
    };
    notes.add(path, format_args!("{refused}: the peer matches nothing"));
    None
}

fn selected(
    wire: &PolicyPeer,
    path: Arguments<'_>,
    intern: &mut Interner,
    notes: &mut Notes,
) -> Option<Peer> {
    let mut whole = |field: &Field<LabelSelector>, key| {
        let path = format!("{path}.{key}");
        let wire = match field {
            Field::Absent => return Some(None),
            field => read(field, &path, notes)?,
        };
        let (selector, is_whole) = selector(wire, &path, intern, notes);
        is_whole.then_some(Some(selector))
    };
    let namespaces = whole(&wire.namespaces, "namespaceSelector");
    let pods = whole(&wire.pods, "podSelector");
    Some(Peer::Pods {
        namespaces: namespaces?,
        pods: pods?.unwrap_or_default(),
    })
}

/// An exception that cannot be read takes the whole block with it.
fn block_of(wire: &wire::IpBlock, path: Arguments<'_>, notes: &mut Notes) -> Option<IpBlock> {
    let path = format_args!("{path}.ipBlock");
    if let Some(unknown) = &wire.unknown {
        let reason = unknown_field(unknown);
        notes.add(path, format_args!("{reason}: the block matches nothing"));
        return None;
    }
    let place = format_args!("{path}.cidr");
    if wire.cidr == Field::Absent {
        notes.add(place, "a block without a CIDR");
    }
    let prefix = noted(cidr(read(&wire.cidr, place, notes)?), place, notes)?;
    let path = format_args!("{path}.except");
    let wanted = match &wire.except {
        Field::Good(list) => list.len(),
        Field::Absent => 0,
        Field::Wrong(_) => usize::MAX,
    };
    let texts = entries(&wire.except, path, notes);
    let mut is_whole = texts.len() == wanted;
    let mut except = Vec::with_capacity(texts.len());
    for (i, text) in texts {
        let path = format_args!("{path}[{i}]");
        match noted(cidr(text), path, notes) {
            Some(out) if prefix.contains(&out) => except.push(out),
            Some(out) if out.contains(&prefix) => {
                notes.add(path, format_args!("{out} takes out the whole of {prefix}"));
                is_whole = false;
            }
            Some(out) => notes.add(path, format_args!("{out} lies outside {prefix}")),
            None => is_whole = false,
        }
    }
    except.sort_unstable();
    except.dedup();
    except.shrink_to_fit();
    is_whole.then_some(IpBlock { prefix, except })
}

/// A CIDR with its host bits cleared, as the API server reads it. Prefixes of IPv4-mapped
/// addresses are refused: no packet has such an address, but their author meant one.
fn cidr(text: &str) -> Result<Prefix, String> {
    let found = text.parse::<Prefix>().map(|prefix| prefix.trunc());
    let found = found.map_err(|_| format!("{} is not a CIDR", wire::quoted(text)))?;
    let mapped = |prefix: &Prefix| match prefix {
        Prefix::V4(_) => false,
        Prefix::V6(prefix) => prefix.prefix_len() >= 96 && prefix.addr().to_ipv4_mapped().is_some(),
    };
    if mapped(&found) {
        return Err(format!(
            "{found} is {} in the form of {}",
            Family::V4,
            Family::V6
        ));
    }
    Ok(found)
}
