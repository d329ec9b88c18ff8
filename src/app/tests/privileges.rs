//! Capabilities as the kernel tells them, thread by thread.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc;

use crate::app::privileges;

const NET_ADMIN_AND_NET_RAW: u64 = 1 << 12 | 1 << 13;
const NET_BIND_SERVICE: u64 = 1 << 10;

/// Name and the five sets (`Cap…` lines) of a thread of this process.
fn status(thread: i32) -> (String, BTreeMap<String, u64>) {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(":\t"));
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("Name:\t"))
        .unwrap()
        .to_owned();
    let sets = lines.filter(|(key, _)| key.starts_with("Cap"));
    (
        name,
        sets.map(|(key, bits)| (key.to_owned(), u64::from_str_radix(bits, 16).unwrap()))
            .collect(),
    )
}

fn threads() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/task").unwrap();
    entries
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

#[test]
fn every_thread_of_the_daemon_has_two_capabilities_and_no_more() {
    // A thread of its own stands for the main thread: the test runner keeps what it has.
    let tests = std::thread::Builder::new().name("kr-main".into());
    let main = tests.spawn(|| {
        let before = status(thread_id()).1;
        match privileges::drop(false) {
            Ok(()) => {}
            Err(error) if before["CapPrm"] & NET_ADMIN_AND_NET_RAW != NET_ADMIN_AND_NET_RAW => {
                assert!(
                    std::env::var_os("KUBE_ROUTER_REQUIRE_NETNS").is_none(),
                    "needs root: {error}"
                );
                assert!(
                    error.to_string().contains("is missing; run as root"),
                    "{error}"
                );
                eprintln!("NOT TESTED, needs root: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        }
        let runtime = crate::app::run::runtime().unwrap();
        let (seen, controller) = (
            mpsc::channel(),
            std::thread::Builder::new().name("kr-controller".into()),
        );
        let (release, wait) = mpsc::channel::<()>();
        // A thread has its name once it runs.
        let (begin, begun) = mpsc::channel();
        let handle = controller
            .spawn(move || {
                begin.send(()).unwrap();
                wait.recv()
            })
            .unwrap();
        begun.recv().unwrap();
        for n in 0..4 {
            let seen = seen.0.clone();
            runtime.spawn_blocking(move || seen.send(n).unwrap());
        }
        (0..4).for_each(|_| {
            seen.1.recv().unwrap();
        });
        let ours: Vec<_> = threads()
            .into_iter()
            .map(status)
            .filter(|(name, _)| name.starts_with("kr-"))
            .collect();
        for wanted in ["kr-main", "kr-controller", "kr-io"] {
            assert!(
                ours.iter().any(|(name, _)| name == wanted),
                "{wanted} not in {ours:?}"
            );
        }
        for (name, sets) in &ours {
            assert_eq!(sets["CapPrm"], NET_ADMIN_AND_NET_RAW, "{name}: permitted");
            assert_eq!(sets["CapEff"], NET_ADMIN_AND_NET_RAW, "{name}: effective");
            for set in ["CapInh", "CapAmb", "CapBnd"] {
                assert_eq!(sets[set] & !NET_ADMIN_AND_NET_RAW, 0, "{name}: {set}");
            }
            assert_eq!(
                sets["CapBnd"],
                before["CapBnd"] & NET_ADMIN_AND_NET_RAW,
                "{name}: bounding"
            );
        }
        drop(release);
        let _ = handle.join().unwrap();
        assert!(
            privileges::drop(false).is_ok(),
            "a second time changes nothing"
        );
    });
    main.unwrap().join().unwrap();
}

#[test]
fn who_speaks_bgp_keeps_what_its_port_needs() {
    let thread = std::thread::spawn(|| {
        let before = status(thread_id()).1["CapPrm"];
        if before & NET_ADMIN_AND_NET_RAW != NET_ADMIN_AND_NET_RAW {
            assert!(std::env::var_os("KUBE_ROUTER_REQUIRE_NETNS").is_none());
            eprintln!("NOT TESTED, needs root");
            return;
        }
        privileges::drop(true).unwrap();
        let wanted = NET_ADMIN_AND_NET_RAW | NET_BIND_SERVICE;
        assert_eq!(status(thread_id()).1["CapEff"], before & wanted);
    });
    thread.join().unwrap();
}

fn thread_id() -> i32 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}
