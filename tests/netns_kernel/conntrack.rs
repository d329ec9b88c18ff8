//! Deletion of flows, with real UDP traffic through DNAT over a veth pair into a second
//! namespace, and with `conntrack` as witness.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;
use std::{io, thread};

use kube_router::kernel::conntrack::{Conntrack, FlowFilter, Flows};
use kube_router::net::{Family, Protocol};

use super::{in_namespace, tool, unshare};

/// One family's addresses: the VIP, ours on the veth, and the two endpoints behind it.
struct Plan {
    iptables: &'static str,
    conntrack: &'static str,
    vip: &'static str,
    ours: &'static str,
    endpoints: [&'static str; 2],
    length: u8,
}

const V4: Plan = Plan {
    iptables: "iptables-nft",
    conntrack: "conntrack -L -p udp",
    vip: "10.96.0.10",
    ours: "10.0.0.1",
    endpoints: ["10.0.0.2", "10.0.0.3"],
    length: 24,
};

const V6: Plan = Plan {
    iptables: "ip6tables-nft",
    conntrack: "conntrack -L -f ipv6 -p udp",
    vip: "fd00:96::10",
    ours: "fd00::1",
    endpoints: ["fd00::2", "fd00::3"],
    length: 64,
};

impl Plan {
    fn of(family: Family) -> &'static Self {
        match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        }
    }

    fn vip(&self) -> IpAddr {
        self.vip.parse().unwrap()
    }

    /// Sends new flows to the VIP to this endpoint.
    fn send_to(&self, endpoint: usize) {
        let target = SocketAddr::new(self.endpoints[endpoint].parse().unwrap(), 5353);
        tool(&format!("{} -t nat -F OUTPUT", self.iptables));
        tool(&format!(
            "{} -t nat -A OUTPUT -d {} -p udp --dport 53 -j DNAT --to-destination {target}",
            self.iptables, self.vip
        ));
    }

    /// Which endpoint answers this client.
    fn answering(&self, client: &UdpSocket) -> usize {
        client.send_to(b"?", (self.vip(), 53)).unwrap();
        let mut buffer = [0; 8];
        let length = loop {
            match client.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.expect("an answer through the VIP"),
            }
        };
        String::from_utf8_lossy(&buffer[..length]).parse().unwrap()
    }

    fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind((self.ours.parse::<IpAddr>().unwrap(), 0)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
    }

    fn filter(&self, endpoint: Option<usize>) -> FlowFilter {
        let source = |endpoint: usize| (self.endpoints[endpoint].parse().unwrap(), 5353);
        FlowFilter {
            protocol: Protocol::Udp,
            orig_dst: self.vip(),
            orig_dport: 53,
            reply_src: endpoint.map(source),
        }
    }

    fn flows(&self) -> usize {
        tool(self.conntrack)
            .lines()
            .filter(|line| line.contains(&format!("dst={} ", self.vip)))
            .count()
    }
}

/// A second namespace with both endpoints of a family, on a thread that runs until the
/// returned sender is dropped.
fn endpoints(plan: &'static Plan) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel::<()>();
    let (tell_id, id) = mpsc::channel();
    let (tell_moved, moved) = mpsc::channel::<()>();
    let (tell_ready, ready) = mpsc::channel();
    let server = thread::spawn(move || {
        unshare().unwrap();
        // SAFETY: no pointers are passed.
        tell_id.send(unsafe { libc::gettid() }).unwrap();
        moved.recv().unwrap();
        tool("ip link set lo up");
        tool("ip link set veth1 up");
        let nodad = if plan.length > 32 { " nodad" } else { "" };
        let sockets = plan.endpoints.map(|endpoint| {
            tool(&format!(
                "ip address add {endpoint}/{} dev veth1{nodad}",
                plan.length
            ));
            let socket = UdpSocket::bind((endpoint.parse::<IpAddr>().unwrap(), 5353)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(10)))
                .unwrap();
            socket
        });
        tell_ready.send(()).unwrap();
        while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            for (number, socket) in sockets.iter().enumerate() {
                answer(socket, number).unwrap();
            }
        }
    });
    tool("ip link add veth0 type veth peer name veth1");
    tool(&format!("ip link set veth1 netns {}", id.recv().unwrap()));
    tell_moved.send(()).unwrap();
    tool("ip link set veth0 up");
    let nodad = if plan.length > 32 { " nodad" } else { "" };
    tool(&format!(
        "ip address add {}/{} dev veth0{nodad}",
        plan.ours, plan.length
    ));
    // The VIP is no neighbour: a route is needed before DNAT finds the endpoint.
    let family = if plan.length > 32 { "-6" } else { "-4" };
    tool(&format!(
        "ip {family} route add {} via {} dev veth0",
        plan.vip, plan.endpoints[0]
    ));
    ready.recv().unwrap();
    (stop, server)
}

/// Answers one datagram, if there is one, with the endpoint's number.
fn answer(socket: &UdpSocket, number: usize) -> io::Result<()> {
    match socket.recv_from(&mut [0; 8]) {
        Ok((_, client)) => socket
            .send_to(number.to_string().as_bytes(), client)
            .map(drop),
        Err(error) if is_nothing_yet(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// No datagram came in time, or a signal did.
fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn in_both_families(test: fn(&'static Plan, &mut Conntrack)) {
    for family in Family::ALL {
        in_namespace(move || {
            let plan = Plan::of(family);
            let (stop, server) = endpoints(plan);
            test(plan, &mut Conntrack::open().unwrap());
            drop(stop);
            server.join().unwrap();
        });
    }
}

#[test]
fn only_flows_of_the_endpoint_that_went_move_to_another() {
    in_both_families(|plan, conntrack| {
        let (first, second) = (plan.client(), plan.client());
        plan.send_to(0);
        assert_eq!(plan.answering(&first), 0);
        plan.send_to(1);
        assert_eq!(plan.answering(&second), 1);
        assert_eq!(plan.answering(&first), 0, "a flow stays where it is");

        assert_eq!(conntrack.delete(&[plan.filter(Some(0))]).unwrap(), 1);
        assert_eq!(plan.flows(), 1, "the other endpoint's flow is untouched");
        assert_eq!(
            plan.answering(&first),
            1,
            "the client is served by the endpoint that is left"
        );
        assert_eq!(conntrack.delete(&[plan.filter(Some(0))]).unwrap(), 0);
        assert_eq!(conntrack.delete(&[plan.filter(None)]).unwrap(), 2);
        assert_eq!(plan.flows(), 0);
    });
}

#[test]
fn a_thousand_filters_cost_one_listing() {
    in_both_families(|plan, conntrack| {
        plan.send_to(0);
        let clients: Vec<UdpSocket> = (0..100).map(|_| plan.client()).collect();
        for client in &clients {
            assert_eq!(plan.answering(client), 0);
        }
        let others = (1..1000).map(|port| FlowFilter {
            orig_dport: 1000 + port,
            ..plan.filter(None)
        });
        let filters: Vec<FlowFilter> = others.chain([plan.filter(Some(0))]).collect();
        let before = conntrack.stats();
        assert_eq!(conntrack.delete(&filters).unwrap(), 100);
        let spent = conntrack.stats().since(&before);
        assert_eq!(
            (spent.messages, spent.sends),
            (101, 3),
            "one dump, 100 deletes in two sends"
        );
        assert_eq!(plan.flows(), 0);
    });
}

#[test]
fn flows_of_other_protocols_and_services_stay() {
    in_both_families(|plan, conntrack| {
        plan.send_to(0);
        let client = plan.client();
        assert_eq!(plan.answering(&client), 0);
        let filter = plan.filter(Some(0));
        let others = [
            FlowFilter {
                protocol: Protocol::Tcp,
                ..filter
            },
            FlowFilter {
                protocol: Protocol::Sctp,
                ..filter
            },
            FlowFilter {
                orig_dport: 54,
                ..filter
            },
            FlowFilter {
                orig_dst: plan.ours.parse().unwrap(),
                ..filter
            },
            FlowFilter {
                reply_src: filter.reply_src.map(|(ip, _)| (ip, 1)),
                ..filter
            },
        ];
        assert_eq!(conntrack.delete(&others).unwrap(), 0);
        assert_eq!(plan.flows(), 1);
    });
}
