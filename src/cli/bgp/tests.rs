use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use proptest::prelude::*;

use super::args::{BgpArgs, Destination, Question, Selection};
use super::client::{AskError, parts};
use super::neighbors::{detail, summary};
use super::text::duration;
use crate::cli::{Cli, Command, Exit};
use crate::config;
use crate::control::{Bfd, Neighbors, Table};

fn parse(line: &str) -> Result<BgpArgs, String> {
    let line = line.split(' ').filter(|word| !word.is_empty());
    match Cli::try_parse_from(line) {
        Ok(Cli {
            command: Command::Bgp(args),
        }) => Ok(args),
        Ok(other) => panic!("bgp expected, not {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

fn selection(words: &str) -> Result<Selection, String> {
    let args = parse(&format!("kube-router bgp rib {words}"))?;
    let Question::Rib { which } = args.question else {
        panic!("rib expected");
    };
    Selection::try_from(&*which).map_err(|error| error.to_string())
}

#[test]
fn tables_peers_and_prefixes_are_told_apart_by_what_they_look_like() {
    let peer: Option<IpAddr> = Some("fd00::1".parse().unwrap());
    let prefix = Some("10.0.0.0/8".parse().unwrap());
    let table = |table| Selection {
        table,
        ..Selection::default()
    };
    let of = |table, peer, prefix| Selection {
        table,
        peer,
        prefix,
    };
    for (words, expected) in [
        ("", table(Table::Loc)),
        ("in", table(Table::In)),
        ("out", table(Table::Out)),
        ("fd00::1", of(Table::Loc, peer, None)),
        ("10.0.0.0/8", of(Table::Loc, None, prefix)),
        ("in 10.0.0.0/8", of(Table::In, None, prefix)),
        ("out fd00::1 10.0.0.0/8", of(Table::Out, peer, prefix)),
    ] {
        assert_eq!(selection(words), Ok(expected), "{words}");
    }
    for (words, expected) in [
        ("in out", "out is out of order"),
        ("10.0.0.0/8 in", "in is out of order"),
        ("fd00::1 fd00::2", "fd00::2 is out of order"),
        (
            "10.1.0.0/8",
            "10.1.0.0/8: has host bits; the prefix is 10.0.0.0/8",
        ),
        ("inn", "expected in, out, a peer's address or a prefix"),
        (
            "10.0.0.0/33",
            "expected in, out, a peer's address or a prefix",
        ),
        ("in fd00::1 10.0.0.0/8 10.0.0.0/8", "unexpected"),
    ] {
        let error = selection(words).unwrap_err();
        assert!(error.contains(expected), "{words}: {error}");
    }
}

#[test]
fn flags_may_stand_anywhere_and_have_defaults() {
    let args = parse("kube-router bgp neighbors").unwrap();
    assert_eq!(args.socket, PathBuf::from(config::DEFAULT_SOCKET));
    assert!(!args.json);
    let key = config::find("control.socket").unwrap();
    assert_eq!(key.default, format!("\"{}\"", config::DEFAULT_SOCKET));
    for line in [
        "kube-router bgp --json --socket /s explain 10.0.0.9",
        "kube-router bgp explain 10.0.0.9 --socket /s --json",
    ] {
        let args = parse(line).unwrap();
        assert_eq!((args.json, args.socket), (true, "/s".into()));
        let prefix = Destination {
            prefix: "10.0.0.9/32".parse().unwrap(),
            is_address: true,
        };
        assert_eq!(args.question, Question::Explain { prefix });
    }
}

#[test]
fn who_cannot_ask_is_told_what_to_do() {
    let path = || PathBuf::from("/s");
    for (kind, expected) in [
        (
            io::ErrorKind::NotFound,
            "/s: nobody answers; is the daemon running (systemctl status kube-router), and is \
             this its control.socket?",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "/s: permission denied; ask as root or as a member of the group kube-router",
        ),
        (
            io::ErrorKind::WouldBlock,
            "/s: the daemon has not answered for 30 s",
        ),
    ] {
        let error = AskError::new(path(), kind.into());
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.exit(), Exit::Unavailable);
    }
    assert_eq!(AskError::NotFound("no peer".into()).exit(), Exit::Failure);
}

#[test]
fn durations_are_written_as_other_routers_do() {
    for (seconds, expected) in [
        (0, "00:00:00"),
        (3_725, "01:02:05"),
        (86_399, "23:59:59"),
        (86_400, "1d00h00m"),
        (604_799, "6d23h59m"),
        (604_800, "1w0d00h"),
        (1_000_000, "1w4d13h"),
    ] {
        assert_eq!(duration(seconds), expected);
    }
}

#[test]
fn an_answer_is_whole_or_none() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-LENGTH: 2\r\n\r\n{}";
    assert_eq!(parts(whole), Ok((200, &b"{}"[..])));
    for (cut, expected) in [
        (&whole[..whole.len() - 1], "it ends too early"),
        (&whole[..40], "it has no end of headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "it does not tell its length"),
        (b"SSH-2.0-x\r\n\r\n", "it has no status"),
        (b"HTTP/1.1 \xff\r\n\r\n", "its headers are no text"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "it does not tell its length",
        ),
    ] {
        assert_eq!(parts(cut), Err(expected));
    }
}

proptest! {
    #[test]
    fn no_answer_makes_the_client_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parts(&octets);
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        answer.extend(&octets);
        let _ = parts(&answer);
    }
}

/// As the daemon sends it; `tests/control.rs` sees that it does.
const NEIGHBORS: &str = include_str!("../../../tests/control/neighbors.json");

#[test]
fn peers_are_shown_in_a_table_and_in_full() {
    let mut text = NEIGHBORS.to_owned();
    let messages = r#""messages": {"sent": SENT, "received": RECEIVED}"#
        .replace("SENT", &counts(12))
        .replace("RECEIVED", &counts(3456));
    text = text.replace("\"messages\": {}", &messages);
    text = text.replace(
        "\"timers\": {}",
        r#""timers": {"idle_hold": null, "connect_retry": null, "delay_open": null,
            "hold": 88, "keepalive": 21, "send_hold": 470}"#,
    );
    let mut all: Neighbors = serde_json::from_str(&text).unwrap();
    if let Some(last) = all.neighbors.last_mut() {
        last.stopped = true;
        last.state = "Idle".to_owned();
    }
    let shown = summary(&all);
    let expected = "\
BGP router identifier 10.0.0.1, local AS 64512
5 IPv4 and 0 IPv6 prefixes

IPv4 unicast:
Neighbor       AS  MsgRcvd  MsgSent  OutQ   Up/Down  State/PfxRcd  PfxAcc  PfxSnt
127.0.0.31  64512     3456       12     0  00:00:00             3       2       2
127.0.0.32  64600     3456       12     0  00:00:00             2       2       1
127.0.0.33  64512     3456       12     0     never  Idle (Admin)       -       -
";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(shown.ends_with("\n\n3 neighbors\n"), "{shown}");
    let first = all.neighbors.first_mut().unwrap();
    first.bfd = Some(Bfd {
        state: "Up".to_owned(),
        state_seconds: 61,
        diagnostic: "control detection time expired".to_owned(),
        remote_state: Some("Up".to_owned()),
        transmit_interval_microseconds: 100_000,
        detection_time_microseconds: Some(300_000),
        ups: 2,
        downs: 1,
        last_refusal: None,
    });
    let expected = "\
BGP neighbor is 127.0.0.31, remote AS 64512, local AS 64512, internal link
  passive
  Remote router id 10.0.0.2, local router id 10.0.0.1
  Remote port 0, local address chosen by the kernel
  BGP state Established, up for 00:00:00
  Timers expire in: hold 88 s, keepalive 21 s, send hold 470 s
  Hold time 90 s, keepalive 30 s, send hold 480 s
  Negotiated: 4-octet AS, enhanced route refresh, extended messages
  Graceful restart: we ask for 120 s; the peer knows it, also over NOTIFICATIONs
  BFD Up for 00:01:01, the other end Up, lost after 300 ms, a packet each 100 ms, up 2 times, \
     down 1 times (control detection time expired)
  Messages         Sent  Rcvd
    OPEN              1     1
    UPDATE           12  3456
    NOTIFICATION      0     0
    KEEPALIVE         0     0
    ROUTE-REFRESH     0     0
    all              12  3456
  For IPv4 unicast:
    Prefixes: 3 received, 2 accepted, 0 stale, 2 advertised
    next hops of IPv6
    Graceful restart of the peer: 120 s, forwarding kept
  For IPv6 unicast:
    Prefixes: 0 received, 0 accepted, 0 stale, 0 advertised
    Graceful restart of the peer: 120 s, forwarding kept
  Import policy \"accept all\", export policy \"accept all\"
  Sessions established 1, lost 0, attempts since the last OPEN 0
";
    assert_eq!(detail(first, &all.speaker), expected);
}

fn counts(total: u64) -> String {
    format!(
        r#"{{"opens": 1, "updates": {total}, "notifications": 0, "keepalives": 0,
            "route_refreshes": 0, "total": {total}}}"#
    )
}
