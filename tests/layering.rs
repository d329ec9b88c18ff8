//! The import law: which room may import which, what pure files may not name, and no cycles.
//!
//! The whole of `src/` is read, comments, strings and test code are stripped, every path is
//! collected (`use` trees expanded, `super::` resolved) and compared with [`ROOMS`]. A new edge is
//! a deliberate change of one line there. What the checker itself would miss is planted in its own
//! tests below.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use paths::{paths, strip, tokens, without_tests};

#[path = "layering/paths.rs"]
mod paths;

/// A room, its layer, and the rooms it may import; of `x::object` that file alone.
type Row = (&'static str, u8, &'static str);

const ROOMS: &[Row] = &[
    ("net", 0, ""),
    ("delta", 0, ""),
    ("metrics", 0, ""),
    ("kernel::netlink", 1, ""),
    ("kernel::genl", 1, "kernel::netlink"),
    ("kernel::ipvs", 1, "net kernel::netlink kernel::genl"),
    ("kernel::rtnl", 1, "net kernel::netlink"),
    ("kernel::fou", 1, "net kernel::netlink kernel::genl"),
    ("kernel::ipset", 1, "net kernel::netlink"),
    ("kernel::conntrack", 1, "net kernel::netlink"),
    ("kernel::nft", 1, "net kernel::netlink"),
    ("kernel::nflog", 1, "net kernel::netlink"),
    ("kernel::iptables", 1, "net"),
    ("kernel::sysctl", 1, ""),
    ("bfd", 1, "net"),
    ("bgp::wire", 1, "net"),
    ("bgp::fsm", 1, "net bgp::wire"),
    ("bgp::rib", 1, "net bgp::wire"),
    ("bgp::policy", 1, "net bgp::wire bgp::rib"),
    (
        "bgp::speaker",
        1,
        "net bgp::wire bgp::fsm bgp::rib bgp::policy",
    ),
    ("model", 2, "net delta bgp::wire kernel::ipvs::object"),
    ("config", 2, "net"),
    (
        "firewall",
        2,
        "net delta kernel::ipset kernel::iptables kernel::nft",
    ),
    (
        "watch",
        3,
        "net delta model config bgp::wire kernel::rtnl kernel::ipvs::object",
    ),
    ("reconcile", 3, "metrics"),
    ("proxy", 4, PROXY),
    ("netpol", 4, NETPOL),
    (
        "control",
        4,
        "net bfd bgp::wire bgp::fsm bgp::rib bgp::speaker",
    ),
    ("routing", 4, ROUTING),
    ("http", 5, "metrics model config reconcile proxy control"),
    ("cli", 5, "net model config reconcile proxy control"),
    ("app", 6, APP),
    ("main", 7, "app cli config"),
];

const PROXY: &str = "net delta metrics model config firewall reconcile kernel::ipvs kernel::rtnl \
                     kernel::ipset kernel::iptables kernel::conntrack kernel::sysctl";
const NETPOL: &str = "net delta metrics model config firewall reconcile kernel::nft \
                      kernel::ipset kernel::iptables kernel::conntrack kernel::sysctl";
const ROUTING: &str = "net delta metrics model config firewall reconcile bgp::wire bgp::fsm \
                       bgp::rib bgp::policy bgp::speaker bfd kernel::rtnl kernel::fou kernel::ipset \
                       kernel::iptables kernel::sysctl";
const APP: &str = "net delta metrics model config firewall watch reconcile proxy netpol routing http \
                   cli control bfd bgp::fsm bgp::rib bgp::speaker kernel::ipvs kernel::nflog kernel::rtnl";

/// Edges within one layer; everything else goes downwards.
const WITHIN_A_LAYER: &[(&str, &str)] = &[
    ("kernel::genl", "kernel::netlink"),
    ("kernel::ipvs", "kernel::genl"),
    ("kernel::ipvs", "kernel::netlink"),
    ("kernel::rtnl", "kernel::netlink"),
    ("kernel::fou", "kernel::genl"),
    ("kernel::fou", "kernel::netlink"),
    ("kernel::ipset", "kernel::netlink"),
    ("kernel::conntrack", "kernel::netlink"),
    ("kernel::nft", "kernel::netlink"),
    ("kernel::nflog", "kernel::netlink"),
    ("bgp::fsm", "bgp::wire"),
    ("bgp::rib", "bgp::wire"),
    ("bgp::policy", "bgp::wire"),
    ("bgp::policy", "bgp::rib"),
    ("bgp::speaker", "bgp::wire"),
    ("bgp::speaker", "bgp::fsm"),
    ("bgp::speaker", "bgp::rib"),
    ("bgp::speaker", "bgp::policy"),
];

/// What a pure file may not name: a path that starts or goes on so.
const IMPURE: &[&str] = &[
    "tokio",
    "tracing",
    "rand",
    "std::fs",
    "std::process",
    "std::thread",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::os",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
];

/// Names that only some rooms may use.
const RESERVED: &[(&str, &[&str])] = &[
    ("kube", &["watch"]),
    ("k8s_openapi", &["watch"]),
    ("std::process::Command", &["kernel::iptables"]),
    ("std::process::exit", &["main"]),
];

/// Files by their path below `src/`.
type Tree = BTreeMap<String, String>;

struct Modules {
    all: BTreeSet<Vec<String>>,
    /// Those declared `pub mod`.
    open: BTreeSet<Vec<String>>,
}

impl Modules {
    /// Whether `target` names the module at `path` or something inside; an item that a facade
    /// re-exports may have the name of its closed module.
    fn is_reached_into(&self, path: &[String], target: &[String]) -> bool {
        self.all.contains(path) && (target.len() > path.len() || self.open.contains(path))
    }
}

fn open_modules(file: &str, code: &[String]) -> Vec<Vec<String>> {
    let open = code
        .windows(3)
        .filter(|three| three[0] == "pub" && three[1] == "mod");
    open.map(|three| {
        module_of(file)
            .into_iter()
            .chain([three[2].clone()])
            .collect()
    })
    .collect()
}

/// `proxy/plan/mod.rs` is the module `proxy::plan`.
fn module_of(file: &str) -> Vec<String> {
    let file = file.trim_end_matches(".rs");
    let file = file.strip_suffix("/mod").unwrap_or(file);
    file.split('/')
        .filter(|part| *part != "lib")
        .map(str::to_owned)
        .collect()
}

/// The room a module path (without `crate`) lies in: two words in `kernel` and `bgp`, else one.
fn room_of(path: &[String]) -> String {
    let houses = ["kernel", "bgp"];
    let words = if path.first().is_some_and(|word| houses.contains(&&word[..])) {
        2
    } else {
        1
    };
    path[..words.min(path.len())].join("::")
}

fn is_pure(file: &str) -> bool {
    let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
    folders
        .split('/')
        .any(|folder| folder == "plan" || folder == "model" || folder == "delta")
        || ["change.rs", "object.rs"].contains(&name)
        || file == "reconcile/pacer.rs"
        || file.starts_with("bfd/") && !file.starts_with("bfd/io/")
        || ["rules", "render", "machine", "wanted", "name"]
            .iter()
            .any(|part| file.starts_with(&format!("firewall/{part}")))
        || ["wire", "fsm", "rib", "policy", "speaker"]
            .iter()
            .any(|part| file.starts_with(&format!("bgp/{part}")))
            && !file.starts_with("bgp/speaker/io/")
}

/// Whether the path has the words of `name`, from its start on or (for `Instant::now`) anywhere.
fn names(path: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split("::").collect();
    let anywhere = name[0].starts_with(char::is_uppercase);
    path.windows(name.len())
        .enumerate()
        .any(|(i, words)| (i == 0 || anywhere) && words.iter().eq(name.iter()))
}

fn violations(sources: &Tree) -> Vec<String> {
    let parsed: Vec<_> = sources
        .iter()
        .map(|(file, text)| (file, without_tests(&tokens(&strip(text)))))
        .collect();
    let test_modules: BTreeSet<Vec<String>> = parsed
        .iter()
        .flat_map(|(file, (_, modules))| {
            modules
                .iter()
                .map(|name| module_of(file).into_iter().chain([name.clone()]).collect())
        })
        .collect();
    let modules = Modules {
        all: sources.keys().map(|file| module_of(file)).collect(),
        open: parsed
            .iter()
            .flat_map(|(file, (code, _))| open_modules(file, code))
            .collect(),
    };
    let (mut wrong, mut edges) = (Vec::new(), BTreeSet::new());
    for (file, (code, _)) in &parsed {
        let module = module_of(file);
        if test_modules.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let room = room_of(&module);
        let Some((_, _, allowed)) = ROOMS.iter().find(|row| row.0 == room) else {
            if !["", "kernel", "bgp"].contains(&room.as_str()) {
                wrong.push(format!("{file}: room {room} is not in the table"))
            }
            continue;
        };
        for path in paths(code, &module) {
            wrong.extend(forbidden(file, &room, &path));
            let Some(target) = target(&path) else {
                continue;
            };
            let to = room_of(target);
            if to == room {
                continue;
            }
            edges.insert((room.clone(), to.clone()));
            wrong.extend(import(file, allowed, &to, target, &modules));
        }
    }
    wrong.extend(cycle(&edges).map(|round| {
        format!(
            "rooms import each other in a circle: {}",
            round.join(" -> ")
        )
    }));
    wrong.sort();
    wrong.dedup();
    wrong
}

/// The part of a path behind the name of our crate.
fn target(path: &[String]) -> Option<&[String]> {
    match path {
        [root, rest @ ..] if (root == "crate" || root == "kube_router") && !rest.is_empty() => {
            Some(rest)
        }
        _ => None,
    }
}

fn forbidden(file: &str, room: &str, path: &[String]) -> Vec<String> {
    let shown = path.join("::");
    let impure = IMPURE
        .iter()
        .filter(|name| is_pure(file) && names(path, name));
    let reserved = RESERVED
        .iter()
        .filter(|(name, rooms)| names(path, name) && !rooms.contains(&room));
    impure
        .map(|name| format!("{file}: a pure file names {name} ({shown})"))
        .chain(
            reserved
                .map(|(name, rooms)| format!("{file}: only {rooms:?} may name {name} ({shown})")),
        )
        .collect()
}

fn import(
    file: &str,
    allowed: &str,
    to: &str,
    target: &[String],
    modules: &Modules,
) -> Option<String> {
    let shown = target.join("::");
    let behind_door = &target[to.split("::").count().min(target.len())..];
    let is_object =
        to.starts_with("kernel::") && behind_door.first().is_some_and(|word| word == "object");
    let reach = behind_door
        .first()
        .map(|_| target[..=to.split("::").count()].to_vec());
    if !allowed
        .split_whitespace()
        .any(|room| room == to || (is_object && room.strip_suffix("::object") == Some(to)))
    {
        Some(format!("{file}: may not import {to} ({shown})"))
    } else if is_pure(file) && to.starts_with("kernel::") && !is_object {
        Some(format!(
            "{file}: a pure file may import only {to}::object ({shown})"
        ))
    } else if !is_object && reach.is_some_and(|path| modules.is_reached_into(&path, target)) {
        Some(format!("{file}: reaches into the files of {to} ({shown})"))
    } else {
        None
    }
}

/// One circle among the edges, if there is any.
fn cycle(edges: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    fn walk(edges: &BTreeSet<(String, String)>, way: &mut Vec<String>) -> bool {
        let Some(last) = way.last().cloned() else {
            return false;
        };
        for (_, to) in edges.iter().filter(|(from, _)| *from == last) {
            let seen = way.contains(to);
            way.push(to.clone());
            if seen || walk(edges, way) {
                return true;
            }
            way.pop();
        }
        false
    }
    edges.iter().find_map(|(from, _)| {
        let mut way = vec![from.clone()];
        walk(edges, &mut way).then_some(way)
    })
}

fn read(folder: &Path, below: &str, into: &mut Tree) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .path();
        let name = format!(
            "{below}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            read(&path, &format!("{name}/"), into);
        } else if name.ends_with(".rs") {
            into.insert(
                name,
                fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let mut sources = Tree::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut sources,
    );
    assert!(
        sources.len() > 20,
        "only {} files under src/",
        sources.len()
    );
    let wrong = violations(&sources);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_table_itself_goes_downwards() {
    let layer = |room: &str| ROOMS.iter().find(|row| row.0 == room).map(|row| row.1);
    for (room, own, imports) in ROOMS {
        for to in imports.split_whitespace() {
            let to = to.trim_end_matches("::object");
            let below =
                layer(to).unwrap_or_else(|| panic!("{room} imports {to}, which has no row"));
            assert!(
                below < *own || WITHIN_A_LAYER.contains(&(room, to)),
                "{room} may not stand on {to}"
            );
        }
    }
}

/// File | code | what must be said of it.
const PLANTED: &str = r#"
watch/x.rs | use crate::kernel::ipvs::Ipvs; | may not import kernel::ipvs
model/x.rs | use crate::proxy::Plan; | may not import proxy
model/x.rs | use crate::{net::Family, watch::{self, Store as S}}; | may not import watch
model/x.rs | fn f() -> crate::http::Server { g() } | may not import http
model/x.rs | use super::super::config::Config; | may not import config
model/mod.rs | mod a { use super::super::app::run; } | may not import app
proxy/plan/x.rs | use crate::kernel::ipvs::Ipvs; | only kernel::ipvs::object
proxy/plan/x.rs | use crate::kernel::{ipvs::Ipvs, rtnl::object::Link}; | only kernel::ipvs::object
proxy/apply.rs | use crate::model::service::Service; | reaches into the files of model
proxy/apply.rs | use crate::model::label; | reaches into the files of model
proxy/apply.rs | use crate::kernel::ipvs::handle::Ipvs; | reaches into the files of kernel::ipvs
proxy/plan/x.rs | use std::{fmt, fs}; | names std::fs
proxy/change.rs | fn f() { tracing::info!("x") } | names tracing
proxy/change.rs | use std::time::Instant; fn f() { let c = '"'; Instant::now() } // " | names Instant::now
proxy/plan/x.rs | fn f() { std::time::Instant::now() } | names Instant::now
reconcile/pacer.rs | use tokio::time; | names tokio
bgp/wire/codec.rs | use tokio::io; | names tokio
bfd/session.rs | use std::thread; | names std::thread
bgp/wire/codec.rs | use crate::kernel::rtnl::Rtnl; | may not import kernel::rtnl
proxy/apply.rs | use std::process::Command; | may name std::process::Command
http/x.rs | use kube::Client; | may name kube
net/mod.rs | #[cfg(test)] use crate::a::{b}; use crate::model::Service; | may not import model
net/mod.rs | #[cfg(test)] mod tests { fn f() {} } use crate::model::Service; | may not import model
attic/mod.rs |  | room attic is not in the table
main.rs | use kube_router::watch::Store; | may not import watch
"#;

#[test]
fn planted_violations_are_found() {
    for row in PLANTED.trim().lines() {
        let [file, text, expected] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not three columns: {row}");
        };
        let others = [
            "model/service.rs",
            "model/label.rs",
            "kernel/ipvs/handle.rs",
        ];
        let mut sources: Tree = others
            .iter()
            .map(|name| ((*name).to_owned(), String::new()))
            .collect();
        sources.insert("model/mod.rs".to_owned(), "pub mod label;".to_owned());
        sources.insert(file.to_owned(), text.to_owned());
        let wrong = violations(&sources);
        assert!(
            wrong.iter().any(|line| line.contains(expected)),
            "{file}: {text}: {expected:?} not in {wrong:?}"
        );
    }
}

#[test]
fn what_is_allowed_passes() {
    let cases = [
        (
            "proxy/plan/x.rs",
            "use crate::kernel::ipvs::object::VirtualServer; use crate::proxy::plan::y::Z; use super::y;",
        ),
        (
            "proxy/apply.rs",
            "use crate::kernel::{ipvs::{object::Stats, Ipvs}, sysctl};",
        ),
        (
            "net/mod.rs",
            "//! crate::app\n/* use crate::app; /* */ crate::app::x */ const A: &str = \"crate::app::x\"; const B: &str = r#\"\" crate::app::x\"#;",
        ),
        (
            "net/mod.rs",
            "#[cfg(test)] mod tests { use crate::app::X; } #[cfg(test)] #[allow(x)] fn f() { crate::app::g() }",
        ),
        (
            "net/mod.rs",
            "fn f<'a>(x: &'a str) -> char { '\\'' } mod inner { use super::Family; }",
        ),
    ];
    for (file, text) in cases {
        let sources = Tree::from([(file.to_owned(), text.to_owned())]);
        assert_eq!(violations(&sources), Vec::<String>::new(), "{file}: {text}");
    }
    let named_like_its_file = Tree::from([
        (
            "proxy/mod.rs".to_owned(),
            "mod print; pub use print::print;".to_owned(),
        ),
        ("proxy/print.rs".to_owned(), String::new()),
        (
            "app/mod.rs".to_owned(),
            "use crate::proxy::print;".to_owned(),
        ),
    ]);
    assert_eq!(violations(&named_like_its_file), Vec::<String>::new());
    let tests = Tree::from([
        (
            "net/mod.rs".to_owned(),
            "#[cfg(test)] mod tests;".to_owned(),
        ),
        (
            "net/tests.rs".to_owned(),
            "use crate::app::X; use std::process::Command;".to_owned(),
        ),
    ]);
    assert_eq!(violations(&tests), Vec::<String>::new());
}

#[test]
fn circles_are_found() {
    let edges = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    assert!(cycle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_none());
    assert!(cycle(&edges(&[("a", "b"), ("b", "c"), ("c", "a")])).is_some());
}
