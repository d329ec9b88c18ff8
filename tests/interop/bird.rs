//! BIRD 2, asked by birdc.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use kube_router::bgp::wire::{Community, LargeCommunity, Origin};
use kube_router::net::{Family, Prefix};

use crate::daemon::Daemon;
use crate::router::{Distance, FAR_AS, LOCAL_PREF, MED, Router, Setup, Side, TAG};
use crate::shown::Shown;
use crate::stage::{Stage, said, until};

#[derive(Debug)]
pub(crate) struct Bird {
    socket: PathBuf,
    families: Vec<Family>,
    daemon: Daemon,
}

fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

fn configuration(setup: &Setup) -> String {
    let mut text = format!(
        "router id {};\n\
         log stderr all;\n\
         protocol device {{ }}\n\
         protocol direct {{ ipv4; ipv6; }}\n\
         protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}\n\
         filter told {{\n\
         if proto ~ \"plain*\" then accept;\n\
         if proto ~ \"rich*\" then {{\n\
         bgp_origin = ORIGIN_INCOMPLETE; bgp_med = {MED}; bgp_local_pref = {LOCAL_PREF};\n\
         bgp_path.prepend({FAR_AS});\n\
         bgp_community.add(({TAG}, 7)); bgp_community.add(({TAG}, 8));\n\
         bgp_large_community.add(({TAG}, 1, 2)); bgp_ext_community.add((rt, {TAG}, 9));\n\
         accept;\n\
         }}\n\
         reject;\n\
         }}\n",
        setup.their_id()
    );
    let mut channels = String::new();
    for family in setup.families() {
        let digit = digit(family);
        let (plain, rich) = (
            setup.plain(Side::Theirs, family),
            setup.rich(Side::Theirs, family),
        );
        let routes = [("plain", plain), ("rich", rich)];
        for (name, prefix) in routes.into_iter().take(1 + usize::from(setup.has_rich)) {
            let route = format!("ipv{digit}; route {prefix} blackhole;");
            let _ = writeln!(text, "protocol static {name}{digit} {{ {route} }}");
        }
        let extended = if setup.over == Family::V6 && family == Family::V4 {
            " extended next hop;"
        } else {
            ""
        };
        let limit = setup.max_prefixes.map_or_else(String::new, |count| {
            format!(" import limit {count} action disable;")
        });
        let _ = writeln!(
            channels,
            "ipv{digit} {{ import all; export filter told; next hop self;{extended}{limit} }};"
        );
    }
    let _ = writeln!(
        text,
        "protocol bgp ours {{\n\
         local {} as {};\n\
         neighbor {} as {};\n\
         strict bind yes;\n\
         connect delay time 1;\n\
         connect retry time 2;\n\
         error wait time 1, 2;\n\
         {}{channels}}}",
        setup.their_address(),
        setup.their_as,
        setup.our_address(),
        setup.our_as,
        options(setup),
    );
    text
}

/// Of the session.
fn options(setup: &Setup) -> String {
    let mut options = format!("hold time {};\n", setup.hold_time);
    if let Some(password) = setup.password {
        let _ = writeln!(options, "password \"{password}\";");
    }
    let _ = match setup.restart_time {
        Some(time) => writeln!(
            options,
            "graceful restart on; graceful restart time {time};"
        ),
        None => writeln!(options, "graceful restart off;"),
    };
    let _ = match setup.distance {
        Distance::Link => Ok(()),
        Distance::Security(1) => writeln!(options, "ttl security on;"),
        Distance::Security(hops) => writeln!(options, "multihop {hops}; ttl security on;"),
    };
    options
}

// === impl Bird ===

impl Bird {
    fn ask(&self, question: &[&str]) -> Option<String> {
        let socket = self.socket.to_str().expect("of ASCII");
        said("birdc", &[&["-r", "-s", socket], question].concat())
    }

    fn order(&self, order: &[&str]) {
        let socket = self.socket.to_str().expect("of ASCII");
        let done = said("birdc", &[&["-s", socket], order].concat());
        assert!(done.is_some(), "{order:?}");
    }
}

impl Router for Bird {
    const NAME: &'static str = "BIRD";
    const PROGRAMS: &'static [&'static str] = &["bird", "birdc"];
    const SHOWS_LOCAL_PREF: bool = true;
    const INSTALLS: bool = true;
    const TELLS_MED: bool = false;

    fn start(stage: &Stage, setup: &Setup) -> Self {
        let file = stage.directory().join("bird.conf");
        fs::write(&file, configuration(setup)).expect("a directory to write to");
        let socket = stage.directory().join("bird.ctl");
        let _ = fs::remove_file(&socket);
        let mut arguments = vec!["-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"];
        if setup.is_restart {
            arguments.push("-R");
        }
        let mut bird = Self {
            daemon: stage.start("bird", &arguments),
            socket,
            families: setup.families().collect(),
        };
        until("BIRD can be asked", || {
            assert!(!bird.daemon.has_ended(), "BIRD does not start");
            bird.ask(&["show", "status"])
        });
        bird
    }

    fn is_up(&self) -> bool {
        let said = self.ask(&["show", "protocols", "ours"]);
        said.is_some_and(|text| text.contains("Established"))
    }

    fn learned(&self) -> BTreeMap<Prefix, Shown> {
        let text = self.ask(&["show", "route", "protocol", "ours", "all"]);
        routes(&text.unwrap_or_default())
    }

    fn withdraw_rich(&self) {
        for family in &self.families {
            self.order(&["disable", &format!("rich{}", digit(*family))]);
        }
    }

    fn ask_again(&self) -> bool {
        self.order(&["reload", "in", "ours"]);
        true
    }

    fn kill(&mut self) {
        self.daemon.kill();
    }

    fn shut_down(&self, text: &str) {
        self.order(&["disable", "ours", &format!("\"{text}\"")]);
    }

    fn reset(&self) {
        self.order(&["restart", "ours"]);
    }

    fn tells(&self) -> String {
        let shown = self.ask(&["show", "protocols", "all", "ours"]);
        shown.unwrap_or_default() + &self.daemon.log()
    }
}

/// What `show route all` tells: a line with the prefix, then indented ones with its attributes.
fn routes(text: &str) -> BTreeMap<Prefix, Shown> {
    let mut routes = BTreeMap::new();
    let mut current: Option<(Prefix, Shown)> = None;
    for line in text.lines() {
        let head = line.split(' ').next().and_then(|word| word.parse().ok());
        if let Some(prefix) = head {
            routes.extend(current.take());
            current = Some((prefix, Shown::plain(std::net::Ipv4Addr::UNSPECIFIED.into())));
        } else if let (Some((_, route)), Some((name, value))) =
            (&mut current, line.trim().split_once(':'))
        {
            attribute(route, name, value.trim());
        }
    }
    routes.extend(current);
    routes
}

fn attribute(route: &mut Shown, name: &str, value: &str) {
    match name {
        "BGP.origin" => {
            route.origin = match value {
                "IGP" => Origin::Igp,
                "EGP" => Origin::Egp,
                _ => Origin::Incomplete,
            }
        }
        "BGP.as_path" => route.as_path = value.split(' ').filter_map(number).collect(),
        // The global address comes first.
        "BGP.next_hop" => {
            let global = value.split(' ').next().unwrap_or_default();
            route.next_hop = global.parse().expect("an address");
        }
        "BGP.med" => route.med = number(value),
        "BGP.local_pref" => route.local_pref = number(value),
        "BGP.community" => {
            route.communities = parts(value)
                .filter_map(|part| part.replace(',', ":").parse::<Community>().ok())
                .collect();
        }
        "BGP.large_community" => {
            route.large = parts(value)
                .filter_map(|part| part.replace(", ", ":").parse::<LargeCommunity>().ok())
                .collect();
        }
        "BGP.ext_community" => {
            let shown: BTreeSet<String> = parts(value).map(|it| it.replace(", ", ":")).collect();
            route.extended = shown;
        }
        "BGP.originator_id" => route.originator = value.parse().ok(),
        "BGP.cluster_list" => {
            route.clusters = value.split(' ').filter_map(|it| it.parse().ok()).collect();
        }
        _ => {}
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// `(a, b) (c, d)`
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(')')
        .filter_map(|part| part.trim().strip_prefix('('))
}
