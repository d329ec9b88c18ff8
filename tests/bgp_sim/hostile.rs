//! Peers that send garbage or don't read: they harm nobody else.

use std::time::Duration;

use kube_router::bgp::rib::Prepend;
use kube_router::bgp::speaker::UNWRITTEN_LIMIT;
use kube_router::bgp::wire::AsPath;
use kube_router::net::Family;
use proptest::prelude::*;

use crate::topology::{
    all_up, assert_mesh_converged, established, is_up, mesh, originated, prefix,
};
use crate::world::{World, address};

const MINUTE: Duration = Duration::from_secs(60);

fn settled() -> World {
    let mut world = World::new(mesh(3), 5);
    world.run_until(10 * MINUTE, all_up);
    world.run(MINUTE);
    world
}

#[test]
fn garbage_costs_its_own_session_alone() {
    let mut world = settled();
    let mut keepalive = vec![0xff; 16];
    keepalive.extend([0, 19, 4]);
    let mut update = vec![0xff; 16];
    // ORIGIN that runs over the end of the attributes, twice MP_REACH_NLRI.
    update.extend([0, 31, 2, 0, 0, 0, 8, 0x80, 14, 0, 0x80, 14, 0, 0x40, 1]);
    for (round, garbage) in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 40], update]
        .into_iter()
        .enumerate()
    {
        let before = established(&world, 0, 1);
        world.inject(1, 0, &[keepalive.clone(), garbage].concat());
        world.run(3 * MINUTE);
        world.run_until(10 * MINUTE, all_up);
        world.run(MINUTE);
        assert_eq!(established(&world, 0, 1), before + 1, "round {round}");
        assert_mesh_converged(&world);
    }
    assert_eq!(established(&world, 0, 2), 1);
    assert_eq!(established(&world, 1, 2), 1);
}

#[test]
fn who_does_not_read_costs_a_bounded_queue_and_keeps_nobody_waiting() {
    let mut world = settled();
    world.nodes[1].is_stalled = true;
    for number in 10..6000 {
        let mut route = originated(0);
        // Attributes of its own: nothing is packed together.
        let asn = u32::try_from(number).expect("small");
        let Prepend { asn, times } = Prepend { asn, times: 20 };
        route.attributes.as_path = AsPath::empty().prepended(asn, times.into());
        world.nodes[0]
            .desired
            .originate
            .insert(prefix(number), route);
    }
    world.apply(0);
    world.run(10 * Duration::from_secs(1));
    let status = |world: &World, of: usize| {
        let status = world.nodes[0].core.neighbor_status(address(of));
        status.expect("a peer")
    };
    assert!(status(&world, 1).has_pending);
    assert!(status(&world, 1).unwritten < 2 * UNWRITTEN_LIMIT);
    assert!(!status(&world, 2).has_pending);
    assert_eq!(
        world.nodes[2].core.rib_in(address(0), Family::V4).len(),
        5991
    );
    // What goes again meanwhile is never told to the one that waits.
    world.nodes[0]
        .desired
        .originate
        .retain(|known, _| *known != prefix(5999));
    world.apply(0);
    world.unstall(1);
    world.run(10 * Duration::from_secs(1));
    assert_eq!(status(&world, 1).unwritten, 0);
    assert_mesh_converged(&world);
    assert_eq!(established(&world, 0, 1), 1);
}

/// An UPDATE with one prefix, as anybody would send it.
fn update() -> Vec<u8> {
    let attributes = [
        0x40, 1, 1, 0, // ORIGIN
        0x40, 2, 0, // AS_PATH
        0x40, 3, 4, 10, 0, 0, 2, // NEXT_HOP
        0x40, 5, 4, 0, 0, 0, 100, // LOCAL_PREF
        0xc0, 8, 4, 0, 1, 0, 2, // COMMUNITIES
    ];
    let length = 19 + 4 + attributes.len() + 4;
    let octet = |length: usize| u8::try_from(length).expect("short");
    let mut update = vec![0xff; 16];
    update.extend([0, octet(length), 2, 0, 0, 0, octet(attributes.len())]);
    update.extend(attributes);
    update.extend([24, 10, 250, 0]);
    update
}

#[test]
fn an_update_of_anybody_is_taken() {
    let mut world = settled();
    world.inject(1, 0, &update());
    world.run(MINUTE);
    assert_eq!(world.nodes[0].core.rib_in(address(1), Family::V4).len(), 2);
    assert_eq!(established(&world, 0, 1), 1);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_updates_harm_nobody_else(
        rounds in prop::collection::vec(
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            1..30,
        ),
    ) {
        let mut world = settled();
        for mutations in rounds {
            let mut octets = update();
            for (at, value) in mutations {
                let at = at.index(octets.len());
                octets[at] = value;
            }
            if is_up(&world, 0, 1) && is_up(&world, 1, 0) {
                world.inject(1, 0, &octets);
            }
            world.run(Duration::from_secs(1));
        }
        world.break_between(0, 1);
        world.run(5 * MINUTE);
        world.run_until(10 * MINUTE, all_up);
        world.run(3 * MINUTE);
        prop_assert_eq!(established(&world, 0, 2), 1);
        prop_assert_eq!(established(&world, 1, 2), 1);
        assert_mesh_converged(&world);
    }
}
