//! FRR: zebra and bgpd, asked by vtysh.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kube_router::bgp::wire::Origin;
use kube_router::net::{Family, Prefix};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::router::{Distance, FAR_AS, LOCAL_PREF, MED, Router, Setup, Side, TAG};
use crate::shown::Shown;
use crate::stage::{Stage, said, until};

#[derive(Debug)]
pub(crate) struct Frr {
    setup: Setup,
    run: PathBuf,
    bgpd: Daemon,
    _zebra: Daemon,
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn configuration(setup: &Setup) -> String {
    // Or all is told again some seconds after the start, as if somebody had asked.
    let mut text = "bgp route-map delay-timer 0\n".to_owned();
    for family in setup.families() {
        let (plain, rich) = (
            setup.plain(Side::Theirs, family),
            setup.rich(Side::Theirs, family),
        );
        // Filters of FRR's have a family each.
        let ip = match family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        };
        let _ = write!(
            text,
            "{ip} prefix-list plain permit {plain}\n\
             {ip} prefix-list rich permit {rich}\n\
             route-map told-{ip} permit 10\n \
             match {ip} address prefix-list plain\n\
             route-map told-{ip} permit 20\n \
             match {ip} address prefix-list rich\n \
             set origin incomplete\n \
             set metric {MED}\n \
             set local-preference {LOCAL_PREF}\n \
             set as-path prepend {FAR_AS}\n \
             set community {TAG}:7 {TAG}:8\n \
             set large-community {TAG}:1:2\n \
             set extcommunity rt {TAG}:9\n"
        );
    }
    let us = setup.our_address();
    let _ = write!(
        text,
        "router bgp {}\n \
         bgp router-id {}\n \
         bgp log-neighbor-changes\n \
         no bgp ebgp-requires-policy\n \
         no bgp network import-check\n \
         no bgp default ipv4-unicast\n\
         {} \
         neighbor {us} remote-as {}\n \
         neighbor {us} update-source {}\n \
         neighbor {us} timers connect 1\n",
        setup.their_as,
        setup.their_id(),
        graceful(setup),
        setup.our_as,
        setup.their_address(),
    );
    text += &options(setup);
    for family in setup.families() {
        let ip = match family {
            Family::V4 => "ip",
            Family::V6 => "ipv6",
        };
        let _ = write!(
            text,
            " address-family {} unicast\n  \
             network {}\n  \
             neighbor {us} activate\n  \
             neighbor {us} route-map told-{ip} out\n",
            name(family),
            setup.plain(Side::Theirs, family),
        );
        if setup.has_rich {
            let _ = writeln!(text, "  network {}", setup.rich(Side::Theirs, family));
        }
        if let Some(count) = setup.max_prefixes {
            let _ = writeln!(text, "  neighbor {us} maximum-prefix {count}");
        }
        text += " exit-address-family\n";
    }
    text
}

/// Before there are neighbours: for those that are there it comes too late.
fn graceful(setup: &Setup) -> String {
    let mut text = String::new();
    if let Some(time) = setup.restart_time {
        let _ = write!(
            text,
            " bgp graceful-restart\n \
             bgp graceful-restart preserve-fw-state\n \
             bgp graceful-restart restart-time {time}\n"
        );
    }
    if setup.over_notifications {
        // Or "clear" is a hard reset, which is not graceful (RFC 8538 section 3.1).
        text += " bgp graceful-restart notification\n no bgp hard-administrative-reset\n";
    }
    text
}

/// Of the session.
fn options(setup: &Setup) -> String {
    let us = setup.our_address();
    let hold = setup.hold_time;
    let mut text = format!(" neighbor {us} timers {} {hold}\n", hold / 3);
    if let Some(password) = setup.password {
        let _ = writeln!(text, " neighbor {us} password {password}");
    }
    if setup.over == Family::V6 && setup.families.v4 {
        let _ = writeln!(text, " neighbor {us} capability extended-nexthop");
    }
    let _ = match setup.distance {
        Distance::Link => Ok(()),
        Distance::Security(hops) => writeln!(text, " neighbor {us} ttl-security hops {hops}"),
    };
    text
}

// === impl Frr ===

impl Frr {
    /// Commands are carried out one after the other; what they say follows each other.
    fn vtysh(&self, commands: &[&str]) -> Option<String> {
        let run = self.run.to_str().expect("of ASCII");
        let mut arguments = vec!["--vty_socket", run, "-d", "bgpd"];
        for command in commands {
            arguments.extend(["-c", command]);
        }
        said("vtysh", &arguments)
    }

    fn ask(&self, question: &str) -> Value {
        let text = self.vtysh(&[question]).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn route(&self, family: Family, prefix: &str) -> Option<Shown> {
        let route = self.ask(&format!("show bgp {} unicast {prefix} json", name(family)));
        let us = self.setup.our_address().to_string();
        let paths = route["paths"].as_array()?;
        let path = paths.iter().find(|path| path["peer"]["peerId"] == *us)?;
        shown(path)
    }
}

impl Router for Frr {
    const NAME: &'static str = "FRR";
    const PROGRAMS: &'static [&'static str] = &["zebra", "bgpd", "vtysh"];
    const SHOWS_LOCAL_PREF: bool = false;
    const INSTALLS: bool = true;
    const TELLS_MED: bool = true;

    fn start(stage: &Stage, setup: &Setup) -> Self {
        // They give up root.
        let run = stage.directory().join("run");
        let _ = fs::remove_dir_all(&run);
        fs::create_dir(&run).expect("a directory to write to");
        fs::set_permissions(&run, Permissions::from_mode(0o777)).expect("our own directory");
        let write = |file, text: &str| {
            let file = stage.directory().join(file);
            fs::write(file, text).expect("a directory to write to");
        };
        write("zebra.conf", "");
        write("bgpd.conf", &configuration(setup));
        let start = |name: &str| {
            let (program, file) = (format!("/usr/lib/frr/{name}"), format!("{name}.conf"));
            let (socket, pid) = (run.join("zserv"), run.join(format!("{name}.pid")));
            let texts = [&run, &socket, &pid].map(|path| path.to_str().expect("of ASCII"));
            let [run, socket, pid] = texts;
            let common = ["-P", "0", "--log", "stdout", "--vty_socket", run];
            let own = ["-f", &file, "-i", pid, "-z", socket];
            stage.start(&program, &[common, own].concat())
        };
        let mut zebra = start("zebra");
        until("zebra listens", || {
            assert!(!zebra.has_ended(), "zebra does not start");
            run.join("zserv").exists().then_some(())
        });
        let mut frr = Self {
            bgpd: start("bgpd"),
            _zebra: zebra,
            run,
            setup: setup.clone(),
        };
        until("FRR can be asked", || {
            assert!(!frr.bgpd.has_ended(), "bgpd does not start");
            let neighbors = frr.ask("show bgp neighbors json");
            let us = setup.our_address().to_string();
            neighbors.get(us).map(|_| ())
        });
        frr
    }

    fn is_up(&self) -> bool {
        let us = self.setup.our_address().to_string();
        let neighbor = self.ask(&format!("show bgp neighbors {us} json"));
        neighbor[us]["bgpState"] == "Established"
    }

    fn learned(&self) -> BTreeMap<Prefix, Shown> {
        let us = self.setup.our_address().to_string();
        let is_ours = |paths: &Value| {
            let paths = paths.as_array().into_iter().flatten();
            paths.into_iter().any(|path| path["peerId"] == *us)
        };
        let mut learned = BTreeMap::new();
        for family in self.setup.families() {
            // Those of a neighbour alone are not shown while its session is down.
            let all = self.ask(&format!("show bgp {} unicast json", name(family)));
            let routes = all["routes"].as_object().into_iter().flatten();
            for (prefix, _) in routes.filter(|(_, paths)| is_ours(paths)) {
                if let (Ok(key), Some(route)) = (prefix.parse(), self.route(family, prefix)) {
                    learned.insert(key, route);
                }
            }
        }
        learned
    }

    fn withdraw_rich(&self) {
        for family in self.setup.families() {
            let done = self.vtysh(&[
                "configure",
                &format!("router bgp {}", self.setup.their_as),
                &format!("address-family {} unicast", name(family)),
                &format!("no network {}", self.setup.rich(Side::Theirs, family)),
            ]);
            assert!(done.is_some(), "configured");
        }
    }

    fn ask_again(&self) -> bool {
        for family in self.setup.families() {
            let us = self.setup.our_address();
            let command = format!("clear bgp {} unicast {us} soft in", name(family));
            assert!(self.vtysh(&[&command]).is_some(), "{command}");
        }
        true
    }

    fn kill(&mut self) {
        self.bgpd.kill();
    }

    fn shut_down(&self, text: &str) {
        let us = self.setup.our_address();
        let done = self.vtysh(&[
            "configure",
            &format!("router bgp {}", self.setup.their_as),
            &format!("neighbor {us} shutdown message {text}"),
        ]);
        assert!(done.is_some(), "configured");
    }

    fn reset(&self) {
        let command = format!("clear bgp {}", self.setup.our_address());
        assert!(self.vtysh(&[&command]).is_some(), "{command}");
    }

    fn tells(&self) -> String {
        let us = self.setup.our_address();
        let shown = self.vtysh(&[&format!("show bgp neighbors {us}")]);
        shown.unwrap_or_default() + &self.bgpd.log()
    }
}

fn shown(path: &Value) -> Option<Shown> {
    let hops = path["nexthops"].as_array()?;
    let global = hops.iter().find(|hop| hop["scope"] != "link-local")?;
    let asns = path["aspath"]["segments"].as_array()?.iter();
    let asns = asns.flat_map(|segment| segment["list"].as_array().into_iter().flatten());
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let extended = path["extendedCommunity"]["string"].as_str();
    Some(Shown {
        origin: match path["origin"].as_str()? {
            "IGP" => Origin::Igp,
            "EGP" => Origin::Egp,
            _ => Origin::Incomplete,
        },
        as_path: asns.filter_map(number).collect(),
        next_hop: global["ip"].as_str()?.parse().ok()?,
        med: number(&path["metric"]),
        local_pref: number(&path["locPrf"]),
        communities: parsed(&path["community"]["list"]).collect(),
        large: parsed(&path["largeCommunity"]["list"]).collect(),
        extended: extended
            .into_iter()
            .flat_map(|text| text.split(' '))
            .map(str::to_lowercase)
            .collect(),
        originator: path["originatorId"].as_str().and_then(|id| id.parse().ok()),
        clusters: parsed(&path["clusterList"]["list"]).collect(),
    })
}

fn parsed<T: std::str::FromStr>(list: &Value) -> impl Iterator<Item = T> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|text| text.as_str()?.parse().ok())
}
