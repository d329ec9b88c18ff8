//! A program on the router's processor and in its namespace, which ends with the bench.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::places::{Places, ROUTER_CPU, enter, pin};

#[derive(Debug)]
pub struct Process {
    pub child: Child,
}

impl Process {
    /// What it says goes to a file of its name; its input and output are pipes if `talks`.
    pub fn start(places: &Places, program: &str, arguments: &[&str], talks: bool) -> Self {
        Self::start_in(&places.router, places, program, arguments, talks)
    }

    /// In this namespace.
    pub fn start_in(
        namespace: &File,
        places: &Places,
        program: &str,
        arguments: &[&str],
        talks: bool,
    ) -> Self {
        let name = program.rsplit('/').next().unwrap();
        let log = File::create(places.path().join(format!("{name}.log"))).unwrap();
        let namespace = namespace.try_clone().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(places.path());
        if talks {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap());
        }
        command.stderr(log);
        // SAFETY: these are system calls that touch only the new process, which dies with the
        // bench's thread whatever becomes of that.
        unsafe {
            command.pre_exec(move || {
                debug_assert!(namespace.as_raw_fd() > 2);
                enter(&namespace)?;
                pin(ROUTER_CPU);
                match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self { child }
    }

    /// Processor time of all its threads.
    pub fn cpu(&self) -> Duration {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        let mut clock = 0;
        // SAFETY: the pointer is to a value of ours.
        assert_eq!(unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) }, 0);
        read(clock)
    }

    /// All that it says until it ends.
    pub fn output(mut self) -> String {
        let mut said = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut said).unwrap();
        said
    }

    /// Octets of memory that are there now.
    pub fn resident(&self) -> u64 {
        status(&self.child.id().to_string(), "VmRSS:")
    }

    /// The most that there were.
    pub fn peak(&self) -> u64 {
        status(&self.child.id().to_string(), "VmHWM:")
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Processor time of this process.
pub fn own_cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Octets of memory of this process.
pub fn own_resident() -> u64 {
    status("self", "VmRSS:")
}

fn read(clock: libc::clockid_t) -> Duration {
    // SAFETY: all zeroes are a time, and the pointer is to that.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        assert_eq!(libc::clock_gettime(clock, &raw mut time), 0);
        time
    };
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

fn status(process: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}
