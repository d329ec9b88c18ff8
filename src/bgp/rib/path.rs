//! One way to a prefix, and all ways to it.

use std::sync::Arc;

use super::import::Exclusion;
use super::peer::PeerId;
use super::route::Route;

/// A route to a prefix, as one peer tells it or as we originate it. 16 octets.
#[derive(Debug, Clone)]
pub struct Path {
    route: Arc<Route>,
    /// RFC 7911; 0 without.
    path_id: u32,
    peer: PeerId,
    marks: Marks,
    exclusion: Option<Exclusion>,
}

/// Of one prefix from one peer (RFC 7911): each change costs a walk through them, so that nobody
/// may have us walk through a million.
pub(super) const MAX_PATHS: usize = 512;

/// What is true of a path for the time being.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

/// The paths of one prefix, by peer and path identifier; one is held without allocation.
#[derive(Debug, Clone, Default)]
pub(super) enum Paths {
    #[default]
    None,
    One(Path),
    #[expect(
        clippy::box_collection,
        reason = "a Vec would make every prefix greater"
    )]
    Many(Box<Vec<Path>>),
}

// === impl Marks ===

impl Marks {
    /// Goes at the end of the restart or refresh unless the peer tells it again.
    pub(super) const STALE: u8 = 1;
    /// Kept for long (RFC 9494).
    pub(super) const LONG_LIVED: u8 = 2;
    pub(super) const BEST: u8 = 4;
    /// Used for forwarding; the best path is, too.
    pub(super) const USED: u8 = 8;
    /// Still in the running, while the decision runs.
    pub(super) const CANDIDATE: u8 = 16;
    pub(super) const SELECTION: u8 = Self::BEST | Self::USED;

    pub(super) fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u8, on: bool) {
        if on {
            self.0 |= mark;
        } else {
            self.0 &= !mark;
        }
    }

    pub(super) fn selection(self) -> u8 {
        self.0 & Self::SELECTION
    }
}

// === impl Path ===

impl Path {
    pub(super) fn new(
        peer: PeerId,
        path_id: u32,
        route: Arc<Route>,
        exclusion: Option<Exclusion>,
    ) -> Self {
        Self {
            route,
            path_id,
            peer,
            marks: Marks::default(),
            exclusion,
        }
    }

    /// As it is after import.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    #[must_use]
    pub fn path_id(&self) -> u32 {
        self.path_id
    }

    /// Who tells it.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    #[must_use]
    pub fn is_local(&self) -> bool {
        self.peer == PeerId::LOCAL
    }

    /// Why it can't be chosen at all.
    #[must_use]
    pub fn exclusion(&self) -> Option<Exclusion> {
        self.exclusion
    }

    /// Told before the peer's restart or refresh, and not since.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.marks.has(Marks::STALE)
    }

    /// Kept though its peer has been away for long (RFC 9494).
    #[must_use]
    pub fn is_long_lived(&self) -> bool {
        self.marks.has(Marks::LONG_LIVED)
    }

    #[must_use]
    pub fn is_best(&self) -> bool {
        self.marks.has(Marks::BEST)
    }

    /// Best, or as good for forwarding.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.marks.has(Marks::USED)
    }

    pub(super) fn marks(&self) -> Marks {
        self.marks
    }

    pub(super) fn mark(&mut self, mark: u8, on: bool) {
        self.marks.set(mark, on);
    }

    /// The path with another outcome of the import; stale if it was.
    pub(super) fn reimported(&self, route: Arc<Route>, exclusion: Option<Exclusion>) -> Self {
        Self {
            route,
            exclusion,
            ..self.clone()
        }
    }

    fn key(&self) -> (PeerId, u32) {
        (self.peer, self.path_id)
    }

    /// Whether both say the same, selection and staleness aside.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.route, &other.route)
            && self.key() == other.key()
            && self.exclusion == other.exclusion
    }
}

// === impl Paths ===

impl Paths {
    pub(super) fn as_slice(&self) -> &[Path] {
        match self {
            Self::None => &[],
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Path] {
        match self {
            Self::None => &mut [],
            Self::One(path) => std::slice::from_mut(path),
            Self::Many(paths) => paths,
        }
    }

    /// Whether the peer has told as many paths of this prefix as we keep, and this is another.
    pub(super) fn is_full(&self, peer: PeerId, path_id: u32) -> bool {
        self.as_slice().len() >= MAX_PATHS
            && self.of_peer(peer).count() >= MAX_PATHS
            && self.of_peer(peer).all(|path| path.path_id != path_id)
    }

    /// Adds the path, or puts it in the place of the one it supersedes, which is given back.
    pub(super) fn put(&mut self, path: Path) -> Option<Path> {
        match self {
            Self::None => {
                *self = Self::One(path);
                None
            }
            Self::One(only) if only.key() == path.key() => Some(std::mem::replace(only, path)),
            Self::One(_) => {
                if let Self::One(only) = std::mem::take(self) {
                    let mut both = vec![only, path];
                    both.sort_unstable_by_key(Path::key);
                    *self = Self::Many(Box::new(both));
                }
                None
            }
            Self::Many(paths) => match paths.binary_search_by_key(&path.key(), Path::key) {
                Ok(at) => paths.get_mut(at).map(|old| std::mem::replace(old, path)),
                Err(at) => {
                    paths.insert(at, path);
                    None
                }
            },
        }
    }

    pub(super) fn remove(&mut self, peer: PeerId, path_id: u32) -> Option<Path> {
        match self {
            Self::None => None,
            Self::One(only) if only.key() == (peer, path_id) => match std::mem::take(self) {
                Self::One(only) => Some(only),
                Self::None | Self::Many(_) => None,
            },
            Self::One(_) => None,
            Self::Many(paths) => {
                let at = paths
                    .binary_search_by_key(&(peer, path_id), Path::key)
                    .ok()?;
                let gone = paths.remove(at);
                if paths.len() == 1
                    && let Some(last) = paths.pop()
                {
                    *self = Self::One(last);
                }
                Some(gone)
            }
        }
    }

    pub(super) fn find_mut(&mut self, peer: PeerId, path_id: u32) -> Option<&mut Path> {
        let mut paths = self.as_mut_slice().iter_mut();
        paths.find(|path| path.key() == (peer, path_id))
    }

    pub(super) fn of_peer(&self, peer: PeerId) -> impl Iterator<Item = &Path> {
        self.as_slice().iter().filter(move |path| path.peer == peer)
    }
}
