//! The routers that are measured: ours, and those of others as their packages ship them, with all
//! that has nothing to do with BGP switched off.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use serde_json::Value;

use super::places::{Places, ROUTER, peer};
use super::process::Process;

/// Of the router.
pub const AS: u32 = 65_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Bird,
    Frr,
    GoBgp,
}

/// What the router is to be.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub peers: usize,
    /// A route reflector with clients; else each peer is an AS of its own.
    pub reflected: bool,
    /// Tells its peers what it learned.
    pub tells: bool,
}

#[derive(Debug)]
pub struct Router {
    pub process: Process,
    kind: Kind,
    /// What it needs beside it.
    _zebra: Option<Process>,
}

impl Setup {
    pub fn peer_as(&self, number: usize) -> u32 {
        if self.reflected {
            AS
        } else {
            AS + 1 + u32::try_from(number).unwrap()
        }
    }

    fn all(&self) -> impl Iterator<Item = (Ipv4Addr, u32)> {
        (0..self.peers).map(|number| (peer(number), self.peer_as(number)))
    }
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Ours, Self::Bird, Self::Frr, Self::GoBgp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Bird => "BIRD",
            Self::Frr => "FRR bgpd",
            Self::GoBgp => "GoBGP",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Ours => &[],
            Self::Bird => &["/usr/sbin/bird", "/usr/sbin/birdc"],
            Self::Frr => &["/usr/lib/frr/bgpd", "/usr/lib/frr/zebra", "/usr/bin/vtysh"],
            Self::GoBgp => &["/usr/bin/gobgpd", "/usr/bin/gobgp"],
        }
    }

    /// Those that are installed; the others are named loudly.
    pub fn installed() -> Vec<Self> {
        let mut all = Self::ALL.to_vec();
        all.retain(|kind| {
            let mut programs = kind.programs().iter();
            let missing = programs.find(|program| !Path::new(program).is_file());
            if let Some(program) = missing {
                let name = kind.name();
                eprintln!("NOT MEASURED: {name} is not installed ({program} is missing)");
            }
            missing.is_none()
        });
        all
    }

    pub fn start(self, places: &Places, setup: &Setup) -> Router {
        let zebra = (self == Self::Frr).then(|| zebra(places));
        let process = match self {
            Self::Ours => {
                let own = env::current_exe().unwrap();
                let arguments = super::ours::arguments(setup);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                Process::start(places, own.to_str().unwrap(), &arguments, true)
            }
            Self::Bird => {
                fs::write(places.path().join("bird.conf"), bird(setup)).unwrap();
                let arguments = "-f -c bird.conf -s bird.ctl -P bird.pid";
                Process::start(places, self.programs()[0], &words(arguments), false)
            }
            Self::Frr => {
                fs::write(places.path().join("bgpd.conf"), frr(setup)).unwrap();
                let run = places.path().to_str().unwrap();
                // It asks zebra about next hops, but gives it no routes.
                let arguments = "-S -n -P 0 -f bgpd.conf -i bgpd.pid -z zserv --log stdout";
                let mut arguments = words(arguments);
                arguments.extend(["--vty_socket", run]);
                Process::start(places, self.programs()[0], &arguments, false)
            }
            Self::GoBgp => {
                fs::write(places.path().join("gobgpd.toml"), gobgp(setup)).unwrap();
                let api = format!("unix://{}", places.path().join("gobgpd.api").display());
                // It does not start where its socket is left.
                let _none = fs::remove_file(places.path().join("gobgpd.api"));
                let mut arguments = words("-f gobgpd.toml --pprof-disable -l warn --api-hosts");
                arguments.push(&api);
                Process::start(places, self.programs()[0], &arguments, false)
            }
        };
        Router {
            process,
            kind: self,
            _zebra: zebra,
        }
    }
}

impl Router {
    /// How many routes it has; no prefix may have two.
    pub fn prefixes(&mut self, places: &Places) -> Option<usize> {
        let path = places.path().to_str().unwrap();
        match self.kind {
            Kind::Ours => {
                let child = &mut self.process.child;
                child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
                let mut line = String::new();
                let mut output = BufReader::new(child.stdout.as_mut().unwrap());
                output.read_line(&mut line).unwrap();
                line.trim().parse().ok()
            }
            Kind::Bird => {
                let socket = format!("{path}/bird.ctl");
                let count = ["-r", "-s", &socket, "show", "route", "count"];
                let said = said("birdc", &count);
                let before = said.split(" networks").next()?;
                before.rsplit(' ').next()?.parse().ok()
            }
            Kind::Frr => {
                let question = "show bgp ipv4 unicast summary json";
                let said = said(
                    "vtysh",
                    &["--vty_socket", path, "-d", "bgpd", "-c", question],
                );
                let said: Value = serde_json::from_str(&said).ok()?;
                // The count of its table is that of the tree's inner nodes, too.
                let peers = said["peers"].as_object()?.values();
                let count = peers
                    .filter_map(|peer| peer["pfxRcd"].as_u64())
                    .sum::<u64>();
                usize::try_from(count).ok()
            }
            Kind::GoBgp => {
                let target = format!("unix://{path}/gobgpd.api");
                let said = said("gobgp", &["--target", &target, "global", "rib", "summary"]);
                let count = said.split("Destination: ").nth(1)?.split(',').next()?;
                count.parse().ok()
            }
        }
    }
}

/// Its processor time is not counted.
fn zebra(places: &Places) -> Process {
    let socket = places.path().join("zserv");
    let _none = fs::remove_file(&socket);
    let arguments = "-P 0 -i zebra.pid -z zserv --log stdout --vty_socket";
    let mut arguments = words(arguments);
    arguments.push(places.path().to_str().unwrap());
    let mut zebra = Process::start(places, Kind::Frr.programs()[1], &arguments, false);
    while !socket.exists() {
        assert!(!zebra.has_ended(), "zebra does not start");
        thread::sleep(Duration::from_millis(20));
    }
    zebra
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn bird(setup: &Setup) -> String {
    let mut text = format!("router id {ROUTER};\nlog stderr all;\nprotocol device {{ }}\n");
    let export = if setup.tells { "all" } else { "none" };
    for (number, (address, asn)) in setup.all().enumerate() {
        let client = if setup.reflected { "rr client;" } else { "" };
        let _ = writeln!(
            text,
            "protocol bgp p{number} {{ local {ROUTER} as {AS}; neighbor {address} as {asn}; \
             direct; passive; {client} ipv4 {{ import all; export {export}; }}; }}"
        );
    }
    text
}

fn frr(setup: &Setup) -> String {
    let mut text = format!(
        "route-map none deny 10\nrouter bgp {AS}\n bgp router-id {ROUTER}\n \
         no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n \
         no bgp network import-check\n"
    );
    for (address, asn) in setup.all() {
        let _ = write!(
            text,
            " neighbor {address} remote-as {asn}\n neighbor {address} passive\n"
        );
    }
    text += " address-family ipv4 unicast\n";
    for (address, _) in setup.all() {
        let _ = writeln!(text, "  neighbor {address} activate");
        if setup.reflected {
            let _ = writeln!(text, "  neighbor {address} route-reflector-client");
        }
        if !setup.tells {
            let _ = writeln!(text, "  neighbor {address} route-map none out");
        }
    }
    text + " exit-address-family\n"
}

fn gobgp(setup: &Setup) -> String {
    let mut text = format!(
        "[global.config]\nas = {AS}\nrouter-id = \"{ROUTER}\"\n\
         local-address-list = [\"{ROUTER}\"]\n"
    );
    if !setup.tells {
        text += "[global.apply-policy.config]\ndefault-export-policy = \"reject-route\"\n";
    }
    for (address, asn) in setup.all() {
        let _ = write!(
            text,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\n\
             peer-as = {asn}\n[neighbors.transport.config]\npassive-mode = true\n"
        );
        if setup.reflected {
            let _ = write!(
                text,
                "[neighbors.route-reflector.config]\nroute-reflector-client = true\n\
                 route-reflector-cluster-id = \"{ROUTER}\"\n"
            );
        }
        text += "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n\
                 afi-safi-name = \"ipv4-unicast\"\n";
    }
    text
}
