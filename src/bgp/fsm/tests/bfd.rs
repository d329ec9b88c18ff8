//! The rule for BFD and graceful restart, as the room states it.

use super::support::{Bench, both_graceful, fates, graceful, said};
use crate::bgp::fsm::{Event, GracefulConfig, State};
use crate::net::Family;

fn bfd_down(control_plane_independent: bool) -> Event {
    Event::BfdDown {
        control_plane_independent,
    }
}

#[test]
fn routes_outlive_a_bfd_failure_only_if_it_may_be_a_restart() {
    let with_n = GracefulConfig {
        notification: true,
        ..graceful()
    };
    let (keep, drop) = ("v4-stale v6-stale", "v4-drop v6-drop");
    for (config, independent, words, routes) in [
        (None, false, "6/10 close down", drop),
        (None, true, "6/10 close down", drop),
        // Without the N bit any NOTIFICATION would end the restart before it began.
        (Some(graceful()), false, "close down-gracefully", keep),
        (Some(graceful()), true, "6/10 close down", drop),
        (
            Some(with_n.clone()),
            false,
            "6/10 close down-gracefully",
            keep,
        ),
        (Some(with_n), true, "6/9 close down", drop),
    ] {
        let mut bench = match &config {
            Some(config) => {
                let (ours, theirs) = both_graceful(config);
                Bench::new(ours, theirs)
            }
            None => Bench::plain(),
        };
        bench.establish();
        let actions = bench.handle(bfd_down(independent));
        let case = format!("{config:?}, independent: {independent}");
        assert_eq!(said(&actions), words, "{case}");
        assert_eq!(fates(&actions), routes, "{case}");
        assert_eq!(bench.peer.state(), State::Idle, "{case}");
    }
}

#[test]
fn a_restart_under_way_is_aborted_by_bfd_only_if_forwarding_is_known_to_be_gone() {
    let (ours, theirs) = both_graceful(&graceful());
    let mut bench = Bench::new(ours, theirs);
    let id = bench.establish();
    bench.handle(Event::Closed(id));
    assert!(bench.handle(bfd_down(false)).is_empty());
    assert!(bench.peer.has_stale(Family::V4));
    assert_eq!(fates(&bench.handle(bfd_down(true))), "v4-flush v6-flush");
    assert!(!bench.peer.has_stale(Family::V4));
}

#[test]
fn bfd_says_nothing_to_a_peer_that_is_not_up() {
    for independent in [false, true] {
        let mut bench = Bench::plain();
        assert!(bench.handle(bfd_down(independent)).is_empty());
        bench.open_confirm();
        assert!(bench.handle(bfd_down(independent)).is_empty());
        assert_eq!(bench.peer.state(), State::OpenConfirm);
    }
}
