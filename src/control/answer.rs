//! From a request to its answer.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Mutex;

use super::collect::Ask;
use super::query::{BadQuery, Query};
use super::view::{Explanation, Neighbor, Neighbors, Refusal, Table};
use crate::bfd;
use crate::bgp::speaker::Handle;
use crate::bgp::speaker::{NeighborStatus, PeerKey};
use crate::net::{Family, Prefix};

/// Peers on a page.
const PEERS: usize = 256;
/// Peers that are looked at in one turn of the speaker.
const PEERS_AT_A_TIME: usize = 32;

/// Who answers for the daemon.
#[derive(Debug, Default)]
pub struct Control {
    /// `None`: routing is switched off.
    speaker: Option<Handle>,
    bfd: Option<bfd::Handle>,
    /// One page of routes is collected at a time.
    collecting: Mutex<()>,
}

/// JSON with a status of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

// === impl Answer ===

impl Answer {
    fn found(view: &impl Serialize) -> Self {
        match serde_json::to_string(view) {
            Ok(body) => Self { status: 200, body },
            Err(error) => Self::refusal(500, error.to_string()),
        }
    }

    fn refusal(status: u16, error: String) -> Self {
        // Of a string this can't fail.
        let body = serde_json::to_string(&Refusal { error }).unwrap_or_default();
        Self { status, body }
    }
}

// === impl Control ===

impl Control {
    #[must_use]
    pub fn new(speaker: Option<Handle>, bfd: Option<bfd::Handle>) -> Self {
        Self {
            speaker,
            bfd,
            collecting: Mutex::default(),
        }
    }

    /// What a GET of `path` with `query` gets; ages are as of `now`.
    pub async fn answer(&self, path: &str, query: Option<&str>, now: Instant) -> Answer {
        let query = match Query::parse(path, query) {
            Ok(query) => query,
            Err(error @ BadQuery::Path) => return Answer::refusal(404, error.to_string()),
            Err(error) => return Answer::refusal(400, error.to_string()),
        };
        let Some(speaker) = &self.speaker else {
            return Answer::refusal(503, "routing is switched off".to_owned());
        };
        let answer = match query {
            Query::Neighbors { peer, after } => self.neighbors(speaker, peer, after, now).await,
            Query::Rib {
                table,
                peer,
                prefix,
                after,
                limit,
            } => {
                let ask = Ask {
                    table,
                    peer,
                    after,
                    limit,
                };
                self.rib(speaker, ask, prefix).await
            }
            Query::Explain { prefix, is_address } => explain(speaker, prefix, is_address).await,
        };
        let ended = || Answer::refusal(503, "the BGP speaker has ended".to_owned());
        answer.unwrap_or_else(ended)
    }

    async fn neighbors(
        &self,
        speaker: &Handle,
        peer: Option<PeerKey>,
        after: Option<PeerKey>,
        now: Instant,
    ) -> Option<Answer> {
        let summary = speaker.ask(|core| core.summary()).await?;
        let found = match peer {
            Some(peer) => match status(speaker, peer).await? {
                Some(status) => vec![status],
                None => return Some(no_peer(peer)),
            },
            None => statuses(speaker, after, PEERS).await?,
        };
        let sessions = match &self.bfd {
            Some(bfd) => bfd.status().await.unwrap_or_default(),
            None => BTreeMap::new(),
        };
        // One per address, as there is one peer per address.
        let sessions: BTreeMap<PeerKey, &bfd::Status> = sessions
            .iter()
            .map(|(key, status)| (key.remote, status))
            .collect();
        let is_full = peer.is_none() && found.len() == PEERS;
        Some(Answer::found(&Neighbors {
            speaker: (&summary).into(),
            next: found.last().filter(|_| is_full).map(|status| status.peer),
            neighbors: found
                .iter()
                .map(|status| Neighbor::new(status, sessions.get(&status.peer).copied(), now))
                .collect(),
        }))
    }

    async fn rib(&self, speaker: &Handle, ask: Ask, prefix: Option<Prefix>) -> Option<Answer> {
        if let Some(peer) = ask.peer
            && status(speaker, peer).await?.is_none()
        {
            return Some(no_peer(peer));
        }
        let Some(prefix) = prefix else {
            let _turn = self.collecting.lock().await;
            return Some(Answer::found(&ask.page(speaker).await?));
        };
        let rib = ask.one(speaker, prefix).await?;
        Some(match rib.routes.is_empty() {
            false => Answer::found(&rib),
            true => Answer::refusal(404, no_route(ask, prefix)),
        })
    }
}

fn no_peer(peer: PeerKey) -> Answer {
    Answer::refusal(404, format!("no peer {peer}"))
}

fn no_route(ask: Ask, prefix: Prefix) -> String {
    match (ask.table, ask.peer) {
        (Table::Loc, None) => format!("no path to {prefix}"),
        (Table::In, None) => format!("no peer tells {prefix}"),
        (Table::Out, None) => format!("no peer is told {prefix}"),
        (Table::Loc, Some(peer)) => format!("no path to {prefix} from {peer}"),
        (Table::In, Some(peer)) => format!("{peer} does not tell {prefix}"),
        (Table::Out, Some(peer)) => format!("{peer} is not told {prefix}"),
    }
}

/// `None` if the speaker has ended, `None` inside for an unknown peer.
async fn status(speaker: &Handle, peer: PeerKey) -> Option<Option<NeighborStatus>> {
    speaker.ask(move |core| core.neighbor_status(peer)).await
}

async fn statuses(
    speaker: &Handle,
    mut after: Option<PeerKey>,
    limit: usize,
) -> Option<Vec<NeighborStatus>> {
    let mut all = Vec::new();
    while all.len() < limit {
        let some = speaker.ask(move |core| {
            let keys = core.peers(after, PEERS_AT_A_TIME).into_iter();
            keys.filter_map(|key| core.neighbor_status(key))
                .collect::<Vec<_>>()
        });
        let some = some.await?;
        let Some(last) = some.last() else { break };
        after = Some(last.peer);
        all.extend(some);
    }
    all.truncate(limit);
    Some(all)
}

async fn explain(speaker: &Handle, prefix: Prefix, is_address: bool) -> Option<Answer> {
    let found = match is_address {
        false => Some(prefix),
        true => {
            let address = prefix.addr();
            speaker.ask(move |core| core.longest_match(address)).await?
        }
    };
    let nothing = || Answer::refusal(404, format!("no path to {prefix}"));
    let Some(found) = found else {
        return Some(nothing());
    };
    let family = Family::of_prefix(&found);
    let explained = speaker.ask(move |core| (core.explain(found), core.is_deferred(family)));
    let (explained, is_deferred) = explained.await?;
    if explained.paths.is_empty() {
        return Some(nothing());
    }
    let peers = statuses(speaker, None, usize::MAX).await?;
    let view = Explanation::new(&explained, &peers, is_deferred);
    Some(Answer::found(&view))
}
