//! Packets from their namespace to an address behind us, which come back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kube_router::net::Prefix;

use crate::stage::{Stage, until};

const BETWEEN: Duration = Duration::from_millis(5);
/// One that takes longer is lost; the way is a veth.
const WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Pings {
    end: Arc<AtomicBool>,
    sender: JoinHandle<(u32, u32)>,
}

// === impl Pings ===

impl Pings {
    /// To the first address of the prefix, once the first packet has come back.
    pub(crate) fn start(stage: &Stage, to: Prefix) -> Self {
        let address = to.hosts().next().expect("an address");
        stage.ip(&format!("address add {address} dev lo"));
        let end = Arc::new(AtomicBool::new(false));
        let server = UdpSocket::bind((address, 0)).expect("an address of ours");
        let to = server.local_addr().expect("an address");
        server.set_read_timeout(Some(WAIT)).expect("an option");
        let is_over = Arc::clone(&end);
        thread::spawn(move || echo(&server, &is_over));
        let client = stage.in_theirs(|| client(to));
        until("a packet comes back", || ask(&client, 0).then_some(()));
        let is_over = Arc::clone(&end);
        let sender = thread::spawn(move || send(&client, &is_over));
        Self { end, sender }
    }

    /// How many were sent, and how many of them did not come back.
    pub(crate) fn stop(self) -> (u32, u32) {
        self.end.store(true, Ordering::Relaxed);
        self.sender.join().expect("a thread")
    }
}

fn client(to: SocketAddr) -> UdpSocket {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let client = UdpSocket::bind((any, 0)).expect("a socket");
    let connect = || client.connect(to).ok();
    until("there is a route", connect);
    client.set_read_timeout(Some(WAIT)).expect("an option");
    client
}

fn echo(server: &UdpSocket, is_over: &AtomicBool) {
    let mut packet = [0; 4];
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((_, from)) = server.recv_from(&mut packet) {
            // Lost is what does not come back, whatever the reason.
            let _ = server.send_to(&packet, from);
        }
    }
}

fn send(client: &UdpSocket, is_over: &AtomicBool) -> (u32, u32) {
    let (mut sent, mut lost) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        sent += 1;
        lost += u32::from(!ask(client, sent));
        thread::sleep(BETWEEN);
    }
    (sent, lost)
}

fn ask(client: &UdpSocket, number: u32) -> bool {
    let mut answer = [0; 4];
    client.send(&number.to_be_bytes()).is_ok()
        && client.recv(&mut answer).is_ok()
        && answer == number.to_be_bytes()
}
