//! Every kind of session: inside one AS and between two, IPv4, IPv6 and both over one session, with
//! and without password.

use kube_router::bgp::fsm::Counters;
use kube_router::bgp::speaker::Input;
use kube_router::net::{ByFamily, Family};

use crate::ours::Ours;
use crate::router::{Router, Setup, Side};
use crate::session::{established, seen_by, told_by};
use crate::stage::{Stage, until, until_equal};

/// The family of the session, and those that are exchanged. IPv4 over IPv6 is by RFC 8950.
pub(crate) const SESSIONS: [(Family, [bool; 2]); 4] = [
    (Family::V4, [true, false]),
    (Family::V6, [false, true]),
    (Family::V4, [true, true]),
    (Family::V6, [true, true]),
];

/// Those of one kind of session; a kind has a stage of its own.
pub(crate) fn cells<R: Router>(stage: &Stage, (over, [v4, v6]): (Family, [bool; 2])) {
    for their_as in [65_001, 65_002] {
        for password in [None, Some("Sesame,open")] {
            let setup = Setup {
                their_as,
                over,
                families: ByFamily { v4, v6 },
                password,
                // So that there are End-of-RIBs: FRR does not hear out who asks again before.
                restart_time: Some(60),
                ..Setup::new()
            };
            eprintln!("{}: {setup:?}", R::NAME);
            cell::<R>(stage, &setup);
        }
    }
}

fn cell<R: Router>(stage: &Stage, setup: &Setup) {
    let (router, mut ours) = established::<R>(stage, setup);
    let mut at_ours = told_by::<R>(setup);
    let mut at_theirs = seen_by::<R>(setup);
    until_equal("their routes at us", &at_ours, || ours.learned());
    until_equal("our routes at them", &at_theirs, || router.learned());

    refresh(&router, &ours, setup);
    until_equal("their routes told again", &at_ours, || ours.learned());
    until_equal("our routes told again", &at_theirs, || router.learned());

    router.withdraw_rich();
    for family in setup.families() {
        at_ours.remove(&setup.rich(Side::Theirs, family));
        at_theirs.remove(&setup.rich(Side::Ours, family));
    }
    ours.change(|desired| {
        for family in setup.families() {
            desired.originate.remove(&setup.rich(Side::Ours, family));
        }
    });
    until_equal("what they have left", &at_ours, || ours.learned());
    until_equal("what we have left", &at_theirs, || router.learned());

    let counters = ours.status().counters;
    assert_eq!((counters.established, counters.lost), (1, 0), "one session");
    let notes = ours.notes();
    assert_eq!(notes.len(), 1, "nothing but that it came up: {notes:?}");
}

/// Both sides ask, and both tell all again.
fn refresh<R: Router>(router: &R, ours: &Ours, setup: &Setup) {
    let families = u64::try_from(setup.families().count()).expect("two");
    // Two routes with attributes of their own are two UPDATEs; the End-of-RIB is one.
    let updates = 2 * families;
    until("both have said that these are all", || {
        let Counters { sent, received, .. } = ours.status().counters;
        (sent.updates.min(received.updates) >= updates + families).then_some(())
    });
    let before = ours.status().counters;
    for family in setup.families() {
        let peer = setup.their_address();
        ours.handle().input(Input::Refresh { peer, family });
    }
    until("they tell all again", || {
        let received = ours.status().counters.received.updates;
        let is_told = received >= before.received.updates + updates;
        // BIRD goes on with its own work at the next event, or after three seconds.
        (router.is_up() && is_told).then_some(())
    });
    let before = ours.status().counters;
    if !router.ask_again() {
        return;
    }
    until("they ask us, and we tell all again", || {
        let now = ours.status().counters;
        let is_asked = now.received.route_refreshes >= before.received.route_refreshes + families;
        let is_told = now.sent.updates >= before.sent.updates + updates;
        (router.is_up() && is_asked && is_told).then_some(())
    });
}
