//! Why a prefix goes where it goes, and who is told. Pure.

use super::text::{attributes, count};
use crate::control::{Candidate, Explanation, Standing, Telling, Verdict};

/// The whole answer as text.
pub(super) fn text(said: &Explanation) -> String {
    let mut text = format!(
        "{}: {}{}\n",
        said.prefix,
        count(said.candidates.len(), "path"),
        choice(said)
    );
    if said.deferred {
        text.push_str(
            "After our restart, nothing is told or used before all helpers have told theirs.\n",
        );
    }
    for (at, candidate) in said.candidates.iter().enumerate() {
        text.push_str(&candidate_text(at + 1, candidate));
    }
    if said.peers.is_empty() {
        text.push_str("\nThere are no peers to be told.\n");
        return text;
    }
    text.push_str("\nWho is told:\n");
    for telling in &said.peers {
        text.push_str(&telling_text(telling));
    }
    text
}

fn choice(said: &Explanation) -> &'static str {
    let has = |standing| said.candidates.iter().any(|it| it.standing == standing);
    match (has(Standing::Best), has(Standing::Multipath)) {
        (false, _) => ", none of which can be chosen",
        (true, true) => ", several of which are used together",
        (true, false) => "",
    }
}

fn candidate_text(number: usize, candidate: &Candidate) -> String {
    let route = &candidate.route;
    let from = match route.peer {
        Some(peer) => format!("from {peer}"),
        None => "our own".to_owned(),
    };
    let path_id = match route.path_id {
        0 => String::new(),
        id => format!(", path identifier {id}"),
    };
    let stale = match (route.marks.long_lived_stale, route.marks.stale) {
        (true, _) => " (stale for long)",
        (false, true) => " (stale)",
        (false, false) => "",
    };
    let mut text = format!(
        "\n  {number}. {from}{path_id}: {}{stale}\n",
        candidate.reason
    );
    text.push_str(&attributes(&route.attributes, "       "));
    if let Some(received) = &candidate.received {
        text.push_str("       as it came:\n");
        text.push_str(&attributes(received, "         "));
    }
    if let Some(import) = &candidate.import {
        text.push_str(&format!("       import: {}\n", verdict(import)));
    }
    text
}

fn telling_text(telling: &Telling) -> String {
    let asn = telling
        .asn
        .map_or_else(String::new, |asn| format!(" (AS {asn})"));
    let why = match (&telling.why_not, telling.told) {
        (_, true) => "yes".to_owned(),
        (Some(why), false) => format!("no, {why}"),
        (None, false) => "no".to_owned(),
    };
    let mut text = format!("  {}{asn}: {why}\n", telling.peer);
    if let Some(export) = &telling.export {
        text.push_str(&format!("       export: {}\n", verdict(export)));
    }
    if let Some(told) = &telling.attributes {
        text.push_str(&attributes(told, "       "));
    }
    text
}

fn verdict(verdict: &Verdict) -> String {
    match &verdict.statement {
        Some(statement) => format!("policy \"{}\", statement \"{statement}\"", verdict.policy),
        None => format!("policy \"{}\", its last word", verdict.policy),
    }
}
