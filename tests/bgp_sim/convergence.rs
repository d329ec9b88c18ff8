//! Meshes and reflectors, after everything that may happen to them.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::topology::{
    all_up, assert_mesh_converged, learned, mesh, originated, prefix, reflected, ring,
};
use crate::world::{World, address};

const HOUR: Duration = Duration::from_secs(3600);

/// Something that happens; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Happening {
    Wait(u64),
    Break(usize, usize),
    Originate(usize, usize),
    Withdraw(usize, usize),
    /// Told by TCP or not, and how many milliseconds later it is there again, gracefully or not.
    Crash(usize, bool, u64, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..20_000u64).prop_map(Happening::Wait),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Happening::Break(a, b)),
        2 => (any::<usize>(), 0..20usize).prop_map(|(a, p)| Happening::Originate(a, p)),
        2 => (any::<usize>(), 0..20usize).prop_map(|(a, p)| Happening::Withdraw(a, p)),
        1 => (any::<usize>(), any::<bool>(), 0..30_000u64, any::<bool>())
            .prop_map(|(a, told, away, graceful)| Happening::Crash(a, told, away, graceful)),
    ]
}

fn happen(world: &mut World, happening: &Happening) {
    let count = world.nodes.len();
    match *happening {
        Happening::Wait(millis) => world.run(Duration::from_millis(millis)),
        Happening::Break(a, b) => world.break_between(a % count, b % count),
        Happening::Originate(a, number) => {
            let node = a % count;
            let originate = &mut world.nodes[node].desired.originate;
            originate.insert(prefix(number), originated(node));
            world.apply(node);
        }
        Happening::Withdraw(a, number) => {
            let node = a % count;
            world.nodes[node].desired.originate.remove(&prefix(number));
            world.apply(node);
        }
        Happening::Crash(a, told, away, graceful) => {
            world.crash(a % count, told);
            world.run(Duration::from_millis(away));
            world.start_again(a % count, graceful);
        }
    }
}

/// Left in peace: all sessions come up, and nothing is stale any more.
fn calm_down(world: &mut World) {
    world.run(Duration::from_secs(300));
    world.run_until(HOUR, all_up);
}

fn converges(count: usize, seed: u64, happenings: &[Happening]) {
    let mut world = World::new(mesh(count), seed);
    for happening in happenings {
        happen(&mut world, happening);
    }
    calm_down(&mut world);
    assert_mesh_converged(&world);
}

fn few(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(few(48))]

    #[test]
    fn a_mesh_of_three_converges_whatever_happens(
        seed: u64,
        happenings in prop::collection::vec(happening(), 0..16),
    ) {
        converges(3, seed, &happenings);
    }
}

proptest! {
    #![proptest_config(few(16))]

    #[test]
    fn a_mesh_of_five_converges_whatever_happens(
        seed: u64,
        happenings in prop::collection::vec(happening(), 0..20),
    ) {
        converges(5, seed, &happenings);
    }

    #[test]
    fn clients_of_two_reflectors_converge_whatever_happens(
        seed: u64,
        happenings in prop::collection::vec(happening(), 0..16),
    ) {
        let mut world = World::new(reflected(2, 4), seed);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        calm_down(&mut world);
        assert_reflected(&world);
        assert_as_if_new(&world, !seed);
    }

    #[test]
    fn a_ring_of_autonomous_systems_converges_whatever_happens(
        seed: u64,
        happenings in prop::collection::vec(happening(), 0..16),
    ) {
        let mut world = World::new(ring(5), seed);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        calm_down(&mut world);
        assert_as_if_new(&world, !seed);
        let all = world.nodes.iter().flat_map(|node| node.desired.originate.keys());
        let all: BTreeSet<_> = all.copied().collect();
        for node in &world.nodes {
            let own = node.desired.originate.len();
            prop_assert_eq!(learned(&node.best).len() + own, all.len());
        }
    }
}

proptest! {
    #![proptest_config(few(4))]

    #[test]
    fn a_mesh_of_ten_converges_whatever_happens(
        seed: u64,
        happenings in prop::collection::vec(happening(), 0..24),
    ) {
        converges(10, seed, &happenings);
    }
}

/// Speakers that never saw anything but these settings come to the same best paths.
fn assert_as_if_new(world: &World, seed: u64) {
    let desired = world.nodes.iter().map(|node| node.desired.clone());
    let mut fresh = World::new(desired.collect(), seed);
    calm_down(&mut fresh);
    for (old, new) in world.nodes.iter().zip(&fresh.nodes) {
        assert_eq!(learned(&old.best), learned(&new.best));
    }
}

/// Who originates a prefix uses it himself; all others have it by somebody who does, and nobody
/// has what nobody originates.
fn assert_reflected(world: &World) {
    for node in &world.nodes {
        let known = learned(&node.best);
        let mut wanted = BTreeSet::new();
        for other in &world.nodes {
            wanted.extend(other.desired.originate.keys().copied());
        }
        wanted.retain(|prefix| !node.desired.originate.contains_key(prefix));
        assert_eq!(known.keys().copied().collect::<BTreeSet<_>>(), wanted);
        for (prefix, hops) in known {
            let origins = world.nodes.iter();
            let origins: BTreeSet<_> = origins
                .filter(|other| other.desired.originate.contains_key(&prefix))
                .map(|other| other.address)
                .collect();
            assert!(
                hops.is_subset(&origins),
                "{prefix}: {hops:?} of {origins:?}"
            );
        }
    }
}

#[test]
fn clients_know_each_other_by_their_reflector_alone() {
    let mut world = World::new(reflected(1, 3), 7);
    world.run_until(HOUR, all_up);
    world.run(Duration::from_secs(1));
    assert_reflected(&world);
    let hops = &learned(&world.nodes[2].best)[&prefix(3)];
    assert_eq!(
        *hops,
        BTreeSet::from([address(3)]),
        "next hops are not touched"
    );
    let explained = world.nodes[2].core.explain(prefix(3));
    let attributes = &explained.paths[0].path.route().attributes;
    assert_eq!(
        attributes.originator_id,
        Some(crate::topology::router_id(3))
    );
    assert_eq!(
        attributes.cluster_list,
        ["1.1.1.1".parse::<std::net::Ipv4Addr>().expect("an id")]
    );
}

/// `KUBE_ROUTER_SIM_NODES=50` for the big one.
#[test]
fn a_mesh_of_the_size_asked_for_converges_through_crashes() {
    let nodes = std::env::var("KUBE_ROUTER_SIM_NODES").ok();
    let count = nodes.and_then(|text| text.parse().ok()).unwrap_or(6);
    let crashes = [
        Happening::Wait(10_000),
        Happening::Crash(1, false, 5_000, true),
        Happening::Crash(2, true, 0, false),
        Happening::Originate(0, 19),
        Happening::Originate(3, 19),
        Happening::Break(0, 1),
        Happening::Withdraw(4, 4),
    ];
    converges(count, 42, &crashes);
}
