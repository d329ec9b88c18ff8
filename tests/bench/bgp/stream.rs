//! UPDATEs as they come from a router with many routes.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kube_router::bgp::wire::{
    AsPath, Attributes, Community, FamilyTerms, HoldTime, LargeCommunity, MessageLimit, Negotiated,
    NextHop, Nlri, PeerKind, UpdateWriter,
};
use kube_router::net::{ByFamily, Family, Prefix};

use super::places::{ROUTER, peer};
use super::routers::Setup;

/// Marsaglia's xorshift: the same stream in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn number<T: TryFrom<u64>>(&mut self, limit: u64) -> T {
        T::try_from(self.below(limit)).ok().unwrap()
    }
}

/// What the generator's OPEN and a router's come to.
pub fn terms(setup: &Setup, number: usize) -> Negotiated {
    Negotiated {
        peer: if setup.reflected {
            PeerKind::Internal
        } else {
            PeerKind::External
        },
        peer_as: setup.peer_as(number),
        peer_id: ROUTER,
        hold_time: HoldTime::SUGGESTED,
        four_octet_as: true,
        receive_limit: MessageLimit::Standard,
        send_limit: MessageLimit::Standard,
        families: ByFamily {
            v4: Some(FamilyTerms::default()),
            v6: None,
        },
        route_refresh: false,
        enhanced_refresh: false,
        enforce_first_as: true,
    }
}

/// So many routes of the first peer like those of the Internet: most of them /24s, a tenth as many
/// sets of attributes, four to ten prefixes in an UPDATE.
pub fn full_table(setup: &Setup, routes: usize) -> Vec<u8> {
    let terms = terms(setup, 0);
    let writer = UpdateWriter::new(&terms);
    let mut random = Random(88_172_645_463_325_252);
    let sets = attribute_sets(&mut random, setup.peer_as(0), routes / 10);
    let (mut seen, mut octets) = (HashSet::new(), Vec::new());
    while seen.len() < routes {
        let count = random.number::<usize>(7) + 4;
        let count = count.min(routes - seen.len());
        let mut prefixes = Vec::new();
        while prefixes.len() < count {
            let prefix = prefix(&mut random);
            if seen.insert(prefix) {
                prefixes.push(Nlri::from(Prefix::V4(prefix)));
            }
        }
        let set = &sets[random.number::<usize>(sets.len() as u64)];
        let next_hop = NextHop::V4(peer(0));
        let written = writer.announce(Family::V4, set, next_hop, prefixes, &mut octets);
        written.unwrap();
    }
    octets
}

fn prefix(random: &mut Random) -> Ipv4Net {
    let length = match random.below(100) {
        0..60 => 24,
        60..72 => 22,
        72..80 => 23,
        80..88 => 20,
        88..93 => 21,
        93..97 => 19,
        _ => 16,
    };
    loop {
        let first: u32 = random.number::<u32>(222) + 1;
        let address = Ipv4Addr::from(first << 24 | random.number::<u32>(1 << 24));
        let [a, b, c, _] = address.octets();
        // Of those that some routers take from nobody.
        let is_special = matches!(
            (a, b, c),
            (10 | 127, ..)
                | (100, 64..128, _)
                | (169, 254, _)
                | (172, 16..32, _)
                | (192, 0 | 88 | 168, _)
                | (198, 18 | 19 | 51, _)
                | (203, 0, _)
        );
        if !is_special {
            return Ipv4Net::new(address, length).unwrap().trunc();
        }
    }
}

fn attribute_sets(random: &mut Random, peer_as: u32, count: usize) -> Vec<Attributes> {
    let sets = (0..count).map(|number| {
        let mut path = vec![peer_as];
        for _ in 0..=random.below(5) {
            path.push(1000 + random.number::<u32>(60_000));
        }
        path.push(100_000 + u32::try_from(number).unwrap());
        let mut set = Attributes {
            as_path: AsPath::sequence(&path),
            ..Attributes::default()
        };
        for _ in 0..random.below(7) {
            let asn = random.number::<u16>(60_000) + 1;
            let community = Community::new(asn, random.number(60_000));
            set.communities.push(community);
        }
        if random.below(3) == 0 {
            set.multi_exit_disc = Some(random.number(100));
        }
        if random.below(10) == 0 {
            set.large_communities.push(LargeCommunity {
                global: peer_as,
                local1: random.number(1000),
                local2: 7,
            });
        }
        set
    });
    sets.collect()
}

/// Prefixes that share their attributes in [`own_routes`].
const SHARED: usize = 50;

/// The routes of one of many peers: /24s of its own that count up from 20.0.0.0, with a set of
/// attributes for each fifty.
pub fn own_routes(setup: &Setup, number: usize, routes: usize) -> Vec<u8> {
    let terms = terms(setup, number);
    let writer = UpdateWriter::new(&terms);
    let mut octets = Vec::new();
    for first in (0..routes).step_by(SHARED) {
        let origin = 100_000 + u32::try_from(number * routes + first).unwrap();
        let path = if setup.reflected {
            vec![origin]
        } else {
            vec![terms.peer_as, origin]
        };
        let attributes = Attributes {
            as_path: AsPath::sequence(&path),
            local_pref: setup.reflected.then_some(100),
            communities: vec![Community::new(65_000, 1)],
            ..Attributes::default()
        };
        let all = first..routes.min(first + SHARED);
        let prefixes = all.map(|at| Nlri::from(Prefix::V4(numbered(number * routes + at))));
        let next_hop = NextHop::V4(peer(number));
        let written = writer.announce(Family::V4, &attributes, next_hop, prefixes, &mut octets);
        written.unwrap();
    }
    octets
}

fn numbered(number: usize) -> Ipv4Net {
    let address = u32::from(Ipv4Addr::new(20, 0, 0, 0)) + (u32::try_from(number).unwrap() << 8);
    Ipv4Net::new(address.into(), 24).unwrap()
}

/// Which of the prefixes of [`own_routes`] this is.
pub fn number(address: u32) -> Option<usize> {
    let above = address.checked_sub(u32::from(Ipv4Addr::new(20, 0, 0, 0)))?;
    usize::try_from(above >> 8).ok()
}
