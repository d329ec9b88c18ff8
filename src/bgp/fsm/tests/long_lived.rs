//! Long-lived graceful restart, as helper.

use std::time::Duration;

use super::support::{Bench, both_graceful, epoch, fates, long_lived, secs, terms};
use crate::bgp::fsm::{Event, Fate, Helper, Restart};
use crate::net::{ByFamily, Family};

#[test]
fn long_lived_routes_follow_the_restart_time_and_go_after_their_own() {
    let (mut bench, id) = {
        let (ours, theirs) = both_graceful(&long_lived());
        let mut bench = Bench::new(ours, theirs);
        let id = bench.establish();
        (bench, id)
    };
    bench.handle(Event::Closed(id));
    bench.peer = {
        // Nobody connects: only the helper's timers are of interest.
        let mut peer = bench.peer.clone();
        let mut passive = peer.config().clone();
        passive.passive = true;
        assert!(peer.set_config(bench.now, passive).is_empty());
        peer
    };
    assert_eq!(fates(&bench.pass(secs(119))), "");
    assert_eq!(fates(&bench.pass(secs(1))), "v4-long-lived v6-long-lived");
    assert_eq!(fates(&bench.pass(secs(3599))), "");
    assert_eq!(fates(&bench.pass(secs(1))), "v4-flush v6-flush");
}

fn list(fates: impl Iterator<Item = (Family, Fate)>) -> Vec<Fate> {
    fates.map(|(_, fate)| fate).collect()
}

#[test]
fn a_long_lived_family_keeps_its_time_over_the_peers_return_and_next_loss() {
    let terms = terms(&long_lived(), &Restart::NONE);
    let start = epoch();
    let at = |seconds| start + secs(seconds);
    let mut helper = Helper::default();
    assert_eq!(list(helper.lost(at(0), &terms, true)), [Fate::Stale; 2]);
    assert_eq!(list(helper.handle_timeout(at(120))), [Fate::LongLived; 2]);
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(list(helper.up(at(1000), &terms, secs(360))), []);
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(
        list(helper.lost(at(1100), &terms, true)),
        [Fate::LongLived; 2]
    );
    assert_eq!(helper.poll_timeout(), Some(at(3720)));
    assert_eq!(list(helper.up(at(3000), &terms, secs(360))), []);
    assert_eq!(helper.end_of_rib(Family::V4), Some(Fate::Flush));
    assert_eq!(list(helper.handle_timeout(at(3720))), [Fate::Flush]);
    assert_eq!(helper.poll_timeout(), None);
    // From here on a loss starts anew.
    assert_eq!(list(helper.lost(at(4000), &terms, true)), [Fate::Stale; 2]);
    assert_eq!(helper.poll_timeout(), Some(at(4120)));
    assert_eq!(list(helper.abort()), [Fate::Flush; 2]);
}

#[test]
fn long_lived_routes_that_the_peer_did_not_preserve_go_when_it_is_back() {
    let terms_before = terms(&long_lived(), &Restart::NONE);
    let now = epoch();
    let forgot = Restart {
        restarting: true,
        preserved: ByFamily::default(),
    };
    let mut helper = Helper::default();
    assert_eq!(
        list(helper.lost(now, &terms_before, true)),
        [Fate::Stale; 2]
    );
    assert_eq!(list(helper.handle_timeout(now + secs(120))).len(), 2);
    let back = terms(&long_lived(), &forgot);
    assert_eq!(
        list(helper.up(now + secs(200), &back, secs(360))),
        [Fate::Flush; 2]
    );
    assert_eq!(helper.poll_timeout(), None);
}

#[test]
fn without_a_restart_time_routes_are_long_lived_at_once_or_dropped() {
    let mut config = long_lived();
    config.restart_time = Duration::ZERO;
    let now = epoch();
    let mut helper = Helper::default();
    let negotiated = terms(&config, &Restart::NONE);
    assert_eq!(
        list(helper.lost(now, &negotiated, true)),
        [Fate::LongLived; 2]
    );
    assert_eq!(helper.poll_timeout(), Some(now + secs(3600)));
    config.long_lived = None;
    let negotiated = terms(&config, &Restart::NONE);
    let mut helper = Helper::default();
    assert_eq!(list(helper.lost(now, &negotiated, true)), [Fate::Drop; 2]);
    assert_eq!(helper.poll_timeout(), None);
}
