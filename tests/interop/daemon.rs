//! A program that runs beside the test and ends with it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{io, thread};

/// Lines of its log that are shown when a test fails.
const LAST_LINES: usize = 60;

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

// === impl Daemon ===

impl Daemon {
    /// In the current namespace; what it says goes to a file of its name.
    pub(crate) fn start(directory: &Path, program: &str, arguments: &[&str]) -> Self {
        let name = Path::new(program).file_name().expect("a program's name");
        let log = directory.join(name).with_extension("log");
        let out = File::options().append(true).create(true).open(&log);
        let out = out.expect("a directory to write to");
        let errors = out.try_clone().expect("a descriptor");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory);
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        // SAFETY: prctl is async-signal-safe and touches only the new process, which dies with
        // the test's thread whatever becomes of that.
        unsafe {
            command.pre_exec(
                || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                },
            );
        }
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
        Self { child, log }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    #[allow(dead_code, reason = "shared by two test programs")]
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// At once, without a word.
    pub(crate) fn kill(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if !thread::panicking() {
            return;
        }
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        eprintln!("--- {}\n{}", self.log.display(), last.join("\n"));
    }
}
