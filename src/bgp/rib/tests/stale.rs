use super::*;

const A: &str = "10.9.1.0/24";
const B: &str = "10.9.2.0/24";
const C: &str = "2001:db8:9::/48";

fn stale(rib: &Rib, peer: PeerId, family: Family) -> usize {
    rib.counters(peer, family).stale
}

#[test]
fn a_restart_keeps_routes_in_use_and_drops_those_not_told_again() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::Internal));
    announce(&mut rib, peer, &[A, B, C], route(2, &[]));
    changed(&mut rib);
    for family in Family::ALL {
        rib.mark_stale(peer, family);
    }
    assert_eq!(
        (stale(&rib, peer, Family::V4), stale(&rib, peer, Family::V6)),
        (2, 1)
    );
    assert_eq!(best_peer(&rib, A), Some(peer));
    assert!(!rib.has_changes(), "nobody notices");
    announce(&mut rib, peer, &[A], route(2, &[]));
    assert!(!rib.has_changes(), "told again as it was");
    assert_eq!(stale(&rib, peer, Family::V4), 1);
    rib.flush_stale(peer, Family::V4);
    assert_eq!(changed(&mut rib), [B]);
    assert_eq!((best_peer(&rib, A), best_peer(&rib, B)), (Some(peer), None));
    assert_eq!(
        best_peer(&rib, C),
        Some(peer),
        "the other family has its own End-of-RIB"
    );
    assert_eq!(rib.counters(peer, Family::V4).received, 1);
}

#[test]
fn a_withdrawal_or_a_second_loss_during_a_restart_leaves_the_counters_right() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::Internal));
    announce(&mut rib, peer, &[A, B], route(2, &[]));
    rib.mark_stale(peer, Family::V4);
    withdraw(&mut rib, peer, &[A]);
    assert_eq!(stale(&rib, peer, Family::V4), 1);
    announce(&mut rib, peer, &[A], route(2, &[]));
    rib.mark_stale(peer, Family::V4);
    assert_eq!(stale(&rib, peer, Family::V4), 2);
    rib.import_again(peer, Family::V4, |_, _| Filter::Reject);
    let counters = rib.counters(peer, Family::V4);
    assert_eq!(
        (counters.received, counters.accepted, counters.stale),
        (2, 0, 2)
    );
    rib.flush_stale(peer, Family::V4);
    assert_eq!(rib.counters(peer, Family::V4), Counters::default());
}

/// RFC 9494 section 4.2, from the loss to the end.
#[test]
fn long_lived_routes_are_used_last_marked_and_gone_at_the_end() {
    let mut rib = rib();
    let away = add(&mut rib, facts(2, PeerKind::Internal));
    let other = add(&mut rib, facts(3, PeerKind::Internal));
    announce(&mut rib, away, &[A], route(2, &[]));
    let short = with_communities(route(2, &[]), &[Community::NO_LLGR]);
    announce(&mut rib, away, &[B], short);
    announce(&mut rib, other, &[A], route(3, &[65001, 65002, 65003]));
    rib.mark_stale(away, Family::V4);
    assert_eq!(
        best_peer(&rib, A),
        Some(away),
        "stale alone changes nothing"
    );
    changed(&mut rib);
    rib.keep_long_lived(away, Family::V4);
    assert_eq!(changed(&mut rib), [A, B]);
    assert_eq!(best_peer(&rib, A), Some(other));
    assert_eq!(best_peer(&rib, B), None, "NO_LLGR");
    rib.withdraw(other, [nlri(A)]);
    assert_eq!(best_peer(&rib, A), Some(away), "better than nothing");
    let told = exported(&mut rib, A, target(PeerKind::External)).unwrap();
    assert_eq!(told.attributes.communities, [Community::LLGR_STALE]);
    let ignorant = Target {
        long_lived: false,
        ..target(PeerKind::External)
    };
    assert_eq!(
        exported(&mut rib, A, ignorant).unwrap_err(),
        Withheld::LongLivedStale
    );
    changed(&mut rib);
    announce(&mut rib, away, &[A], route(2, &[]));
    assert_eq!(
        changed(&mut rib),
        [A],
        "it is fresh again, and told without the mark"
    );
    let told = exported(&mut rib, A, target(PeerKind::External)).unwrap();
    assert!(told.attributes.communities.is_empty());
    rib.mark_stale(away, Family::V4);
    rib.keep_long_lived(away, Family::V4);
    rib.flush_stale(away, Family::V4);
    changed(&mut rib);
    assert!(rib.is_empty());
}

#[test]
fn the_only_path_becoming_long_lived_is_a_change_for_those_who_are_told() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::Internal));
    let outside = add(&mut rib, facts(3, PeerKind::External));
    let mut out = AdjRibOut::new(&rib);
    let mut exporter = Exporter::new(target(PeerKind::External));
    let mut ear = Listener::default();
    out.join(outside, ip("10.0.0.3"), Family::V4);
    let mut told = |rib: &mut Rib| {
        export_changes(rib, &mut out, &mut exporter);
        ear.hear(out.drain(outside, rib, 10));
        ear.has[&prefix(A)].attributes.communities.clone()
    };
    announce(&mut rib, peer, &[A], route(2, &[]));
    assert!(told(&mut rib).is_empty());
    rib.mark_stale(peer, Family::V4);
    rib.keep_long_lived(peer, Family::V4);
    assert_eq!(told(&mut rib), [Community::LLGR_STALE]);
    announce(&mut rib, peer, &[A], route(2, &[]));
    assert!(told(&mut rib).is_empty());
}

#[test]
fn a_refresh_drops_what_the_peer_has_silently_forgotten() {
    let mut rib = rib();
    let peer = add(&mut rib, facts(2, PeerKind::External));
    announce(&mut rib, peer, &[A, B], route(2, &[65002]));
    rib.mark_stale(peer, Family::V4);
    announce(&mut rib, peer, &[B], route(2, &[65002, 65003]));
    rib.flush_stale(peer, Family::V4);
    assert_eq!((best_peer(&rib, A), best_peer(&rib, B)), (None, Some(peer)));
}
