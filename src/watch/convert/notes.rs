//! Notes on one object, bounded however much of it is wrong.

use std::fmt::Display;

use crate::model::{Note, ObjectRef};

/// More than this many notes on one object are only counted.
const MOST: usize = 100;

pub(super) struct Notes {
    object: ObjectRef,
    notes: Vec<Note>,
    more: usize,
}

// === impl Notes ===

impl Notes {
    pub(super) fn new(object: ObjectRef) -> Self {
        Self {
            object,
            notes: Vec::new(),
            more: 0,
        }
    }

    pub(super) fn add(&mut self, field: impl Display, reason: impl Display) {
        if self.notes.len() >= MOST {
            self.more += 1;
            return;
        }
        self.notes.push(Note::new(
            self.object.clone(),
            field.to_string(),
            reason.to_string(),
        ));
    }

    pub(super) fn finish(mut self) -> Vec<Note> {
        if self.more > 0 {
            let reason = format!("{} more faults are not listed", self.more);
            self.notes.push(Note::new(self.object, "", reason));
        }
        self.notes
    }
}
