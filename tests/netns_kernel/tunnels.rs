//! Tunnels of every kind between two namespaces, and the ports that receive them, with `ip` and
//! `ping` as witnesses. Kernels without these modules say so; the lab's has them.

use std::net::IpAddr;
use std::sync::mpsc;
use std::{env, thread};

use kube_router::kernel::fou::{Change as FouChange, FakeFou, Fou, Payload, Port, Ports};
use kube_router::kernel::fou::{Error as FouError, Outcome as FouOutcome};
use kube_router::kernel::rtnl::{
    Change, Encap, Error, Hop, Interfaces, Link, LinkKind, Outcome, PathQuery, PathRoute, Rtnl,
    Tunnel, TunnelMode,
};
use kube_router::net::{Family, host_prefix};

use super::{in_namespace, tool, unshare};

const PORT: u16 = 5555;
const UNDERLAY_MTU: u32 = 1500;
/// Two addresses each on the link between the hosts, and what their pods have.
const A: Host = Host {
    ends: [["192.0.2.1", "192.0.2.3"], ["2001:db8::1", "2001:db8::3"]],
    pods: ["10.244.1.1", "fd00:1::1"],
};
const B: Host = Host {
    ends: [["192.0.2.2", "192.0.2.4"], ["2001:db8::2", "2001:db8::4"]],
    pods: ["10.244.2.1", "fd00:2::1"],
};

struct Host {
    ends: [[&'static str; 2]; 2],
    pods: [&'static str; 2],
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn of<T: Copy>(both: [T; 2], family: Family) -> T {
    let [v4, v6] = both;
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

fn not_here(what: &str) {
    let required = env::var("KUBE_ROUTER_REQUIRE_KERNEL").is_ok_and(|value| value == "1");
    assert!(!required, "required here, but {what}");
    eprintln!("NOT RUN: {what}");
}

/// Work for a thread in a namespace of its own.
type Work = Box<dyn FnOnce() + Send>;

/// The other host: does what it is told, one thing after another.
struct Peer {
    work: Option<mpsc::Sender<(Work, mpsc::Sender<()>)>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Peer {
    /// Starts it, with a link from here to there.
    fn new() -> Self {
        let (work, todo) = mpsc::channel::<(Work, mpsc::Sender<()>)>();
        let (tell_id, id) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare().unwrap();
            // SAFETY: no pointers are passed.
            tell_id.send(unsafe { libc::gettid() }).unwrap();
            for (work, done) in todo {
                work();
                done.send(()).unwrap();
            }
        });
        tool("ip link add under type veth peer name peer");
        tool(&format!("ip link set peer netns {}", id.recv().unwrap()));
        let peer = Self {
            work: Some(work),
            thread: Some(thread),
        };
        peer.run(|| {
            tool("ip link set peer name under");
            set_up(&B);
        });
        set_up(&A);
        peer
    }

    fn run(&self, work: impl FnOnce() + Send + 'static) {
        let (done, is_done) = mpsc::channel();
        let todo = self.work.as_ref().unwrap();
        todo.send((Box::new(work), done)).unwrap();
        is_done.recv().expect("the other host is well");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.work.take());
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

fn set_up(host: &Host) {
    tool("ip link set lo up");
    tool("ip link set under up");
    let [v4, v6] = host.ends;
    for end in v4 {
        tool(&format!("ip address add {end}/24 dev under"));
    }
    for end in v6 {
        tool(&format!("ip address add {end}/64 dev under nodad"));
    }
    let [v4, v6] = host.pods;
    tool(&format!("ip address add {v4}/32 dev lo"));
    tool(&format!("ip address add {v6}/128 dev lo nodad"));
}

/// The tunnel's other end, seen from there.
fn mirrored(tunnel: Tunnel) -> Tunnel {
    Tunnel {
        local: tunnel.remote,
        remote: tunnel.local,
        ..tunnel
    }
}

/// A route to the other's pods through links, as the routing controller makes it.
fn to_pods(family: Family, from: &Host, to: &Host, links: &[Link]) -> PathRoute {
    let hops = links.iter().map(|link| Hop::through(link.index)).collect();
    PathRoute {
        source: Some(ip(of(from.pods, family))),
        ..PathRoute::new(host_prefix(ip(of(to.pods, family))), hops)
    }
}

fn program(change: Change) {
    let mut rtnl = Rtnl::open().unwrap();
    assert_eq!(rtnl.change(&[change]), [Ok(Outcome::Changed)]);
}

/// Makes the tunnels on one host and routes through all of them; the links as they are.
fn connect(names: &[&str], tunnels: &[Tunnel], inner: Family, hosts: [&Host; 2]) -> Vec<Link> {
    let mut rtnl = Rtnl::open().unwrap();
    let make = |(name, tunnel): (&&str, &Tunnel)| {
        if tunnel.encap.is_some() {
            let port = Port::gue(tunnel.mode.family(), PORT);
            Fou::open().unwrap().change(FouChange::Add(port)).unwrap();
        }
        rtnl.ensure_link(name, &LinkKind::Tunnel(*tunnel)).unwrap()
    };
    let links: Vec<Link> = names.iter().zip(tunnels).map(make).collect();
    let [from, to] = hosts;
    program(Change::ReplacePath(to_pods(inner, from, to, &links)));
    links
}

/// Every kind, what travels in it, and by how much it is smaller than the link below.
fn every_kind() -> Vec<(Tunnel, Family, u32)> {
    let v4 = |mode| Tunnel::new(mode, ip(A.ends[0][0]), ip(B.ends[0][0]));
    let v6 = |mode| Tunnel::new(mode, ip(A.ends[1][0]), ip(B.ends[1][0]));
    let gue = |tunnel: Tunnel| Tunnel {
        ttl: 225,
        pmtudisc: true,
        encap: Some(Encap::gue(tunnel.mode.family(), PORT)),
        ..tunnel
    };
    let limited = Tunnel {
        encap_limit: Some(4),
        tos: 1,
        ..v6(TunnelMode::Ip6Ip6)
    };
    vec![
        (v4(TunnelMode::Ipip), Family::V4, 20),
        (v4(TunnelMode::IpipAny), Family::V4, 20),
        (gue(v4(TunnelMode::Ipip)), Family::V4, 32),
        (v6(TunnelMode::Ip6Ip6), Family::V6, 40),
        (gue(v6(TunnelMode::Ip6Ip6)), Family::V6, 52),
        (v6(TunnelMode::Ip6Any), Family::V4, 40),
        (v6(TunnelMode::Ip6Any), Family::V6, 40),
        (gue(v6(TunnelMode::Ip6Any)), Family::V4, 52),
        (v6(TunnelMode::IpIp6), Family::V4, 40),
        (limited, Family::V6, 48),
    ]
}

/// Whether the kernel has tunnels and their encapsulation; else what it says must be exact.
fn has_tunnels() -> bool {
    let mut rtnl = Rtnl::open().unwrap();
    let mut is_whole = true;
    for (mode, module) in [
        (TunnelMode::Ipip, "ipip"),
        (TunnelMode::Ip6Ip6, "ip6_tunnel"),
    ] {
        let ends = of(
            [["192.0.2.8", "192.0.2.9"], ["fd00::8", "fd00::9"]],
            mode.family(),
        );
        let tunnel = Tunnel::new(mode, ip(ends[0]), ip(ends[1]));
        match rtnl.ensure_link("probe", &LinkKind::Tunnel(tunnel)) {
            Ok(link) => drop(rtnl.delete_link(link.index).unwrap()),
            Err(error @ Error::NoSuchKind { .. }) => {
                let end = format!("the module {module} is neither built in nor can it be loaded");
                assert!(error.to_string().ends_with(&end), "{error}");
                not_here(&error.to_string());
                is_whole = false;
            }
            Err(error) => panic!("{error}"),
        }
    }
    match Fou::open() {
        Ok(_) => is_whole,
        Err(error) => {
            assert_eq!(error, FouError::Unsupported);
            not_here(&error.to_string());
            false
        }
    }
}

#[test]
fn packets_of_full_size_pass_through_tunnels_of_every_kind() {
    in_namespace(|| {
        if !has_tunnels() {
            return;
        }
        let peer = Peer::new();
        for (tunnel, inner, overhead) in every_kind() {
            eprintln!("{inner:?} in {tunnel}");
            peer.run(move || {
                connect(&["tun-a"], &[mirrored(tunnel)], inner, [&B, &A]);
            });
            let links = connect(&["tun-a"], &[tunnel], inner, [&A, &B]);
            let [link] = links.as_slice() else {
                panic!("{links:?}")
            };
            assert_eq!(link.kind, LinkKind::Tunnel(tunnel));
            assert_eq!(link.mtu, UNDERLAY_MTU - overhead, "{tunnel}");
            let headers = of([28, 48], inner);
            tool(&format!(
                "ping -n -c 2 -i 0.2 -W 5 -M do -s {} {}",
                link.mtu - headers,
                of(B.pods, inner)
            ));

            // Another life of ours finds it as it wants it; what `ip` makes of its text, too.
            let mut rtnl = Rtnl::open().unwrap();
            assert_eq!(rtnl.ensure_link("tun-a", &link.kind).as_ref(), Ok(link));
            let again = rtnl.ensure_link("tun-b", &link.kind).unwrap_err();
            assert!(matches!(again, Error::EndsTaken { .. }), "{again}");
            assert_eq!(rtnl.delete_link(link.index), Ok(Outcome::Changed));
            tool(&format!("ip link add tun-a type {tunnel}"));
            let typed = rtnl.link("tun-a").unwrap().unwrap();
            assert_eq!(typed.kind, link.kind, "{tunnel}");
            assert_eq!(rtnl.delete_link(typed.index), Ok(Outcome::Changed));
            peer.run(|| drop(tool("ip link delete tun-a")));
        }
    });
}

#[test]
fn a_tunnel_that_somebody_changed_is_seen_and_put_right_under_its_routes() {
    in_namespace(|| {
        if !has_tunnels() {
            return;
        }
        let peer = Peer::new();
        for (tunnel, inner, _) in every_kind() {
            peer.run(move || {
                connect(&["tun-a"], &[mirrored(tunnel)], inner, [&B, &A]);
            });
            let links = connect(&["tun-a"], &[tunnel], inner, [&A, &B]);
            let mut rtnl = Rtnl::open().unwrap();
            let link = rtnl.link("tun-a").unwrap().unwrap();
            let elsewhere = Tunnel {
                remote: ip(of(B.ends, tunnel.mode.family())[1]),
                ..tunnel
            };
            let other_port = Tunnel {
                encap: tunnel.encap.map(|encap| Encap {
                    destination_port: 6666,
                    ..encap
                }),
                ..tunnel
            };
            let bare = Tunnel {
                encap: None,
                ..tunnel
            };
            for meddled in [elsewhere, other_port, bare] {
                if meddled == tunnel {
                    continue;
                }
                match meddled.encap.is_some() || tunnel.encap.is_none() {
                    true => drop(tool(&format!("ip link set tun-a type {meddled}"))),
                    // `ip` leaves an encapsulation that is not named as it is.
                    false => program(Change::SetTunnel {
                        link: link.index,
                        tunnel: meddled,
                    }),
                }
                let seen = rtnl.link("tun-a").unwrap().unwrap();
                assert_eq!(seen.kind, LinkKind::Tunnel(meddled), "{tunnel}");
                let error = rtnl.ensure_link("tun-a", &link.kind).unwrap_err();
                assert!(matches!(error, Error::OtherKind { .. }), "{error}");
                program(Change::SetTunnel {
                    link: link.index,
                    tunnel,
                });
                let right = rtnl.ensure_link("tun-a", &link.kind).unwrap();
                assert_eq!((right.index, right.kind), (link.index, link.kind.clone()));
                let route = to_pods(inner, &A, &B, &links);
                assert_eq!(rtnl.paths(PathQuery::OURS).unwrap(), [route]);
                tool(&format!("ping -n -c 1 -W 5 {}", of(B.pods, inner)));
            }
            assert_eq!(rtnl.delete_link(link.index), Ok(Outcome::Changed));
            peer.run(|| drop(tool("ip link delete tun-a")));
        }
    });
}

#[test]
fn flows_spread_over_two_tunnels_of_one_route() {
    in_namespace(|| {
        if !has_tunnels() {
            return;
        }
        let peer = Peer::new();
        for (mode, family) in [
            (TunnelMode::Ipip, Family::V4),
            (TunnelMode::Ip6Ip6, Family::V6),
        ] {
            let pair = [0, 1].map(|n| {
                let (local, remote) = (of(A.ends, family)[n], of(B.ends, family)[n]);
                Tunnel::new(mode, ip(local), ip(remote))
            });
            let names = ["tun-a", "tun-b"];
            peer.run(move || {
                connect(&names, &pair.map(mirrored), family, [&B, &A]);
            });
            let links = connect(&names, &pair, family, [&A, &B]);
            let mut rtnl = Rtnl::open().unwrap();
            let route = to_pods(family, &A, &B, &links);
            assert_eq!(rtnl.paths(PathQuery::OURS).unwrap(), [route]);
            tool("sysctl -q -w net.ipv4.fib_multipath_hash_policy=1");
            tool("sysctl -q -w net.ipv6.fib_multipath_hash_policy=1");
            let target = ip(of(B.pods, family));
            let any = ip(of(["0.0.0.0", "::"], family));
            for _ in 0..64 {
                let socket = std::net::UdpSocket::bind((any, 0)).unwrap();
                socket.connect((target, 9)).unwrap();
                socket.send(b"?").unwrap();
            }
            for name in names {
                let shown = tool(&format!("ip -s -j link show {name}"));
                let tx = shown.split_once("\"tx\":{\"bytes\":").unwrap().1;
                assert!(
                    !tx.starts_with("0,"),
                    "nothing went through {name}: {shown}"
                );
            }
            tool(&format!("ping -n -c 1 -W 5 {target}"));
            for link in links {
                rtnl.delete_link(link.index).unwrap();
            }
            peer.run(move || {
                for name in names {
                    tool(&format!("ip link delete {name}"));
                }
            });
        }
    });
}

#[test]
fn links_of_the_kernels_own_are_read_and_are_no_tunnel_of_ours() {
    in_namespace(|| {
        if !has_tunnels() {
            return;
        }
        let links = Rtnl::open().unwrap().links().unwrap();
        for (name, ends) in [("tunl0", "0.0.0.0"), ("ip6tnl0", "::")] {
            let Some(link) = links.iter().find(|link| link.name == name) else {
                eprintln!("no {name} here");
                continue;
            };
            let LinkKind::Tunnel(tunnel) = link.kind else {
                panic!("{link:?}");
            };
            assert_eq!((tunnel.local, tunnel.remote), (ip(ends), ip(ends)));
        }
    });
}

/// What the fake claims about ports, on either.
fn scenario(ports: &mut dyn Ports) -> Vec<Port> {
    let changed = Ok(FouOutcome::Changed);
    let unchanged = Ok(FouOutcome::Unchanged);
    for family in Family::ALL {
        let port = Port::gue(family, PORT);
        assert_eq!(ports.change(FouChange::Add(port)), changed);
        assert_eq!(ports.change(FouChange::Add(port)), unchanged);
        let direct = Port {
            payload: Payload::Direct(4),
            ..port
        };
        let taken = FouChange::Add(direct);
        assert_eq!(ports.change(taken), Err(FouError::Taken(taken)));
        let other = Port::gue(family, PORT + 1);
        assert_eq!(ports.change(FouChange::Del(other)), unchanged);
        assert_eq!(ports.change(FouChange::Add(other)), changed);
        assert_eq!(ports.change(FouChange::Del(port)), changed);
        assert_eq!(ports.change(FouChange::Del(port)), unchanged);
    }
    ports.list().unwrap()
}

#[test]
fn the_fake_behaves_like_the_kernel_with_ports() {
    in_namespace(|| {
        if !has_tunnels() {
            return;
        }
        let mut fou = Fou::open().unwrap();
        let real = scenario(&mut fou);
        assert_eq!(scenario(&mut FakeFou::default()), real);
        assert_eq!(real.len(), 2);
        let shown = tool("ip fou show");
        assert!(shown.contains("port 5556 gue"), "{shown}");
        for port in real {
            tool(&FouChange::Del(port).to_string());
            tool(&FouChange::Add(port).to_string());
        }
        assert_eq!(fou.list().unwrap().len(), 2);
    });
}
