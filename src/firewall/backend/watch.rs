//! What the kernel tells of changes by others.
//!
//! While anybody listens, each element and each rule of a transaction takes the kernel 8 KiB until
//! all of it is committed ([`Monitor`]). So nobody listens to our own large transactions; whether
//! somebody else made one meanwhile shows in the ruleset's generation, which every commit of the
//! network namespace counts up by one (`nf_tables_commit`).

use std::time::Duration;

use crate::kernel::nft::{self, Command, Generation, Monitor, Notice, Tables, Transaction};

/// From so many elements and rules on nobody listens: the notifications of a smaller transaction
/// take 8 MiB at most. Not from the first on, since a change of any other table during a pause
/// costs a read-back of ours.
const LARGE: usize = 1000;

/// How many notices of changes by others are looked at in one go.
const NOTICES: usize = 1000;

/// Listens to what others change, except during large changes of our own.
#[derive(Debug)]
pub(super) struct Watch {
    monitor: Option<Monitor>,
    is_paused: bool,
    /// Others may have changed something while nobody listened.
    is_in_doubt: bool,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(monitor: Option<Monitor>) -> Self {
        Self {
            monitor,
            is_paused: false,
            is_in_doubt: false,
        }
    }

    /// Does `work`, which also says how many commits of its own took effect, while nobody listens.
    /// A foreign commit meanwhile is news; so is one that falls between a reading of the generation
    /// and the pause, which is told twice.
    ///
    /// A commit of ours that changes nothing counts no generation, and could hide a foreign one:
    /// but ours change nothing only where somebody was there before, which was told then.
    pub(super) fn unheard<T: Tables, R>(
        &mut self,
        tables: &mut T,
        work: impl FnOnce(&mut T) -> (R, u32),
    ) -> R {
        let before = tables.generation();
        self.pause();
        let (result, own) = work(tables);
        self.resume();
        let after = tables.generation();
        self.is_in_doubt |= !is_explained(before, after, own);
        result
    }

    /// Whether others changed what is watched since this was asked last.
    pub(super) fn has_news(&mut self) -> bool {
        if self.is_paused {
            self.resume();
        }
        if self.is_paused || std::mem::take(&mut self.is_in_doubt) {
            return true;
        }
        let Some(monitor) = &mut self.monitor else {
            return false;
        };
        for _ in 0..NOTICES {
            match monitor.next(Some(Duration::ZERO)) {
                Ok(Notice::Quiet) => return false,
                Ok(Notice::Elsewhere) => {}
                Ok(Notice::Changed | Notice::Overflow) | Err(_) => return true,
            }
        }
        false
    }

    /// What the socket of this port does is nobody else's doing. It gets another port after a
    /// fault, so this is to be told again after each commit.
    pub(super) fn leave_out(&mut self, port: Result<u32, nft::Error>) {
        if let (Some(monitor), Ok(port)) = (&mut self.monitor, port)
            && monitor.leave_out(port).is_err()
        {
            self.is_in_doubt = true;
        }
    }

    /// Where that does not work, the notifications are the lesser evil.
    fn pause(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            monitor.pause().ok();
            self.is_paused = true;
        }
    }

    /// Where that does not work, it is tried again with each question for news.
    fn resume(&mut self) {
        if let Some(monitor) = self.monitor.as_mut().filter(|_| self.is_paused) {
            self.is_paused = monitor.resume().is_err();
        }
    }
}

/// Whether the notifications of a transaction would take too much memory.
pub(super) fn is_large(transaction: &Transaction) -> bool {
    let sizes = transaction.commands().iter().map(|command| match command {
        Command::AddElements(_, elements, _) | Command::DeleteElements(_, elements) => {
            elements.len()
        }
        // One notification for each member, however many there are.
        Command::FlushSet(_) => LARGE,
        _ => 1,
    });
    sizes.sum::<usize>() >= LARGE
}

/// Whether so many commits of our own account for the way from one generation to the other.
fn is_explained(
    before: Result<Generation, nft::Error>,
    after: Result<Generation, nft::Error>,
    own: u32,
) -> bool {
    match (before, after) {
        (Ok(Generation(before)), Ok(Generation(after))) => after.wrapping_sub(before) <= own,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
