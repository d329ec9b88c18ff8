//! What all routers have in common: how they are to be set up, and what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use kube_router::bgp::wire::{Community, LargeCommunity, Origin};
use kube_router::net::{ByFamily, Family, Prefix};

use crate::shown::Shown;
use crate::stage::{Stage, our_address, their_address};

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
    /// Of their addresses and routes; two routers are on one stage by different ones.
    pub(crate) host: u8,
    /// Seconds for graceful restart; none without it.
    pub(crate) restart_time: Option<u16>,
    /// Also over NOTIFICATIONs (RFC 8538).
    pub(crate) over_notifications: bool,
    /// The router comes back after a restart: it says so, where it has to be told.
    pub(crate) is_restart: bool,
    /// The rich routes are there, too.
    pub(crate) has_rich: bool,
    /// Seconds.
    pub(crate) hold_time: u16,
    pub(crate) distance: Distance,
    /// What the router may be told of a family; it ends the session then.
    pub(crate) max_prefixes: Option<u32>,
}

/// How far the packets of a session may come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Distance {
    #[default]
    Link,
    /// So many hops, and no more by what is left of the TTL (RFC 5082).
    Security(u8),
}

/// A router of somebody else, with one session to us. It has two routes of each family of the
/// session from the start: one as plain as can be, one rich in attributes.
pub(crate) trait Router: Sized {
    const NAME: &'static str;
    const PROGRAMS: &'static [&'static str];
    /// LOCAL_PREF of external routes is shown though none came.
    const SHOWS_LOCAL_PREF: bool;
    /// It puts routes into the kernel.
    const INSTALLS: bool;
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
    /// The process dies.
    fn kill(&mut self);
    /// An operator ends the session, with words for us (RFC 9003).
    fn shut_down(&self, text: &str);
    /// An operator wants the session anew.
    fn reset(&self);
    /// Whatever the router tells of the session, its log among it.
    fn tells(&self) -> String;
}

/// Of whom routes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

fn prefix(host: u8, family: Family, number: u8) -> Prefix {
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
            host: 2,
            restart_time: None,
            over_notifications: false,
            is_restart: false,
            has_rich: true,
            hold_time: 90,
            distance: Distance::Link,
            max_prefixes: None,
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

    pub(crate) fn plain(&self, side: Side, family: Family) -> Prefix {
        prefix(self.number(side), family, 0)
    }

    pub(crate) fn rich(&self, side: Side, family: Family) -> Prefix {
        prefix(self.number(side), family, 1)
    }

    fn number(&self, side: Side) -> u8 {
        match side {
            Side::Ours => 100,
            Side::Theirs => 198 + self.host,
        }
    }

    pub(crate) fn our_address(&self) -> IpAddr {
        our_address(self.over)
    }

    pub(crate) fn their_address(&self) -> IpAddr {
        their_address(self.host, self.over)
    }

    /// IPv4 over IPv6 has next hops of IPv6 (RFC 8950); IPv6 over IPv4 has its own.
    pub(crate) fn next_hop(&self, side: Side, family: Family) -> IpAddr {
        let of = match self.over {
            Family::V6 => Family::V6,
            Family::V4 => family,
        };
        match side {
            Side::Ours => our_address(of),
            Side::Theirs => their_address(self.host, of),
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
            routes.insert(self.plain(side, family), simple);
            if self.has_rich {
                routes.insert(self.rich(side, family), full);
            }
        }
        routes
    }

    pub(crate) fn their_id(&self) -> Ipv4Addr {
        match their_address(self.host, Family::V4) {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::BROADCAST,
        }
    }
}
