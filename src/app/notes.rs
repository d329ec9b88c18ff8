//! What users got wrong in the cluster's objects: told once, and shown as long as it lasts.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use crate::model::Note;
use crate::reconcile::HealthBoard;

/// The notes as they were told last.
#[derive(Debug, Default)]
pub(super) struct Notes {
    cluster: Arc<Vec<Note>>,
    node: Vec<Note>,
    told: BTreeSet<Note>,
}

// === impl Notes ===

impl Notes {
    /// Logs what is new in them, and what is over.
    pub(super) fn tell(
        &mut self,
        board: &HealthBoard,
        cluster: Option<&Arc<Vec<Note>>>,
        node: Vec<Note>,
    ) {
        let Some(cluster) = cluster else { return };
        if Arc::ptr_eq(cluster, &self.cluster) && node == self.node {
            return;
        }
        let now: BTreeSet<Note> = cluster.iter().chain(&node).cloned().collect();
        for note in now.difference(&self.told) {
            warn!(object = %note.object, key = &*note.field, reason = &*note.reason, "left out");
        }
        for note in self.told.difference(&now) {
            info!(object = %note.object, key = &*note.field, "no longer left out");
        }
        board.set_notes(now.iter().map(ToString::to_string).collect());
        (self.cluster, self.node, self.told) = (Arc::clone(cluster), node, now);
    }
}
