//! The table of RFC 4271 section 8.2.2: every event in every state.
//!
//! Columns: Idle (stopped), Idle while damped, Connect, Connect with our OPEN delayed, Active, Active
//! with our OPEN delayed, OpenSent, OpenConfirm, Established. A cell says what is done, then
//! `>State` if the state changes; `-` if nothing is done; `x` if the event can't happen there,
//! because its timer does not run or its connection does not exist.

use super::support::{Bench, notification, said, secs, their_config, update};
use crate::bgp::fsm::{ConnectionId, Event, State, Stop};
use crate::bgp::wire::{HeaderSubcode, Message, OpenSubcode, UpdateSubcode};

const TABLE: &str = "
 1 ManualStart                  | connect >Connect | connect >Connect | - | - | - | - | - | - | -
 2 ManualStop                   | - | - | close >Idle | close >Idle | >Idle | close-in >Idle | 6/2 close >Idle | 6/2 close >Idle | 6/2 close down >Idle
 3 AutomaticStart               | connect >Connect | connect >Connect | - | - | - | - | - | - | -
 4 ManualStart, passive         | >Active | >Active | - | - | - | - | - | - | -
 5 AutomaticStart, passive      | >Active | >Active | - | - | - | - | - | - | -
 6 AutomaticStart, damped       | x | connect >Connect | x | x | x | x | x | x | x
 7 AutomaticStart, both         | x | >Active | x | x | x | x | x | x | x
 8 AutomaticStop                | - | - | close >Idle | close >Idle | >Idle | close-in >Idle | 6/3 close >Idle | 6/3 close >Idle | 6/3 close down >Idle
 9 ConnectRetryTimer expires    | x | x | close connect | x | connect >Connect | x | x | x | x
10 HoldTimer expires            | x | x | x | x | x | x | 4/0 close >Idle | 4/0 close >Idle | 4/0 close down >Idle
11 KeepaliveTimer expires       | x | x | x | x | x | x | x | keepalive | keepalive
12 DelayOpenTimer expires       | x | x | x | open >OpenSent | x | open >OpenSent | x | x | x
13 IdleHoldTimer expires        | x | connect >Connect | x | x | x | x | x | x | x
14 TcpConnection valid          | 6/5 close-in | close-in | open >OpenSent | >Active | open >OpenSent | close-in | open | open | open
15 Tcp CR invalid               | x | x | x | x | x | x | x | x | x
16 Tcp CR acked                 | x | x | open >OpenSent | - | x | - | - | - | -
17 TcpConnection confirmed      | 6/5 close-in | close-in | open >OpenSent | >Active | open >OpenSent | close-in | open | open | open
18 TcpConnection fails          | x | x | >Active | >Active | x | - | >Active | >Idle | down >Idle
19 BGPOpen                      | - | - | - | x | - | x | keepalive >OpenConfirm | 5/2 close >Idle | 5/3 close down >Idle
20 BGPOpen, DelayOpen running   | x | x | x | open keepalive >OpenConfirm | x | open keepalive >OpenConfirm | x | x | x
21 BGPHeaderErr                 | - | - | - | close >Idle | - | close-in >Idle | 1/2 close >Idle | 1/2 close >Idle | 1/2 close down >Idle
22 BGPOpenMsgErr                | - | - | - | close >Idle | - | close-in >Idle | 2/6 close >Idle | 2/6 close >Idle | 2/6 close down >Idle
23 OpenCollisionDump            | x | x | x | x | x | x | 6/7 close keepalive >OpenConfirm | 6/7 close keepalive | 6/7 close-in
24 NotifMsgVerErr               | - | - | - | close >Idle | - | close-in >Idle | close >Idle | close >Idle | close down >Idle
25 NotifMsg                     | - | - | - | close >Idle | - | close-in >Idle | close >Idle | close >Idle | close down >Idle
26 KeepAliveMsg                 | - | - | - | close >Idle | - | close-in >Idle | 5/1 close >Idle | up >Established | -
27 UpdateMsg                    | - | - | - | close >Idle | - | close-in >Idle | 5/1 close >Idle | 5/2 close >Idle | deliver
28 UpdateMsgErr                 | - | - | - | close >Idle | - | close-in >Idle | 3/11 close >Idle | 3/11 close >Idle | 3/11 close down >Idle
29 SendHoldTimer expires        | x | x | x | x | x | x | x | x | close down >Idle
";

const COLUMNS: [&str; 9] = [
    "Idle",
    "Idle, damped",
    "Connect",
    "Connect, delayed",
    "Active",
    "Active, delayed",
    "OpenSent",
    "OpenConfirm",
    "Established",
];

/// A bench in a state, with the connection that is or was there.
fn in_state(column: &str) -> (Bench, ConnectionId) {
    let mut bench = Bench::plain();
    let mut delayed = bench.peer.config().clone();
    delayed.delay_open = Some(secs(20));
    match column {
        "Idle" => return (bench, ConnectionId::incoming(1_000)),
        "Idle, damped" => {
            let id = bench.open_sent();
            bench.handle(Event::Fault(id, notification(1, 2)));
            assert!(bench.peer.status().timers.idle_hold.is_some());
            return (bench, id);
        }
        "Connect" => {
            let id = bench.connect();
            return (bench, id);
        }
        "Connect, delayed" => {
            assert!(bench.peer.set_config(bench.now, delayed).is_empty());
            let id = bench.connect();
            assert!(bench.handle(Event::Connected(id)).is_empty());
            return (bench, id);
        }
        _ => {}
    }
    let id = match column {
        "OpenSent" => bench.open_sent(),
        "OpenConfirm" => bench.open_confirm(),
        "Established" => bench.establish(),
        _ => {
            let id = bench.connect();
            bench.handle(Event::Closed(id));
            if column == "Active, delayed" {
                assert!(bench.peer.set_config(bench.now, delayed).is_empty());
                bench.accept().0
            } else {
                id
            }
        }
    };
    (bench, id)
}

/// What the event did, or `x`.
fn outcome(row: u32, column: &str) -> String {
    let (mut bench, id) = in_state(column);
    if [4, 5, 7].contains(&row) && column.starts_with("Idle") {
        let mut passive = bench.peer.config().clone();
        passive.passive = true;
        assert!(bench.peer.set_config(bench.now, passive).is_empty());
    }
    let before = bench.peer.state();
    let Some(actions) = inject(row, &mut bench, id) else {
        return "x".into();
    };
    let (after, mut cell) = (bench.peer.state(), actions);
    if after != before {
        if !cell.is_empty() {
            cell.push(' ');
        }
        cell.push_str(&format!(">{after}"));
    }
    if cell.is_empty() { "-".into() } else { cell }
}

fn inject(row: u32, bench: &mut Bench, id: ConnectionId) -> Option<String> {
    let timers = bench.peer.status().timers;
    let is_delayed = timers.delay_open.is_some();
    let is_dialing = bench.peer.state() == State::Connect && !is_delayed;
    let is_connected = is_delayed || bench.peer.state() >= State::OpenSent;
    let event = match row {
        1 | 3 | 4 | 5 => Event::Start,
        2 => Event::Stop(Stop::Shutdown(String::new())),
        8 => Event::Stop(Stop::Deconfigured),
        6 | 7 | 13 => return timers.idle_hold.map(|due| said(&bench.jump(due))),
        9 => return timers.connect_retry.map(|due| said(&bench.jump(due))),
        10 => return timers.hold.map(|due| said(&bench.jump(due))),
        11 => return timers.keepalive.map(|due| said(&bench.jump(due))),
        12 => return timers.delay_open.map(|due| said(&bench.jump(due))),
        29 => return send_hold(bench, id),
        14 | 17 => return Some(said(&bench.accept().1)),
        15 => return None,
        16 if !is_dialing && !is_connected => return None,
        16 => Event::Connected(id),
        18 if !is_dialing && !is_connected => return None,
        18 => Event::Closed(id),
        19 if is_delayed => return None,
        20 if !is_delayed => return None,
        19 | 20 => Event::Message(id, Message::Open(bench.their_open())),
        21 => Event::Fault(id, HeaderSubcode::BadMessageLength.into()),
        22 => Event::Fault(id, OpenSubcode::UnacceptableHoldTime.into()),
        23 => return collision(bench),
        24 => {
            let version = OpenSubcode::UnsupportedVersionNumber.into();
            Event::Message(id, Message::Notification(version))
        }
        25 => Event::Message(id, Message::Notification(notification(6, 4))),
        26 => Event::Message(id, Message::Keepalive),
        27 => Event::Message(id, update()),
        28 => Event::Fault(id, UpdateSubcode::MalformedAsPath.into()),
        _ => panic!("no row {row}"),
    };
    Some(said(&bench.handle(event)))
}

/// The peer speaks, but does not read: its hold timer is kept from expiring, nothing is written.
fn send_hold(bench: &mut Bench, id: ConnectionId) -> Option<String> {
    let due = bench.peer.status().timers.send_hold?;
    while due - bench.now > secs(60) {
        bench.pass(secs(60));
        bench.message(id, Message::Keepalive);
    }
    Some(said(&bench.jump(due)))
}

/// A second connection comes and wins, as the peer has the greater identifier; if we are
/// established, it loses.
fn collision(bench: &mut Bench) -> Option<String> {
    if bench.peer.state() < State::OpenSent {
        return None;
    }
    let open = Message::Open(bench.their_open());
    let (second, _) = bench.accept();
    Some(said(&bench.message(second, open)))
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    assert!(their_config().router_id > Bench::plain().peer.config().router_id);
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in TABLE.trim().lines() {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next().unwrap();
        let row = name.split(' ').next().unwrap().parse().unwrap();
        let cells: Vec<_> = cells.collect();
        assert_eq!(cells.len(), COLUMNS.len(), "{name}");
        rows += 1;
        for (column, expected) in COLUMNS.iter().zip(cells) {
            let found = outcome(row, column);
            if found != expected {
                wrong.push(format!("{name} in {column}: {found:?}, not {expected:?}"));
            }
        }
    }
    assert_eq!(rows, 29, "28 events and that of RFC 9687");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
