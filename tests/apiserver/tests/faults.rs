//! The test API server by bare HTTP: what it does wrong on demand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::talk::{
    SERVICES, Talk, WATCH, address, exchange, filled, get, join_chunks_lossy, plain, service,
};
use serde_json::Value;
use test_apiserver::{Fault, FaultKind, Options, TestApiServer};

#[test]
fn a_stalled_request_is_answered_when_the_fault_is_cleared() {
    let server = filled(1);
    server.set_fault(Fault::new(FaultKind::Stall).verb("list"));
    let mut talk = Talk::get(&server, SERVICES);
    assert!(talk.is_silent());
    assert_eq!(get(&server, "/readyz").0, 200);
    server.clear_faults();
    talk.until("\"s0\"");
}

#[test]
fn a_running_watch_goes_silent_and_comes_back() {
    let server = filled(1);
    let mut talk = Talk::get(&server, &format!("{WATCH}0"));
    talk.until("\"s0\"");
    server.set_fault(
        Fault::new(FaultKind::Stall)
            .verb("watch")
            .resource("services"),
    );
    server.apply(service("late"));
    assert!(talk.is_silent());
    let mut fresh = Talk::get(&server, &format!("{WATCH}0"));
    assert!(fresh.is_silent(), "{}", fresh.text());
    server.clear_faults();
    talk.until("\"late\"");
    server.set_fault(Fault::new(FaultKind::Silent));
    let mut answered = Talk::get(&server, &format!("{WATCH}0"));
    assert!(answered.until("200 OK").is_silent());
    assert!(!answered.text().contains("ADDED"));
}

#[test]
fn a_mute_server_accepts_and_says_nothing() {
    let server = filled(1);
    server.set_fault(Fault::new(FaultKind::Mute));
    let mut talk = Talk::get(&server, "/readyz");
    assert!(talk.is_silent());
    server.clear_faults();
    talk.until("200 OK");
}

#[test]
fn resets_reach_the_client_as_resets() {
    let server = filled(50);
    let reset = |after_bytes| Fault::new(FaultKind::Reset { after_bytes }).times(1);
    server.set_fault(reset(1000));
    let mut talk = Talk::get(&server, SERVICES);
    assert_eq!(talk.end().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(talk.seen.len() <= 1000, "{}", talk.seen.len());

    let mut watch = Talk::get(&server, &format!("{WATCH}{}", server.revision()));
    watch.until("200 OK");
    server.set_fault(reset(0).verb("watch"));
    assert_eq!(watch.end().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(get(&server, SERVICES).0, 200);
}

#[test]
fn a_truncated_answer_ends_inside_a_chunk() {
    let server = filled(50);
    server.set_fault(Fault::new(FaultKind::Truncate { after_bytes: 2000 }).verb("list"));
    let mut talk = Talk::get(&server, SERVICES);
    talk.end().unwrap();
    assert_eq!(talk.seen.len(), 2000);
    let mut watch = Talk::get(&server, &format!("{WATCH}{}", server.revision()));
    watch.until("200 OK");
    let before = watch.seen.len();
    server.set_fault(Fault::new(FaultKind::Truncate { after_bytes: 20 }).verb("watch"));
    watch.end().unwrap();
    assert_eq!(watch.seen.len(), before + 20);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the fault is about time")]
fn a_slow_answer_takes_its_time_until_cleared() {
    let server = filled(20);
    server.set_fault(
        Fault::new(FaultKind::Slow {
            bytes_per_second: 5_000,
        })
        .verb("list"),
    );
    let start = Instant::now();
    let mut talk = Talk::get(&server, SERVICES);
    talk.until("\"s0\"");
    let half = talk.seen.len();
    assert!(half < 3000, "{half} bytes at once");
    talk.until("\"s9\"").until("]}");
    let least = Duration::from_secs_f64(talk.seen.len() as f64 / 5_000.0 / 2.0);
    assert!(
        start.elapsed() > least,
        "{:?} for {} bytes",
        start.elapsed(),
        talk.seen.len()
    );
    server.clear_faults();
    assert_eq!(get(&server, SERVICES).0, 200);
}

#[test]
fn garbage_is_no_json_among_json() {
    let server = filled(4);
    server.set_fault(Fault::new(FaultKind::Garbage).verb("list").times(1));
    let mut talk = Talk::request(&server.url(), "GET", SERVICES, "Connection: close\r\n", "");
    talk.end().unwrap();
    let body = talk.text().split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(
        serde_json::from_str::<Value>(&join_chunks_lossy(&talk.seen)).is_err(),
        "{body}"
    );

    let mut watch = Talk::get(&server, &format!("{WATCH}{}", server.revision()));
    watch.until("200 OK");
    server.set_fault(Fault::new(FaultKind::Garbage).verb("watch").times(1));
    watch.until("\"metadata\":{\"name\":\n");
    server.apply(service("good"));
    watch.until("\"good\"");
}

#[test]
fn status_and_gone_faults_answer_with_their_codes() {
    let server = filled(1);
    server.set_fault(Fault::new(FaultKind::Status(500)).times(2));
    assert_eq!(get(&server, SERVICES).1["code"], 500);
    assert_eq!(get(&server, SERVICES).0, 500);
    server.set_fault(Fault::new(FaultKind::Gone).verb("list").times(1));
    assert_eq!(get(&server, SERVICES).1["reason"], "Expired");
    assert_eq!(get(&server, SERVICES).0, 200);
    let mut watch = Talk::get(&server, &format!("{WATCH}{}", server.revision()));
    watch.until("200 OK");
    server.set_fault(Fault::new(FaultKind::Gone).verb("watch").times(1));
    watch
        .until("{\"type\":\"ERROR\"")
        .until("\"code\":410")
        .until("\r\n0\r\n");
    server.set_fault(Fault::new(FaultKind::GoneEvent).times(1));
    Talk::get(&server, &format!("{WATCH}0"))
        .until("200 OK")
        .until("{\"type\":\"ERROR\"");
}

#[test]
fn a_stopped_server_refuses_and_comes_back_on_the_same_port_with_its_objects() {
    let two = vec![SocketAddr::from(([127, 0, 0, 1], 0)); 2];
    let server = TestApiServer::start(Options {
        listen: two,
        ..plain()
    });
    server.apply(service("kept"));
    let urls = server.urls();
    let mut watch = Talk::get(&server, &format!("{WATCH}0"));
    watch.until("\"kept\"");
    server.stop_endpoint(0);
    assert!(watch.end().is_ok());
    let refused = TcpStream::connect(address(&urls[0])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(
        exchange(&urls[1], "GET", SERVICES, "", "")
            .1
            .contains("\"kept\"")
    );
    server.stop();
    assert!(TcpStream::connect(address(&urls[1])).is_err());
    server.restart().unwrap();
    assert_eq!(server.urls(), urls);
    for url in &urls {
        assert!(
            exchange(url, "GET", SERVICES, "", "")
                .1
                .contains("\"kept\"")
        );
    }
}
