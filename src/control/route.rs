//! Routes as they are shown. Pure.

use std::cmp::Reverse;
use std::sync::Arc;

use super::view::{
    Attributes, Candidate, Explanation, Marks, Route, Source, Standing, Step, Telling, Verdict,
};
use crate::bgp::rib;
use crate::bgp::rib::{Exclusion, Reason, RouteKind, Withheld};
use crate::bgp::speaker;
use crate::bgp::speaker::{NeighborStatus, PathExplanation, RibEntry};
use crate::bgp::wire::NextHop;
use crate::net::{Family, Prefix};

// === impl Route ===

impl From<&RibEntry> for Route {
    fn from(entry: &RibEntry) -> Self {
        let marks = Marks {
            stale: entry.is_stale,
            long_lived_stale: entry.is_long_lived,
            advertised: entry.standing.is_none().then_some(entry.is_written),
            ..entry.standing.map(marks).unwrap_or(Marks {
                valid: true,
                ..Marks::default()
            })
        };
        Self {
            prefix: entry.prefix,
            peer: entry.peer,
            path_id: entry.path_id,
            attributes: (&*entry.route).into(),
            source: entry.route.kind.into(),
            marks,
        }
    }
}

fn marks(standing: rib::Standing) -> Marks {
    use rib::Standing as S;
    Marks {
        valid: !matches!(standing, S::Unreachable | S::Excluded(_)),
        best: standing == S::Best,
        multipath: matches!(standing, S::Best | S::Multipath(_)),
        why_not: (standing != S::Best).then(|| standing.to_string()),
        ..Marks::default()
    }
}

impl From<RouteKind> for Source {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Learned => Self::Learned,
            RouteKind::PodCidr => Self::PodCidr,
            RouteKind::ServiceVip => Self::ServiceVip,
            RouteKind::Other => Self::Other,
        }
    }
}

// === impl Attributes ===

impl From<&rib::Route> for Attributes {
    fn from(route: &rib::Route) -> Self {
        let attributes = &route.attributes;
        Self {
            next_hop: route.next_hop.address(),
            next_hop_link_local: match route.next_hop {
                NextHop::V6 { link_local, .. } => link_local.map(Into::into),
                NextHop::V4(_) => None,
            },
            as_path: attributes.as_path.to_string(),
            origin: attributes.origin.to_string(),
            local_pref: attributes.local_pref,
            med: attributes.multi_exit_disc,
            atomic_aggregate: attributes.atomic_aggregate,
            aggregator: attributes.aggregator.as_ref().map(ToString::to_string),
            communities: texts(&attributes.communities),
            extended_communities: texts(&attributes.extended_communities),
            large_communities: texts(&attributes.large_communities),
            originator_id: attributes.originator_id,
            cluster_list: attributes.cluster_list.clone(),
            unknown_attributes: attributes.unknown.iter().map(|it| it.code.0).collect(),
        }
    }
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

// === impl Explanation ===

impl Explanation {
    /// Of what the speaker says of a prefix and of all its peers.
    #[must_use]
    pub fn new(
        explained: &speaker::Explanation,
        peers: &[NeighborStatus],
        is_deferred: bool,
    ) -> Self {
        let prefix = explained.prefix;
        let of = |peer| peers.iter().find(|status| Some(status.peer) == peer);
        // Who was left behind at the last step of all came nearest.
        let decisive = explained.paths.iter();
        let decisive = decisive.filter_map(|path| reason(path.standing)).max();
        let mut candidates: Vec<Candidate> = explained
            .paths
            .iter()
            .map(|path| candidate(prefix, path, of(path.peer), decisive))
            .collect();
        // Who lost at a later step is better.
        candidates.sort_by_key(|it| (it.standing, Reverse(it.step)));
        Self {
            prefix,
            deferred: is_deferred,
            peers: peers
                .iter()
                .map(|status| telling(status, explained))
                .collect(),
            candidates,
        }
    }
}

fn reason(standing: rib::Standing) -> Option<Reason> {
    match standing {
        rib::Standing::Multipath(reason) | rib::Standing::Behind(reason) => Some(reason),
        rib::Standing::Best | rib::Standing::Unreachable | rib::Standing::Excluded(_) => None,
    }
}

/// `decisive` is the step at which the best path was alone.
fn candidate(
    prefix: Prefix,
    path: &PathExplanation,
    from: Option<&NeighborStatus>,
    decisive: Option<Reason>,
) -> Candidate {
    let route = path.path.route();
    let entry = RibEntry {
        prefix,
        peer: path.peer,
        path_id: path.path.path_id(),
        route: route.clone(),
        standing: Some(path.standing),
        is_stale: path.path.is_stale(),
        is_long_lived: path.path.is_long_lived(),
        is_written: false,
    };
    let received = route.received();
    let standing = match path.standing {
        rib::Standing::Best => Standing::Best,
        rib::Standing::Multipath(_) => Standing::Multipath,
        rib::Standing::Behind(_) => Standing::Behind,
        rib::Standing::Unreachable => Standing::Unreachable,
        rib::Standing::Excluded(_) => Standing::Excluded,
    };
    let (step, words) = match (path.standing, decisive) {
        (rib::Standing::Best, None) => (None, "best: no other can be chosen".to_owned()),
        (rib::Standing::Best, Some(step)) => (Some(step), format!("best: {step}")),
        (standing, _) => (reason(standing), standing.to_string()),
    };
    // Loops and the like are seen before the policy is asked.
    let was_asked = match path.standing {
        rib::Standing::Excluded(exclusion) => exclusion == Exclusion::Policy,
        _ => true,
    };
    Candidate {
        standing,
        step: step.map(Step::from),
        reason: words,
        route: (&entry).into(),
        received: (!Arc::ptr_eq(received, route)).then(|| (&**received).into()),
        import: from.filter(|_| was_asked).map(|status| Verdict {
            policy: status.desired.import.name.to_string(),
            statement: path.import.as_ref().map(ToString::to_string),
        }),
    }
}

fn telling(status: &NeighborStatus, explained: &speaker::Explanation) -> Telling {
    let family = Family::of_prefix(&explained.prefix);
    let mut telling = Telling {
        peer: status.peer,
        asn: super::neighbor::asn(status),
        told: false,
        why_not: None,
        attributes: None,
        export: None,
    };
    let Some(terms) = &status.terms else {
        telling.why_not = Some(format!("the session is {}", status.state));
        return telling;
    };
    if terms.negotiated.family(family).is_none() {
        telling.why_not = Some(format!("{family} was not negotiated with it"));
        return telling;
    }
    let mut all = explained.telling.iter();
    let Some(said) = all.find(|said| said.peer == status.peer) else {
        telling.why_not = Some("no path is chosen".to_owned());
        return telling;
    };
    telling.export = was_asked(&said.told).then(|| Verdict {
        policy: status.desired.export.name.to_string(),
        statement: said.export.as_ref().map(ToString::to_string),
    });
    match &said.told {
        Ok(route) => {
            telling.told = true;
            telling.attributes = Some((&**route).into());
        }
        Err(withheld) => telling.why_not = Some(withheld.to_string()),
    }
    telling
}

/// Whether it came to the export policy at all.
fn was_asked(told: &Result<Arc<rib::Route>, Withheld>) -> bool {
    match told {
        Ok(_) => true,
        Err(withheld) => matches!(
            withheld,
            Withheld::Policy
                | Withheld::NoOwnNextHop
                | Withheld::NextHopFamily
                | Withheld::LinkLocalNextHop
        ),
    }
}

// === impl Step ===

impl From<Reason> for Step {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotLongLivedStale => Self::LongLivedStale,
            Reason::LocalOrigin => Self::LocalOrigin,
            Reason::LocalPref => Self::LocalPref,
            Reason::AsPathLength => Self::AsPathLength,
            Reason::Origin => Self::Origin,
            Reason::MultiExitDisc => Self::Med,
            Reason::External => Self::External,
            Reason::InteriorCost => Self::InteriorCost,
            Reason::RouterId => Self::RouterId,
            Reason::ClusterListLength => Self::ClusterListLength,
            Reason::PeerAddress => Self::PeerAddress,
            Reason::PathId => Self::PathId,
        }
    }
}
