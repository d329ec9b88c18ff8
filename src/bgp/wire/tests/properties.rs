//! What is written is read alike, and no bytes at all do harm.

use std::net::Ipv6Addr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn as_path() -> impl Strategy<Value = AsPath> {
    let kind = prop_oneof![
        4 => Just(SegmentKind::Sequence),
        1 => Just(SegmentKind::Set),
    ];
    let asn = prop_oneof![1_u32..=65535, 65536_u32..];
    vec((kind, vec(asn, 1..6)), 0..4).prop_map(|segments| {
        AsPath::from_segments(segments.iter().map(|(kind, asns)| (*kind, &asns[..])))
    })
}

fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let code = prop_oneof![11_u8..14, 19_u8..32, 33_u8..=255];
    proptest::collection::btree_map(code, vec(any::<u8>(), 0..300), 0..3).prop_map(|unknown| {
        unknown
            .into_iter()
            .map(|(code, value)| UnknownAttribute {
                flags: AttributeFlags(0xe0),
                code: AttributeCode(code),
                value: value.into(),
            })
            .collect()
    })
}

prop_compose! {
    fn large_community()(global in any::<u32>(), local1 in any::<u32>(), local2 in any::<u32>())
        -> LargeCommunity
    {
        LargeCommunity { global, local1, local2 }
    }
}

prop_compose! {
    fn attributes()(
        origin in 0_u8..3,
        as_path in as_path(),
        multi_exit_disc in option::of(any::<u32>()),
        local_pref in any::<u32>(),
        atomic_aggregate in any::<bool>(),
        aggregator in option::of((1_u32.., any::<u32>())),
        communities in vec(any::<u32>().prop_map(Community), 0..80),
        originator_id in option::of(any::<u32>().prop_map(Ipv4Addr::from)),
        cluster_list in vec(any::<u32>().prop_map(Ipv4Addr::from), 0..4),
        extended_communities in vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..4),
        large_communities in vec(large_community(), 0..4),
        unknown in unknown(),
    ) -> Attributes {
        Attributes {
            origin: Origin::from_number(origin).unwrap(),
            as_path,
            multi_exit_disc,
            local_pref: Some(local_pref),
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, id)| Aggregator { asn, router_id: id.into() }),
            communities,
            originator_id,
            cluster_list,
            extended_communities,
            large_communities,
            unknown,
            ..Attributes::default()
        }
    }
}

fn nlri(family: Family) -> impl Strategy<Value = Vec<Nlri>> {
    vec(
        (any::<u128>(), 0..=family.host_bits(), any::<u32>()),
        1..900,
    )
    .prop_map(move |all| {
        all.into_iter()
            .map(|(bits, length, path_id)| {
                let prefix = match family {
                    Family::V4 => {
                        let [a, b, c, d, ..] = bits.to_be_bytes();
                        Prefix::new(Ipv4Addr::new(a, b, c, d).into(), length)
                    }
                    Family::V6 => Prefix::new(Ipv6Addr::from(bits).into(), length),
                };
                Nlri {
                    path_id,
                    ..Nlri::from(prefix.unwrap())
                }
            })
            .collect()
    })
}

fn next_hop() -> impl Strategy<Value = (Family, NextHop)> {
    let v4 = (0x0100_0000_u32..0xe000_0000).prop_map(|bits| NextHop::V4(bits.into()));
    let v6 = || {
        (1_u128..(0xff << 120), option::of(any::<u64>())).prop_map(|(global, link_local)| {
            NextHop::V6 {
                global: global.into(),
                link_local: link_local.map(|low| (0xfe80 << 112 | u128::from(low)).into()),
            }
        })
    };
    prop_oneof![
        v4.prop_map(|next_hop| (Family::V4, next_hop)),
        v6().prop_map(|next_hop| (Family::V4, next_hop)),
        v6().prop_map(|next_hop| (Family::V6, next_hop)),
    ]
}

prop_compose! {
    fn session()(
        four_octet_as in any::<bool>(),
        extended in any::<bool>(),
        add_path in any::<bool>(),
        enforce_first_as in any::<bool>(),
        peer in 0..3,
    ) -> Negotiated {
        let limit = MessageLimit::from_extended(extended);
        let family = FamilyTerms {
            add_path_receive: add_path,
            add_path_send: add_path,
            ipv6_next_hop: true,
        };
        Negotiated {
            peer: match peer {
                0 => PeerKind::Internal,
                1 => PeerKind::Confederation,
                _ => PeerKind::External,
            },
            four_octet_as,
            receive_limit: limit,
            send_limit: limit,
            families: ByFamily { v4: Some(family), v6: Some(family) },
            enforce_first_as,
            ..terms()
        }
    }
}

/// All messages of a buffer; it has to be used up.
fn messages(bytes: Vec<u8>, codec: Codec) -> Vec<Message> {
    let mut bytes = Bytes::from(bytes);
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = codec.next_frame(&bytes).unwrap().unwrap();
        all.push(codec.decode(&bytes.split_to(length)).unwrap());
    }
    all
}

fn capability() -> impl Strategy<Value = Capability> {
    let code = prop_oneof![
        Just(1),
        Just(2),
        Just(5),
        Just(6),
        Just(64),
        Just(69),
        Just(70),
        Just(71),
        Just(73),
        any::<u8>().prop_filter("needs four octets", |code| *code != 65)
    ];
    let known = (code, vec(any::<u8>(), 0..20))
        .prop_map(|(code, value)| Capability::decode(code, &value).unwrap());
    prop_oneof![known, (1_u32..).prop_map(Capability::FourOctetAs)]
}

proptest! {
    #[test]
    fn announcements_are_read_as_they_were_written(
        attributes in attributes(),
        (family, next_hop) in next_hop(),
        v4 in nlri(Family::V4),
        v6 in nlri(Family::V6),
        session in session(),
    ) {
        let session = Negotiated { peer: PeerKind::Internal, enforce_first_as: false, ..session };
        let nlri = if family == Family::V4 { v4 } else { v6 };
        let mut bytes = Vec::new();
        let written = UpdateWriter::new(&session)
            .announce(family, &attributes, next_hop, nlri.iter().copied(), &mut bytes);
        let add_path = session.family(family).unwrap().add_path_send;
        let mut told = Vec::new();
        for message in messages(bytes, Codec::new(&session)) {
            let Message::Update(parsed) = message else { panic!("{message:?}") };
            let update = validate(&parsed, &session).unwrap();
            prop_assert_eq!(&update.faults, &[]);
            prop_assert_eq!(&update.attributes, &attributes);
            for one in update.announced() {
                prop_assert_eq!(one.next_hop, next_hop);
                told.extend(&one.nlri);
            }
        }
        let id = |path_id| if add_path { path_id } else { 0 };
        let wanted: Vec<Nlri> =
            nlri.iter().map(|one| Nlri { path_id: id(one.path_id), ..*one }).collect();
        prop_assert!(written.is_ok());
        prop_assert_eq!(told, wanted);
    }

    #[test]
    fn opens_are_read_as_they_were_written(
        asn in 1_u32..,
        seconds in 3_u16..,
        id in 1_u32..,
        mut capabilities in vec(capability(), 0..30),
    ) {
        capabilities.retain(|capability| !matches!(capability, Capability::FourOctetAs(_)));
        capabilities.push(Capability::FourOctetAs(asn));
        let open = Message::Open(Open {
            asn,
            hold_time: HoldTime::from_secs(seconds).unwrap(),
            router_id: id.into(),
            capabilities,
        });
        let mut bytes = Vec::new();
        Codec::default().encode(&open, &mut bytes).unwrap();
        prop_assert_eq!(messages(bytes, Codec::default()), [open]);
    }

    #[test]
    fn any_message_that_is_read_is_written_to_the_same_meaning(
        kind in 1_u8..6,
        body in vec(any::<u8>(), 0..64),
        session in session(),
    ) {
        let codec = Codec::new(&session);
        if let Ok(message) = codec.decode(&framed(kind, &body)) {
            let mut bytes = Vec::new();
            codec.encode(&message, &mut bytes).unwrap();
            prop_assert_eq!(messages(bytes, codec), [message]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in vec(any::<u8>(), 0..200),
        fields in (0_usize..60, 0_usize..60),
        session in session(),
    ) {
        let _ = Codec::new(&session).next_frame(&bytes);
        let bytes = Bytes::from(bytes);
        let first = fields.0.min(bytes.len());
        let second = (first + fields.1).min(bytes.len());
        let parsed = ParsedUpdate {
            withdrawn: bytes.slice(..first),
            attributes: bytes.slice(first..second),
            announced: bytes.slice(second..),
        };
        match validate(&parsed, &session) {
            Ok(update) => {
                let count = |list: &NlriList| list.iter().count();
                let total: usize = update.withdrawn().map(count).sum::<usize>()
                    + update.announced().map(|one| count(&one.nlri)).sum::<usize>();
                prop_assert!(total <= bytes.len());
            }
            Err(fault) => {
                prop_assert_eq!(fault.notification().code, 3);
                let _ = fault.to_string();
            }
        }
    }
}
