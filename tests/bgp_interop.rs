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
#[path = "interop/frr.rs"]
mod frr;
#[path = "interop/gobgp.rs"]
mod gobgp;
#[path = "interop/matrix.rs"]
mod matrix;
#[path = "interop/ours.rs"]
mod ours;
#[path = "interop/router.rs"]
mod router;
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
