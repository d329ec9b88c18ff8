//! Refresh, limits, both families over one session, and roles that change while it lives.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::fsm::{MaxPrefixes, Reason, State};
use kube_router::bgp::rib::{Reachability, Withheld};
use kube_router::bgp::speaker::{Input, Note};
use kube_router::bgp::wire::{CeaseSubcode, NextHop, Notification};
use kube_router::net::{Family, Prefix};

use crate::topology::{
    all_up, assert_mesh_converged, established, learned, mesh, originated, prefix, reflected,
};
use crate::world::{World, address};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn up(mut world: World) -> World {
    world.run_until(10 * MINUTE, all_up);
    world.run(SECOND);
    world
}

#[test]
fn a_refresh_tells_all_again_and_takes_nothing_away() {
    let mut world = up(World::new(mesh(2), 21));
    let received = |world: &World| {
        let status = world.nodes[1].core.neighbor_status(address(0));
        status.map_or(0, |status| status.counters.received.updates)
    };
    let before = received(&world);
    let (peer, family) = (address(0), Family::V4);
    world.input(1, Input::Refresh { peer, family });
    world.run(SECOND);
    assert_eq!(received(&world), before + 1);
    assert_mesh_converged(&world);
    let entries = world.nodes[1].core.rib_in(address(0), Family::V4);
    assert!(
        entries.iter().all(|entry| !entry.path.is_stale()),
        "EoRR came"
    );
}

#[test]
fn too_many_prefixes_end_that_session_alone() {
    let mut nodes = mesh(3);
    let peer = nodes[0].peers.get_mut(&address(1)).expect("a peer");
    Arc::make_mut(peer).session.max_prefixes.v4 = Some(MaxPrefixes {
        limit: 3,
        warn_at: Some(2),
        restart: None,
    });
    let mut world = up(World::new(nodes, 22));
    for number in 10..12 {
        world.nodes[1]
            .desired
            .originate
            .insert(prefix(number), originated(1));
    }
    world.apply(1);
    world.run(SECOND);
    let warned = |(_, note): &(IpAddr, Note)| matches!(note, Note::ManyPrefixes { .. });
    assert!(world.nodes[0].notes.iter().any(warned));
    assert_mesh_converged(&world);

    world.nodes[1]
        .desired
        .originate
        .insert(prefix(12), originated(1));
    world.apply(1);
    world.run(10 * MINUTE);
    let status = world.nodes[0]
        .core
        .neighbor_status(address(1))
        .expect("a peer");
    assert_eq!(status.state, State::Idle);
    let sent = status.last_sent.expect("a reason").what;
    let reason = sent.hard_reset_cause().unwrap_or(sent);
    let wanted = Notification::from(CeaseSubcode::MaximumPrefixesReached);
    assert_eq!((reason.code, reason.subcode), (wanted.code, wanted.subcode));
    assert!(world.nodes[0].best.get(&prefix(1)).is_none());
    assert_eq!(established(&world, 0, 2), 1);
    assert!(matches!(
        status.last_down.map(|down| down.what),
        Some(Reason::Sent(_))
    ));

    // Fewer, and an operator says so.
    world.nodes[1].desired.originate.remove(&prefix(12));
    world.apply(1);
    world.input(0, Input::Start { peer: address(1) });
    world = up(world);
    assert_mesh_converged(&world);
}

#[test]
fn both_families_go_over_one_session() {
    let mut nodes = mesh(3);
    let global = |node: u16| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1 + node);
    let range = |node: u16| -> Prefix {
        let text = format!("fd00:{:x}::/64", 0x100 + node);
        text.parse().expect("a prefix")
    };
    for (node, desired) in (0..).zip(&mut nodes) {
        let mut route = originated(node.into());
        route.next_hop = NextHop::from(IpAddr::V6(global(node)));
        desired.originate.insert(range(node), route);
    }
    let world = up(World::new(nodes, 23));
    for (at, node) in (0..).zip(&world.nodes) {
        let known = learned(&node.best);
        assert_eq!(known.len(), 4);
        for other in (0..3).filter(|other| *other != at) {
            let hops = &known[&range(other)];
            assert_eq!(*hops, BTreeSet::from([IpAddr::V6(global(other))]));
        }
    }
}

#[test]
fn a_client_that_is_none_any_more_is_not_reflected_for_without_a_new_session() {
    let mut world = up(World::new(reflected(1, 2), 24));
    assert!(world.nodes[1].best.get(&prefix(2)).is_some());
    let set = |world: &mut World, is_client: bool| {
        for client in [1, 2] {
            let peers = &mut world.nodes[0].desired.peers;
            let peer = peers.get_mut(&address(client)).expect("a peer");
            Arc::make_mut(peer).is_client = is_client;
        }
        world.apply(0);
        world.run(SECOND);
    };
    set(&mut world, false);
    assert!(world.nodes[1].best.get(&prefix(2)).is_none());
    let telling = world.nodes[0].core.explain(prefix(2)).telling;
    let withheld = telling.iter().find(|telling| telling.peer == address(1));
    let withheld = withheld.and_then(|telling| telling.told.as_ref().err());
    assert_eq!(withheld, Some(&Withheld::NotReflected));
    set(&mut world, true);
    assert!(world.nodes[1].best.get(&prefix(2)).is_some());
    assert_eq!(established(&world, 0, 1), 1);
}

#[test]
fn a_next_hop_that_is_gone_is_used_by_nobody() {
    let mut nodes = mesh(4);
    for node in [1, 2] {
        nodes[node].originate.insert(prefix(9), originated(node));
    }
    let mut world = up(World::new(nodes, 25));
    let hops = |world: &World| learned(&world.nodes[0].best).get(&prefix(9)).cloned();
    assert_eq!(hops(&world), Some(BTreeSet::from([address(1), address(2)])));
    world.input(0, Input::NextHop(address(1), Reachability::Unreachable));
    assert_eq!(hops(&world), Some(BTreeSet::from([address(2)])));
    world.input(0, Input::NextHop(address(1), Reachability::Cost(0)));
    assert_eq!(hops(&world), Some(BTreeSet::from([address(1), address(2)])));
}

#[test]
fn bfd_that_loses_a_peer_ends_its_session_at_once() {
    let mut world = up(World::new(mesh(3), 26));
    world.input(
        0,
        Input::BfdDown {
            peer: address(1),
            control_plane_independent: true,
        },
    );
    assert!(world.nodes[0].best.get(&prefix(1)).is_none());
    let world = up(world);
    assert_mesh_converged(&world);
    assert_eq!(established(&world, 0, 2), 1);
}
