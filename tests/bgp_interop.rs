//! Our speaker with other people's: the real BIRD, FRR and GoBGP, each in a network namespace beside
//! the one that our speaker is in, every route seen with the eyes of both sides.
#![allow(
    unsafe_code,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that makes namespaces and starts programs"
)]

#[path = "interop/bird.rs"]
mod bird;
#[path = "interop/daemon.rs"]
mod daemon;
#[path = "interop/faults.rs"]
mod faults;
#[path = "interop/frr.rs"]
mod frr;
#[path = "interop/gobgp.rs"]
mod gobgp;
#[path = "interop/graceful.rs"]
mod graceful;
#[path = "interop/matrix.rs"]
mod matrix;
#[path = "interop/ours.rs"]
mod ours;
#[path = "interop/pings.rs"]
mod pings;
#[path = "interop/router.rs"]
mod router;
#[path = "interop/session.rs"]
mod session;
#[path = "interop/shown.rs"]
mod shown;
#[path = "interop/stage.rs"]
mod stage;

use bird::Bird;
use frr::Frr;
use gobgp::GoBgp;
use router::Router;
use stage::{Stage, on_stages};

/// Routers mostly wait, so the kinds of sessions are tried side by side.
fn try_all_cells<R: Router>() {
    on_stages::<R, _>(
        matrix::SESSIONS.map(|session| move |stage: &Stage| matrix::cells::<R>(stage, session)),
    );
}

#[test]
fn bird_exchanges_routes_in_every_cell_of_the_matrix() {
    try_all_cells::<Bird>();
}

#[test]
fn frr_exchanges_routes_in_every_cell_of_the_matrix() {
    try_all_cells::<Frr>();
}

#[test]
fn gobgp_exchanges_routes_in_every_cell_of_the_matrix() {
    try_all_cells::<GoBgp>();
}

fn restarts<R: Router>() {
    let tests: [fn(&Stage); 4] = [
        graceful::the_routers_restart::<R>,
        graceful::the_routers_death::<R>,
        graceful::our_restart::<R>,
        graceful::our_death::<R>,
    ];
    on_stages::<R, _>(tests);
}

#[test]
fn routes_outlive_a_graceful_restart_of_bird_or_ours_and_no_other() {
    restarts::<Bird>();
}

#[test]
fn routes_outlive_a_graceful_restart_of_frr_or_ours_and_no_other() {
    restarts::<Frr>();
}

#[test]
fn routes_outlive_a_graceful_restart_of_gobgp_or_ours_and_no_other() {
    restarts::<GoBgp>();
}

#[test]
fn routes_outlive_notifications_where_that_was_agreed_on() {
    on_stages::<Frr, _>([graceful::notifications::<Frr>]);
}

fn faults<R: Router>() {
    let tests: [fn(&Stage); 7] = [
        faults::silence::<R>,
        faults::another_password::<R>,
        faults::another_as::<R>,
        faults::last_words::<R>,
        faults::too_many_prefixes::<R>,
        faults::ttl_security::<R>,
        faults::collision::<R>,
    ];
    on_stages::<R, _>(tests);
}

#[test]
fn bird_and_we_say_what_is_wrong_and_go_on_when_it_is_mended() {
    faults::<Bird>();
}

#[test]
fn frr_and_we_say_what_is_wrong_and_go_on_when_it_is_mended() {
    faults::<Frr>();
}

#[test]
fn gobgp_and_we_say_what_is_wrong_and_go_on_when_it_is_mended() {
    faults::<GoBgp>();
}
