//! Two network namespaces joined by a veth: that of the router, and that of the generator, which
//! the calling thread is in.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::mem::size_of_val;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, thread};

use tempfile::TempDir;

/// Of the router.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Processors of the two sides.
pub const GENERATOR_CPU: usize = 0;
pub const ROUTER_CPU: usize = 1;

#[derive(Debug)]
pub struct Places {
    pub generator: File,
    pub router: File,
    pub directory: TempDir,
}

/// Of the peer with this number.
pub fn peer(number: usize) -> Ipv4Addr {
    let first = u32::from(ROUTER) + 1;
    Ipv4Addr::from(first + u32::try_from(number).unwrap())
}

impl Places {
    /// `None`, said loudly, where there can be no namespaces.
    pub fn new(peers: usize) -> Option<Self> {
        match Self::make(peers) {
            Ok(places) => Some(places),
            Err(error) => {
                let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|it| it == "1");
                assert!(!required, "required here: no network namespace: {error}");
                eprintln!("NOT RUN, NOTHING MEASURED: no network namespace can be made: {error}");
                None
            }
        }
    }

    fn make(peers: usize) -> io::Result<Self> {
        let made = || unshare().and_then(|()| here());
        let router = thread::spawn(made).join().unwrap()?;
        let places = Self {
            generator: made()?,
            router,
            directory: tempfile::tempdir()?,
        };
        // FRR's zebra gives up root.
        let anybody = Permissions::from_mode(0o777);
        fs::set_permissions(places.path(), anybody)?;
        let fd = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            places.router.as_raw_fd()
        );
        let mut lines = format!("link add peers type veth peer name router netns {fd}\n");
        lines += "link set lo up\nlink set peers up\n";
        for number in 0..peers {
            lines += &format!("address add {}/16 dev peers\n", peer(number));
        }
        ip_batch(&lines);
        places.in_router(|| {
            ip_batch(&format!(
                "link set lo up\nlink set router up\naddress add {ROUTER}/16 dev router\n"
            ));
        });
        Ok(places)
    }

    /// Does something in the router's namespace.
    pub fn in_router<T>(&self, work: impl FnOnce() -> T) -> T {
        enter(&self.router).unwrap();
        let result = work();
        enter(&self.generator).unwrap();
        result
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed; only this thread is affected.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn here() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// The calling thread goes there.
pub fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: a valid descriptor of a network namespace; only this thread is affected.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The calling thread, and those it starts, run on this processor alone; where there is none of
/// that number, on any.
pub fn pin(processor: usize) {
    // SAFETY: all zeroes are an empty set; the pointer is to a value of ours.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &raw const one);
    }
}

pub fn ip_batch(lines: &str) {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "{lines}");
}
