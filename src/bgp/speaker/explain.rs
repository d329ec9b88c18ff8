//! Why a prefix goes where it goes, and who is told and why not.

use std::sync::Arc;

use super::core::SpeakerCore;
use super::desired::PeerKey;
use crate::bgp::policy;
use crate::bgp::policy::evaluate;
use crate::bgp::rib::{Path, Route, Standing, Withheld};
use crate::net::Prefix;

/// All there is to say of one prefix.
#[derive(Debug, Clone)]
pub struct Explanation {
    pub prefix: Prefix,
    pub paths: Vec<PathExplanation>,
    /// By peer, those with a session that is up; none if no path is chosen.
    pub telling: Vec<Telling>,
}

/// One path, and why it is where it is.
#[derive(Debug, Clone)]
pub struct PathExplanation {
    /// `None` for our own.
    pub peer: Option<PeerKey>,
    pub path: Path,
    pub standing: Standing,
    /// The statement of the import policy that decided; `None` for its last word, and for our own.
    pub import: Option<Arc<str>>,
}

/// What one peer is told.
#[derive(Debug, Clone)]
pub struct Telling {
    pub peer: PeerKey,
    /// The route, or why it is withheld.
    pub told: Result<Arc<Route>, Withheld>,
    /// The statement of the export policy that decided, or would have; `None` for its last word.
    pub export: Option<Arc<str>>,
}

impl SpeakerCore {
    /// For an operator's question.
    #[must_use]
    pub fn explain(&mut self, prefix: Prefix) -> Explanation {
        let prefix = prefix.trunc();
        let explained = self.tables.rib.explain(&prefix).into_iter();
        let paths = explained
            .map(|(path, standing)| self.explain_path(&prefix, path, standing))
            .collect();
        Explanation {
            prefix,
            paths,
            telling: self.explain_telling(prefix),
        }
    }

    fn explain_path(&self, prefix: &Prefix, path: Path, standing: Standing) -> PathExplanation {
        let mut neighbors = self.neighbors.values();
        let neighbor = neighbors.find(|neighbor| neighbor.id == path.peer());
        let facts = self.tables.rib.peer(path.peer());
        let import = neighbor.zip(facts).and_then(|(neighbor, facts)| {
            let route = policy::Route {
                prefix,
                route: path.route().received(),
                source: policy::Source::Peer(facts.kind),
            };
            let verdict = evaluate(&neighbor.desired.import, &route, &facts.into());
            verdict.decided_by.map(|by| Arc::clone(&by.name))
        });
        PathExplanation {
            peer: neighbor.map(|neighbor| neighbor.key),
            path,
            standing,
            import,
        }
    }

    fn explain_telling(&mut self, prefix: Prefix) -> Vec<Telling> {
        let (tables, neighbors) = (&mut self.tables, &self.neighbors);
        let groups = &mut tables.groups;
        let mut telling = Vec::new();
        tables.rib.look_at(&prefix, |view, routes| {
            for neighbor in neighbors.values() {
                if let Some(exported) = groups.explain(neighbor.id, &view, routes) {
                    telling.push(Telling {
                        peer: neighbor.key,
                        told: exported.told,
                        export: exported.statement,
                    });
                }
            }
        });
        telling
    }
}
