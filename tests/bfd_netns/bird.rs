//! BIRD, asked by birdc.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::end::until;
use crate::interop::{Router, Setup, Shown, address};

#[derive(Debug)]
pub(crate) struct Bird {
    directory: PathBuf,
    _daemon: Daemon,
}

fn configuration(setup: Setup) -> String {
    let Setup {
        interval,
        multiplier,
        ..
    } = setup;
    let timers = format!("{{ interval {interval} ms; multiplier {multiplier}; }}");
    let mut text = format!(
        "router id 192.0.2.2;\n\
         log stderr all;\n\
         protocol device {{}}\n\
         protocol bfd {{\n \
         interface \"*\" {timers};\n \
         multihop {timers};\n"
    );
    for (its, ours) in setup.pairs() {
        let _ = if setup.is_multihop {
            writeln!(text, " neighbor {ours} local {its} multihop on;")
        } else {
            writeln!(text, " neighbor {ours} dev \"r0\" local {its};")
        };
    }
    text + "}\n"
}

// === impl Bird ===

impl Bird {
    fn birdc(&self, words: &[&str]) -> Option<String> {
        let mut birdc = Command::new("birdc");
        birdc.arg("-s").arg(self.directory.join("bird.ctl"));
        let output = birdc.args(words).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }
}

impl Router for Bird {
    const PROGRAMS: &'static [&'static str] = &["/usr/sbin/bird", "/usr/sbin/birdc"];
    // It sends them with the system's default of 64.
    const TTL: u8 = 63;

    fn start(directory: &Path, setup: Setup) -> Self {
        fs::write(directory.join("bird.conf"), configuration(setup)).unwrap();
        let arguments = ["-f", "-c", "bird.conf", "-s", "bird.ctl"];
        let bird = Self {
            directory: directory.to_owned(),
            _daemon: Daemon::start(directory, "/usr/sbin/bird", &arguments),
        };
        until("BIRD can be asked", || bird.shown().len() == 2);
        bird
    }

    fn set(&mut self, setup: Setup) {
        fs::write(self.directory.join("bird.conf"), configuration(setup)).unwrap();
        let done = self.birdc(&["configure"]).unwrap();
        assert!(done.contains("Reconfigured"), "{done}");
    }

    fn shown(&self) -> BTreeMap<IpAddr, Shown> {
        let text = self.birdc(&["show", "bfd", "sessions"]).unwrap_or_default();
        // Address, interface, state, since, interval, timeout.
        let shown = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = address(words.next()?)?;
            let shown = Shown {
                is_up: words.nth(1)? == "Up",
                diagnostics: None,
            };
            Some((address, shown))
        });
        shown.collect()
    }
}
