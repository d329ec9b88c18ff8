//! Changes of the settings and restarts, and what they must not touch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::policy::{Action, Condition, Policy, PrefixRange, PrefixSet, Statement};
use kube_router::bgp::rib::{AttributeChanges, Withheld};
use kube_router::bgp::speaker::{ListenRange, Note, PeerDesired};
use kube_router::bgp::wire::Community;

use crate::topology::{
    AS, all_up, assert_mesh_converged, established, is_up, learned, mesh, originated, peer, prefix,
    speaker,
};
use crate::world::{World, address};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn settled(count: usize) -> World {
    let mut world = World::new(mesh(count), 11);
    world.run_until(10 * MINUTE, all_up);
    world.run(SECOND);
    assert_mesh_converged(&world);
    world
}

fn change_peer(world: &mut World, node: usize, of: usize, change: impl Fn(&mut PeerDesired)) {
    let peers = &mut world.nodes[node].desired.peers;
    let peer = peers.get_mut(&address(of)).expect("a peer");
    change(Arc::make_mut(peer));
    world.apply(node);
}

/// Nothing but what `allowed` says was lost since everybody came up.
fn assert_sessions_lived(world: &World, but: Option<usize>) {
    for (at, node) in world.nodes.iter().enumerate() {
        for neighbor in node.core.status().neighbors {
            let other = but.map(address);
            if Some(at) != but && Some(neighbor.peer) != other {
                assert_eq!(neighbor.counters.lost, 0, "{at} to {}", neighbor.peer);
            }
        }
    }
}

fn not(prefix_number: usize) -> Arc<Policy> {
    let set: PrefixSet = [PrefixRange::exact(prefix(prefix_number))]
        .into_iter()
        .collect();
    let statement = Statement::new(
        "not that one",
        [Condition::Prefix(Arc::new(set))],
        Action::Reject,
    );
    Arc::new(Policy::new("all but one", [statement], Action::Accept))
}

#[test]
fn what_is_no_longer_originated_is_gone_everywhere() {
    let mut world = settled(4);
    world.nodes[1].desired.originate.clear();
    world.apply(1);
    world.run(SECOND);
    assert_mesh_converged(&world);
    assert_sessions_lived(&world, None);
}

#[test]
fn a_changed_export_policy_counts_without_a_new_session() {
    let mut world = settled(3);
    change_peer(&mut world, 0, 1, |peer| peer.export = not(0));
    world.run(SECOND);
    assert!(world.nodes[1].best.get(&prefix(0)).is_none());
    assert!(world.nodes[2].best.get(&prefix(0)).is_some());
    let explained = world.nodes[0].core.explain(prefix(0));
    let to_1 = explained
        .telling
        .iter()
        .find(|telling| telling.peer == address(1));
    let to_1 = to_1.expect("the session is up");
    assert_eq!(to_1.told.as_ref().err(), Some(&Withheld::Policy));
    assert_eq!(to_1.export.as_deref(), Some("not that one"));

    let accept = Arc::new(Policy::accept_all());
    change_peer(&mut world, 0, 1, |peer| peer.export = Arc::clone(&accept));
    world.run(SECOND);
    assert_mesh_converged(&world);
    assert_sessions_lived(&world, None);
}

#[test]
fn changed_attributes_are_told_without_a_new_session() {
    let mut world = settled(3);
    let community = Community::new(1, 2);
    let changes = AttributeChanges {
        add_communities: vec![community],
        ..AttributeChanges::default()
    };
    let statement = Statement::new("mark", [], Action::Accept).with_changes(changes);
    let marking = Arc::new(Policy::new("marking", [statement], Action::Accept));
    change_peer(&mut world, 0, 1, |peer| peer.export = Arc::clone(&marking));
    world.run(SECOND);
    let communities = |world: &World, node: usize| {
        let entries = world.nodes[node]
            .core
            .rib_in(address(0), kube_router::net::Family::V4);
        let entry = entries.first().expect("a route");
        entry.path.route().attributes.communities.clone()
    };
    assert_eq!(communities(&world, 1), [community]);
    assert_eq!(communities(&world, 2), []);
    assert_sessions_lived(&world, None);
}

#[test]
fn a_changed_import_policy_counts_without_a_new_session() {
    let mut world = settled(3);
    change_peer(&mut world, 2, 0, |peer| peer.import = not(0));
    world.run(SECOND);
    assert!(world.nodes[2].best.get(&prefix(0)).is_none());
    assert_eq!(
        world.nodes[2].core.explain(prefix(0)).paths.len(),
        1,
        "it is kept"
    );
    let accept = Arc::new(Policy::accept_all());
    change_peer(&mut world, 2, 0, |peer| peer.import = Arc::clone(&accept));
    world.run(SECOND);
    assert_mesh_converged(&world);
    assert_sessions_lived(&world, None);
}

#[test]
fn another_port_resets_just_that_session() {
    let mut world = settled(4);
    change_peer(&mut world, 0, 1, |peer| peer.transport.port = 1790);
    world.run(MINUTE);
    assert_eq!(established(&world, 0, 1), 2);
    for (node, other) in [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        assert_eq!(established(&world, node, other), 1, "{node} to {other}");
    }
    assert_mesh_converged(&world);
}

#[test]
fn a_peer_that_is_removed_and_added_again_touches_no_other() {
    let mut world = settled(4);
    let gone = world.nodes[0].desired.peers.remove(&address(1));
    world.apply(0);
    world.run(SECOND);
    assert!(world.nodes[0].best.get(&prefix(1)).is_none());
    assert!(world.nodes[1].best.get(&prefix(0)).is_none());
    assert!(world.nodes[0].core.neighbor_status(address(1)).is_none());
    world.nodes[0]
        .desired
        .peers
        .insert(address(1), gone.expect("a peer"));
    world.apply(0);
    world.run_until(10 * MINUTE, all_up);
    world.run(SECOND);
    assert_mesh_converged(&world);
    for (node, other) in [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        assert_eq!(established(&world, node, other), 1, "{node} to {other}");
    }
}

#[test]
fn a_shut_down_peer_stays_away_until_it_is_wanted() {
    let mut world = settled(3);
    change_peer(&mut world, 0, 1, |peer| {
        peer.shutdown = Some("works".to_owned())
    });
    world.run(10 * MINUTE);
    assert!(!is_up(&world, 0, 1));
    let family = kube_router::net::Family::V4;
    assert!(world.nodes[0].core.rib_out(address(1), family).is_empty());
    assert!(!world.nodes[0].core.rib_out(address(2), family).is_empty());
    let status = world.nodes[1]
        .core
        .neighbor_status(address(0))
        .expect("a peer");
    let received = status.counters.received.notifications;
    assert!(received > 0, "it is told why");
    change_peer(&mut world, 0, 1, |peer| peer.shutdown = None);
    world.run_until(10 * MINUTE, all_up);
    world.run(SECOND);
    assert_mesh_converged(&world);
}

#[test]
fn routes_of_a_node_that_restarts_gracefully_are_there_all_the_time() {
    let mut world = settled(3);
    world.crash(0, true);
    for millis in [1, 100, 5_000, 20_000] {
        world.run(Duration::from_millis(millis));
        assert!(
            world.nodes[1].best.get(&prefix(0)).is_some(),
            "after {millis} ms"
        );
    }
    let others = &mut world.nodes[0].desired.originate;
    others.remove(&prefix(0));
    others.insert(prefix(7), originated(0));
    world.nodes[0]
        .desired
        .originate
        .insert(prefix(8), originated(0));
    world.start_again(0, true);
    assert!(
        world.nodes[0]
            .core
            .is_deferred(kube_router::net::Family::V4)
    );
    world.run_until(10 * MINUTE, all_up);
    world.run(SECOND);
    assert!(
        !world.nodes[0]
            .core
            .is_deferred(kube_router::net::Family::V4)
    );
    // What it does not tell again goes with its End-of-RIB.
    assert_mesh_converged(&world);
    assert_eq!(learned(&world.nodes[1].best).get(&prefix(0)), None);
}

#[test]
fn a_restarted_node_tells_nothing_before_all_helpers_have_told() {
    let mut world = settled(3);
    // One helper is away as well: the other's End-of-RIB is not enough.
    world.crash(2, true);
    world.run(SECOND);
    world.crash(0, true);
    world.run(SECOND);
    world.start_again(0, true);
    world.run_until(MINUTE, |world| is_up(world, 0, 1));
    world.run(10 * SECOND);
    assert_eq!(
        world.nodes[0]
            .core
            .rib_out(address(1), kube_router::net::Family::V4)
            .len(),
        0
    );
    assert!(world.nodes[0].best.is_empty());
    assert!(
        world.nodes[1].best.get(&prefix(0)).is_some(),
        "kept as stale"
    );
    // The time for it is over after a minute.
    world.run(MINUTE);
    assert!(world.nodes[0].best.get(&prefix(1)).is_some());
    assert!(
        !world.nodes[0]
            .core
            .rib_out(address(1), kube_router::net::Family::V4)
            .is_empty()
    );
    world.start_again(2, true);
    world.run_until(10 * MINUTE, all_up);
    world.run(MINUTE * 3);
    assert_mesh_converged(&world);
}

#[test]
fn a_peer_by_range_is_taken_told_and_forgotten() {
    let mut nodes = vec![speaker(0, AS), speaker(1, 64_600), speaker(2, 64_601)];
    nodes[0].ranges = vec![ListenRange {
        prefix: "10.0.0.0/24".parse().expect("a prefix"),
        peer: Arc::new({
            let mut any = peer(0, AS, 0);
            any.session.peer_as = kube_router::bgp::fsm::PeerAs::External;
            any
        }),
        limit: 1,
    }];
    nodes[0].originate.insert(prefix(0), originated(0));
    nodes[1].originate.insert(prefix(1), originated(1));
    nodes[1]
        .peers
        .insert(address(0), Arc::new(peer(1, 64_600, AS)));
    let mut world = World::new(nodes, 3);
    world.run_until(MINUTE, |world| is_up(world, 0, 1));
    world.run(SECOND);
    let hops = &learned(&world.nodes[0].best)[&prefix(1)];
    assert_eq!(*hops, BTreeSet::from([address(1)]));
    assert!(world.nodes[1].best.get(&prefix(0)).is_some());

    // No room for another.
    world.nodes[2]
        .desired
        .peers
        .insert(address(0), Arc::new(peer(2, 64_601, AS)));
    world.apply(2);
    world.run(MINUTE);
    let refused =
        |(from, note): &(_, Note)| *from == address(2) && matches!(note, Note::Refused(_));
    assert!(world.nodes[0].notes.iter().any(refused));
    assert!(!is_up(&world, 2, 0));

    // The first one goes for good; the other may come.
    world.nodes[1].desired.peers.clear();
    world.apply(1);
    world.run_until(10 * MINUTE, |world| is_up(world, 0, 2));
    assert!(world.nodes[0].core.neighbor_status(address(1)).is_none());
    assert!(world.nodes[0].best.is_empty());
}
