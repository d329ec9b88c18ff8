//! One session from its beginning, as scenarios begin.

use std::collections::{BTreeMap, BTreeSet};

use kube_router::net::Prefix;

use crate::ours::{self, Ours};
use crate::router::{Router, Setup, Side};
use crate::shown::Shown;
use crate::stage::{Stage, until, until_equal};

/// Our routes as the router shows them.
pub(crate) fn seen_by<R: Router>(setup: &Setup) -> BTreeMap<Prefix, Shown> {
    let mut routes = setup.routes(Side::Ours);
    if R::SHOWS_LOCAL_PREF {
        for route in routes.values_mut() {
            route.local_pref.get_or_insert(100);
        }
    }
    routes
}

/// The router's routes as we have them.
pub(crate) fn told_by<R: Router>(setup: &Setup) -> BTreeMap<Prefix, Shown> {
    let mut routes = setup.routes(Side::Theirs);
    if R::TELLS_MED {
        for route in routes.values_mut() {
            route.med.get_or_insert(0);
        }
    }
    routes
}

pub(crate) fn prefixes(setup: &Setup, side: Side) -> BTreeSet<Prefix> {
    setup.routes(side).into_keys().collect()
}

/// Both sides of a setup, with a session that is up.
pub(crate) fn established<R: Router>(stage: &Stage, setup: &Setup) -> (R, Ours) {
    let router = R::start(stage, setup);
    let ours = Ours::start(setup, ours::desired(setup), None);
    is_up(&router, &ours);
    (router, ours)
}

pub(crate) fn is_up<R: Router>(router: &R, ours: &Ours) {
    until("both sides say that the session is up", || {
        (ours.is_up() && router.is_up()).then_some(())
    });
}

/// Both sides have all routes of the other.
pub(crate) fn is_told<R: Router>(router: &R, ours: &Ours, setup: &Setup) {
    is_up(router, ours);
    until_equal("their routes at us", &told_by::<R>(setup), || {
        ours.learned()
    });
    until_equal("our routes at them", &seen_by::<R>(setup), || {
        router.learned()
    });
}
