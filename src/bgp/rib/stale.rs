//! Routes of a peer that restarts (RFC 4724), refreshes (RFC 7313) or stays away for long
//! (RFC 9494). When is the state machine's business; here is what happens to the routes.

use super::decision::Facts;
use super::path::{Marks, Path};
use super::peer::PeerId;
use super::rib::{Rib, remove, with_table};
use super::table::{Key, Table};
use crate::bgp::wire::Community;
use crate::net::Family;

impl Rib {
    /// The peer is about to tell all its routes again: the session is lost and it may restart, or
    /// a refresh begins (BoRR). What it has told stays in use.
    pub fn mark_stale(&mut self, peer: PeerId, family: Family) {
        let ids = self.ids_of(peer, family);
        with_table!(self, family, table => mark_stale(table, &ids, peer));
        if let Some(adj) = self.facts.peers.get_mut(peer) {
            let counters = adj.counters.get_mut(family);
            counters.stale = counters.received;
        }
    }

    /// All is told (End-of-RIB, EoRR), or it took too long: what is stale goes.
    pub fn flush_stale(&mut self, peer: PeerId, family: Family) {
        self.remove_where(peer, family, Path::is_stale);
    }

    /// The restart took too long, but the routes are to be kept for longer: they are used last,
    /// and told with LLGR_STALE; those with NO_LLGR go.
    pub fn keep_long_lived(&mut self, peer: PeerId, family: Family) {
        let unwanted =
            |path: &Path| path.is_stale() && path.route().has_community(Community::NO_LLGR);
        self.remove_where(peer, family, unwanted);
        let ids = self.ids_of(peer, family);
        with_table!(self, family, table => mark_long_lived(table, &self.facts, &ids, peer));
    }

    /// The peer is gone: so are its routes.
    pub fn clear(&mut self, peer: PeerId, family: Family) {
        self.remove_where(peer, family, |_| true);
    }

    fn remove_where(&mut self, peer: PeerId, family: Family, goes: impl Fn(&Path) -> bool) {
        for id in self.ids_of(peer, family) {
            with_table!(self, family, table => {
                let paths = table.get(id).map(|entry| entry.paths.of_peer(peer));
                let gone = paths.into_iter().flatten().filter(|path| goes(path));
                let gone: Vec<u32> = gone.map(Path::path_id).collect();
                for path_id in gone {
                    remove(table, &mut self.facts, id, peer, path_id);
                }
            });
        }
    }
}

fn mark_stale<K: Key>(table: &mut Table<K>, ids: &[u32], peer: PeerId) {
    for id in ids {
        let paths = table.get_mut(*id).map(|entry| entry.paths.as_mut_slice());
        let paths = paths.into_iter().flatten();
        for path in paths.filter(|path| path.peer() == peer) {
            path.mark(Marks::STALE, true);
        }
    }
}

fn mark_long_lived<K: Key>(table: &mut Table<K>, facts: &Facts, ids: &[u32], peer: PeerId) {
    for id in ids {
        let Some(entry) = table.get_mut(*id) else {
            continue;
        };
        let paths = entry.paths.as_mut_slice();
        let mut was_used = false;
        for path in paths.iter_mut() {
            if path.peer() == peer && path.is_stale() {
                path.mark(Marks::LONG_LIVED, true);
                was_used |= path.is_used();
            }
        }
        if facts.select(paths) || was_used {
            table.mark_dirty(*id);
        }
    }
}
