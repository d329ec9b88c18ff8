//! `kube-router bgp`: asks the running daemon and prints what it says.

mod args;
mod client;
mod explain;
mod neighbors;
mod rib;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

pub(super) use args::BGP_LONG;
pub use args::BgpArgs;
use args::{Destination, Question, Selection};
use client::{AskError, ask};

use super::exit::Exit;
use crate::control::{Explanation, Neighbors, Query};

/// Why it ended early.
enum Failed {
    Ask(AskError),
    Write(io::Error),
}

/// `bgp`: the answer to `out`, a refusal to `err`.
///
/// # Errors
/// When nothing can be written.
pub fn bgp(args: &BgpArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let done = match &args.question {
        Question::Neighbors { peer } => neighbors(args, *peer, out),
        Question::Rib { which } => match Selection::try_from(&**which) {
            Ok(selection) => rib::show(args, selection, out),
            Err(error) => {
                writeln!(err, "kube-router: {error}")?;
                return Ok(Exit::Usage);
            }
        },
        Question::Explain { prefix } => explain(args, *prefix, out),
    };
    match done {
        Ok(()) => Ok(Exit::Success),
        Err(Failed::Write(error)) => Err(error),
        Err(Failed::Ask(error)) => {
            writeln!(err, "kube-router: {error}")?;
            Ok(error.exit())
        }
    }
}

fn neighbors(args: &BgpArgs, peer: Option<IpAddr>, out: &mut dyn Write) -> Result<(), Failed> {
    let mut query = Query::Neighbors { peer, after: None };
    let mut all: Neighbors = ask(&args.socket, &query)?;
    while let Some(after) = all.next.take() {
        query = Query::Neighbors {
            peer,
            after: Some(after),
        };
        let more: Neighbors = ask(&args.socket, &query)?;
        all.neighbors.extend(more.neighbors);
        // Each page begins behind the one before, so that this ends.
        all.next = more.next.filter(|next| *next > after);
    }
    if args.json {
        return json(&all, out);
    }
    let text = match (peer, &*all.neighbors) {
        (Some(_), [neighbor]) => neighbors::detail(neighbor, &all.speaker),
        _ => neighbors::summary(&all),
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn explain(args: &BgpArgs, of: Destination, out: &mut dyn Write) -> Result<(), Failed> {
    let query = Query::Explain {
        prefix: of.prefix,
        is_address: of.is_address,
    };
    let said: Explanation = ask(&args.socket, &query)?;
    if args.json {
        return json(&said, out);
    }
    Ok(out.write_all(explain::text(&said).as_bytes())?)
}

fn json(view: &impl Serialize, out: &mut dyn Write) -> Result<(), Failed> {
    let text = serde_json::to_string_pretty(view).map_err(io::Error::from)?;
    Ok(writeln!(out, "{text}")?)
}

// === impl AskError ===

impl AskError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) | Self::Refused(_) | Self::Garbled { .. } => Exit::Failure,
            Self::Absent(_)
            | Self::Denied(_)
            | Self::Silent(_)
            | Self::Broken { .. }
            | Self::Unavailable(_) => Exit::Unavailable,
        }
    }
}

// === impl Failed ===

impl From<AskError> for Failed {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
