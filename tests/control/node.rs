//! A daemon as far as the socket is concerned: a speaker with three peers behind a socket of its
//! own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use kube_router::bfd;
use kube_router::bfd::{SessionConfig, SessionKey};
use kube_router::bgp::policy::{Action, Condition, Policy, PrefixRange, Statement};
use kube_router::bgp::rib::AttributeChanges;
use kube_router::bgp::speaker::io::{Handle, Notes, Options, spawn};
use kube_router::bgp::speaker::{Desired, PeerDesired, RibTable};
use kube_router::bgp::wire::{Community, LargeCommunity, NextHop};
use kube_router::cli::{self, Cli, Command, Exit};
use kube_router::control::{Control, GROUP};
use kube_router::http::{self, Limits, Site};
use kube_router::net::Prefix;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::topology::{AS, originated, peer, speaker};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const EXTERNAL_AS: u32 = 64_600;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Node {
    pub(crate) socket: PathBuf,
    pub(crate) speaker: Handle,
    pub(crate) desired: Desired,
    serving: Mutex<Option<JoinHandle<()>>>,
    _directory: tempfile::TempDir,
    _others: Vec<(Handle, Notes)>,
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn start(own: IpAddr, port: u16) -> (Handle, Notes) {
    let options = Options {
        listen: vec![SocketAddr::new(own, port)],
        seed: 7,
        restarted: None,
    };
    spawn(&options).expect("a free port")
}

impl Node {
    async fn new(
        speaker: Option<Handle>,
        bfd: Option<bfd::Handle>,
        desired: Desired,
        others: Vec<(Handle, Notes)>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("control.sock");
        let listener = http::bind_local(&socket, GROUP).await.expect("a socket");
        let site = Arc::new(Site {
            control: Some(Control::new(speaker.clone(), bfd)),
            ..Site::default()
        });
        let limits = Limits {
            header: Duration::from_millis(500),
            ..Limits::default()
        };
        let serving = tokio::spawn(http::serve(listener, site, limits));
        let speaker = speaker.unwrap_or_else(|| start(v4(1), 0).0);
        Self {
            socket,
            speaker,
            desired,
            serving: Mutex::new(Some(serving)),
            _directory: directory,
            _others: others,
        }
    }

    /// A node with routing switched off.
    pub(crate) async fn without_speaker() -> Self {
        Self::new(None, None, speaker(0, AS), Vec::new()).await
    }

    /// The daemon dies; its socket stays behind.
    pub(crate) async fn stop(&self) {
        let serving = self.serving.lock().expect("no panic").take();
        if let Some(serving) = serving {
            serving.abort();
            assert!(serving.await.is_err());
        }
    }

    /// `kube-router bgp` with these words.
    pub(crate) async fn ask(&self, words: &str) -> Said {
        let line = format!("kube-router bgp --socket {} {words}", self.socket.display());
        let asked = tokio::task::spawn_blocking(move || {
            let Command::Bgp(args) = Cli::try_parse_from(line.split(' '))
                .expect("a line")
                .command
            else {
                panic!("bgp expected");
            };
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let exit = cli::bgp(&args, &mut out, &mut err).expect("memory to write to");
            let text = |octets| String::from_utf8(octets).expect("text");
            Said {
                exit,
                out: text(out),
                err: text(err),
            }
        });
        let said = timeout(PATIENCE, asked).await;
        said.expect("an answer in time").expect("no panic")
    }

    /// Octets as they are; everything that comes until the server closes.
    pub(crate) async fn send(&self, request: &[u8]) -> String {
        let exchange = async {
            let mut stream = UnixStream::connect(&self.socket).await.expect("a server");
            // The server may have closed already.
            let _ = stream.write_all(request).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        timeout(PATIENCE, exchange).await.expect("an end in time")
    }

    /// Status and body.
    pub(crate) async fn get(&self, target: &str) -> (u16, String) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = self.send(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an end of headers");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }
}

/// A node at 127.0.0.`base` with an internal peer behind it, an external one behind that, and one
/// that never comes; all are told and have told what there is.
pub(crate) async fn settled(base: u8) -> Node {
    let own = v4(base);
    let port = {
        let listener = TcpListener::bind((own, 0)).expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let (internal, external, absent) = (v4(base + 1), v4(base + 2), v4(base + 3));
    let mut desired = end(0, AS);
    for (address, asn) in [(internal, AS), (external, EXTERNAL_AS), (absent, AS)] {
        let mut towards = peer(0, AS, asn);
        // So that attempts of both sides never meet.
        towards.session.passive = true;
        towards.transport.port = port;
        if address == external {
            (towards.import, towards.export) = (import(), export());
        }
        desired.peers.insert(address, Arc::new(towards));
    }
    let (handle, notes) = start(own, port);
    handle.set_desired(desired.clone());
    let mut others = vec![(handle.clone(), notes)];
    for (node, address, asn) in [(1, internal, AS), (2, external, EXTERNAL_AS)] {
        let (other, notes) = start(address, port);
        let mut towards: PeerDesired = peer(node, asn, AS);
        towards.transport.port = port;
        towards.transport.local_address = Some(address);
        let mut at_other = end(node, asn);
        at_other.peers.insert(own, Arc::new(towards));
        other.set_desired(at_other);
        others.push((other, notes));
    }
    let all_there = async {
        while !is_settled(&handle, [internal, external]).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_there).await.expect("they converge");
    Node::new(Some(handle), Some(unheard(internal)), desired, others).await
}

/// BFD with a peer that does not speak it.
fn unheard(peer: IpAddr) -> bfd::Handle {
    let (handle, _) = bfd::io::spawn(7).expect("a thread");
    let socket = UdpSocket::bind((peer, 0)).expect("a port");
    let config = SessionConfig {
        port: socket.local_addr().expect("an address").port(),
        ..SessionConfig::single_hop()
    };
    let key = SessionKey {
        remote: peer,
        local: None,
        interface: None,
    };
    drop(socket);
    handle.set_desired([(key, config)].into());
    handle
}

async fn is_settled(handle: &Handle, peers: [IpAddr; 2]) -> bool {
    let asked = handle.ask(move |core| {
        let told = peers.map(|peer| {
            let status = core.neighbor_status(peer).expect("a peer");
            let out = core.entries((RibTable::AdjOut, Some(peer)), &prefix("10.100.0.0/24"));
            (
                status.received.v4.received,
                !status.has_pending && out.iter().any(|entry| entry.is_written),
            )
        });
        told == [(3, true), (2, true)]
    });
    asked.await.expect("a speaker")
}

/// What each of the three originates: a prefix of its own; the peers a shared one, too, and the
/// internal one another with a next hop that nobody can use.
fn end(node: usize, asn: u32) -> Desired {
    let mut desired = speaker(node, asn);
    let last = u8::try_from(node).expect("small") + 1;
    let mut route = originated(node);
    // Loopback is no next hop.
    route.next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, last));
    let own = prefix(&format!("10.100.{node}.0/24"));
    desired.originate.insert(own, route.clone());
    if node > 0 {
        let attributes = &mut route.attributes;
        attributes.communities = vec!["64512:7".parse().expect("a community")];
        attributes.large_communities = vec![LargeCommunity {
            global: AS,
            local1: 1,
            local2: 2,
        }];
        attributes.multi_exit_disc = Some(10 * u32::from(last));
        desired
            .originate
            .insert(prefix("10.50.0.0/16"), route.clone());
    }
    if node == 1 {
        route.next_hop = NextHop::V4(Ipv4Addr::LOCALHOST);
        desired.originate.insert(prefix("10.66.0.0/16"), route);
        if let Some(own) = desired.originate.get_mut(&own) {
            own.attributes.communities = vec![Community::NO_EXPORT];
        }
    }
    desired
}

/// From the external peer.
fn import() -> Arc<Policy> {
    let last_resort = AttributeChanges {
        local_pref: Some(50),
        ..AttributeChanges::default()
    };
    let statement = Statement::new("last resort", [], Action::Accept).with_changes(last_resort);
    Arc::new(Policy::new("import external", [statement], Action::Reject))
}

/// To the external peer.
fn export() -> Arc<Policy> {
    let shared = [PrefixRange::exact(prefix("10.50.0.0/16"))];
    let shared = Condition::Prefix(Arc::new(shared.into_iter().collect()));
    let statement = Statement::new("nothing shared", [shared], Action::Reject);
    Arc::new(Policy::new("export external", [statement], Action::Accept))
}
