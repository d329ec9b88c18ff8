//! FRR: zebra, which knows the links, and bfdd, asked by vtysh.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube_router::bfd::Diagnostic;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::end::until;
use crate::interop::{Router, Setup, Shown, address};

#[derive(Debug)]
pub(crate) struct Frr {
    run: PathBuf,
    _bfdd: Daemon,
    _zebra: Daemon,
}

/// A session's own words for each session.
fn sessions(setup: Setup) -> Vec<Vec<String>> {
    let way = if setup.is_multihop {
        "multihop"
    } else {
        "interface r0"
    };
    let one = |(its, ours): (&str, &str)| {
        let peer = if setup.is_multihop {
            format!("peer {ours} {way} local-address {its}")
        } else {
            format!("peer {ours} local-address {its} {way}")
        };
        vec![
            peer,
            format!("detect-multiplier {}", setup.multiplier),
            format!("receive-interval {}", setup.interval),
            format!("transmit-interval {}", setup.interval),
        ]
    };
    setup.pairs().map(one).to_vec()
}

// === impl Frr ===

impl Frr {
    fn vtysh(&self, commands: &[&str]) -> Option<String> {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(&self.run);
        vtysh.args(["-d", "bfdd"]).stdin(Stdio::null());
        for command in commands {
            vtysh.args(["-c", command]);
        }
        let output = vtysh.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }
}

impl Router for Frr {
    const PROGRAMS: &'static [&'static str] = &["/usr/lib/frr/zebra", "/usr/lib/frr/bfdd"];
    const TTL: u8 = 254;

    fn start(directory: &Path, setup: Setup) -> Self {
        // They give up root.
        let run = directory.join("run");
        fs::create_dir(&run).unwrap();
        for (path, mode) in [(directory, 0o755), (&run, 0o777)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let mut text = "bfd\n".to_owned();
        for session in sessions(setup) {
            let _ = writeln!(text, " {}\n !", session.join("\n  "));
        }
        fs::write(directory.join("zebra.conf"), "").unwrap();
        fs::write(directory.join("bfdd.conf"), text).unwrap();
        let path = |name: &str| run.join(name).to_str().unwrap().to_owned();
        let start = |name: &str, more: &[&str]| {
            let (file, pid) = (format!("{name}.conf"), path(&format!("{name}.pid")));
            let common =
                ["-P", "0", "--log", "stdout", "--vty_socket", &path("")].map(String::from);
            let own = ["-f", &file, "-i", &pid, "-z", &path("zserv")].map(String::from);
            let more: Vec<_> = more.iter().map(ToString::to_string).collect();
            let arguments = [&common[..], &own[..], &more[..]].concat();
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            Daemon::start(directory, &format!("/usr/lib/frr/{name}"), &arguments)
        };
        let zebra = start("zebra", &[]);
        until("zebra listens", || run.join("zserv").exists());
        let bfdd = start("bfdd", &["--bfdctl", &path("bfdd.sock")]);
        let frr = Self {
            run,
            _bfdd: bfdd,
            _zebra: zebra,
        };
        until("bfdd can be asked", || frr.shown().len() == 2);
        frr
    }

    fn set(&mut self, setup: Setup) {
        for session in sessions(setup) {
            let mut commands = vec!["configure terminal", "bfd"];
            commands.extend(session.iter().map(String::as_str));
            self.vtysh(&commands).unwrap();
        }
    }

    fn shown(&self) -> BTreeMap<IpAddr, Shown> {
        let text = self.vtysh(&["show bfd peers json"]).unwrap_or_default();
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        let all = all.as_array().into_iter().flatten();
        let shown = all.filter_map(|peer| {
            let reason = |name: &str| reason(peer[name].as_str()?);
            let shown = Shown {
                is_up: peer["status"] == "up",
                diagnostics: Some([reason("diagnostic")?, reason("remote-diagnostic")?]),
            };
            Some((address(peer["peer"].as_str()?)?, shown))
        });
        shown.collect()
    }
}

fn reason(text: &str) -> Option<Diagnostic> {
    Some(match text {
        "ok" => Diagnostic::None,
        "control detection time expired" => Diagnostic::DetectionTimeExpired,
        "neighbor signaled session down" => Diagnostic::NeighborSignaledDown,
        "administratively down" => Diagnostic::AdministrativelyDown,
        _ => panic!("unknown diagnostic {text}"),
    })
}
