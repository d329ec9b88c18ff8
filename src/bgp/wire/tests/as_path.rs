//! AS paths: what selection and policy ask of them.

use super::*;

fn path(segments: &[(SegmentKind, &[u32])]) -> AsPath {
    AsPath::from_segments(segments.iter().copied())
}

#[test]
fn hops_count_sets_once_and_the_confederation_never() {
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    let path = path(&[
        (ConfedSequence, &[65001, 65002]),
        (ConfedSet, &[65003, 65004]),
        (Sequence, &[64512, 4_200_000_000]),
        (Set, &[1, 2, 3]),
    ]);
    assert_eq!(path.hops(), 3);
    assert_eq!(
        path.to_string(),
        "(65001 65002) [65003,65004] 64512 4200000000 {1,2,3}"
    );
    assert_eq!((path.neighbor_as(), path.origin_as()), (Some(64512), None));
    assert!(path.contains(3) && path.contains(65003) && !path.contains(4));
    assert_eq!(
        path.without_confederation().to_string(),
        "64512 4200000000 {1,2,3}"
    );
    assert!(path.has_confederation_segments());
}

#[test]
fn prepending_fills_the_first_sequence_and_then_starts_another() {
    let own = AsPath::empty();
    assert!(own.is_empty() && own.neighbor_as().is_none() && own.origin_as().is_none());
    assert_eq!(own.prepended(64512, 3).to_string(), "64512 64512 64512");
    assert_eq!(own.prepended(64512, 0), own);
    let set = path(&[(SegmentKind::Set, &[1, 2])]);
    assert_eq!(set.prepended(7, 1).to_string(), "7 {1,2}");
    let full = AsPath::sequence(&[9; 255]).prepended(7, 2);
    let lengths: Vec<usize> = full.segments().map(|segment| segment.len()).collect();
    assert_eq!((lengths, full.hops()), (vec![2, 255], 257));
    let member = AsPath::sequence(&[1]).prepended_in_confederation(65001);
    assert_eq!(
        member.prepended_in_confederation(65002).to_string(),
        "(65002 65001) 1"
    );
}

#[test]
fn long_sequences_are_split() {
    let long: Vec<u32> = (1..=600).collect();
    let path = AsPath::sequence(&long);
    assert_eq!(path.segments().count(), 3);
    assert_eq!(path.asns().collect::<Vec<_>>(), long);
    assert_eq!((path.neighbor_as(), path.origin_as()), (Some(1), Some(600)));
}

#[test]
fn short_and_long_forms_are_the_same_path() {
    let short = AsPath::decode(&hex("02 02 fc00 5ba0 01 01 0001"), false).unwrap();
    let long = AsPath::decode(&hex("02 02 0000fc00 00005ba0 01 01 00000001"), true).unwrap();
    assert_eq!(short, long);
    assert_eq!(short.to_string(), "64512 23456 {1}");
    assert_eq!(long.two_octet_bytes(), hex("02 02 fc00 5ba0 01 01 0001"));
}
