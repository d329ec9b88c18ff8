//! What a sound UPDATE means.

use super::*;

#[test]
fn reads_prefixes_with_their_next_hop_and_attributes() {
    let parsed = update(
        "18 0a0001",
        &format!(
            "{MANDATORY} 80 04 04 0000000a 40 06 00 c0 07 08 0000fc00 c0000209 \
             c0 08 08 fc000001 ffffff01 c0 10 08 0002fc0000000001 \
             c0 20 0c 0000fc00 00000001 00000002 c0 63 02 0102"
        ),
        "18 0a0000 20 0a000401 00",
    );
    let update = validate(&parsed, &terms()).unwrap();
    assert_eq!(update.faults, []);
    assert_eq!(withdrawn(&update), ["10.0.1.0/24"]);
    let via = |prefix| format!("{prefix} via 192.0.2.1");
    assert_eq!(
        announced(&update),
        ["10.0.0.0/24", "10.0.4.1/32", "0.0.0.0/0"].map(via)
    );
    let unknown = UnknownAttribute {
        flags: AttributeFlags(0xe0),
        code: AttributeCode(99),
        value: [1, 2].into(),
    };
    let attributes = Attributes {
        origin: Origin::Igp,
        as_path: AsPath::sequence(&[64512]),
        multi_exit_disc: Some(10),
        atomic_aggregate: true,
        aggregator: Some(Aggregator {
            asn: 64512,
            router_id: Ipv4Addr::new(192, 0, 2, 9),
        }),
        communities: vec![Community::new(64512, 1), Community::NO_EXPORT],
        extended_communities: vec![ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 1])],
        large_communities: vec!["64512:1:2".parse().unwrap()],
        unknown: vec![unknown],
        ..Attributes::default()
    };
    assert_eq!(update.attributes, attributes);
}

#[test]
fn reads_both_families_of_one_update() {
    let parsed = update(
        "",
        &format!("{REACH6} {MANDATORY} 80 0f 09 0002 01 28 20010db900"),
        "18 0a0000",
    );
    let update = validate(&parsed, &terms()).unwrap();
    assert_eq!(
        announced(&update),
        ["10.0.0.0/24 via 192.0.2.1", "2001:db8::/32 via 2001:db8::1"]
    );
    assert_eq!(withdrawn(&update), ["2001:db9::/40"]);
    assert_eq!(update.end_of_rib, None);
}

#[test]
fn bits_of_the_host_are_irrelevant() {
    let parsed = update("13 0affff", MANDATORY, "01 ff 17 0a01ff");
    let update = validate(&parsed, &terms()).unwrap();
    assert_eq!(withdrawn(&update), ["10.255.224.0/19"]);
    assert_eq!(
        announced(&update),
        ["128.0.0.0/1 via 192.0.2.1", "10.1.254.0/23 via 192.0.2.1"]
    );
}

#[test]
fn next_hops_of_ipv6_may_have_a_link_local_address_beside() {
    let ll = "fe800000000000000000000000000001";
    let global = "20010db8000000000000000000000001";
    let none = "00000000000000000000000000000000";
    for (octets, text) in [
        (format!("10 {global}"), "2001:db8::1"),
        (format!("20 {global} {ll}"), "2001:db8::1 (fe80::1)"),
        (format!("20 {none} {ll}"), "fe80::1 (fe80::1)"),
        (format!("20 {global} {none}"), "2001:db8::1"),
        (format!("10 {ll}"), "fe80::1"),
    ] {
        let length = hex(&octets).len() + 9;
        let reach = format!("80 0e {length:02x} 0002 01 {octets} 00 20 20010db8");
        let parsed = update("", &format!("{reach} 40010100 40020602010000fc00"), "");
        let update = validate(&parsed, &terms()).unwrap();
        assert_eq!(announced(&update), [format!("2001:db8::/32 via {text}")]);
    }
}

#[test]
fn prefixes_of_ipv4_may_have_next_hops_of_ipv6_where_negotiated() {
    let mut terms = terms();
    terms.families.v4 = Some(FamilyTerms {
        ipv6_next_hop: true,
        ..FamilyTerms::default()
    });
    let reach = "80 0e 19 0001 01 10 20010db8000000000000000000000001 00 18 0a0000";
    let parsed = update("", &format!("{reach} 40010100 40020602010000fc00"), "");
    let update = validate(&parsed, &terms).unwrap();
    assert_eq!(announced(&update), ["10.0.0.0/24 via 2001:db8::1"]);
}

#[test]
fn path_identifiers_are_read_where_negotiated() {
    let mut terms = terms();
    terms.families.v4 = Some(FamilyTerms {
        add_path_receive: true,
        ..FamilyTerms::default()
    });
    let parsed = update(
        "00000007 18 0a0001",
        MANDATORY,
        "00000001 18 0a0000 ffffffff 00",
    );
    let update = validate(&parsed, &terms).unwrap();
    assert_eq!(withdrawn(&update), ["10.0.1.0/24 path 7"]);
    assert_eq!(
        announced(&update),
        [
            "10.0.0.0/24 path 1 via 192.0.2.1",
            "0.0.0.0/0 path 4294967295 via 192.0.2.1"
        ]
    );
    let cut = validate(
        &super::update("", MANDATORY, "00000001 18 0a0000 000001"),
        &terms,
    );
    assert_eq!(cut.unwrap_err().kind, FaultKind::PrefixOverrun);
}

#[test]
fn the_partial_bit_of_what_we_know_stays() {
    let parsed = update("", &format!("{MANDATORY} e0 08 04 fc000001"), "18 0a0000");
    let update = validate(&parsed, &terms()).unwrap();
    assert!(update.attributes.partial.has(AttributeCode::COMMUNITIES));
    let mut bytes = Vec::new();
    let nlri = Nlri::from(prefix("10.0.0.0/24"));
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    UpdateWriter::new(&terms())
        .announce(Family::V4, &update.attributes, next_hop, [nlri], &mut bytes)
        .unwrap();
    let Ok(Message::Update(back)) = Codec::default().decode(&bytes.into()) else {
        panic!("no UPDATE");
    };
    assert_eq!(back, parsed);
}

#[test]
fn end_of_rib_is_an_update_that_says_nothing() {
    let end = |attributes| {
        validate(&update("", attributes, ""), &terms())
            .unwrap()
            .end_of_rib
    };
    assert_eq!(end(""), Some(Family::V4));
    assert_eq!(end("80 0f 03 0002 01"), Some(Family::V6));
    assert_eq!(end("90 0f 0003 0001 01"), Some(Family::V4));
    assert_eq!(end("80 0f 03 0019 41"), None);
    assert_eq!(end("80 0f 08 0002 01 20 20010db8"), None);
    assert_eq!(end("80 0f 03 0002 01 40 01 01 00"), None);
    let withdrawing = validate(&update("00", "", ""), &terms()).unwrap();
    assert_eq!(withdrawing.end_of_rib, None);
    let v6_alone = Negotiated {
        families: ByFamily {
            v4: None,
            v6: Some(FamilyTerms::default()),
        },
        ..terms()
    };
    assert_eq!(
        validate(&update("", "", ""), &v6_alone).unwrap().end_of_rib,
        None
    );
}

#[test]
fn unknown_attributes_that_are_not_transitive_are_dropped_silently() {
    let parsed = update("", &format!("{MANDATORY} 80 63 01 01"), "18 0a0000");
    let update = validate(&parsed, &terms()).unwrap();
    assert_eq!((update.attributes.unknown, update.faults), (vec![], vec![]));
}

#[test]
fn communities_are_written_and_read_as_people_do() {
    for (text, number) in [
        ("64512:1", 0xfc00_0001),
        ("no-export", 0xffff_ff01),
        ("no-llgr", 0xffff_0007),
    ] {
        let community: Community = text.parse().unwrap();
        assert_eq!(
            (community.0, community.to_string()),
            (number, text.to_owned())
        );
    }
    assert_eq!("4227858433".parse(), Ok(Community(0xfc00_0001)));
    assert_eq!("NO-ADVERTISE".parse(), Ok(Community::NO_ADVERTISE));
    for bad in ["", "65536:1", "1:65536", "1:2:3", "no-way", "4294967296"] {
        assert!(bad.parse::<Community>().is_err(), "{bad}");
    }
    for bad in ["", "1:2", "1:2:3:4", "1:2:x", "4294967296:1:1"] {
        assert!(bad.parse::<LargeCommunity>().is_err(), "{bad}");
    }
    assert_eq!(
        ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 1]).to_string(),
        "rt:64512:1"
    );
    let opaque = ExtendedCommunity([0x43, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(opaque.to_string(), "0x4300000000000001");
    assert!(!opaque.is_transitive());
}
