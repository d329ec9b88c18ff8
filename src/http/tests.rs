use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Limits, Site, bind, serve};
use crate::metrics::{Kind, Registry};
use crate::reconcile::{HealthBoard, HealthLimits, PartHealth, PassRecord};

#[expect(
    clippy::disallowed_methods,
    reason = "the board is asked with the server's own clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn board() -> (Arc<HealthBoard>, PartHealth) {
    let minute = Duration::from_secs(60);
    let board = Arc::new(HealthBoard::new(HealthLimits {
        stalled: minute,
        failing: minute,
    }));
    let part = board.part("proxy", now());
    (board, part)
}

async fn start(site: Site, limits: Limits) -> SocketAddr {
    let listener = bind("health.listen", SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(site), limits));
    address
}

/// Sends the bytes; everything that comes until the server closes.
async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Status line and body.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

fn failed() -> PassRecord {
    PassRecord {
        failed: 1,
        error: Some("ip address add 10.96.0.1/32: no such device".into()),
        ..PassRecord::default()
    }
}

#[tokio::test]
async fn pages_follow_the_board_from_start_to_failure() {
    let (board, part) = board();
    board.condition("cluster", true, None, now());
    let address = start(
        Site {
            health: Some(Arc::clone(&board)),
            ..Site::default()
        },
        Limits::default(),
    )
    .await;
    assert_eq!(
        get(address, "/healthz").await,
        (200, "OK\n".into()),
        "a start is not an illness"
    );
    let waiting = "Not ready\nproxy: no complete pass yet\n";
    assert_eq!(get(address, "/readyz").await, (503, waiting.into()));

    part.passed(
        PassRecord {
            applied: 9,
            summary: "3 services".into(),
            ..PassRecord::default()
        },
        now(),
    );
    assert_eq!(get(address, "/readyz").await, (200, "OK\n".into()));
    let (status, verbose) = get(address, "/readyz?verbose").await;
    assert_eq!(status, 200);
    for line in [
        "cluster: ok (for 0 s)",
        "proxy: ok",
        "  state: 3 services, 0 failed",
        "  last success: 0 s ago",
    ] {
        assert!(
            verbose.lines().any(|found| found == line),
            "{line} not in\n{verbose}"
        );
    }

    let hour_ago = now().checked_sub(Duration::from_secs(3600)).unwrap();
    part.passed(failed(), hour_ago);
    part.beat(now());
    let (status, body) = get(address, "/healthz").await;
    assert_eq!(status, 500);
    assert!(
        body.starts_with("Unhealthy\nproxy: failing for 36"),
        "{body}"
    );
    assert!(
        body.ends_with("ip address add 10.96.0.1/32: no such device\n"),
        "{body}"
    );
    assert_eq!(get(address, "/readyz").await.0, 503);
    let (status, state) = get(address, "/statez").await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        (status, &state["ready"], &state["parts"][0]["failures"]),
        (200, &false.into(), &1.into())
    );
}

#[tokio::test]
async fn source_out_of_sync_is_not_ready_but_healthy() {
    let (board, part) = board();
    part.passed(PassRecord::default(), now());
    board.condition(
        "cluster",
        true,
        Some("services: connection refused".into()),
        now(),
    );
    let address = start(
        Site {
            health: Some(board),
            ..Site::default()
        },
        Limits::default(),
    )
    .await;
    assert_eq!(get(address, "/healthz").await.0, 200);
    let body = "Not ready\ncluster: services: connection refused\n";
    assert_eq!(get(address, "/readyz").await, (503, body.into()));
}

#[tokio::test]
async fn metrics_are_read_when_asked_and_only_on_their_own_listener() {
    let registry = Arc::new(Registry::new("1"));
    registry.add(|text| {
        text.family("controller_ipvs_services", Kind::Gauge, "IPVS services");
        text.sample("controller_ipvs_services", &[], 4);
    });
    let site = Site {
        metrics: Some(("/m".into(), registry)),
        ..Site::default()
    };
    let address = start(site, Limits::default()).await;
    let (status, body) = get(address, "/m").await;
    assert_eq!(status, 200);
    assert!(
        body.contains("kube_router_controller_ipvs_services 4\n"),
        "{body}"
    );
    assert_eq!(get(address, "/metrics").await.0, 404);
    assert_eq!(get(address, "/healthz").await.0, 404);
}

#[tokio::test]
async fn a_collector_that_panics_is_an_error_page() {
    let registry = Arc::new(Registry::new("1"));
    registry.add(|_| panic!("a bug"));
    let site = Site {
        metrics: Some(("/metrics".into(), registry)),
        ..Site::default()
    };
    let address = start(site, Limits::default()).await;
    for _ in 0..2 {
        assert_eq!(get(address, "/metrics").await.0, 500);
    }
}

#[tokio::test]
async fn other_methods_and_garbage_are_refused() {
    let (board, _part) = board();
    let address = start(
        Site {
            health: Some(board),
            ..Site::default()
        },
        Limits::default(),
    )
    .await;
    let post = send(
        address,
        "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    assert!(
        post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"),
        "{post}"
    );
    assert!(
        send(address, "\u{1}\u{2} garbage\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    let huge = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    assert!(send(address, &huge).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn clients_that_send_nothing_do_not_keep_others_out() {
    let (board, _part) = board();
    let limits = Limits {
        header: Duration::from_millis(200),
        connections: 2,
        ..Limits::default()
    };
    let address = start(
        Site {
            health: Some(board),
            ..Site::default()
        },
        limits,
    )
    .await;
    let mut silent = Vec::new();
    for begun in ["", "GET /hea", "GET /healthz HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(get(address, "/healthz").await.0, 200, "a place became free");
    for mut stream in silent {
        let mut rest = Vec::new();
        assert!(
            stream.read_to_end(&mut rest).await.is_ok(),
            "closed by the server"
        );
    }
}

#[tokio::test]
async fn a_taken_address_is_named_with_its_key() {
    let taken = bind("health.listen", SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind("metrics.listen", address).await.unwrap_err();
    let expected = format!("metrics.listen = \"{address}\": cannot listen there");
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}
