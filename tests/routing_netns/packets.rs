//! Which packets pass the node, and under which address they leave.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::node::{controller, failures, input, ip, pass, world};
use crate::place::{Place, in_namespace, tool};

const PORT: u16 = 7;

/// Nothing came yet. Children of other tests that end may interrupt the wait.
const NOTHING: [ErrorKind; 3] = [
    ErrorKind::WouldBlock,
    ErrorKind::TimedOut,
    ErrorKind::Interrupted,
];

/// Where the packet of `from` to `to` seems to come from; `None` if it does not arrive.
fn source(sender: &Place, from: IpAddr, receiver: &Place, to: IpAddr) -> Option<IpAddr> {
    let receiving = receiver.run(|| UdpSocket::bind(SocketAddr::new(to, PORT)).unwrap());
    let sending = sender.run(|| UdpSocket::bind(SocketAddr::new(from, 0)).unwrap());
    receiving
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    // The first may be lost to a neighbour that is not known yet.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        sending.send_to(b"?", SocketAddr::new(to, PORT)).unwrap();
        match receiving.recv_from(&mut [0; 8]) {
            Ok((_, source)) => return Some(source.ip()),
            Err(error) if NOTHING.contains(&error.kind()) => {}
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// A pod on the bridge.
fn pod() -> Place {
    let pod = Place::new("veth1");
    tool("ip link set veth1 master kube-bridge");
    tool("ip address add 10.244.1.1/24 dev kube-bridge");
    tool("ip -6 address add fd02:1::1/64 dev kube-bridge nodad");
    pod.tools(&[
        "ip address add 10.244.1.5/24 dev eth0",
        "ip -6 address add fd02:1::5/64 dev eth0 nodad",
        "ip route add default via 10.244.1.1",
        "ip -6 route add default via fd02:1::1",
    ]);
    pod
}

#[test]
fn pods_leave_the_cluster_as_the_node_and_stay_themselves_inside() {
    in_namespace(|| {
        let world = world();
        let directory = tempfile::tempdir().unwrap();
        let cni = directory.path().join("10-kuberouter.conflist");
        // A host that forwards nothing by itself.
        for tool_name in ["iptables", "ip6tables"] {
            tool(&format!("{tool_name} -P FORWARD DROP"));
        }
        let paths = "10.244.2.0/24 via 10.1.1.3
                     fd02:2::/64 via fd01:1::3";
        let (_, report) = pass(&mut controller(), &input(paths, &cni));
        assert_eq!(failures(&report), [""; 0]);
        let pod = pod();
        world.tools(&[
            "ip address add 203.0.113.9/32 dev lo",
            "ip -6 address add 2001:db8::9/128 dev lo nodad",
            "ip address add 10.244.2.5/32 dev lo",
            "ip -6 address add fd02:2::5/128 dev lo nodad",
            "ip route add 10.244.1.0/24 via 10.1.1.1",
            "ip -6 route add fd02:1::/64 via fd01:1::1",
        ]);
        for (from, to, seen) in [
            ("10.244.1.5", "203.0.113.9", "10.1.1.1"),
            ("10.244.1.5", "10.1.1.2", "10.1.1.1"),
            ("10.244.1.5", "10.1.1.3", "10.244.1.5"),
            ("10.244.1.5", "10.244.2.5", "10.244.1.5"),
            ("fd02:1::5", "2001:db8::9", "fd01:1::1"),
            ("fd02:1::5", "fd01:1::3", "fd02:1::5"),
            ("fd02:1::5", "fd02:2::5", "fd02:1::5"),
        ] {
            let source = source(&pod, ip(from), &world, ip(to));
            assert_eq!(source, Some(ip(seen)), "{from} to {to}");
        }
        // From outside to the pod, and back.
        for (from, to) in [("10.1.1.2", "10.244.1.5"), ("fd01:1::2", "fd02:1::5")] {
            assert_eq!(source(&world, ip(from), &pod, ip(to)), Some(ip(from)));
        }
        // What is no pod's business still is not let through.
        let other = Place::new("veth2");
        tool("ip address add 172.31.0.1/24 dev veth2");
        other.tools(&[
            "ip address add 172.31.0.2/24 dev eth0",
            "ip route add default via 172.31.0.1",
        ]);
        world.tools(&["ip route add 172.31.0.0/24 via 10.1.1.1"]);
        assert_eq!(
            source(&other, ip("172.31.0.2"), &world, ip("10.1.1.2")),
            None
        );
        tool("iptables -P FORWARD ACCEPT");
        let passed = source(&other, ip("172.31.0.2"), &world, ip("10.1.1.2"));
        assert_eq!(passed, Some(ip("172.31.0.2")), "the way itself is there");
    });
}
