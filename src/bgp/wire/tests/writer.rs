//! UPDATEs that we make: split to size, MP attributes first, End-of-RIB.

use super::*;

const NEXT_HOP: NextHop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
const NEXT_HOP6: NextHop = NextHop::V6 {
    global: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    link_local: None,
};

fn many(family: Family, count: u32) -> Vec<Nlri> {
    (0..count)
        .map(|i| match family {
            Family::V4 => prefix(&format!("10.{}.{}.0/24", i / 256, i % 256)),
            Family::V6 => prefix(&format!("2001:db8:{i:x}::/48")),
        })
        .map(|prefix| Nlri { prefix, path_id: 3 })
        .collect()
}

fn with_path() -> Attributes {
    Attributes {
        as_path: AsPath::sequence(&[64512]),
        ..Attributes::default()
    }
}

/// All messages of a buffer, read and validated.
fn read(bytes: Vec<u8>, terms: &Negotiated) -> Vec<Update> {
    let codec = Codec::new(&Negotiated {
        receive_limit: terms.send_limit,
        ..terms.clone()
    });
    let mut bytes = Bytes::from(bytes);
    let mut updates = Vec::new();
    while !bytes.is_empty() {
        let length = codec.next_frame(&bytes).unwrap().unwrap();
        let Message::Update(parsed) = codec.decode(&bytes.split_to(length)).unwrap() else {
            panic!("no UPDATE");
        };
        updates.push(validate(&parsed, terms).unwrap());
    }
    updates
}

#[test]
fn prefixes_are_split_over_as_few_messages_as_possible() {
    let attributes = with_path();
    for (limit, add_path, family, messages) in [
        (MessageLimit::Standard, false, Family::V4, 20),
        (MessageLimit::Extended, false, Family::V4, 2),
        (MessageLimit::Standard, true, Family::V4, 40),
        (MessageLimit::Standard, false, Family::V6, 35),
        (MessageLimit::Standard, true, Family::V6, 55),
    ] {
        let mut terms = terms();
        terms.send_limit = limit;
        let family_terms = FamilyTerms {
            add_path_send: add_path,
            add_path_receive: add_path,
            ..FamilyTerms::default()
        };
        *terms.families.get_mut(family) = Some(family_terms);
        let nlri = many(family, 20_000);
        let next_hop = if family == Family::V4 {
            NEXT_HOP
        } else {
            NEXT_HOP6
        };
        let mut bytes = Vec::new();
        let writer = UpdateWriter::new(&terms);
        let count = writer
            .announce(
                family,
                &attributes,
                next_hop,
                nlri.iter().copied(),
                &mut bytes,
            )
            .unwrap();
        assert_eq!(count, messages, "{family} {limit:?} {add_path}");
        let updates = read(bytes, &terms);
        assert_eq!(updates.len(), messages);
        let told: Vec<Nlri> = updates
            .iter()
            .flat_map(|update| update.announced().flat_map(|one| one.nlri.iter()))
            .collect();
        let wanted: Vec<Nlri> = nlri
            .iter()
            .map(|one| Nlri {
                path_id: if add_path { 3 } else { 0 },
                ..*one
            })
            .collect();
        assert_eq!(told, wanted);
        let mut bytes = Vec::new();
        writer
            .withdraw(family, nlri.iter().copied(), &mut bytes)
            .unwrap();
        let gone: Vec<Nlri> = read(bytes, &terms)
            .iter()
            .flat_map(|update| update.withdrawn().flatten().collect::<Vec<_>>())
            .collect();
        assert_eq!(gone, wanted);
    }
}

#[test]
fn messages_look_as_the_rfcs_draw_them() {
    let terms = terms();
    let writer = UpdateWriter::new(&terms);
    let body = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        write(&mut bytes);
        bytes.split_off(19)
    };
    let v4 = [
        Nlri::from(prefix("10.0.0.0/8")),
        Nlri::from(prefix("10.128.0.0/9")),
    ];
    let v6 = [Nlri::from(prefix("2001:db8::/32"))];
    let announce = body(&|into| {
        let count = writer.announce(Family::V4, &with_path(), NEXT_HOP, v4, into);
        assert_eq!(count, Ok(1));
    });
    assert_eq!(announce, hex(&format!("0000 0014 {MANDATORY} 080a 090a80")));
    let announce6 = body(&|into| {
        let count = writer.announce(Family::V6, &with_path(), NEXT_HOP6, v6, into);
        assert_eq!(count, Ok(1));
    });
    let reach = "90 0e 001a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
    let rest = "40010100 40020602010000fc00";
    assert_eq!(announce6, hex(&format!("0000 002b {reach} {rest}")));
    let withdraw = body(&|into| assert_eq!(writer.withdraw(Family::V4, v4, into), Ok(1)));
    assert_eq!(withdraw, hex("0005 080a 090a80 0000"));
    let withdraw6 = body(&|into| assert_eq!(writer.withdraw(Family::V6, v6, into), Ok(1)));
    assert_eq!(withdraw6, hex("0000 000c 90 0f 0008 0002 01 20 20010db8"));
    let end = body(&|into| writer.end_of_rib(Family::V4, into).unwrap());
    assert_eq!(end, hex("0000 0000"));
    let end6 = body(&|into| writer.end_of_rib(Family::V6, into).unwrap());
    assert_eq!(end6, hex("0000 0006 80 0f 03 0002 01"));
}

#[test]
fn each_end_of_rib_is_understood() {
    let terms = terms();
    for family in Family::ALL {
        let mut bytes = Vec::new();
        UpdateWriter::new(&terms)
            .end_of_rib(family, &mut bytes)
            .unwrap();
        let [update] = &read(bytes, &terms)[..] else {
            panic!("not one message");
        };
        assert_eq!(update.end_of_rib, Some(family));
    }
}

#[test]
fn attributes_that_fill_a_message_are_refused_whole() {
    let terms = terms();
    let attributes = Attributes {
        communities: vec![Community::NO_EXPORT; 1013],
        ..with_path()
    };
    let mut bytes = vec![1, 2, 3];
    let error = UpdateWriter::new(&terms)
        .announce(
            Family::V4,
            &attributes,
            NEXT_HOP,
            many(Family::V4, 9),
            &mut bytes,
        )
        .unwrap_err();
    assert!(
        matches!(error, EncodeError::AttributesTooLong { limit: 4096, .. }),
        "{error}"
    );
    assert_eq!(bytes, [1, 2, 3]);
    let huge = Attributes {
        communities: vec![Community::NO_EXPORT; 100_000],
        ..with_path()
    };
    let error = UpdateWriter::new(&terms)
        .announce(Family::V4, &huge, NEXT_HOP, many(Family::V4, 9), &mut bytes)
        .unwrap_err();
    assert!(
        matches!(error, EncodeError::AttributesTooLong { .. }),
        "{error}"
    );
}

#[test]
fn nothing_is_sent_for_no_prefix_and_other_families_are_left_out() {
    let terms = terms();
    let writer = UpdateWriter::new(&terms);
    let mut bytes = Vec::new();
    let none = writer.announce(Family::V4, &with_path(), NEXT_HOP, [], &mut bytes);
    assert_eq!(none, Ok(0));
    let v6 = many(Family::V6, 3);
    let others = writer.announce(Family::V4, &with_path(), NEXT_HOP, v6, &mut bytes);
    assert_eq!(others, Ok(0));
    assert_eq!(writer.withdraw(Family::V6, [], &mut bytes), Ok(0));
    assert!(bytes.is_empty());
}

#[test]
fn what_was_not_negotiated_is_refused() {
    let mut terms = terms();
    let announce = |terms: &Negotiated, family, next_hop| {
        let nlri = many(family, 1);
        UpdateWriter::new(terms).announce(family, &with_path(), next_hop, nlri, &mut Vec::new())
    };
    let refused = |next_hop, family| Err(EncodeError::NextHop { next_hop, family });
    assert_eq!(
        announce(&terms, Family::V4, NEXT_HOP6),
        refused(NEXT_HOP6, Family::V4)
    );
    assert_eq!(
        announce(&terms, Family::V6, NEXT_HOP),
        refused(NEXT_HOP, Family::V6)
    );
    terms.families.v4 = Some(FamilyTerms {
        ipv6_next_hop: true,
        ..FamilyTerms::default()
    });
    assert_eq!(announce(&terms, Family::V4, NEXT_HOP6), Ok(1));
    terms.families.v6 = None;
    let missing = EncodeError::Family(Family::V6);
    assert_eq!(
        announce(&terms, Family::V6, NEXT_HOP6),
        Err(missing.clone())
    );
    let writer = UpdateWriter::new(&terms);
    assert_eq!(
        writer.withdraw(Family::V6, [], &mut Vec::new()),
        Err(missing.clone())
    );
    assert_eq!(writer.end_of_rib(Family::V6, &mut Vec::new()), Err(missing));
}

#[test]
fn peers_get_only_what_is_for_them() {
    let attributes = Attributes {
        local_pref: Some(200),
        originator_id: Some(Ipv4Addr::new(192, 0, 2, 7)),
        cluster_list: vec![Ipv4Addr::new(192, 0, 2, 8)],
        ..with_path()
    };
    let sent = |terms: &Negotiated, attributes: &Attributes| {
        let mut bytes = Vec::new();
        let nlri = many(Family::V4, 1);
        UpdateWriter::new(terms)
            .announce(Family::V4, attributes, NEXT_HOP, nlri, &mut bytes)
            .unwrap();
        read(bytes, terms).remove(0)
    };
    assert_eq!(sent(&internal(), &attributes).attributes, attributes);
    let external = sent(&terms(), &attributes);
    assert_eq!(
        (&external.attributes, &external.faults),
        (&with_path(), &vec![])
    );
    let default = sent(&internal(), &with_path()).attributes.local_pref;
    assert_eq!(default, Some(100), "an internal peer always gets one");
}
