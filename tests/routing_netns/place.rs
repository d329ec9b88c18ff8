//! Namespaces joined by veths, and tools run inside them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, io, thread};

/// What anything may take on a machine that other tests share.
pub(crate) const LONG: Duration = Duration::from_secs(30);

fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread is affected.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs a test on a thread of its own inside a new network namespace with loopback up.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let body = move || match unshare() {
        Ok(()) => {
            tool("ip link set lo up");
            test();
        }
        Err(error) => {
            let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "required here, but no network namespace can be made: {error}"
            );
            eprintln!("NOT RUN: no network namespace can be made: {error}");
        }
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// The standard output of a tool that must succeed.
pub(crate) fn tool(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, arguments) = words.split_first().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Another namespace.
#[derive(Debug)]
pub(crate) struct Place(File);

impl Place {
    /// A namespace with `eth0`, whose other end is `link` here.
    pub(crate) fn new(link: &str) -> Self {
        tool(&format!("ip link add {link} type veth peer name there"));
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let inside = thread::spawn(move || {
            unshare().unwrap();
            // SAFETY: gettid always succeeds.
            tell.send(unsafe { libc::gettid() }).unwrap();
            wait.recv().unwrap();
            tool("ip link set lo up");
            tool("ip link set there name eth0 up");
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        });
        let thread = told.recv().unwrap();
        tool(&format!("ip link set there netns {thread}"));
        go.send(()).unwrap();
        let place = inside.join().unwrap();
        tool(&format!("ip link set {link} up"));
        place
    }

    /// Does something inside, on a thread of its own.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // SAFETY: a valid descriptor of a network namespace; only this thread is affected.
                let entered = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
                what()
            });
            inside.join().unwrap()
        })
    }

    pub(crate) fn tools(&self, commands: &[&str]) {
        self.run(|| {
            for command in commands {
                tool(command);
            }
        });
    }
}

/// Waits until it is so; what it is otherwise comes into the failure.
pub(crate) fn eventually<T: PartialEq + std::fmt::Debug>(
    expected: &T,
    mut look: impl FnMut() -> T,
) {
    let begin = Instant::now();
    loop {
        let seen = look();
        if seen == *expected {
            return;
        }
        assert!(
            begin.elapsed() < LONG,
            "expected {expected:#?}, but {seen:#?}"
        );
        thread::park_timeout(Duration::from_millis(2));
    }
}
