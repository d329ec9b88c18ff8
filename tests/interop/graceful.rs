//! Restarts, theirs and ours, with graceful restart (RFC 4724) and without.

use std::time::Duration;

use kube_router::bgp::fsm::Stop;
use kube_router::bgp::speaker::{Input, Restarted};
use kube_router::net::{ByFamily, Family};

use crate::ours::{self, Ours};
use crate::pings::Pings;
use crate::router::{Router, Setup, Side};
use crate::session::{established, is_told, prefixes, seen_by, told_by};
use crate::stage::{Stage, until, until_equal};

const BOTH: ByFamily<bool> = ByFamily { v4: true, v6: true };

fn graceful() -> Setup {
    Setup {
        families: BOTH,
        restart_time: Some(60),
        ..Setup::new()
    }
}

/// Without the rich routes: what one side has no longer when it comes back.
fn afterwards(setup: &Setup) -> Setup {
    Setup {
        has_rich: false,
        is_restart: true,
        ..setup.clone()
    }
}

/// The router dies and comes back with fewer routes: all are kept meanwhile, those that it has no
/// longer go with its End-of-RIB.
pub(crate) fn the_routers_restart<R: Router>(stage: &Stage) {
    let setup = graceful();
    let (mut router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    let watch = ours.watch(prefixes(&afterwards(&setup), Side::Theirs));
    router.kill();
    drop(router);
    let all = prefixes(&setup, Side::Theirs);
    until_equal("the routes are stale", &all.len(), || ours.stale());
    assert_eq!(ours.best(), all, "stale routes are used");
    let later = afterwards(&setup);
    let router = R::start(stage, &later);
    until_equal("the other routes go", &told_by::<R>(&later), || {
        ours.learned()
    });
    until_equal("nothing stays stale", &0, || ours.stale());
    assert_eq!(watch.missed(), [], "the route was there all the time");
    assert!(router.is_up());
    let counters = ours.status().counters;
    assert_eq!((counters.established, counters.lost), (2, 1));
}

/// The router dies: its routes go at once, and come back with it.
pub(crate) fn the_routers_death<R: Router>(stage: &Stage) {
    let setup = Setup {
        families: BOTH,
        ..Setup::new()
    };
    let (mut router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    router.kill();
    drop(router);
    until("the routes are gone", || {
        ours.learned().is_empty().then_some(())
    });
    until("nor are they used", || ours.best().is_empty().then_some(()));
    let router = R::start(stage, &setup);
    is_told(&router, &ours, &setup);
}

/// We die, and come back with fewer routes; and stop in good order, and come back: packets through
/// the router's route to us arrive all the time.
pub(crate) fn our_restart<R: Router>(stage: &Stage) {
    let setup = graceful();
    let (router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    let pings = R::INSTALLS.then(|| {
        let to = setup.plain(Side::Ours, Family::V4);
        Pings::start(stage, to)
    });
    let later = afterwards(&setup);
    drop(ours);
    let ours = come_back(&router, &later);
    ours.handle().input(Input::StopAll(Stop::Restart));
    ours.drain();
    drop(ours);
    let ours = come_back(&router, &later);
    assert!(ours.is_up());
    if let Some(pings) = pings {
        let (sent, lost) = pings.stop();
        assert_eq!(lost, 0, "of {sent} packets");
    }
}

fn come_back<R: Router>(router: &R, setup: &Setup) -> Ours {
    until("they have noticed", || (!router.is_up()).then_some(()));
    let plain = prefixes(setup, Side::Ours);
    let kept = router.learned();
    assert!(
        plain.iter().all(|prefix| kept.contains_key(prefix)),
        "{kept:#?}"
    );
    let restarted = Restarted {
        deferral: Duration::from_secs(60),
        preserved: BOTH,
    };
    let ours = Ours::start(setup, ours::desired(setup), Some(restarted));
    until("we are back", || {
        let routes = router.learned();
        let is_kept = plain.iter().all(|prefix| routes.contains_key(prefix));
        assert!(is_kept, "{routes:#?}");
        let waits = Family::ALL.map(|family| ours.ask(move |core| core.is_deferred(family)));
        (ours.is_up() && waits == [false, false]).then_some(())
    });
    until_equal(
        "our routes after our End-of-RIB",
        &seen_by::<R>(setup),
        || router.learned(),
    );
    ours
}

/// We die: our routes go.
pub(crate) fn our_death<R: Router>(stage: &Stage) {
    let setup = Setup {
        families: BOTH,
        ..Setup::new()
    };
    let (router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    drop(ours);
    until("our routes are gone", || {
        router.learned().is_empty().then_some(())
    });
}

/// A session ends by a NOTIFICATION of theirs, and their routes stay (RFC 8538).
pub(crate) fn notifications<R: Router>(stage: &Stage) {
    let setup = Setup {
        over_notifications: true,
        ..graceful()
    };
    let (router, ours) = established::<R>(stage, &setup);
    is_told(&router, &ours, &setup);
    let watch = ours.watch(prefixes(&setup, Side::Theirs));
    router.reset();
    until("they have reset it", || {
        (ours.status().counters.lost == 1).then_some(())
    });
    is_told(&router, &ours, &setup);
    assert_eq!(watch.missed(), [], "their routes were there all the time");
}
