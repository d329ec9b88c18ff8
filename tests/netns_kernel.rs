//! The kernel rooms against the real kernel, each test in a network namespace of its own, with
//! the tools that administrators use as witnesses.
//!
//! Every invariant that a fake models is shown here to hold for fake and kernel alike: one
//! scenario runs on both.
#![expect(unsafe_code, reason = "unshare has no wrapper in std")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "the witnesses are programs, and waiting needs a clock"
)]

#[path = "netns_kernel/conntrack.rs"]
mod conntrack;
#[path = "netns_kernel/firewall.rs"]
mod firewall;
#[path = "netns_kernel/ipset.rs"]
mod ipset;
#[path = "netns_kernel/iptables.rs"]
mod iptables;
#[path = "netns_kernel/nflog.rs"]
mod nflog;
#[path = "netns_kernel/nft.rs"]
mod nft;
#[path = "netns_kernel/paths.rs"]
mod paths;
#[path = "netns_kernel/rtnl.rs"]
mod rtnl;
#[path = "netns_kernel/tunnels.rs"]
mod tunnels;
#[path = "netns_kernel/watch.rs"]
mod watch;

use std::process::Command;
use std::{env, io, thread};

use kube_router::kernel::rtnl::{Interfaces, Link, LinkKind, Rtnl};
use kube_router::kernel::sysctl::{Key, Parameters, Sysctl};

fn is_required() -> bool {
    env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1")
}

/// Says loudly that something did not run here; a failure where it has to.
fn not_run(what: &str) {
    assert!(!is_required(), "required here, but {what}");
    eprintln!("NOT RUN: {what}");
}

/// A new network namespace for the calling thread.
fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread is affected.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs a test on a thread of its own inside a new network namespace with loopback up.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let body = move || match unshare() {
        Ok(()) => {
            tool("ip link set lo up");
            test();
        }
        Err(error) => not_run(&format!("no network namespace can be made: {error}")),
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// The standard output of a tool that must succeed.
fn tool(command: &str) -> String {
    let (succeeded, stdout, stderr) = try_tool(command);
    assert!(succeeded, "{command}: {stderr}");
    stdout
}

/// Whether a tool succeeded, and what it printed.
fn try_tool(command: &str) -> (bool, String, String) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A link for VIPs: dummy, or a bridge where the kernel has no dummy.
fn vip_link(rtnl: &mut Rtnl, name: &str) -> Link {
    match rtnl.ensure_link(name, &LinkKind::Dummy) {
        Ok(link) => link,
        Err(error) => {
            eprintln!("no dummy link here ({error}): a bridge stands in");
            rtnl.ensure_link(name, &LinkKind::Bridge).unwrap()
        }
    }
}

#[test]
fn a_parameter_of_the_namespace_is_set_once() {
    in_namespace(|| {
        let (mut sysctl, key) = (
            Sysctl::new(),
            Key::new("net/ipv4/conf/all/arp_ignore").unwrap(),
        );
        let changed = sysctl.set(&key, "1").unwrap().unwrap();
        assert_eq!(changed.old, "0");
        assert_eq!(sysctl.set(&key, "1").unwrap(), None);
    });
}
