use std::mem::size_of;

use proptest::prelude::*;

use super::super::id_set::IdSet;
use super::super::path::Paths;
use super::super::table::{Entry, V4Key, V6Key};
use super::*;

#[test]
fn a_prefix_with_one_path_is_small() {
    assert_eq!(size_of::<Path>(), 16);
    assert_eq!(size_of::<Paths>(), 16);
    assert_eq!(size_of::<Entry<V4Key>>(), 24);
    assert_eq!(size_of::<Entry<V6Key>>(), 40);
}

#[test]
fn routes_are_held_once_and_go_when_nobody_has_them() {
    let mut rib = rib();
    let peers = [2, 3].map(|n| add(&mut rib, facts(n, PeerKind::External)));
    let same = |rib: &mut Rib| rib.intern(route(9, &[65002, 65003]));
    assert!(Arc::ptr_eq(&same(&mut rib), &same(&mut rib)));
    for n in 0..5000_u32 {
        let peer = peers[n as usize / 100 % 2];
        let text = format!("10.{}.{}.0/24", n / 256, n % 256);
        announce(&mut rib, peer, &[&text], route(9, &[65002, n + 1]));
        if n % 100 == 99 {
            rib.clear(peer, Family::V4);
            rib.drain_changes(|_, _| ());
        }
    }
    assert!(rib.distinct_routes() < 300, "{}", rib.distinct_routes());
    rib.clear(peers[0], Family::V4);
    rib.clear(peers[1], Family::V4);
    rib.drain_changes(|_, _| ());
    assert!(rib.is_empty());
    rib.routes.sweep();
    assert_eq!(rib.distinct_routes(), 0);
}

#[test]
fn numbers_of_gone_prefixes_and_peers_are_used_again() {
    let mut rib = rib();
    let keep = add(&mut rib, facts(2, PeerKind::External));
    announce(&mut rib, keep, &["10.1.0.0/16"], route(2, &[65002]));
    for n in 0..100 {
        let peer = add(&mut rib, facts(3, PeerKind::External));
        let text = format!("10.2.{n}.0/24");
        announce(&mut rib, peer, &[&text, "10.1.0.0/16"], route(3, &[65003]));
        assert!(changed(&mut rib).contains(&text));
        rib.remove_peer(peer);
        changed(&mut rib);
        let last = rib.iter(Family::V4).map(|view| view.id.id).max();
        assert!(last <= Some(1), "{last:?}");
    }
    assert_eq!(rib.len(Family::V4), 1);
    assert_eq!(
        add(&mut rib, facts(4, PeerKind::External)).to_string(),
        "peer 2"
    );
}

#[test]
fn a_prefix_that_goes_and_comes_between_two_looks_is_one_change() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    announce(&mut rib, peer, &["10.1.0.0/16"], route(2, &[65002]));
    withdraw(&mut rib, peer, &["10.1.0.0/16"]);
    announce(&mut rib, peer, &["10.1.0.0/16", "::/0"], route(2, &[65002]));
    assert!(rib.has_changes());
    assert_eq!(changed(&mut rib), ["10.1.0.0/16", "::/0"]);
    assert!(!rib.has_changes());
    announce(&mut rib, peer, &["10.1.0.0/16"], route(2, &[65002]));
    assert!(!rib.has_changes(), "told again as it was");
}

#[test]
fn both_families_and_all_lengths_are_found_again() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    let v4 = (0..=32).map(|bits| format!("10.1.2.3/{bits}"));
    let all: Vec<Prefix> = v4
        .chain((0..=128).map(|bits| format!("2001:db8:1:2:3:4:5:6/{bits}")))
        .map(|text| prefix(&text).trunc())
        .collect();
    let shared = rib.intern(route(2, &[65002]));
    let nlri = all.iter().map(|prefix| Nlri::from(*prefix));
    rib.announce(peer, &shared, nlri, |_, _| Filter::Accept);
    for prefix in &all {
        let view = rib.get(prefix).unwrap();
        assert_eq!(view.prefix, *prefix);
        assert_eq!(rib.by_id(view.id).unwrap().prefix, *prefix);
    }
    assert_eq!(rib.len(Family::V4) + rib.len(Family::V6), all.len());
    assert_eq!(rib.of_peer(peer, Family::V6).count(), 129);
    let mut walked = 0;
    let mut from = Some(0);
    while let Some(at) = from {
        from = rib.walk(Family::V4, at, 10, |_, _| walked += 1);
    }
    assert_eq!(walked, 33);
}

proptest! {
    #[test]
    fn an_id_set_is_a_set(
        steps in prop::collection::vec((any::<bool>(), 0_u32..10_000), 0..200),
        from in 0_u32..10_000,
    ) {
        let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
        for (insert, id) in steps {
            if insert {
                prop_assert_eq!(set.insert(id), model.insert(id));
            } else {
                prop_assert_eq!(set.remove(id), model.remove(&id));
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        prop_assert!(set.iter().eq(model.iter().copied()));
        prop_assert_eq!(set.next_from(from), model.range(from..).next().copied());
        prop_assert_eq!(set.contains(from), model.contains(&from));
    }
}
