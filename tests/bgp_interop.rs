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
use stage::on_stage;

#[test]
fn bird_exchanges_routes_in_every_cell_of_the_matrix() {
    on_stage::<Bird>(matrix::all_cells::<Bird>);
}
