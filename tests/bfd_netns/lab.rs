//! Three namespaces in a row.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::{env, process, thread};

/// A network namespace, for as long as somebody has it.
#[derive(Debug)]
pub(crate) struct Place {
    namespace: File,
}

#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) a: Place,
    pub(crate) r: Place,
    pub(crate) b: Place,
}

/// Runs a test in the lab; says loudly where there can be none, and fails where one is required.
pub(crate) fn in_lab(test: impl FnOnce(&Lab)) {
    match Lab::new() {
        Ok(lab) => test(&lab),
        Err(error) => not_run(&format!("no network namespace can be made: {error}")),
    }
}

pub(crate) fn not_run(why: &str) {
    let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
    assert!(!required, "required here, but {why}");
    // Past the test harness, which would keep the output of a passing test to itself.
    let _unheard = writeln!(io::stderr(), "NOT RUN, NOTHING TESTED: {why}");
}

// === impl Place ===

impl Place {
    fn new() -> io::Result<Self> {
        let made = thread::spawn(|| {
            // SAFETY: no pointers are passed; only this thread is affected.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // Addresses count at once.
            for key in ["all", "default"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{key}/accept_dad"), "0")?;
            }
            File::open("/proc/thread-self/ns/net")
        });
        let namespace = made.join().unwrap()?;
        Ok(Self { namespace })
    }

    /// Stays here with this thread.
    pub(crate) fn enter(&self) {
        // SAFETY: a valid descriptor of a network namespace; only this thread is affected.
        let entered = unsafe { libc::setns(self.namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
    }

    /// Does something in this namespace; what it starts is there too.
    pub(crate) fn within<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.enter();
            action()
        };
        thread::scope(|scope| {
            let result = scope.spawn(inside).join();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program here with this input; it must succeed.
    pub(crate) fn feed(&self, command: &[&str], input: &str) {
        self.within(|| {
            let mut child = Command::new(command[0]);
            let child = child.args(&command[1..]).stdin(Stdio::piped());
            let mut child = child
                .spawn()
                .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).unwrap();
            drop(stdin);
            let status = child.wait().unwrap();
            assert!(status.success(), "{command:?}: {status}\n{input}");
        });
    }

    pub(crate) fn ip(&self, lines: &str) {
        self.feed(&["ip", "-batch", "-"], lines);
    }

    /// Drops BFD packets that arrive here.
    pub(crate) fn go_deaf(&self) {
        let rules = "add table inet deaf\n\
                     add chain inet deaf in { type filter hook input priority 0; }\n\
                     add rule inet deaf in udp dport { 3784, 4784 } drop\n";
        self.feed(&["nft", "-f", "-"], rules);
    }

    pub(crate) fn hear_again(&self) {
        self.feed(&["nft", "-f", "-"], "delete table inet deaf\n");
    }

    /// As programs take it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.namespace.as_raw_fd())
    }
}

// === impl Lab ===

impl Lab {
    fn new() -> io::Result<Self> {
        let (a, r, b) = (Place::new()?, Place::new()?, Place::new()?);
        r.ip(&format!(
            "link set lo up\n\
             link add r0 type veth peer name a0 netns {}\n\
             link add r1 type veth peer name b0 netns {}\n\
             link set r0 up\n\
             link set r1 up\n\
             address add 192.0.2.2/28 dev r0\n\
             address add 2001:db8:1::2/64 dev r0 nodad\n\
             address add fe80::2/64 dev r0 nodad\n\
             address add 192.0.2.18/28 dev r1\n\
             address add 2001:db8:2::2/64 dev r1 nodad\n",
            a.path(),
            b.path()
        ));
        a.ip("link set lo up\n\
             link set a0 up\n\
             address add 192.0.2.1/28 dev a0\n\
             address add 2001:db8:1::1/64 dev a0 nodad\n\
             address add fe80::1/64 dev a0 nodad\n\
             route add default via 192.0.2.2\n\
             route add ::/0 via 2001:db8:1::2\n");
        b.ip("link set lo up\n\
             link set b0 up\n\
             address add 192.0.2.17/28 dev b0\n\
             address add 2001:db8:2::1/64 dev b0 nodad\n\
             route add default via 192.0.2.18\n\
             route add ::/0 via 2001:db8:2::2\n");
        r.within(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        })?;
        Ok(Self { a, r, b })
    }
}
