//! RFC 6793 section 4.2: long AS numbers through speakers that know short ones.

use super::*;

fn old() -> Negotiated {
    Negotiated {
        four_octet_as: false,
        enforce_first_as: false,
        ..terms()
    }
}

/// AS_PATH | AS4_PATH, both as people write sequences and sets | what comes of it
const MERGED: &str = "
64512 23456 23456   | 4200000001 4200000002       | 64512 4200000001 4200000002
23456 23456         | 4200000001 4200000002       | 4200000001 4200000002
23456               | 4200000001 4200000002       | 23456
64512 64513 23456   | 4200000001                  | 64512 64513 4200000001
64512 {23456,64513} | {4200000001,64513}          | 64512 {4200000001,64513}
64512 {1,2} 23456   | 4200000001                  | 64512 {1,2} 4200000001
64512 {1,2} 23456   | {1,4200000002} 4200000001   | 64512 {1,4200000002} 4200000001
64512 1 2           | 2                           | 64512 1 2
";

fn parse(text: &str) -> AsPath {
    let mut segments = Vec::new();
    for word in text.split_whitespace() {
        let set = word
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match set {
            Some(set) => {
                let asns: Vec<u32> = set.split(',').map(|asn| asn.parse().unwrap()).collect();
                segments.push((SegmentKind::Set, asns));
            }
            None => match segments.last_mut() {
                Some((SegmentKind::Sequence, asns)) => asns.push(word.parse().unwrap()),
                _ => segments.push((SegmentKind::Sequence, vec![word.parse().unwrap()])),
            },
        }
    }
    AsPath::from_segments(segments.iter().map(|(kind, asns)| (*kind, &asns[..])))
}

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags, code, u8::try_from(value.len()).unwrap()];
    bytes.extend(value);
    bytes
}

fn learnt(path: &[u8], others: &[Vec<u8>]) -> Attributes {
    let mut attributes = hex("40 01 01 00 40 03 04 c0000201");
    attributes.extend(attribute(0x40, 2, path));
    for other in others {
        attributes.extend(other);
    }
    let parsed = ParsedUpdate {
        attributes: attributes.into(),
        ..update("", "", "18 0a0000")
    };
    let update = validate(&parsed, &old()).unwrap();
    assert_eq!(update.faults, []);
    update.attributes
}

#[test]
fn as4_path_takes_the_place_of_the_tail_that_it_knows() {
    for row in MERGED.trim().lines() {
        let [path, as4, merged] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let as4 = attribute(0xc0, 17, parse(as4).as_bytes());
        let attributes = learnt(&parse(path).two_octet_bytes(), &[as4]);
        assert_eq!(attributes.as_path.to_string(), merged, "{row}");
    }
}

#[test]
fn confederation_segments_of_as4_path_are_dropped_and_leading_ones_kept() {
    let path = hex("03 01 fde9 02 02 fc00 5ba0");
    let as4 = attribute(0xc0, 17, &hex("03 01 0000fdea 02 01 fa56ea01"));
    let mut terms = old();
    terms.peer = PeerKind::Internal;
    let mut attributes = hex("40 01 01 00 40 03 04 c0000201");
    attributes.extend(attribute(0x40, 2, &path));
    attributes.extend(as4);
    let parsed = ParsedUpdate {
        attributes: attributes.into(),
        ..update("", "", "18 0a0000")
    };
    let update = validate(&parsed, &terms).unwrap();
    assert_eq!(
        update.attributes.as_path.to_string(),
        "(65001) 64512 4200000001"
    );
}

#[test]
fn aggregator_decides_whether_the_old_attributes_count() {
    let path = parse("64512 23456").two_octet_bytes();
    let as4_path = attribute(0xc0, 17, parse("4200000001").as_bytes());
    let as4_aggregator = attribute(0xc0, 18, &hex("fa56ea01 c0000209"));
    let trans = attribute(0xc0, 7, &hex("5ba0 c0000209"));
    let other = attribute(0xc0, 7, &hex("fc00 c0000209"));
    let both = learnt(
        &path,
        &[trans.clone(), as4_path.clone(), as4_aggregator.clone()],
    );
    assert_eq!(both.as_path.to_string(), "64512 4200000001");
    assert_eq!(both.aggregator.map(|it| it.asn), Some(4_200_000_001));
    let anew = learnt(
        &path,
        &[other.clone(), as4_path.clone(), as4_aggregator.clone()],
    );
    assert_eq!(anew.as_path.to_string(), "64512 23456");
    assert_eq!(anew.aggregator.map(|it| it.asn), Some(64512));
    let without = learnt(&path, &[other, as4_path.clone()]);
    assert_eq!(without.as_path.to_string(), "64512 4200000001");
    let alone = learnt(&path, &[as4_path, as4_aggregator]);
    assert_eq!(alone.aggregator, None);
    assert_eq!(alone.as_path.to_string(), "64512 4200000001");
    assert_eq!(
        learnt(&path, &[trans]).aggregator.map(|it| it.asn),
        Some(23456)
    );
}

#[test]
fn old_peers_get_both_forms_only_where_needed() {
    let sent = |asns: &[u32]| {
        let attributes = Attributes {
            as_path: AsPath::sequence(asns),
            aggregator: Some(Aggregator {
                asn: asns[0],
                router_id: Ipv4Addr::new(192, 0, 2, 9),
            }),
            ..Attributes::default()
        };
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let nlri = Nlri::from(prefix("10.0.0.0/24"));
        let mut bytes = Vec::new();
        UpdateWriter::new(&old())
            .announce(Family::V4, &attributes, next_hop, [nlri], &mut bytes)
            .unwrap();
        let Ok(Message::Update(parsed)) = Codec::default().decode(&bytes.into()) else {
            panic!("no UPDATE");
        };
        assert_eq!(validate(&parsed, &old()).unwrap().attributes, attributes);
        parsed.attributes.to_vec()
    };
    let short = sent(&[64512, 64513]);
    assert_eq!(
        short,
        hex("40010100 40020602 02fc00fc01 400304c0000201 c00706fc00c0000209")
    );
    let long = sent(&[4_200_000_001, 64512]);
    assert_eq!(
        long,
        hex(
            "40010100 400206 02 02 5ba0fc00 400304c0000201 c00706 5ba0c0000209 \
             c0110a 02 02 fa56ea01 0000fc00 c01208 fa56ea01 c0000209"
        )
    );
}
