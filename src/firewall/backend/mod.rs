//! What carries changes out: nftables, or ipset with iptables.

mod apply;
mod nft;
mod watch;
mod xtables;

pub use apply::{Applied, Failed, Withheld, apply};
pub use nft::{Nftables, script as nftables_script};
pub use xtables::{Names, Xtables, script as iptables_script};

use std::error::Error;

use crate::firewall::{Change, Seen, Wanted};

/// Why the packet filter could not be read or changed.
pub type Fault = Box<dyn Error + Send + Sync>;

/// What became of one step.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// The kernel refused this very step; the same step will be refused again.
    Refused(Fault),
    /// The step does not fit what stands: somebody else changed it, and it must be read again.
    Stale(Fault),
    /// Not carried out, because of another step or a passing trouble.
    Left(Fault),
}

/// One way to program the packet filter of the kernel.
pub trait Backend {
    /// `nftables`, `iptables (nft)`.
    fn name(&self) -> String;

    /// Makes what stands of ours this process's own again, where the kernel knows owners and the
    /// last one is gone. No rule changes; from here on nobody else can change one.
    ///
    /// # Errors
    /// Where it belongs to a process that still runs.
    fn claim(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// Reads what of ours stands; compares chains with the wanted ones.
    ///
    /// # Errors
    /// Where a part can't be read.
    fn observe(&mut self, wanted: &Wanted) -> Result<Seen, Fault>;

    /// Carries the steps out in order, all at once where it can; one outcome per step.
    fn run(&mut self, steps: &[Change], wanted: &Wanted) -> Vec<Outcome>;

    /// Whether somebody else changed what is ours since the last read-back, as far as the kernel
    /// tells.
    fn is_meddled_with(&mut self) -> bool;

    /// Takes everything of ours away; `false` where there was nothing.
    ///
    /// # Errors
    /// With what is left.
    fn remove(&mut self) -> Result<bool, Fault>;
}
