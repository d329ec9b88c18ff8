//! Speakers with real sockets on loopback addresses.
#![allow(clippy::expect_used, reason = "a test")]

#[path = "bgp_sim/topology.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod topology;
#[path = "bgp_sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod world;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use kube_router::bgp::fsm::Stop;
use kube_router::bgp::rib::BestPaths;
use kube_router::bgp::speaker::io::{Handle, Listeners, Notes, Options, spawn};
use kube_router::bgp::speaker::{Desired, Input, ListenRange, Note, PeerDesired, Ttl};
use kube_router::bgp::wire::NextHop;
use kube_router::net::Prefix;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use topology::{AS, originated, peer, prefix, speaker};

const PATIENCE: Duration = Duration::from_secs(30);

fn v4(node: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, node).into()
}

/// A port that nobody has at these addresses.
fn free_port(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// One end's settings, and those towards the other end.
fn end(node: usize, own: IpAddr, port: u16) -> (Desired, PeerDesired) {
    let mut desired = speaker(node, AS);
    let mut route = originated(node);
    // Loopback is no next hop.
    route.next_hop = NextHop::V4(Ipv4Addr::new(
        192,
        0,
        2,
        1 + u8::try_from(node).expect("small"),
    ));
    desired.originate.insert(prefix(node), route);
    let mut towards = peer(node, AS, AS);
    towards.transport.port = port;
    towards.transport.local_address = Some(own);
    (desired, towards)
}

fn start(own: IpAddr, port: u16, seed: u64) -> (Handle, Notes) {
    let options = Options {
        listen: vec![SocketAddr::new(own, port)],
        seed,
        restarted: None,
    };
    spawn(&options).expect("a free port")
}

async fn knows(handle: &Handle, wanted: Prefix, is_there: bool) {
    let mut best = handle.best_paths();
    let holds = |best: &BestPaths| best.get(&wanted).is_some() == is_there;
    let waited = timeout(PATIENCE, best.wait_for(holds)).await;
    let waited = waited.expect("within the time");
    waited.expect("the speaker lives");
}

/// Both ends with what `change` makes of their settings; routes come and go.
async fn exchange(addresses: [IpAddr; 2], change: impl Fn(&mut PeerDesired)) {
    let port = free_port(addresses[0]);
    let mut ends = Vec::new();
    for node in 0..2 {
        let (own, other) = (addresses[node], addresses[1 - node]);
        let (handle, notes) = start(own, port, 77 + u64::try_from(node).expect("small"));
        let (mut desired, mut towards) = end(node, own, port);
        change(&mut towards);
        desired.peers.insert(other, Arc::new(towards));
        handle.set_desired(desired.clone());
        ends.push((handle, desired, notes));
    }
    knows(&ends[0].0, prefix(1), true).await;
    knows(&ends[1].0, prefix(0), true).await;
    ends[0].1.originate.remove(&prefix(0));
    ends[0].0.set_desired(ends[0].1.clone());
    knows(&ends[1].0, prefix(0), false).await;
}

#[tokio::test]
async fn two_speakers_exchange_routes_over_ipv4() {
    exchange([v4(2), v4(3)], |_| {}).await;
}

#[tokio::test]
async fn two_speakers_exchange_routes_with_md5() {
    exchange([v4(4), v4(5)], |peer| {
        peer.transport.password = Some(Arc::from(&b"secret"[..]));
    })
    .await;
}

#[tokio::test]
async fn two_speakers_exchange_routes_with_ttl_security() {
    exchange([v4(6), v4(7)], |peer| {
        peer.transport.ttl = Ttl::Security { hops: 1 };
    })
    .await;
}

#[tokio::test]
async fn another_password_keeps_them_apart_until_it_is_the_same() {
    let port = free_port(v4(8));
    let (a, _a_notes) = start(v4(8), port, 1);
    let (b, _b_notes) = start(v4(9), port, 2);
    let (mut at_a, mut to_b) = end(0, v4(8), port);
    let (mut at_b, mut to_a) = end(1, v4(9), port);
    let password = |text: &str| Some(Arc::from(text.as_bytes()));
    to_b.transport.password = password("one");
    to_a.transport.password = password("other");
    at_a.peers.insert(v4(9), Arc::new(to_b));
    at_b.peers.insert(v4(8), Arc::new(to_a.clone()));
    a.set_desired(at_a);
    b.set_desired(at_b.clone());
    let mut best = a.best_paths();
    let early = timeout(
        Duration::from_secs(3),
        best.wait_for(|best| !best.is_empty()),
    )
    .await;
    assert!(early.is_err(), "they speak with different passwords");
    to_a.transport.password = password("one");
    at_b.peers.insert(v4(8), Arc::new(to_a));
    b.set_desired(at_b);
    knows(&a, prefix(1), true).await;
}

#[tokio::test]
async fn a_peer_by_range_needs_the_password_of_its_range() {
    let port = free_port(v4(20));
    let (a, _a_notes) = start(v4(20), port, 1);
    let (b, _b_notes) = start(v4(21), port, 2);
    let (mut at_a, mut any) = end(0, v4(20), port);
    any.transport.password = Some(Arc::from(&b"of the range"[..]));
    at_a.ranges.push(ListenRange {
        prefix: "127.0.0.20/30".parse().expect("a prefix"),
        peer: Arc::new(any),
        limit: 8,
    });
    let (mut at_b, mut to_a) = end(1, v4(21), port);
    at_b.peers.insert(v4(20), Arc::new(to_a.clone()));
    a.set_desired(at_a);
    b.set_desired(at_b.clone());
    let mut best = a.best_paths();
    let early = timeout(
        Duration::from_secs(2),
        best.wait_for(|best| !best.is_empty()),
    )
    .await;
    assert!(early.is_err(), "it speaks without a password");
    to_a.transport.password = Some(Arc::from(&b"of the range"[..]));
    at_b.peers.insert(v4(20), Arc::new(to_a));
    b.set_desired(at_b);
    knows(&a, prefix(1), true).await;
    knows(&b, prefix(0), true).await;
}

#[tokio::test]
async fn a_stranger_and_a_peer_that_sends_garbage_harm_nobody() {
    let port = free_port(v4(10));
    let (a, _a_notes) = start(v4(10), port, 1);
    let (b, _b_notes) = start(v4(11), port, 2);
    let (mut at_a, to_b) = end(0, v4(10), port);
    let (mut at_b, to_a) = end(1, v4(11), port);
    let mut quiet = peer(0, AS, AS);
    quiet.session.passive = true;
    at_a.peers.insert(v4(12), Arc::new(quiet));
    at_a.peers.insert(v4(11), Arc::new(to_b));
    at_b.peers.insert(v4(10), Arc::new(to_a));
    a.set_desired(at_a);
    b.set_desired(at_b);
    knows(&a, prefix(1), true).await;
    for from in [v4(12), v4(13)] {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::new(from, 0))
            .expect("a loopback address");
        let stream = socket.connect(SocketAddr::new(v4(10), port)).await;
        let mut stream = stream.expect("somebody listens");
        // Who is refused may see a reset here already.
        let _ = stream.write_all(&[0; 100_000]).await;
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{from} is closed");
    }
    // Nor does one that connects again and again. Fewer at a time than files a process may open.
    const HELD: usize = 250;
    let mut many = Vec::new();
    for from in [v4(12), v4(13)].into_iter().cycle().take(1000) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::new(from, 0))
            .expect("a loopback address");
        let stream = socket.connect(SocketAddr::new(v4(10), port)).await;
        if many.len() == HELD {
            many.clear();
        }
        many.push(stream.expect("somebody listens"));
    }
    let held = a.ask(|core| core.connections(v4(12))).await;
    assert!(held.is_some_and(|held| held <= 2), "{held:?}");
    let lost = a.ask(|core| {
        let status = core.neighbor_status(v4(11)).expect("a peer");
        status.counters.lost
    });
    assert_eq!(lost.await, Some(0));
}

#[tokio::test]
async fn a_port_that_becomes_free_is_listened_at_with_the_passwords_set_meanwhile() {
    let (own, other) = (v4(12), v4(13));
    let taken = TcpListener::bind((own, 0)).expect("a port");
    let address = taken.local_addr().expect("an address");
    let port = address.port();
    let secret: Arc<[u8]> = Arc::from(&b"secret"[..]);
    let (handle, _notes) = start(v4(14), port, 5);
    handle.listen(BTreeSet::from([address]));
    let mut listeners = handle.listeners();
    let said = |state: &Listeners| state.get(&address).is_some_and(Option::is_some);
    let waited = timeout(PATIENCE, listeners.wait_for(said)).await;
    drop(waited.expect("within the time").expect("it lives"));

    let (mut desired, mut towards) = end(0, own, port);
    towards.session.passive = true;
    towards.transport.password = Some(Arc::clone(&secret));
    desired.peers.insert(other, Arc::new(towards));
    handle.set_desired(desired);
    let (far, _far_notes) = start(other, port, 6);
    let (mut desired, mut towards) = end(1, other, port);
    towards.transport.password = Some(secret);
    desired.peers.insert(own, Arc::new(towards));
    far.set_desired(desired);

    drop(taken);
    knows(&handle, prefix(1), true).await;
    let state = handle.listeners().borrow().clone();
    assert_eq!(state, Listeners::from([(address, None)]));
    let elsewhere = TcpListener::bind((v4(14), port));
    assert!(elsewhere.is_ok(), "it still listens where it began");
}

#[tokio::test]
async fn who_stops_has_said_so_when_its_connections_are_drained() {
    let (own, other) = (v4(15), v4(16));
    let port = free_port(own);
    let (near, _near_notes) = start(own, port, 8);
    let (far, mut far_notes) = start(other, port, 9);
    for (node, handle, own, other) in [(0, &near, own, other), (1, &far, other, own)] {
        let (mut desired, towards) = end(node, own, port);
        desired.peers.insert(other, Arc::new(towards));
        handle.set_desired(desired);
    }
    knows(&near, prefix(1), true).await;
    near.input(Input::StopAll(Stop::Shutdown("until later".to_owned())));
    let drained = timeout(PATIENCE, near.drained()).await;
    drained.expect("within the time");
    let heard = async {
        while let Some((_, note)) = far_notes.recv().await {
            if let Note::Down(down) = note {
                return down.reason.to_string();
            }
        }
        String::new()
    };
    let heard = timeout(PATIENCE, heard).await.expect("within the time");
    assert!(heard.contains("until later"), "{heard}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
    let taken = TcpListener::bind(address).expect("a port");
    let address = taken.local_addr().expect("an address");
    let options = Options {
        listen: vec![address],
        seed: 1,
        restarted: None,
    };
    let error = spawn(&options).expect_err("it is taken").to_string();
    assert!(
        error.starts_with(&format!("can't listen at {address}: ")),
        "{error}"
    );
}
