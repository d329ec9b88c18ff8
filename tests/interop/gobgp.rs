//! GoBGP, asked by its own client.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::IpAddr;

use kube_router::bgp::wire::{Community, LargeCommunity, Origin};
use kube_router::net::{Family, Prefix};
use serde_json::Value;

use crate::daemon::Daemon;
use crate::router::{Distance, FAR_AS, LOCAL_PREF, MED, Router, Setup, Side, TAG};
use crate::shown::Shown;
use crate::stage::{Stage, said, until};

#[derive(Debug)]
pub(crate) struct GoBgp {
    setup: Setup,
    target: String,
    daemon: Daemon,
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn configuration(setup: &Setup) -> String {
    let mut text = format!(
        "[global.config]\n\
         as = {}\n\
         router-id = \"{}\"\n\
         local-address-list = [\"{}\"]\n\
         [[neighbors]]\n\
         [neighbors.config]\n\
         neighbor-address = \"{}\"\n\
         peer-as = {}\n\
         admin-down = true\n",
        setup.their_as,
        setup.their_id(),
        setup.their_address(),
        setup.our_address(),
        setup.our_as,
    );
    if let Some(password) = setup.password {
        let _ = writeln!(text, "auth-password = \"{password}\"");
    }
    let _ = write!(
        text,
        "[neighbors.transport.config]\n\
         local-address = \"{}\"\n\
         [neighbors.timers.config]\n\
         connect-retry = 2\n\
         idle-hold-time-after-reset = 1\n\
         hold-time = {}\n\
         keepalive-interval = {}\n",
        setup.their_address(),
        setup.hold_time,
        setup.hold_time / 3,
    );
    text += &options(setup);
    for family in setup.families() {
        let _ = write!(
            text,
            "[[neighbors.afi-safis]]\n\
             [neighbors.afi-safis.config]\n\
             afi-safi-name = \"{}-unicast\"\n\
             [neighbors.afi-safis.mp-graceful-restart.config]\n\
             enabled = {}\n",
            name(family),
            setup.restart_time.is_some(),
        );
        if let Some(count) = setup.max_prefixes {
            let _ = write!(
                text,
                "[neighbors.afi-safis.prefix-limit.config]\n\
                 max-prefixes = {count}\n"
            );
        }
    }
    text
}

fn options(setup: &Setup) -> String {
    let mut text = String::new();
    if let Some(time) = setup.restart_time {
        let _ = write!(
            text,
            "[neighbors.graceful-restart.config]\n\
             enabled = true\n\
             notification-enabled = {}\n\
             restart-time = {time}\n",
            setup.over_notifications,
        );
    }
    let _ = match setup.distance {
        Distance::Link => Ok(()),
        Distance::Security(hops) => write!(
            text,
            "[neighbors.ttl-security.config]\nenabled = true\nttl-min = {}\n",
            256 - u16::from(hops),
        ),
    };
    text
}

// === impl GoBgp ===

impl GoBgp {
    fn client(&self, arguments: &str) -> Option<String> {
        let all: Vec<&str> = arguments.split(' ').collect();
        said("gobgp", &[&["--target", &self.target], &all[..]].concat())
    }

    fn order(&self, order: &str) {
        assert!(self.client(order).is_some(), "{order}");
    }

    fn ask(&self, question: &str) -> Value {
        let text = self.client(&format!("-j {question}")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn announce(&self) {
        for family in self.setup.families() {
            let next_hop = self.setup.next_hop(Side::Theirs, family);
            let (plain, rich) = (
                self.setup.plain(Side::Theirs, family),
                self.setup.rich(Side::Theirs, family),
            );
            let family = name(family);
            self.order(&format!(
                "global rib add -a {family} {plain} origin igp nexthop {next_hop}"
            ));
            if !self.setup.has_rich {
                continue;
            }
            self.order(&format!(
                "global rib add -a {family} {rich} origin incomplete aspath {FAR_AS} \
                 nexthop {next_hop} med {MED} local-pref {LOCAL_PREF} \
                 community {TAG}:7,{TAG}:8 large-community {TAG}:1:2 rt {TAG}:9"
            ));
        }
    }
}

impl Router for GoBgp {
    const NAME: &'static str = "GoBGP";
    const PROGRAMS: &'static [&'static str] = &["gobgpd", "gobgp"];
    const SHOWS_LOCAL_PREF: bool = false;
    const INSTALLS: bool = false;
    const TELLS_MED: bool = false;

    fn start(stage: &Stage, setup: &Setup) -> Self {
        let file = stage.directory().join("gobgpd.toml");
        fs::write(&file, configuration(setup)).expect("a directory to write to");
        let socket = stage.directory().join("gobgpd.api");
        let _ = fs::remove_file(&socket);
        let target = format!("unix://{}", socket.display());
        let file = ["-f", "gobgpd.toml", "--pprof-disable"];
        let mut arguments = [&file[..], &["--api-hosts", &target]].concat();
        if setup.is_restart {
            arguments.push("-r");
        }
        let mut gobgp = Self {
            daemon: stage.start("gobgpd", &arguments),
            target,
            setup: setup.clone(),
        };
        until("GoBGP can be asked", || {
            assert!(!gobgp.daemon.has_ended(), "GoBGP does not start");
            let neighbors = gobgp.ask("neighbor");
            neighbors
                .as_array()
                .is_some_and(|all| !all.is_empty())
                .then_some(())
        });
        // Its routes are in no file; it must have them before it says that these are all.
        gobgp.announce();
        gobgp.order(&format!("neighbor {} enable", setup.our_address()));
        gobgp
    }

    fn is_up(&self) -> bool {
        const ESTABLISHED: u64 = 6;
        let neighbor = self.ask(&format!("neighbor {}", self.setup.our_address()));
        neighbor["state"]["session_state"] == ESTABLISHED
    }

    fn learned(&self) -> BTreeMap<Prefix, Shown> {
        let us = self.setup.our_address();
        let mut learned = BTreeMap::new();
        for family in self.setup.families() {
            let all = self.ask(&format!("neighbor {us} adj-in -a {}", name(family)));
            for (prefix, paths) in all.as_object().into_iter().flatten() {
                if let (Ok(key), Some(route)) = (prefix.parse(), shown(&paths[0])) {
                    learned.insert(key, route);
                }
            }
        }
        learned
    }

    fn withdraw_rich(&self) {
        for family in self.setup.families() {
            let rich = self.setup.rich(Side::Theirs, family);
            self.order(&format!("global rib del -a {} {rich}", name(family)));
        }
    }

    /// Its "softresetin" looks at what it has kept, without a word to us.
    fn ask_again(&self) -> bool {
        false
    }

    fn kill(&mut self) {
        self.daemon.kill();
    }

    fn shut_down(&self, text: &str) {
        let us = self.setup.our_address().to_string();
        let order = ["--target", &self.target, "neighbor", &us, "shutdown"];
        let done = said("gobgp", &[&order[..], &["--reason", text]].concat());
        assert!(done.is_some(), "shut down");
    }

    fn reset(&self) {
        self.order(&format!("neighbor {} reset", self.setup.our_address()));
    }

    fn tells(&self) -> String {
        let us = self.setup.our_address();
        let shown = self.client(&format!("neighbor {us}"));
        shown.unwrap_or_default() + &self.daemon.log()
    }
}

/// Attributes come as they are on the wire, by number.
fn shown(path: &Value) -> Option<Shown> {
    let mut shown = Shown::plain(IpAddr::from([0; 4]));
    for attribute in path["attrs"].as_array()? {
        let value = &attribute["value"];
        match attribute["type"].as_u64()? {
            1 => shown.origin = Origin::from_number(u8::try_from(value.as_u64()?).ok()?)?,
            2 => {
                let segments = list(&attribute["as_paths"]);
                shown.as_path = segments
                    .flat_map(|segment| list(&segment["asns"]))
                    .filter_map(number)
                    .collect();
            }
            3 | 14 => shown.next_hop = attribute["nexthop"].as_str()?.parse().ok()?,
            4 => shown.med = number(&attribute["metric"]),
            5 => shown.local_pref = number(value),
            8 => {
                let communities = list(&attribute["communities"]);
                shown.communities = communities.filter_map(number).map(Community).collect();
            }
            9 => shown.originator = value.as_str()?.parse().ok(),
            10 => {
                let ids = list(value);
                shown.clusters = ids.filter_map(|id| id.as_str()?.parse().ok()).collect();
            }
            16 => shown.extended = list(value).map(extended).collect(),
            32 => shown.large = list(value).filter_map(large).collect(),
            _ => {}
        }
    }
    Some(shown)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn extended(value: &Value) -> String {
    const ROUTE_TARGET: (u64, u64) = (0, 2);
    let kind = value["type"].as_u64().zip(value["subtype"].as_u64());
    match (kind, value["value"].as_str()) {
        (Some(ROUTE_TARGET), Some(text)) => format!("rt:{text}"),
        _ => value.to_string(),
    }
}

fn large(value: &Value) -> Option<LargeCommunity> {
    Some(LargeCommunity {
        global: number(&value["ASN"])?,
        local1: number(&value["LocalData1"])?,
        local2: number(&value["LocalData2"])?,
    })
}
