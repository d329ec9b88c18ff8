//! What of a path a peer is told: whether it may have it at all, and with which attributes.
//!
//! Between the two stands the export policy, which is passed in.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::changes::{AttributeChanges, NextHopChange};
use super::import::{Filter, Speaker};
use super::path::Path;
use super::peer::{PeerFacts, PeerId, Peers};
use super::route::{DEFAULT_LOCAL_PREF, Interner, Route};
use crate::bgp::wire::{Attributes, Community, NextHop, PeerKind};
use crate::net::{ByFamily, Family};

/// What the export depends on beside the policy: peers that are equal in it are told the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub kind: PeerKind,
    /// We reflect for it (RFC 4456).
    pub is_client: bool,
    /// Our own address on the session, by family of the prefix; for IPv4 it may be one of IPv6
    /// (RFC 8950). With link-local address only where the peer is on that link.
    pub own_next_hop: ByFamily<Option<NextHop>>,
    /// Internal peers are told our own address for what comes from external ones.
    pub next_hop_self: bool,
    /// Next hops of IPv6 for prefixes of IPv4 were negotiated (RFC 8950).
    pub ipv6_next_hop: bool,
    /// It has the capability of RFC 9494, so that it may have what is stale for long.
    pub long_lived: bool,
}

/// Why a peer is not told a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Withheld {
    /// From an internal peer to another, neither of them our client (RFC 4456 section 6).
    NotReflected,
    NoAdvertise,
    NoExport,
    NoExportSubconfed,
    /// Stale for long, and the peer does not know of such routes (RFC 9494 section 4.4).
    LongLivedStale,
    Policy,
    /// We have no address on the session to name as next hop.
    NoOwnNextHop,
    /// The next hop is of a family that was not negotiated for the prefix's.
    NextHopFamily,
    /// The next hop is of our link only.
    LinkLocalNextHop,
    /// It comes from that very peer.
    OwnRoute,
    /// The peer is the next hop.
    PeerIsNextHop,
}

/// What exports need of the [`super::Rib`] while it is shown.
#[derive(Debug)]
pub struct Routes<'a> {
    pub(super) speaker: &'a Speaker,
    pub(super) peers: &'a Peers,
    pub(super) interner: &'a mut Interner,
}

/// Makes what one kind of peers is told, and remembers the last: prefixes of one UPDATE come one
/// after the other.
#[derive(Debug)]
pub struct Exporter {
    target: Target,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    route: Arc<Route>,
    source: PeerId,
    is_long_lived: bool,
    family: Family,
    changes: AttributeChanges,
    made: Result<Arc<Route>, Withheld>,
}

// === impl Withheld ===

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReflected => "from one internal peer to another, and not reflected",
            Self::NoAdvertise => "no-advertise",
            Self::NoExport => "no-export",
            Self::NoExportSubconfed => "no-export-subconfed",
            Self::LongLivedStale => "stale for long, which the peer does not understand",
            Self::Policy => "the export policy rejects it",
            Self::NoOwnNextHop => "no own address of this family for the next hop",
            Self::NextHopFamily => "the peer takes no next hop of this family",
            Self::LinkLocalNextHop => "the next hop is on another link",
            Self::OwnRoute => "the peer has told it to us",
            Self::PeerIsNextHop => "the peer itself is the next hop",
        })
    }
}

// === impl Routes ===

impl Routes<'_> {
    /// The peer a path comes from; `None` for our own.
    #[must_use]
    pub fn source(&self, path: &Path) -> Option<&PeerFacts> {
        let learned = (!path.is_local()).then_some(path.peer());
        learned.and_then(|peer| self.peers.facts(peer))
    }
}

// === impl Exporter ===

impl Exporter {
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, last: None }
    }

    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The route that the peers are told for `path`, the best one of a prefix of `family`.
    /// `policy` is asked only for what may be told otherwise.
    ///
    /// # Errors
    /// Why it is withheld.
    pub fn export<'p>(
        &mut self,
        family: Family,
        path: &Path,
        routes: &mut Routes<'_>,
        policy: impl FnOnce(&Route, Option<&PeerFacts>) -> Filter<'p>,
    ) -> Result<Arc<Route>, Withheld> {
        let source = routes.source(path).copied();
        self.target.permits(path, source.as_ref(), routes.speaker)?;
        let changes = match policy(path.route(), source.as_ref()) {
            Filter::Reject => return Err(Withheld::Policy),
            Filter::Accept => Cow::Owned(AttributeChanges::default()),
            Filter::Change(changes) => changes,
        };
        if let Some(last) = &self.last
            && last.is_of(family, path, &changes)
        {
            return last.made.clone();
        }
        let made = self
            .target
            .route(family, path, source.as_ref(), &changes, routes.speaker);
        let made = made.map(|route| routes.interner.intern(route));
        self.last = Some(Last {
            route: Arc::clone(path.route()),
            source: path.peer(),
            is_long_lived: path.is_long_lived(),
            family,
            changes: changes.into_owned(),
            made: made.clone(),
        });
        made
    }

    /// To be called when facts of peers or of [`Speaker`] have changed.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

// === impl Last ===

impl Last {
    fn is_of(&self, family: Family, path: &Path, changes: &AttributeChanges) -> bool {
        Arc::ptr_eq(&self.route, path.route())
            && self.source == path.peer()
            && self.is_long_lived == path.is_long_lived()
            && self.family == family
            && self.changes == *changes
    }
}

// === impl Target ===

impl Target {
    /// Whether such a peer may be told the path at all; whom it comes from is not looked at.
    ///
    /// # Errors
    /// Why not.
    pub fn permits(
        &self,
        path: &Path,
        source: Option<&PeerFacts>,
        speaker: &Speaker,
    ) -> Result<(), Withheld> {
        let from_internal = source.filter(|peer| peer.kind == PeerKind::Internal);
        if let Some(source) = from_internal
            && self.kind == PeerKind::Internal
        {
            let reflects = speaker.cluster_id.is_some();
            if !reflects || !(source.is_client || self.is_client) {
                return Err(Withheld::NotReflected);
            }
        }
        for community in &path.route().attributes.communities {
            match (*community, self.kind) {
                (Community::NO_ADVERTISE, _) => return Err(Withheld::NoAdvertise),
                (Community::NO_EXPORT, PeerKind::External) => return Err(Withheld::NoExport),
                (Community::NO_EXPORT_SUBCONFED, PeerKind::External | PeerKind::Confederation) => {
                    return Err(Withheld::NoExportSubconfed);
                }
                (Community::LLGR_STALE, _) if !self.long_lived => {
                    return Err(Withheld::LongLivedStale);
                }
                _ => {}
            }
        }
        if path.is_long_lived() && !self.long_lived {
            return Err(Withheld::LongLivedStale);
        }
        Ok(())
    }

    fn route(
        &self,
        family: Family,
        path: &Path,
        source: Option<&PeerFacts>,
        changes: &AttributeChanges,
        speaker: &Speaker,
    ) -> Result<Route, Withheld> {
        let route = path.route();
        let next_hop = self.next_hop(family, route, source, changes.next_hop)?;
        let mut attributes = route.attributes.clone();
        let is_learned = source.is_some();
        if is_learned && self.kind == PeerKind::External {
            // RFC 4271 section 5.1.4: not to yet another AS.
            attributes.multi_exit_disc = None;
        }
        changes.apply(&mut attributes);
        if path.is_long_lived() && !attributes.communities.contains(&Community::LLGR_STALE) {
            attributes.communities.push(Community::LLGR_STALE);
        }
        match self.kind {
            PeerKind::Internal => to_internal(&mut attributes, source, speaker),
            PeerKind::Confederation => {
                attributes.as_path = attributes.as_path.prepended_in_confederation(speaker.asn);
                leave_cluster(&mut attributes);
            }
            PeerKind::External => {
                let asn = speaker.confederation.unwrap_or(speaker.asn);
                attributes.as_path = attributes.as_path.without_confederation().prepended(asn, 1);
                attributes.local_pref = None;
                leave_cluster(&mut attributes);
                attributes
                    .extended_communities
                    .retain(|community| community.is_transitive());
            }
        }
        Ok(Route::new(route.kind, next_hop, attributes))
    }

    /// RFC 4271 section 5.1.3, RFC 2545 section 3, RFC 4456 section 10.
    fn next_hop(
        &self,
        family: Family,
        route: &Route,
        source: Option<&PeerFacts>,
        change: Option<NextHopChange>,
    ) -> Result<NextHop, Withheld> {
        let from_external = source.is_some_and(|peer| peer.kind == PeerKind::External);
        let is_own = match change {
            Some(NextHopChange::Own) => true,
            Some(NextHopChange::To(_)) => false,
            None => match self.kind {
                PeerKind::External => source.is_some(),
                PeerKind::Internal | PeerKind::Confederation => from_external && self.next_hop_self,
            },
        };
        let next_hop = match (is_own, change) {
            (true, _) => self
                .own_next_hop
                .get(family)
                .ok_or(Withheld::NoOwnNextHop)?,
            (false, Some(NextHopChange::To(next_hop))) => next_hop,
            (false, _) => global(route.next_hop)?,
        };
        match (family, next_hop) {
            (Family::V4, NextHop::V6 { .. }) if !self.ipv6_next_hop => Err(Withheld::NextHopFamily),
            (Family::V6, NextHop::V4(_)) => Err(Withheld::NextHopFamily),
            _ => Ok(next_hop),
        }
    }
}

/// A next hop as others than its neighbours can use it.
fn global(next_hop: NextHop) -> Result<NextHop, Withheld> {
    match next_hop {
        NextHop::V6 { global, .. } if global.is_unicast_link_local() => {
            Err(Withheld::LinkLocalNextHop)
        }
        NextHop::V6 { global, .. } => Ok(NextHop::V6 {
            global,
            link_local: None,
        }),
        NextHop::V4(_) => Ok(next_hop),
    }
}

/// LOCAL_PREF always; from one internal peer to another the marks of reflection.
fn to_internal(attributes: &mut Attributes, source: Option<&PeerFacts>, speaker: &Speaker) {
    attributes.local_pref.get_or_insert(DEFAULT_LOCAL_PREF);
    let from_internal = source.filter(|peer| peer.kind == PeerKind::Internal);
    let (Some(source), Some(cluster)) = (from_internal, speaker.cluster_id) else {
        return;
    };
    attributes.originator_id.get_or_insert(source.router_id);
    attributes.cluster_list.insert(0, cluster);
}

fn leave_cluster(attributes: &mut Attributes) {
    attributes.originator_id = None;
    attributes.cluster_list.clear();
}
