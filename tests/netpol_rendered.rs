//! What either backend programs does to packets what the neutral rules say.
//!
//! Random small clusters are programmed into tables and sets in memory; then packets walk through
//! what stands there: through the text of iptables rules and the members of ipsets, and through
//! the expressions of nf_tables.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[path = "common/policy_cluster.rs"]
mod policy_cluster;
#[path = "common/xtables.rs"]
mod xtables;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use kube_router::firewall::{
    Backend, Hook, IcmpType, Nftables, Packet, Payload, Seen, Tracked, Verdict, Wanted, Xtables,
    apply, changes, walk,
};
use kube_router::kernel::ipset::FakeIpset;
use kube_router::kernel::iptables::FakeIptables;
use kube_router::kernel::nft::{self, CtStates, FakeNft, Transport, WalkVerdict};
use kube_router::model::NodeFacts;
use kube_router::net::{ByFamily, Family, Protocol};
use kube_router::netpol::plan::{DISPATCHES, Plan};
use kube_router::netpol::{NAMES, TABLE};
use policy_cluster::{Cluster, NODE_V4, NODE_V6, any_cluster, facts, ip};
use proptest::prelude::*;

static NODE: LazyLock<NodeFacts> = LazyLock::new(facts);

type Memory = Xtables<FakeIpset, FakeIptables>;

/// Everything that is wanted, in a backend that was empty; a second look finds nothing to do.
fn program(backend: &mut dyn Backend, wanted: &Wanted) {
    let mut seen: Seen = backend.observe(wanted).unwrap();
    let steps = changes(wanted, &seen, false);
    let applied = apply(backend, steps, wanted, &mut seen, &|| {});
    let failures: Vec<String> = applied
        .failures
        .iter()
        .map(|failed| format!("{}: {}", failed.step, failed.reason))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let again = backend.observe(wanted).unwrap();
    let left = changes(wanted, &again, false);
    assert!(left.is_empty(), "{left:#?}");
}

fn memory() -> Memory {
    let tables = ByFamily {
        v4: Some(FakeIptables::new()),
        v6: Some(FakeIptables::new()),
    };
    Xtables::new(FakeIpset::new(), tables, NAMES)
}

fn packets(cluster: &Cluster) -> Vec<Packet> {
    let pods = cluster.pods.iter().flat_map(|pod| pod.addresses.clone());
    let others = [
        NODE_V4,
        NODE_V6,
        "203.0.113.9",
        "2001:db8::9",
        "10.42.0.200",
    ]
    .map(ip);
    let addresses: BTreeSet<IpAddr> = pods.chain(others).collect();
    let mut packets = Vec::new();
    for source in &addresses {
        let family = Family::of(*source);
        for destination in addresses.iter().filter(|one| Family::of(**one) == family) {
            let (from_node, to_node) = (NODE.is_local(*source), NODE.is_local(*destination));
            let (tcp, udp) = (
                Payload::Ports(Protocol::Tcp, 80),
                Payload::Ports(Protocol::Udp, 53),
            );
            for (payload, tracked) in [
                (tcp, Tracked::New),
                (tcp, Tracked::Midway),
                (udp, Tracked::New),
                (Payload::Ports(Protocol::Sctp, 81), Tracked::Invalid),
                (Payload::Icmp(IcmpType::EchoRequest), Tracked::Known),
                (
                    Payload::Icmp(IcmpType::DestinationUnreachable),
                    Tracked::New,
                ),
            ] {
                packets.extend(Hook::ALL.map(|hook| Packet {
                    hook,
                    source: *source,
                    destination: *destination,
                    payload,
                    tracked,
                    from_node,
                    to_node,
                    served: false,
                }));
            }
        }
    }
    packets
}

fn in_nft(tables: &FakeNft, packet: &Packet) -> Verdict {
    let is_v4 = Family::of(packet.source) == Family::V4;
    let (protocol, transport) = match packet.payload {
        Payload::Ports(protocol, destination) => {
            let source = 40_000;
            let ports = Transport::Ports {
                source,
                destination,
            };
            (protocol.number(), ports)
        }
        Payload::Icmp(IcmpType::EchoRequest) => (
            if is_v4 { 1 } else { 58 },
            Transport::Icmp(if is_v4 { 8 } else { 128 }),
        ),
        Payload::Icmp(_) => (
            if is_v4 { 1 } else { 58 },
            Transport::Icmp(if is_v4 { 3 } else { 1 }),
        ),
        Payload::Other(number) => (number, Transport::Other),
    };
    let walk = tables.walk(&nft::Packet {
        hook: match packet.hook {
            Hook::Input => nft::Hook::Input,
            Hook::Forward => nft::Hook::Forward,
            Hook::Output => nft::Hook::Output,
        },
        source: packet.source,
        destination: packet.destination,
        protocol,
        transport,
        is_syn: protocol == Protocol::Tcp.number() && packet.tracked == Tracked::New,
        state: match packet.tracked {
            Tracked::New | Tracked::Midway => CtStates::NEW,
            Tracked::Known => CtStates::ESTABLISHED,
            Tracked::Invalid => CtStates::INVALID,
        },
        is_source_local: packet.from_node,
        is_destination_local: packet.to_node,
    });
    match walk.verdict {
        WalkVerdict::Accepted => Verdict::Accept,
        WalkVerdict::Dropped => Verdict::Drop,
        WalkVerdict::Rejected(_) => Verdict::Reject,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn both_backends_do_to_packets_what_the_neutral_rules_say(cluster in any_cluster()) {
        let mut plan = Plan::default();
        plan.update(&cluster.input());
        let wanted = plan.wanted();
        let mut xt = memory();
        program(&mut xt, wanted);
        let mut nftables = Nftables::new(FakeNft::new(), TABLE, DISPATCHES, None).unwrap();
        program(&mut nftables, wanted);
        for packet in packets(&cluster) {
            let expected = walk(wanted, &packet).0;
            prop_assert_eq!(in_nft(&nftables.tables, &packet), expected, "nftables: {:?}", packet);
            let family = Family::of(packet.source);
            let tables = xt.iptables.get(family).as_ref().unwrap();
            let found = xtables::walk(tables, &xt.ipset, &packet);
            prop_assert_eq!(found, expected, "iptables: {:?}", packet);
        }
    }
}
