//! What was asked on the command line, and how answers look.
//!
//! Parses, asks the running daemon and prints: `main` dispatches, `app` acts.

mod answer;
mod args;
mod bgp;
mod exit;
mod manual;
#[cfg(test)]
mod tests;

pub use answer::{check_config, completion, version};
pub use args::{
    CheckConfigArgs, CleanupArgs, Cli, Command, CompletionArgs, ExplainArgs, ManArgs, NoPort, Page,
    PlanArgs, Port, RunArgs, environment,
};
pub use bgp::{BgpArgs, bgp};
pub use exit::Exit;
pub use manual::man;
