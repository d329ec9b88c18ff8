//! Who gets an address and port that several Services claim: the oldest.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::kernel::ipvs::object::VirtualKey;
use crate::model::{Note, ObjectName, ObjectRef};
use crate::proxy::plan::service::{Entry, Fragment};

/// One Service's wish for one key.
#[derive(Debug)]
struct Claim {
    created: i64,
    name: ObjectName,
    entry: Arc<Entry>,
}

/// All wishes, those for one key with the oldest first; equal ages go by name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    winners: FxHashMap<VirtualKey, Claim>,
    /// Only keys that more than one Service wants.
    losers: BTreeMap<VirtualKey, Vec<Claim>>,
}

// === impl Claim ===

impl Claim {
    fn rank(&self) -> (i64, &ObjectName) {
        (self.created, &self.name)
    }
}

// === impl Claims ===

impl Claims {
    pub(super) fn assert(&mut self, fragment: &Fragment) {
        for entry in &fragment.entries {
            let claim = Claim {
                created: fragment.created,
                name: fragment.name.clone(),
                entry: Arc::clone(entry),
            };
            let key = entry.key();
            let Some(winner) = self.winners.get_mut(&key) else {
                self.winners.insert(key, claim);
                continue;
            };
            let loser = if claim.rank() < winner.rank() {
                std::mem::replace(winner, claim)
            } else {
                claim
            };
            let losers = self.losers.entry(key).or_default();
            losers.push(loser);
            losers.sort_by(|a, b| a.rank().cmp(&b.rank()));
        }
    }

    pub(super) fn retract(&mut self, fragment: &Fragment) {
        for key in fragment.entries.iter().map(|entry| entry.key()) {
            let wins = self
                .winners
                .get(&key)
                .is_some_and(|claim| claim.name == fragment.name);
            if let Some(losers) = self.losers.get_mut(&key) {
                if wins {
                    self.winners.insert(key, losers.remove(0));
                } else {
                    losers.retain(|claim| claim.name != fragment.name);
                }
                if losers.is_empty() {
                    self.losers.remove(&key);
                }
            } else if wins {
                self.winners.remove(&key);
            }
        }
    }

    pub(super) fn winner(&self, key: &VirtualKey) -> Option<&Arc<Entry>> {
        self.winners.get(key).map(|claim| &claim.entry)
    }

    /// A note on each Service that lost a key.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> + '_ {
        self.losers.iter().flat_map(|(key, losers)| {
            let winner = self
                .winners
                .get(key)
                .map(|claim| claim.name.to_string())
                .unwrap_or_default();
            losers.iter().map(move |claim| {
                Note::new(
                    ObjectRef::new("Service", claim.name.to_string()),
                    "",
                    format!("{} belongs to the older Service {winner}", Shown(key)),
                )
            })
        })
    }
}

/// A key as a person reads it.
struct Shown<'a>(&'a VirtualKey);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            VirtualKey::Address {
                address,
                protocol,
                port,
            } => {
                write!(
                    f,
                    "{} {protocol}",
                    std::net::SocketAddr::new(*address, *port)
                )
            }
            VirtualKey::FwMark { mark, .. } => write!(f, "mark {mark}"),
        }
    }
}
