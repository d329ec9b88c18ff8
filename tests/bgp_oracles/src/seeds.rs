//! Sound messages of every kind, from a seed.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bgp::wire::*;
use crate::net::{ByFamily, Family, Prefix};

/// SplitMix64: the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.number() as u8
    }

    fn list<T>(&mut self, most: usize, mut entry: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = if self.one_in(2) {
            0
        } else {
            self.below(most + 1)
        };
        (0..count).map(|_| entry(self)).collect()
    }
}

pub fn session(random: &mut Random) -> Negotiated {
    let limit = MessageLimit::from_extended(random.one_in(3));
    let add_path = random.one_in(3);
    let terms = FamilyTerms {
        add_path_receive: add_path,
        add_path_send: add_path,
        ipv6_next_hop: random.one_in(2),
    };
    Negotiated {
        peer: match random.below(4) {
            0 => PeerKind::External,
            1 => PeerKind::Confederation,
            _ => PeerKind::Internal,
        },
        peer_as: 64512,
        peer_id: Ipv4Addr::new(192, 0, 2, 1),
        hold_time: HoldTime::SUGGESTED,
        four_octet_as: !random.one_in(4),
        receive_limit: limit,
        send_limit: limit,
        families: ByFamily {
            v4: Some(terms),
            v6: (!random.one_in(8)).then_some(terms),
        },
        route_refresh: true,
        enhanced_refresh: true,
        enforce_first_as: random.one_in(2),
    }
}

pub fn attributes(random: &mut Random, confederation: bool) -> Attributes {
    let mut segments = Vec::new();
    if confederation {
        segments.push((SegmentKind::ConfedSequence, vec![65001]));
    }
    segments.push((SegmentKind::Sequence, {
        let mut asns = vec![64512];
        asns.extend(random.list(4, |random| random.number() as u32 | 1));
        asns
    }));
    if random.one_in(6) {
        segments.push((SegmentKind::Set, vec![1, random.number() as u32 | 1]));
    }
    let id = |random: &mut Random| Ipv4Addr::from(random.number() as u32);
    Attributes {
        origin: Origin::from_number(random.below(3) as u8).unwrap_or_default(),
        as_path: AsPath::from_segments(segments.iter().map(|(kind, asns)| (*kind, &asns[..]))),
        multi_exit_disc: random.one_in(2).then(|| random.number() as u32),
        local_pref: Some(random.number() as u32),
        atomic_aggregate: random.one_in(8),
        aggregator: random.one_in(4).then(|| Aggregator {
            asn: random.number() as u32 | 1,
            router_id: id(random),
        }),
        communities: random.list(6, |random| Community(random.number() as u32)),
        originator_id: random.one_in(4).then(|| id(random)),
        cluster_list: random.list(3, id),
        // Route targets alone: some others have words of their own in the oracles.
        extended_communities: random.list(3, |random| {
            let [_, _, rest @ ..] = random.number().to_be_bytes();
            let [a, b, c, d, e, f] = rest;
            ExtendedCommunity([0, 2, a, b, c, d, e, f])
        }),
        large_communities: random.list(3, |random| LargeCommunity {
            global: random.number() as u32,
            local1: random.number() as u32,
            local2: random.number() as u32,
        }),
        unknown: random
            .one_in(4)
            .then(|| UnknownAttribute {
                flags: AttributeFlags(0xe0),
                code: AttributeCode(200 + random.below(40) as u8),
                value: (0..random.below(300)).map(|i| i as u8).collect(),
            })
            .into_iter()
            .collect(),
        ..Attributes::default()
    }
}

/// Prefixes of unicast, now and then the default route.
pub fn prefixes(random: &mut Random, family: Family, most: usize) -> Vec<Nlri> {
    let count = 1 + random.below(most);
    let host = usize::from(family.host_bits());
    (0..count)
        .map(|_| {
            let bits = u128::from(random.number()) << 64 | u128::from(random.number());
            let address = match family {
                Family::V4 => Ipv4Addr::from((bits >> 96) as u32 >> 2 | 0x0b00_0000).into(),
                Family::V6 => Ipv6Addr::from(bits >> 3 | 0x2000 << 112).into(),
            };
            let length = if random.one_in(40) {
                0
            } else {
                8 + random.below(host - 7)
            };
            let path_id = random.number() as u32;
            let prefix = Prefix::new(address, length as u8).expect("of its family");
            Nlri {
                path_id,
                ..Nlri::from(prefix)
            }
        })
        .collect()
}

pub fn next_hop(random: &mut Random, family: Family, terms: &Negotiated) -> NextHop {
    let is_v6 = terms.families.v4.is_some_and(|terms| terms.ipv6_next_hop) && random.one_in(2);
    if family == Family::V4 && !is_v6 {
        return NextHop::V4(Ipv4Addr::new(192, 0, 2, random.byte()));
    }
    NextHop::V6 {
        global: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, random.number() as u16),
        link_local: random
            .one_in(3)
            .then(|| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, random.number() as u16)),
    }
}

/// One or more UPDATEs of one kind.
pub fn updates(random: &mut Random, terms: &Negotiated) -> Vec<u8> {
    let family = match terms.families.v6 {
        Some(_) if random.one_in(2) => Family::V6,
        _ => Family::V4,
    };
    let writer = UpdateWriter::new(terms);
    let (mut bytes, most) = (Vec::new(), if random.one_in(10) { 400 } else { 6 });
    let nlri = prefixes(random, family, most);
    let written = match random.below(10) {
        0 => writer.end_of_rib(family, &mut bytes).map(|()| 1),
        1 | 2 => writer.withdraw(family, nlri, &mut bytes),
        _ => {
            let attributes = attributes(random, terms.peer == PeerKind::Confederation);
            let next_hop = next_hop(random, family, terms);
            writer.announce(family, &attributes, next_hop, nlri, &mut bytes)
        }
    };
    written.expect("all of it was negotiated");
    bytes
}

fn open(random: &mut Random) -> Open {
    let family = AddressFamily::IPV6_UNICAST;
    let mut capabilities = vec![
        Capability::Multiprotocol(AddressFamily::IPV4_UNICAST),
        Capability::Multiprotocol(family),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(4_200_000_000),
        Capability::ExtendedNextHop(vec![ExtendedNextHop {
            family: AddressFamily::IPV4_UNICAST,
            next_hop: Afi::IPV6,
        }]),
        Capability::AddPath(vec![AddPathFamily {
            family,
            mode: AddPathMode::Both,
        }]),
        Capability::GracefulRestart(GracefulRestart {
            restarting: random.one_in(2),
            notification: random.one_in(2),
            restart_time: 120,
            families: vec![GracefulFamily {
                family,
                forwarding: true,
            }],
        }),
        Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
            family,
            forwarding: true,
            stale_time: 3600,
        }]),
        Capability::Fqdn(Fqdn {
            host: "node".to_owned(),
            domain: "example.org".to_owned(),
        }),
        Capability::Unknown {
            code: 199,
            value: [1, 2, 3].into(),
        },
    ];
    capabilities.retain(|_| !random.one_in(3));
    Open {
        asn: if capabilities.contains(&Capability::FourOctetAs(4_200_000_000)) {
            4_200_000_000
        } else {
            64512
        },
        hold_time: HoldTime::SUGGESTED,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        capabilities,
    }
}

/// A message of any type that is no UPDATE.
pub fn other(random: &mut Random) -> Message {
    match random.below(8) {
        0..=3 => Message::Open(open(random)),
        4 => Message::Keepalive,
        5 => Message::RouteRefresh(RouteRefresh {
            family: AddressFamily::IPV4_UNICAST,
            subtype: RefreshSubtype::from_number(random.below(3) as u8),
        }),
        6 => Message::Notification(
            Notification::cease(CeaseSubcode::AdministrativeReset, "new keys").into_hard_reset(),
        ),
        _ => Message::Notification(Notification::cease(
            CeaseSubcode::AdministrativeShutdown,
            "back at five",
        )),
    }
}
