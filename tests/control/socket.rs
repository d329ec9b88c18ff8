//! The socket itself: its file, its mode, the one before it, and clients that mean harm.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use kube_router::cli::Exit;
use kube_router::control::{GROUP, Refusal};
use kube_router::http::bind_local;
use tokio::net::UnixStream;

use crate::node::{Node, settled};

/// A group that every system has, and that root is not in.
const ANY_GROUP: &str = "daemon";

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _listener = bind_local(&path, ANY_GROUP).await.unwrap();
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(mode(&path), 0o660);
    let groups = fs::read_to_string("/etc/group").unwrap();
    let gid: Option<u32> = groups
        .lines()
        .find_map(|line| line.strip_prefix("daemon:x:"))
        .and_then(|rest| rest.split(':').next()?.parse().ok());
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    match gid {
        Some(gid) if is_root => assert_eq!(found.gid(), gid),
        _ => eprintln!("NOT TRIED: only root of a system with the group daemon can give it away"),
    }
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else is left there: {left:?}");
}

#[tokio::test]
async fn a_missing_group_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _listener = bind_local(&path, "no-such-group").await.unwrap();
    assert_eq!(mode(&path), 0o660);
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    let listener = bind_local(&path, GROUP).await.unwrap();
    let refused = bind_local(&path, GROUP).await.unwrap_err();
    let expected = format!("{}: another kube-router answers there", path.display());
    assert_eq!(refused.to_string(), expected);
    // Whose queue is full is alive as well.
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let refused = bind_local(&path, GROUP).await.unwrap_err();
    assert_eq!(refused.to_string(), expected);
    drop((waiting, listener));
    let _listener = bind_local(&path, GROUP).await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_and_what_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    fs::write(&path, "precious").unwrap();
    let refused = bind_local(&path, GROUP).await.unwrap_err();
    let expected = format!(
        "{}: in the way, and no socket; remove it or set control.socket",
        path.display()
    );
    assert_eq!(refused.to_string(), expected);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let path = directory.path().join("missing/control.sock");
    let refused = bind_local(&path, GROUP).await.unwrap_err();
    assert!(
        refused.to_string().ends_with(": cannot be made"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_client_sends_gets_a_plain_refusal() {
    let node = settled(60).await;
    for (target, status, expected) in [
        ("/", 404, "no such page"),
        ("/healthz", 404, "no such page"),
        ("/v1/bgp/rib/", 404, "no such page"),
        ("/v1/bgp/rib?peer=x", 400, "peer=x: expected an address"),
        ("/v1/bgp/rib?limit=-1", 400, "limit=-1: expected a number"),
        (
            "/v1/bgp/rib?table=all",
            400,
            "table=all: expected loc, in or out",
        ),
        ("/v1/bgp/rib?a=b", 400, "a: no such parameter here"),
        (
            "/v1/bgp/neighbors?peer=::1&peer=::2",
            400,
            "peer: given twice",
        ),
        ("/v1/bgp/explain", 400, "prefix: missing"),
        (
            "/v1/bgp/explain?prefix=10.0.0.0/99",
            400,
            "prefix=10.0.0.0/99: expected a prefix",
        ),
    ] {
        let (found, body) = node.get(target).await;
        let refusal: Refusal = serde_json::from_str(&body).unwrap();
        assert_eq!(found, status, "{target}");
        assert!(refusal.error.starts_with(expected), "{target}: {refusal:?}");
    }
    let post = b"POST /v1/bgp/neighbors HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(node.send(post).await.starts_with("HTTP/1.1 405 "));
    let mut huge = b"GET /v1/bgp/neighbors HTTP/1.1\r\nX: ".to_vec();
    huge.resize(20_000, b'a');
    huge.extend(b"\r\n\r\n");
    assert!(node.send(&huge).await.starts_with("HTTP/1.1 431 "));
    let garbage = node.send(b"\x01\x02 garbage\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    assert_eq!(node.ask("neighbors").await.exit, Exit::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_clients_keep_nobody_out_for_long() {
    let node = settled(70).await;
    // Fewer at a time than files a process may open.
    const HELD: usize = 250;
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        if held.len() == HELD {
            held.clear();
        }
        match UnixStream::connect(&node.socket).await {
            Ok(stream) => held.push(stream),
            // The kernel's queue is full; that is what bounds it.
            Err(_) => refused += 1,
        }
    }
    assert!(refused < 1000, "somebody answers");
    let said = node.ask("neighbors").await;
    assert_eq!((said.exit, &*said.err), (Exit::Success, ""));
    let lost = node.speaker.ask(|core| {
        let all = core.status().neighbors.into_iter();
        all.map(|neighbor| neighbor.counters.lost).sum::<u64>()
    });
    assert_eq!(lost.await, Some(0), "the sessions did not notice");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answer_holds_nobody_up() {
    use tokio::io::AsyncWriteExt;
    let node = Node::without_speaker().await;
    let mut deaf = Vec::new();
    for _ in 0..60 {
        let mut stream = UnixStream::connect(&node.socket).await.unwrap();
        let requests = "GET /v1/bgp/rib HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        stream.write_all(requests.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    let said = node.ask("neighbors").await;
    assert_eq!(said.err, "kube-router: routing is switched off\n");
}
