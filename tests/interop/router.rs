//! What all routers have in common: how they are to be set up, and what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use kube_router::bgp::wire::{Community, LargeCommunity, Origin};
use kube_router::net::{ByFamily, Family, Prefix};

use crate::shown::Shown;
use crate::stage::{Stage, THEIR_V4, our_address, their_address};

/// The AS that rich routes seem to come from.
pub(crate) const FAR_AS: u32 = 65_099;
pub(crate) const MED: u32 = 50;
pub(crate) const LOCAL_PREF: u32 = 250;
/// In front of communities.
pub(crate) const TAG: u16 = 65_010;

/// What both sides are told of each other.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) our_as: u32,
    pub(crate) their_as: u32,
    /// The family of the session's addresses.
    pub(crate) over: Family,
    /// What is exchanged.
    pub(crate) families: ByFamily<bool>,
    pub(crate) password: Option<&'static str>,
}

/// A router of somebody else, with one session to us. It has two routes of each family of the
/// session from the start: one as plain as can be, one rich in attributes.
pub(crate) trait Router: Sized {
    const NAME: &'static str;
    const PROGRAMS: &'static [&'static str];
    /// LOCAL_PREF of external routes is shown though none came.
    const SHOWS_LOCAL_PREF: bool;
    /// A route without MED is told with one of 0.
    const TELLS_MED: bool;

    /// Starts it, and waits until it can be asked.
    fn start(stage: &Stage, setup: &Setup) -> Self;
    fn is_up(&self) -> bool;
    /// What it has from us.
    fn learned(&self) -> BTreeMap<Prefix, Shown>;
    /// No longer has its rich routes.
    fn withdraw_rich(&self);
    /// Asks us for all routes again (RFC 2918); false if it can't.
    fn ask_again(&self) -> bool;
}

/// Of whom routes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

pub(crate) fn plain(side: Side, family: Family) -> Prefix {
    prefix(side, family, 0)
}

pub(crate) fn rich(side: Side, family: Family) -> Prefix {
    prefix(side, family, 1)
}

fn prefix(side: Side, family: Family, number: u8) -> Prefix {
    let host = match side {
        Side::Ours => 100,
        Side::Theirs => 200,
    };
    let text = match family {
        Family::V4 => format!("10.{host}.{number}.0/24"),
        Family::V6 => format!("fd00:{host}:{number}::/64"),
    };
    text.parse().expect("a prefix")
}

// === impl Setup ===

impl Setup {
    /// IPv4 between two ASes.
    pub(crate) fn new() -> Self {
        Self {
            our_as: 65_001,
            their_as: 65_002,
            over: Family::V4,
            families: ByFamily {
                v4: true,
                v6: false,
            },
            password: None,
        }
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.our_as == self.their_as
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = Family> {
        let families = self.families;
        let all = Family::ALL.into_iter();
        all.filter(move |family| *families.get(*family))
    }

    pub(crate) fn our_address(&self) -> IpAddr {
        our_address(self.over)
    }

    pub(crate) fn their_address(&self) -> IpAddr {
        their_address(self.over)
    }

    /// IPv4 over IPv6 has next hops of IPv6 (RFC 8950); IPv6 over IPv4 has its own.
    pub(crate) fn next_hop(&self, side: Side, family: Family) -> IpAddr {
        let of = match self.over {
            Family::V6 => Family::V6,
            Family::V4 => family,
        };
        match side {
            Side::Ours => our_address(of),
            Side::Theirs => their_address(of),
        }
    }

    /// What one side's routes are at the other.
    pub(crate) fn routes(&self, side: Side) -> BTreeMap<Prefix, Shown> {
        let mut routes = BTreeMap::new();
        for family in self.families() {
            let mut simple = Shown::plain(self.next_hop(side, family));
            if self.is_internal() {
                simple.local_pref = Some(100);
            } else {
                simple.as_path.push(match side {
                    Side::Ours => self.our_as,
                    Side::Theirs => self.their_as,
                });
            }
            let mut full = simple.clone();
            full.origin = Origin::Incomplete;
            full.as_path.push(FAR_AS);
            full.med = Some(MED);
            full.local_pref = self.is_internal().then_some(LOCAL_PREF);
            full.communities = BTreeSet::from([Community::new(TAG, 7), Community::new(TAG, 8)]);
            full.large = BTreeSet::from([LargeCommunity {
                global: TAG.into(),
                local1: 1,
                local2: 2,
            }]);
            full.extended = BTreeSet::from([format!("rt:{TAG}:9")]);
            routes.insert(plain(side, family), simple);
            routes.insert(rich(side, family), full);
        }
        routes
    }

    pub(crate) fn their_id(&self) -> Ipv4Addr {
        THEIR_V4
    }
}
