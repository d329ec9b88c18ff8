//! The local socket and `kube-router bgp`: real speakers on loopback, a real socket, and what an
//! operator reads.
//!
//! `UPDATE_EXPECT=1 cargo test --test control` rewrites the expectations; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[path = "bgp_sim/topology.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod topology;
#[path = "bgp_sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation")]
mod world;

#[path = "control/node.rs"]
mod node;
#[path = "control/socket.rs"]
mod socket;

use std::fs;
use std::path::Path;

use kube_router::bgp::speaker::Originated;
use kube_router::bgp::wire::NextHop;
use kube_router::cli::Exit;
use kube_router::control::{Neighbors, PAGE, PAGE_OCTETS, Rib};
use kube_router::net::Prefix;
use serde_json::Value;

use node::{Node, Said, prefix, settled};
use topology::originated;

/// Compares with the file of that name in `tests/control`.
fn expect(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/control")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name} (UPDATE_EXPECT=1 rewrites it)");
}

/// The same without what differs from run to run.
fn steady(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) if name == "messages" => fields.clear(),
        Value::Object(fields) if name == "timers" => fields.clear(),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| steady(value, name)),
        Value::Array(all) => all.iter_mut().for_each(|value| steady(value, name)),
        Value::Number(_)
            if ["state_seconds", "uptime_seconds", "age_seconds", "port"].contains(&name) =>
        {
            *value = 0.into();
        }
        _ => {}
    }
}

fn steady_json(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    steady(&mut value, "");
    format!("{value:#}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_peers_routes_and_reasons() {
    let node = settled(30).await;
    for (name, words) in [
        ("rib.txt", "rib"),
        ("rib-in.txt", "rib in 127.0.0.31"),
        ("rib-out.txt", "rib out"),
        ("rib-prefix.txt", "rib in 10.50.0.0/16"),
        ("explain.txt", "explain 10.50.0.0/16"),
        ("explain-no-export.txt", "explain 10.100.1.0/24"),
        ("explain-own.txt", "explain 10.100.0.9"),
        ("explain-excluded.txt", "explain 10.66.0.0/16"),
    ] {
        let said = node.ask(words).await;
        assert_eq!((said.exit, &*said.err), (Exit::Success, ""), "{words}");
        expect(name, &said.out);
    }
    for (name, words) in [
        ("neighbors.json", "neighbors --json"),
        ("rib.json", "rib --json"),
        ("explain.json", "explain --json 10.50.0.0/16"),
    ] {
        let said = node.ask(words).await;
        assert_eq!((said.exit, &*said.err), (Exit::Success, ""), "{words}");
        expect(name, &steady_json(&said.out));
    }
    let all = node.ask("neighbors").await;
    for line in ["IPv4 unicast:", "3 neighbors"] {
        assert!(all.out.lines().any(|found| found == line), "{}", all.out);
    }
    let active = all.out.lines().find(|line| line.starts_with("127.0.0.33"));
    assert!(
        active.is_some_and(|line| line.contains("never") && line.contains("Active")),
        "{}",
        all.out
    );
    let one = node.ask("neighbors 127.0.0.32").await;
    assert!(
        one.out
            .starts_with("BGP neighbor is 127.0.0.32, remote AS 64600, local AS 64512, external"),
        "{}",
        one.out
    );
    let one = node.ask("neighbors --json 127.0.0.32").await;
    let one: Neighbors = serde_json::from_str(&one.out).unwrap();
    assert_eq!(one.neighbors.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_ends_with_one_and_says_what() {
    let node = settled(40).await;
    for (words, expected) in [
        ("neighbors 192.0.2.9", "no peer 192.0.2.9"),
        ("rib in 192.0.2.9", "no peer 192.0.2.9"),
        ("rib 10.1.0.0/16", "no path to 10.1.0.0/16"),
        ("rib in 10.1.0.0/16", "no peer tells 10.1.0.0/16"),
        (
            "rib out 127.0.0.42 10.50.0.0/16",
            "127.0.0.42 is not told 10.50.0.0/16",
        ),
        ("explain 10.1.0.0/16", "no path to 10.1.0.0/16"),
        ("explain 2001:db8::1", "no path to 2001:db8::1/128"),
    ] {
        let said = node.ask(words).await;
        let expected = format!("kube-router: {expected}\n");
        assert_eq!(
            (said.exit, &*said.out, said.err),
            (Exit::Failure, "", expected),
            "{words}"
        );
    }
    let said = node.ask("rib 10.50.0.0/16 in").await;
    let expected = "kube-router: in is out of order: in or out, a peer's address, a prefix\n";
    assert_eq!((said.exit, &*said.err), (Exit::Usage, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_routing_or_without_daemon_says_so() {
    let node = Node::without_speaker().await;
    for words in ["neighbors", "rib", "rib in --json", "explain 10.0.0.0/8"] {
        let said = node.ask(words).await;
        let expected = "kube-router: routing is switched off\n";
        assert_eq!(
            (said.exit.code(), &*said.out, &*said.err),
            (69, "", expected),
            "{words}"
        );
    }
    let socket = node.socket.display().to_string();
    node.stop().await;
    let said: Said = node.ask("neighbors").await;
    let expected = format!(
        "kube-router: {socket}: nobody answers; is the daemon running (systemctl status \
         kube-router), and is this its control.socket?\n"
    );
    assert_eq!((said.exit.code(), said.err), (69, expected.clone()));
    fs::remove_file(&node.socket).unwrap();
    let said = node.ask("neighbors").await;
    assert_eq!((said.exit.code(), said.err), (69, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_routes_come_in_sorted_pages_of_bounded_size() {
    let node = settled(50).await;
    let mut wanted: Vec<Prefix> = (0..2500_u32)
        .map(|number| {
            // In no order, and both families.
            let number = number.wrapping_mul(7919) % 2500;
            match number % 2 {
                0 => format!("172.{}.{}.0/24", 16 + number / 256, number % 256),
                _ => format!("2001:db8:{number:x}::/48"),
            }
        })
        .map(|text| text.parse().unwrap())
        .collect();
    let mut desired = node.desired.clone();
    for prefix in &wanted {
        let next_hop = match prefix {
            Prefix::V4(_) => NextHop::from(std::net::IpAddr::from([192, 0, 2, 1])),
            Prefix::V6(_) => "2001:db8:ffff::1"
                .parse::<std::net::IpAddr>()
                .unwrap()
                .into(),
        };
        let mut route: Originated = originated(0);
        route.next_hop = next_hop;
        desired.originate.insert(*prefix, route);
    }
    node.speaker.set_desired(desired);
    let said = node.ask("rib --json").await;
    let all: Rib = serde_json::from_str(&said.out).unwrap();
    let found: Vec<Prefix> = all.routes.iter().map(|route| route.prefix).collect();
    assert!(found.is_sorted(), "the pages are in order");
    let before = [
        "10.50.0.0/16",
        "10.100.0.0/24",
        "10.100.1.0/24",
        "10.100.2.0/24",
    ];
    wanted.extend(before.map(prefix));
    wanted.sort();
    let mut distinct = found.clone();
    distinct.dedup();
    assert_eq!(distinct, wanted);
    let text = node.ask("rib").await;
    assert!(text.out.ends_with(&format!("\n{} routes\n", found.len())));

    let (status, body) = node.get("/v1/bgp/rib?limit=1000000").await;
    let page: Rib = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert!(page.routes.len() <= PAGE + 1 && body.len() < 2 * PAGE_OCTETS);
    let (_, body) = node.get("/v1/bgp/rib?limit=2&after=10.66.0.0/16").await;
    let page: Rib = serde_json::from_str(&body).unwrap();
    let found: Vec<Prefix> = page.routes.iter().map(|route| route.prefix).collect();
    assert_eq!(found, [prefix("10.100.0.0/24"), prefix("10.100.1.0/24")]);
    assert_eq!(page.next, Some(prefix("10.100.1.0/24")));
    // Nobody's session noticed.
    let lost = node.speaker.ask(|core| {
        let all = core.status().neighbors.into_iter();
        all.map(|neighbor| neighbor.counters.lost).sum::<u64>()
    });
    assert_eq!(lost.await, Some(0));
}
