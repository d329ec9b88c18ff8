//! Network namespaces of a node and of the pods around it, joined by veths.
#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "shared by tests and benches, each using a part; namespaces are made by programs"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use crate::policy_cluster::{NODE_V4, NODE_V6};

/// A network namespace with its addresses.
#[derive(Debug)]
pub struct Place {
    pub namespace: File,
    pub addresses: Vec<IpAddr>,
}

// === impl Place ===

impl Place {
    /// Does something in this namespace; the caller has to go home after it.
    pub fn enter(&self) {
        // SAFETY: a valid descriptor of a network namespace; only this thread is affected.
        let entered = unsafe { libc::setns(self.namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
    }
}

pub fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread is affected.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a namespace can be made; says loudly where none can, and fails where one is required.
/// The calling thread is in it then.
pub fn can_measure() -> bool {
    let Err(error) = unshare() else {
        return true;
    };
    let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "required here, but there is no namespace: {error}"
    );
    eprintln!("NOT RUN, NOTHING MEASURED: no network namespace can be made: {error}");
    false
}

pub fn here() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// A new namespace with `eth0` towards the node.
pub fn join(number: usize, addresses: &[IpAddr], is_bridged: bool) -> io::Result<File> {
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let lines = inner(addresses, is_bridged);
    let inside = thread::spawn(move || {
        let made = unshare().and_then(|()| here());
        calm();
        // SAFETY: gettid always succeeds.
        tell.send(unsafe { libc::gettid() }).unwrap();
        wait.recv().unwrap();
        ip_batch(&lines);
        made
    });
    let thread = told.recv().unwrap();
    ip_batch(&outer(number, thread, addresses, is_bridged));
    go.send(()).unwrap();
    inside.join().unwrap()
}

fn outer(number: usize, thread: i32, addresses: &[IpAddr], is_bridged: bool) -> String {
    let link = format!("pod{number}");
    let mut lines = format!("link add {link} type veth peer name eth0 netns {thread}\n");
    if is_bridged {
        lines += &format!("link set {link} master kube-bridge\n");
    }
    lines += &format!("link set {link} up\n");
    if !is_bridged {
        lines += &format!("address add fe80::1/64 dev {link} nodad\n");
        for address in addresses {
            let own = if address.is_ipv4() { NODE_V4 } else { NODE_V6 };
            lines += &format!("route add {address} dev {link} src {own}\n");
        }
    }
    lines
}

fn inner(addresses: &[IpAddr], is_bridged: bool) -> String {
    let mut lines = "link set lo up\nlink set eth0 up\n".to_owned();
    for address in addresses {
        let (length, tail) = match (address, is_bridged) {
            (IpAddr::V4(_), true) => (16, ""),
            (IpAddr::V4(_), false) => (32, ""),
            (IpAddr::V6(_), true) => (32, " nodad"),
            (IpAddr::V6(_), false) => (128, " nodad"),
        };
        lines += &format!("address add {address}/{length} dev eth0{tail}\n");
    }
    lines += &format!("route add {NODE_V4}/32 dev eth0\n");
    lines += &format!("route add 0.0.0.0/0 via {NODE_V4} dev eth0\n");
    lines += "route add ::/0 via fe80::1 dev eth0\n";
    lines
}

/// Forwards, and holds back no ICMP error: a test counts on each of them.
pub fn calm() {
    for (key, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv4/icmp_ratemask", "0"),
        ("ipv6/icmp/ratelimit", "0"),
        // The types that are held back: none of those that there are.
        ("ipv6/icmp/ratemask", "255"),
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
    ] {
        let file = format!("/proc/sys/net/{key}");
        fs::write(&file, value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

pub fn ip_batch(lines: &str) {
    feed(&["ip", "-batch", "-"], lines);
}

/// Runs a tool with this input; it must succeed.
pub fn feed(command: &[&str], input: &str) {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{input}");
}

/// Forgets every connection of this namespace: a probe must not pass for an older one's sake.
pub fn flush_connections() {
    // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, without a filter.
    use socket2::{Domain, Protocol, Socket, Type};
    let netlink = Domain::from(libc::AF_NETLINK);
    let netfilter = Protocol::from(libc::NETLINK_NETFILTER);
    let mut socket = Socket::new(netlink, Type::RAW, Some(netfilter)).unwrap();
    let mut message = Vec::new();
    message.extend(20_u32.to_ne_bytes());
    message.extend(0x0102_u16.to_ne_bytes());
    message.extend(5_u16.to_ne_bytes());
    message.extend([0; 12]);
    socket.write_all(&message).unwrap();
    let mut answer = [0; 64];
    let length = io::Read::read(&mut socket, &mut answer).unwrap();
    assert!(length >= 20 && answer[16..20] == [0; 4], "{answer:?}");
}
