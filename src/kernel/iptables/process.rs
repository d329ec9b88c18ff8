//! Runs one program to its end, but no longer than it may take.
//!
//! Input and outputs are files in memory, so nothing can block on a pipe. The wait ends by the
//! process's own descriptor; at the deadline the process is killed, and reaped in any case.
#![expect(
    unsafe_code,
    reason = "memfd_create and pidfd_open have no wrapper in std"
)]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program said.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` if it was killed at the deadline.
    pub(super) status: Option<ExitStatus>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

pub(super) fn run(
    program: &Path,
    arguments: &[&str],
    input: &str,
    deadline: Duration,
) -> io::Result<Output> {
    let mut stdin = memory_file()?;
    stdin.write_all(input.as_bytes())?;
    stdin.seek(SeekFrom::Start(0))?;
    let (stdout, stderr) = (memory_file()?, memory_file()?);
    #[expect(
        clippy::disallowed_methods,
        reason = "the one room that may start a program"
    )]
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", super::handle::SEARCH_PATH)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout.try_clone()?))
        .stderr(Stdio::from(stderr.try_clone()?))
        .spawn()?;
    let status = wait(&mut child, deadline);
    if !matches!(status, Ok(Some(_))) {
        // Not reaped yet, so its number cannot have passed to another process.
        child.kill()?;
        child.wait()?;
    }
    Ok(Output {
        status: status?,
        stdout: read_back(stdout)?,
        stderr: read_back(stderr)?,
    })
}

/// The exit status, or nothing at the deadline.
#[expect(
    clippy::disallowed_methods,
    reason = "signals interrupt the wait, the deadline stays"
)]
fn wait(child: &mut Child, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    let (descriptor, start) = (process_descriptor(child)?, Instant::now());
    let mut entry = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        let milliseconds = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: `entry` is one valid pollfd.
        let ready = unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
        if ready > 0 {
            return child.wait().map(Some);
        }
        if ready == 0 {
            return Ok(None);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn process_descriptor(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = RawFd::try_from(result).unwrap_or(-1);
    owned(fd)
}

fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a zero-terminated string that outlives the call.
    let fd = unsafe { libc::memfd_create(c"iptables".as_ptr(), libc::MFD_CLOEXEC) };
    owned(fd).map(File::from)
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, valid and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What was written to a file in memory; bytes that are no UTF-8 are replaced.
fn read_back(mut file: File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
