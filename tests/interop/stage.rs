//! Two network namespaces joined by a veth: ours, which the test's thread is in, and theirs.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use kube_router::net::Family;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::router::Router;

/// How long anything may take; a loaded host has no effect on what is right.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const OUR_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const OUR_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// Where a test happens.
#[derive(Debug)]
pub(crate) struct Stage {
    ours: File,
    theirs: File,
    directory: TempDir,
}

/// Runs tests side by side, each on a thread of its own with a stage of its own. Where the router
/// is not installed or namespaces are refused it says so and does nothing, unless
/// `KUBE_ROUTER_REQUIRE_NETNS=1` turns that into a failure.
pub(crate) fn on_stages<R: Router, T: FnOnce(&Stage) + Send + 'static>(
    tests: impl IntoIterator<Item = T>,
) {
    let tests = tests.into_iter();
    let threads: Vec<_> = tests
        .map(|test| thread::spawn(move || on_one::<R>(test)))
        .collect();
    let mut panics: Vec<_> = threads
        .into_iter()
        .filter_map(|thread| thread.join().err())
        .collect();
    if let Some(panic) = panics.pop() {
        std::panic::resume_unwind(panic);
    }
}

fn on_one<R: Router>(test: impl FnOnce(&Stage)) {
    let stage = match missing(R::PROGRAMS) {
        Some(program) => Err(format!(
            "{} is not installed: {program} is missing",
            R::NAME
        )),
        None => Stage::new().map_err(|error| format!("no network namespace: {error}")),
    };
    match stage {
        Ok(stage) => test(&stage),
        Err(reason) => {
            let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|it| it == "1");
            assert!(!required, "required here: {reason}");
            // Past the test harness, which keeps the output of a passing test to itself.
            let _unheard = writeln!(io::stderr(), "NOT RUN, NOTHING TESTED: {reason}");
        }
    }
}

fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let is_there = |program: &str| {
        let places = ["", "/usr/sbin/", "/usr/bin/", "/sbin/", "/usr/lib/frr/"];
        places
            .iter()
            .any(|place| Path::new(&format!("{place}{program}")).is_file())
    };
    programs.iter().copied().find(|program| !is_there(program))
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(30));
    }
}

/// Asks until the answer is the right one, and shows the last one that was not.
pub(crate) fn until_equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &T,
    mut question: impl FnMut() -> T,
) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = question();
        if found == *wanted {
            return;
        }
        assert!(
            Instant::now() < end,
            "not within {PATIENCE:?}: {what}\nwanted: {wanted:#?}\nfound: {found:#?}"
        );
        thread::sleep(Duration::from_millis(30));
    }
}

pub(crate) fn our_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => OUR_V4.into(),
        Family::V6 => OUR_V6.into(),
    }
}

pub(crate) fn their_address(host: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 77, 0, host).into(),
        Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host.into()).into(),
    }
}

// === impl Stage ===

impl Stage {
    fn new() -> io::Result<Self> {
        let made = || unshare().and_then(|()| here());
        let theirs = thread::spawn(made)
            .join()
            .map_err(|_| io::Error::other("a thread died"))??;
        let stage = Self {
            ours: made()?,
            theirs,
            directory: tempfile::tempdir()?,
        };
        // Some routers give up root before they look for their files.
        fs::set_permissions(stage.directory(), Permissions::from_mode(0o755))?;
        let peer = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            stage.theirs.as_raw_fd()
        );
        stage.ip(&format!(
            "link add to-them type veth peer name to-us netns {peer}"
        ));
        stage.ip(&link("to-them", 1));
        stage.in_theirs(|| stage.ip(&link("to-us", 2)));
        Ok(stage)
    }

    /// For what the routers need and leave.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Does something in their namespace.
    pub(crate) fn in_theirs<T>(&self, work: impl FnOnce() -> T) -> T {
        enter(&self.theirs);
        let result = work();
        enter(&self.ours);
        result
    }

    /// Carries out lines of ip(8) in the current namespace.
    pub(crate) fn ip(&self, lines: &str) {
        let file = self.directory().join("batch");
        fs::write(&file, lines).expect("a directory to write to");
        let output = Command::new("ip").arg("-batch").arg(&file).output();
        let output = output.expect("ip(8) is installed");
        assert!(output.status.success(), "{lines}\n{output:?}");
    }

    /// Carries out a script of nft(8) in the current namespace.
    pub(crate) fn nft(&self, script: &str) {
        let done = said("nft", &[script]);
        assert!(done.is_some(), "{script}");
    }

    /// Whether somebody in the current namespace has a connection under way.
    pub(crate) fn has_dialed(&self) -> bool {
        const SYN_SENT: &str = " 02 ";
        let sockets = fs::read_to_string("/proc/thread-self/net/tcp");
        sockets.expect("proc(5)").contains(SYN_SENT)
    }

    /// Packets that the kernel has not given to sockets here for having come too far (RFC 5082).
    pub(crate) fn ttl_drops(&self) -> u64 {
        let text = fs::read_to_string("/proc/thread-self/net/netstat").expect("proc(5)");
        let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
        let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
        let mut all = names.split(' ').zip(numbers.split(' '));
        let drops = all.find(|(name, _)| *name == "TCPMinTTLDrop");
        drops
            .and_then(|(_, number)| number.parse().ok())
            .expect("a number")
    }

    /// Starts a program in their namespace.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Daemon {
        self.in_theirs(|| Daemon::start(self.directory(), program, arguments))
    }
}

/// What a program says on its standard output; nothing if it fails.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

fn link(name: &str, host: u8) -> String {
    format!(
        "link set lo up\n\
         link set {name} addrgenmode none\n\
         link set {name} up\n\
         address add 10.77.0.{host}/24 dev {name}\n\
         address add fd77::{host}/64 dev {name} nodad\n\
         address add fe80::{host}/64 dev {name} nodad\n"
    )
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

fn enter(namespace: &File) {
    // SAFETY: a valid descriptor of a network namespace; only this thread is affected.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
}
