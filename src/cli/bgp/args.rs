//! `kube-router bgp`: what may be asked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::config;
use crate::control::Table;
use crate::net::{Prefix, host_prefix};

pub(in crate::cli) const BGP_LONG: &str = "\
Ask the running daemon for its BGP peers and routes, over its local socket.

Members of the group kube-router may ask; nothing can be changed that way. The text is for people; \
scripts take --json, whose fields keep their names and meaning. Ends with 0 when something was \
found, with 1 when there is no such peer or prefix, with 69 when the daemon can't be asked or \
routing is switched off.";

/// `bgp`.
#[derive(Debug, Clone, Args)]
pub struct BgpArgs {
    #[command(subcommand)]
    pub question: Question,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// The daemon's socket
    #[arg(long, global = true, value_name = "PATH", default_value = config::DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Question {
    /// Show all peers, or one of them in full
    Neighbors {
        /// Its address
        peer: Option<IpAddr>,
    },
    /// Show routes: all paths, or those that peers have told (in), or are told (out)
    Rib {
        /// In this order, each may be left out: in or out, a peer's address, a prefix
        #[arg(value_name = "in|out|PEER|PREFIX", num_args = 0..=3)]
        which: Vec<Which>,
    },
    /// Say which path to a prefix was chosen and why, and which peers are told and why not
    Explain {
        /// A prefix, or an address: then the longest prefix that contains it
        prefix: Destination,
    },
}

/// A word that narrows a table down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Table(Table),
    Peer(IpAddr),
    Prefix(Prefix),
}

/// A prefix without host bits, or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub prefix: Prefix,
    pub is_address: bool,
}

/// Text that is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWord {
    #[error("expected in, out, a peer's address or a prefix such as 10.0.0.0/8")]
    Which,
    #[error("expected a prefix such as 10.0.0.0/8, or an address")]
    Destination,
    #[error("{found}: has host bits; the prefix is {meant}")]
    HostBits { found: Prefix, meant: Prefix },
    #[error("{0} is out of order: in or out, a peer's address, a prefix")]
    Order(String),
}

/// Which routes are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub table: Table,
    pub peer: Option<IpAddr>,
    pub prefix: Option<Prefix>,
}

// === impl Which ===

impl FromStr for Which {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "in" => return Ok(Self::Table(Table::In)),
            "out" => return Ok(Self::Table(Table::Out)),
            _ => {}
        }
        let address = text.parse().map(Self::Peer);
        address.or_else(|_| {
            let prefix = text.parse().map_err(|_| BadWord::Which)?;
            whole(prefix).map(Self::Prefix)
        })
    }
}

fn whole(prefix: Prefix) -> Result<Prefix, BadWord> {
    let meant = prefix.trunc();
    match prefix == meant {
        true => Ok(prefix),
        false => Err(BadWord::HostBits {
            found: prefix,
            meant,
        }),
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(Table::Loc) => Ok(()),
            Self::Table(Table::In) => f.write_str("in"),
            Self::Table(Table::Out) => f.write_str("out"),
            Self::Peer(peer) => write!(f, "{peer}"),
            Self::Prefix(prefix) => write!(f, "{prefix}"),
        }
    }
}

// === impl Destination ===

impl FromStr for Destination {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        if let Ok(address) = text.parse() {
            return Ok(Self {
                prefix: host_prefix(address),
                is_address: true,
            });
        }
        let prefix = text.parse().map_err(|_| BadWord::Destination)?;
        Ok(Self {
            prefix: whole(prefix)?,
            is_address: false,
        })
    }
}

// === impl Selection ===

impl TryFrom<&[Which]> for Selection {
    type Error = BadWord;

    fn try_from(words: &[Which]) -> Result<Self, BadWord> {
        let mut selection = Self::default();
        let mut rank = 0;
        for word in words {
            let own = match *word {
                Which::Table(table) => {
                    selection.table = table;
                    1
                }
                Which::Peer(peer) => {
                    selection.peer = Some(peer);
                    2
                }
                Which::Prefix(prefix) => {
                    selection.prefix = Some(prefix);
                    3
                }
            };
            if own <= rank {
                return Err(BadWord::Order(word.to_string()));
            }
            rank = own;
        }
        Ok(selection)
    }
}
