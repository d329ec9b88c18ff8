//! Connections that were open when a policy took back what it had allowed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use kube_router::config::Established;
use kube_router::model::Peer;
use kube_router::net::Protocol;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::lab::{Joint, Lab};
use crate::policy_cluster::{block, ip, policy, rule, same_namespace};
use crate::stage::{DB, FAR, HERE, OUT, Stage, TCP, UDP, WEB, Who, app, on_both};

/// Refused or let pass by then: with `recheck` an open connection is cut off within a second.
const PATIENCE: Duration = Duration::from_secs(1);
/// On a port that the lab's server leaves alone.
const PORT: u16 = 7000;

/// Both ends of a connection that stays open.
#[derive(Debug)]
struct Open {
    client: Socket,
    server: Socket,
    name: String,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrived,
    /// Its sender was told.
    Refused,
    Lost,
}

// === impl Open ===

impl Open {
    fn new(lab: &Lab, protocol: Protocol, client: IpAddr, server: IpAddr) -> Self {
        let kind = match protocol {
            Protocol::Tcp => Type::STREAM,
            _ => Type::DGRAM,
        };
        let socket = |at: IpAddr, port| {
            lab.places[lab.place(at)].enter();
            let socket = Socket::new(Domain::for_address(SocketAddr::new(at, port)), kind, None);
            let socket = socket.unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::new(at, port).into()).unwrap();
            socket
        };
        let (ear, asking) = (socket(server, PORT), socket(client, 0));
        lab.node().enter();
        let there: SockAddr = SocketAddr::new(server, PORT).into();
        let name = format!("{client} -> {server} {protocol}");
        let server = match protocol {
            Protocol::Tcp => {
                ear.listen(1).unwrap();
                asking
                    .connect_timeout(&there, 3 * PATIENCE)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                ear.accept().unwrap().0
            }
            _ => {
                asking.connect(&there).unwrap();
                ear.connect(&asking.local_addr().unwrap()).unwrap();
                ear
            }
        };
        for end in [&asking, &server] {
            end.set_nonblocking(true).unwrap();
            tell_of_errors(end, client.is_ipv4());
            // The end is a reset: the port is free for the next.
            if protocol == Protocol::Tcp {
                end.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        let open = Self {
            client: asking,
            server,
            name,
        };
        assert_eq!(open.to_server(), Fate::Arrived, "{}", open.name);
        assert_eq!(open.to_client(), Fate::Arrived, "{}", open.name);
        open
    }

    fn to_server(&self) -> Fate {
        message(&self.client, &self.server)
    }

    fn to_client(&self) -> Fate {
        message(&self.server, &self.client)
    }
}

/// An ICMP error ends an established connection of TCP only where its owner asks for errors.
fn tell_of_errors(socket: &Socket, is_v4: bool) {
    let (level, option) = match is_v4 {
        true => (libc::IPPROTO_IP, libc::IP_RECVERR),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap();
    // SAFETY: the value outlives the call, and its length is right.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            length,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

fn message(mut from: &Socket, mut to: &Socket) -> Fate {
    let is_told = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        )
    };
    let begin = Instant::now();
    if let Err(error) = from.write_all(b"!") {
        assert!(is_told(&error), "{error}");
        return Fate::Refused;
    }
    let mut buffer = [0; 64];
    while begin.elapsed() < PATIENCE {
        if to.read(&mut buffer).is_ok_and(|length| length > 0) {
            return Fate::Arrived;
        }
        match from.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                assert!(is_told(&error), "{error}");
                return Fate::Refused;
            }
        }
        std::thread::yield_now();
    }
    Fate::Lost
}

fn all(lab: &Lab, from: Who, to: Who) -> Vec<Open> {
    let pairs = from
        .iter()
        .flat_map(|from| to.iter().map(move |to| (ip(from), ip(to))));
    let pairs = pairs.filter(|(from, to)| from.is_ipv4() == to.is_ipv4());
    pairs
        .flat_map(|(from, to)| [TCP, UDP].map(|protocol| Open::new(lab, protocol, from, to)))
        .collect()
}

fn from(stage: &mut Stage<'_>, peers: Vec<Peer>) {
    let rules = Some(vec![rule(Some(peers), None)]);
    stage.policies(vec![policy("shop/db", app("db"), rules, None)]);
    stage.driver.bring(&stage.cluster);
}

fn outside() -> Vec<Peer> {
    vec![block("203.0.113.0/24", &[]), block("2001:db8::/32", &[])]
}

#[test]
fn open_connections_that_a_policy_allows_no_more_are_kept_or_cut_off_as_configured() {
    for joint in [Joint::Routed, Joint::Bridged] {
        on_both(joint, |stage| {
            for established in [Established::Keep, Established::Recheck] {
                stage.cluster.settings.established = established;
                let mut peers = outside();
                peers.push(same_namespace(app("web")));
                from(stage, peers);
                let tightened = all(stage.lab, WEB, DB);
                let others = [(OUT, DB), (HERE, DB), (DB, FAR), (WEB, FAR)];
                let others: Vec<Open> = others
                    .iter()
                    .flat_map(|(one, other)| all(stage.lab, one, other))
                    .collect();
                assert_eq!((tightened.len(), others.len()), (4, 16));
                from(stage, outside());
                stage.driver.audit();
                let expected = match established {
                    Established::Keep => Fate::Arrived,
                    Established::Recheck => Fate::Refused,
                };
                for open in &tightened {
                    let fate = open.to_server();
                    assert_eq!(
                        fate, expected,
                        "{}: {:?}, {established:?}",
                        open.name, stage.backend
                    );
                }
                for open in &others {
                    let fates = [open.to_server(), open.to_client(), open.to_server()];
                    assert_eq!(
                        fates,
                        [Fate::Arrived; 3],
                        "{}: {:?}, {established:?}",
                        open.name,
                        stage.backend
                    );
                }
            }
        });
    }
}

#[test]
fn a_connection_that_was_cut_off_does_not_begin_anew_with_what_its_server_sends() {
    on_both(Joint::Routed, |stage| {
        stage.cluster.settings.established = Established::Recheck;
        from(stage, vec![same_namespace(app("web"))]);
        let tightened = all(stage.lab, WEB, DB);
        let others = all(stage.lab, HERE, DB);
        from(stage, vec![]);
        // A datagram of the server's is a flow of its own: the pod may send, and gets replies.
        for open in tightened.iter().filter(|open| open.name.ends_with("tcp")) {
            let fates = [open.to_client(), open.to_server()];
            assert_eq!(
                fates,
                [Fate::Refused; 2],
                "{}: {:?}",
                open.name,
                stage.backend
            );
        }
        for open in &others {
            assert_eq!(
                open.to_client(),
                Fate::Arrived,
                "{}: {:?}",
                open.name,
                stage.backend
            );
        }
    });
}
