//! Our speaker in a process of its own: the bench starts itself again with these arguments.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::sync::Arc;

use kube_router::bgp::fsm::{PeerAs, PeerConfig};
use kube_router::bgp::policy::{Action, Condition, Policy, PrefixSet, Statement};
use kube_router::bgp::rib::Speaker;
use kube_router::bgp::speaker::io::{Options, spawn};
use kube_router::bgp::speaker::{Desired, PeerDesired};
use kube_router::bgp::wire::NextHop;
use kube_router::net::ByFamily;

use super::places::{ROUTER, peer};
use super::routers::{AS, Setup};

const FLAG: &str = "--speaker";

pub fn arguments(setup: &Setup) -> Vec<String> {
    let Setup {
        peers,
        reflected,
        tells,
    } = setup;
    vec![
        FLAG.to_owned(),
        peers.to_string(),
        reflected.to_string(),
        tells.to_string(),
    ]
}

/// Whether this process is to be the speaker; then it was, and has ended.
pub fn was_speaker() -> bool {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, peers, reflected, tells, ..] = &arguments[..] else {
        return false;
    };
    if flag != FLAG {
        return false;
    }
    speak(&Setup {
        peers: peers.parse().unwrap(),
        reflected: reflected.parse().unwrap(),
        tells: tells.parse().unwrap(),
    });
    true
}

/// Says the number of its prefixes for each line that it is given.
fn speak(setup: &Setup) {
    // As many threads as the daemon has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        listen: vec![SocketAddr::from((ROUTER, 179))],
        seed: 77,
        restarted: None,
    };
    let (handle, mut notes) = {
        let _inside = runtime.enter();
        spawn(&options).unwrap()
    };
    runtime.spawn(async move {
        while let Some((peer, note)) = notes.recv().await {
            eprintln!("{peer}: {note:?}");
        }
    });
    handle.set_desired(desired(setup));
    for _line in stdin().lock().lines() {
        let count = runtime.block_on(handle.ask(|core| core.status().prefixes));
        let ByFamily { v4, .. } = count.unwrap();
        println!("{v4}");
    }
}

/// With the import policy that a node has if nothing is said.
pub fn desired(setup: &Setup) -> Desired {
    let mut desired = Desired::new(Speaker {
        asn: AS,
        confederation: None,
        router_id: ROUTER,
        cluster_id: setup.reflected.then_some(ROUTER),
        addresses: BTreeSet::from([ROUTER.into()]),
    });
    let rejected = [
        ("default", PrefixSet::default_routes()),
        ("martians", PrefixSet::martians()),
    ];
    let statements = rejected.map(|(name, set)| {
        Statement::new(name, [Condition::Prefix(Arc::new(set))], Action::Reject)
    });
    let import = Arc::new(Policy::new("import", statements, Action::Accept));
    let export = Arc::new(if setup.tells {
        Policy::accept_all()
    } else {
        Policy::reject_all()
    });
    for number in 0..setup.peers {
        let expected = PeerAs::Exactly(setup.peer_as(number));
        let mut session = PeerConfig::new(AS, ROUTER, expected);
        session.families = ByFamily {
            v4: true,
            v6: false,
        };
        session.passive = true;
        let mut wanted = PeerDesired::new(session);
        wanted.is_client = setup.reflected;
        wanted.own_next_hop.v4 = Some(NextHop::V4(ROUTER));
        wanted.import = Arc::clone(&import);
        wanted.export = Arc::clone(&export);
        desired.peers.insert(peer(number).into(), Arc::new(wanted));
    }
    desired
}
