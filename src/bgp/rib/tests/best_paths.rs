use proptest::prelude::*;

use super::*;

fn view(rib: &mut Rib, builder: &mut BestPathsBuilder) -> BestPaths {
    rib.drain_changes(|view, routes| builder.update(view, routes));
    builder.publish()
}

fn hops(view: &BestPaths, text: &str) -> Vec<String> {
    let hops = view.get(&prefix(text)).map(|hops| hops.hops().to_vec());
    let hops = hops.unwrap_or_default().into_iter();
    hops.map(|hop| format!("{} of {}", hop.next_hop, hop.peer))
        .collect()
}

#[test]
fn a_view_has_the_next_hops_of_learned_prefixes_and_stays_as_it_is() {
    let mut rib = rib();
    let mut builder = BestPathsBuilder::new(&rib);
    let [a, b] = [2, 3].map(|n| add(&mut rib, facts(n, PeerKind::Internal)));
    let text = "10.9.0.0/16";
    announce(&mut rib, a, &[text, "2001:db8::/32"], route(20, &[]));
    let first = view(&mut rib, &mut builder);
    assert_eq!(hops(&first, text), ["10.0.0.20 of 10.0.0.2"]);
    announce(&mut rib, b, &[text], route(21, &[]));
    let second = view(&mut rib, &mut builder);
    assert_eq!(
        hops(&second, text),
        ["10.0.0.20 of 10.0.0.2", "10.0.0.21 of 10.0.0.3"]
    );
    assert_eq!(hops(&first, text), ["10.0.0.20 of 10.0.0.2"]);
    let changes = second.changes_since(&first);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].prefix, prefix(text));
    assert_eq!(changes[0].before.as_ref(), first.get(&prefix(text)));
    rib.originate(
        prefix(text),
        Route::originated(RouteKind::PodCidr, hop("10.0.0.1")),
    );
    let third = view(&mut rib, &mut builder);
    assert!(hops(&third, text).is_empty(), "our own");
    rib.withdraw_own(prefix(text));
    let fourth = view(&mut rib, &mut builder);
    assert_eq!(fourth, second);
    assert!(fourth.changes_since(&second).is_empty());
    rib.remove_peer(a);
    rib.remove_peer(b);
    let last = view(&mut rib, &mut builder);
    assert!(last.is_empty());
    assert_eq!(last.changes_since(&second).len(), 2);
}

#[test]
fn paths_with_one_next_hop_are_one_way() {
    let mut rib = rib();
    let mut builder = BestPathsBuilder::new(&rib);
    for n in [2, 3] {
        let peer = add(&mut rib, facts(n, PeerKind::Internal));
        announce(&mut rib, peer, &["10.9.0.0/16"], route(20, &[]));
    }
    let view = view(&mut rib, &mut builder);
    assert_eq!(hops(&view, "10.9.0.0/16"), ["10.0.0.20 of 10.0.0.2"]);
}

#[test]
fn a_change_copies_little_of_a_great_view() {
    let mut rib = rib();
    let mut builder = BestPathsBuilder::new(&rib);
    let peer = add(&mut rib, facts(2, PeerKind::External));
    let all: Vec<String> = (0..10_000)
        .map(|n| format!("10.{}.{}.0/24", n / 250, n % 250))
        .collect();
    for text in &all {
        announce(&mut rib, peer, &[text], route(2, &[65002]));
    }
    let before = view(&mut rib, &mut builder);
    assert_eq!(before.len(), all.len());
    withdraw(&mut rib, peer, &["10.7.7.0/24"]);
    let after = view(&mut rib, &mut builder);
    assert_eq!(after.len(), all.len() - 1);
    assert_eq!(before.unshared(&after), (1, 1));
    assert_eq!(after.changes_since(&before).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn views_follow_a_map_through_any_history(
        steps in prop::collection::vec((0_u16..700, 0_u8..4, any::<bool>()), 1..600),
    ) {
        let mut rib = rib();
        let mut builder = BestPathsBuilder::new(&rib);
        let peer = add(&mut rib, facts(2, PeerKind::External));
        let (mut model, mut old_model) = (BTreeMap::new(), BTreeMap::new());
        let mut old = BestPaths::default();
        for (n, way, publish) in steps {
            let text = format!("10.{}.{}.0/24", n % 256, n / 256);
            if way == 0 {
                withdraw(&mut rib, peer, &[&text]);
                model.remove(&prefix(&text));
            } else {
                announce(&mut rib, peer, &[&text], route(way + 10, &[65002]));
                model.insert(prefix(&text), hop(&format!("10.0.0.{}", way + 10)));
            }
            rib.drain_changes(|view, routes| builder.update(view, routes));
            if publish {
                let new = builder.publish();
                let shown: Vec<_> = new.iter().map(|(p, it)| (*p, it.hops()[0].next_hop)).collect();
                prop_assert_eq!(&shown, &model.clone().into_iter().collect::<Vec<_>>());
                let mut merged = old_model;
                for change in new.changes_since(&old) {
                    let was = change.before.map(|it| it.hops()[0].next_hop);
                    prop_assert_eq!(merged.get(&change.prefix).copied(), was);
                    match change.after {
                        Some(it) => merged.insert(change.prefix, it.hops()[0].next_hop),
                        None => merged.remove(&change.prefix),
                    };
                }
                prop_assert_eq!(&merged, &model);
                for (prefix, next_hop) in &model {
                    prop_assert_eq!(new.get(prefix).map(|it| it.hops()[0].next_hop), Some(*next_hop));
                }
                (old, old_model) = (new, merged);
            }
        }
    }
}
