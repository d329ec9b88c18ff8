//! What the writer of an unknown key may have meant.

use super::flags::{self, Place};
use super::schema::{self, Field, Key};

/// "did you mean …?" for a key path that the schema doesn't have; `spell` writes the key meant.
pub(super) fn closest(path: &str, spell: fn(&Key) -> String) -> Option<String> {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    let name = name.replace('-', "_");
    let said = |key: &Key| format!("did you mean {}?", spell(key));
    let namesakes = || schema::keys().filter(|key| key.name() == name);
    if let Some(key) = namesakes().next().filter(|_| namesakes().count() == 1) {
        return Some(said(key));
    }
    if let Some(flag) = flags::find(&name.replace('_', "-")) {
        return Some(match flag.place {
            Place::Key(key) => format!("kube-router's --{} is {key} here", flag.name),
            Place::Command(command) => format!("kube-router's --{} is {command} here", flag.name),
            Place::Nowhere(why) => format!("kube-router's --{} is gone: {why}", flag.name),
        });
    }
    let near = schema::keys().map(|key| {
        // A key of another section must be much nearer to be meant.
        let elsewhere = if key.section() == section { 0 } else { 2 };
        (distance(key.name(), &name) + elsewhere, key)
    });
    let (distance, key) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= tolerance(&name)).then(|| said(key))
}

/// The section that a misspelt one may mean.
pub(super) fn section(name: &str) -> Option<&'static str> {
    let near = schema::sections()
        .iter()
        .map(|s| (distance(s.name, name), s.name));
    let (distance, section) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= tolerance(name)).then_some(section)
}

/// What is said of a field that the tables of a key don't have.
pub(super) fn field(fields: &[Field], name: &str) -> String {
    let near = fields.iter().map(|f| (distance(f.name, name), f.name));
    match near.min_by_key(|(distance, _)| *distance) {
        Some((distance, meant)) if distance <= tolerance(name) => {
            format!("unknown key; did you mean {meant}?")
        }
        _ => "unknown key".to_owned(),
    }
}

/// About one slip in three letters.
fn tolerance(name: &str) -> usize {
    (name.chars().count() / 3).clamp(1, 4)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour to make one
/// word the other (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = cell(&row, j) + usize::from(x != y);
            best = best.min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1);
            let is_swap = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if is_swap {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}
