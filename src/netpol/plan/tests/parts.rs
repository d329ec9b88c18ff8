//! Ports and blocks against plain sets of everything they hold.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::model::IpBlock;
use crate::net::{Family, Prefix, Protocol};
use crate::netpol::plan::blocks::Blocks;
use crate::netpol::plan::ports::{Atom, Ports};

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

fn any_ranges() -> impl Strategy<Value = Vec<(Protocol, u16, u16)>> {
    let low = prop_oneof![0..40_u16, 65500..=65535_u16];
    let one = (0..3_usize, low, 0..12_u16)
        .prop_map(|(protocol, low, more)| (PROTOCOLS[protocol], low, low.saturating_add(more)));
    proptest::collection::vec(one, 0..8)
}

fn held(ranges: &[(Protocol, u16, u16)]) -> BTreeSet<(Protocol, u16)> {
    let each = |(protocol, low, high): &(Protocol, u16, u16)| {
        let protocol = *protocol;
        (*low..=*high).map(move |port| (protocol, port))
    };
    ranges.iter().flat_map(each).collect()
}

fn of_atoms(ports: &Ports) -> BTreeSet<(Protocol, u16)> {
    let ranges = ports.atoms().into_iter().map(|atom| match atom {
        Atom::Everything => panic!("everything of ranges"),
        Atom::Port(protocol, port) => (protocol, port, port),
        Atom::Range(protocol, low, high) => (protocol, low, high),
    });
    held(&ranges.collect::<Vec<_>>())
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (any::<u8>(), prop_oneof![0..=32_u8, 24..=32_u8]).prop_map(|(low, length)| {
            let address = Ipv4Addr::from_bits(0x0a00_0000 | u32::from(low));
            Prefix::new(IpAddr::V4(address), length).unwrap()
        }),
        (any::<u8>(), prop_oneof![0..=128_u8, 120..=128_u8]).prop_map(|(low, length)| {
            let address = Ipv6Addr::from_bits((0xfd << 120) | u128::from(low));
            Prefix::new(IpAddr::V6(address), length).unwrap()
        }),
    ]
}

/// The ends of each prefix and their neighbours: where an answer can change.
fn edges(prefixes: &[Prefix]) -> Vec<IpAddr> {
    let near = |prefix: &Prefix| match (prefix.network(), prefix.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            all.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let all = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            all.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
        _ => panic!("{prefix} of two families"),
    };
    prefixes.iter().flat_map(near).collect()
}

proptest! {
    #[test]
    fn ports_are_the_set_of_their_ranges(one in any_ranges(), other in any_ranges()) {
        let (a, b): (Ports, Ports) = (one.iter().copied().collect(), other.iter().copied().collect());
        prop_assert_eq!(of_atoms(&a), held(&one));
        let mut both = a.clone();
        both.add(&b);
        prop_assert_eq!(of_atoms(&both), &held(&one) | &held(&other));
        let reversed: Ports = one.iter().chain(&other).rev().copied().collect();
        prop_assert_eq!(&both, &reversed);
        prop_assert_eq!(of_atoms(&a.without(&b)), &held(&one) - &held(&other));
        prop_assert!(a.without(&Ports::everything()).is_empty());
        both.add(&Ports::everything());
        prop_assert_eq!(both, Ports::everything());
    }

    #[test]
    fn blocks_are_the_set_of_their_prefixes_and_the_fewest_that_can_be(
        blocks in proptest::collection::vec((any_prefix(), proptest::collection::vec(any_prefix(), 0..3)), 0..5),
    ) {
        let each = blocks.iter().map(|(prefix, except)| {
            Blocks::of(&IpBlock { prefix: *prefix, except: except.clone() })
        });
        let all: Blocks = each.flat_map(|one| one.ranges().to_vec()).collect();
        let prefixes = all.prefixes();
        let named: Vec<Prefix> = blocks.iter().flat_map(|(prefix, except)| [&[*prefix], &except[..]].concat()).collect();
        for address in edges(&named) {
            let wanted = blocks.iter().any(|(prefix, except)| {
                prefix.contains(&address) && !except.iter().any(|hole| hole.contains(&address))
            });
            prop_assert_eq!(all.contains(address), wanted, "{}", address);
            let in_prefixes = prefixes.iter().filter(|prefix| prefix.contains(&address)).count();
            prop_assert_eq!(in_prefixes, usize::from(wanted), "{}", address);
        }
        for prefix in &prefixes {
            prop_assert!(prefix.prefix_len() > 0);
            prop_assert_eq!(prefix.trunc(), *prefix);
        }
        // No two of them are the halves of one, but for the halves of everything.
        for pair in prefixes.windows(2) {
            let parent = pair[0].supernet().filter(|parent| parent.prefix_len() > 0);
            prop_assert!(parent.is_none_or(|parent| pair[1].supernet() != Some(parent)));
        }
    }
}

#[test]
fn everything_of_a_family_is_two_halves() {
    for (text, halves) in [
        ("0.0.0.0/0", ["0.0.0.0/1", "128.0.0.0/1"]),
        ("::/0", ["::/1", "8000::/1"]),
    ] {
        let block = IpBlock {
            prefix: text.parse().unwrap(),
            except: Vec::new(),
        };
        let halves = halves.map(|half| half.parse::<Prefix>().unwrap());
        assert_eq!(Blocks::of(&block).prefixes(), halves);
        let nothing = IpBlock {
            except: vec![block.prefix],
            ..block
        };
        assert!(Blocks::of(&nothing).is_empty());
    }
    let all = [(Family::V6, 0, u128::MAX)].into_iter().collect::<Blocks>();
    assert!(all.without(&all).is_empty());
}

#[test]
fn short_ranges_are_ports_and_long_ones_ranges() {
    let tcp = Protocol::Tcp;
    let ports: Ports = [(tcp, 80, 80), (tcp, 81, 83), (tcp, 100, 104), (tcp, 9, 8)]
        .into_iter()
        .collect();
    let wanted = [80, 81, 82, 83].map(|port| Atom::Port(tcp, port));
    assert_eq!(
        ports.atoms(),
        [&wanted[..], &[Atom::Range(tcp, 100, 104)]].concat()
    );
    assert_eq!(Ports::everything().atoms(), [Atom::Everything]);
    let whole: Ports = [(tcp, 0, 65535)].into_iter().collect();
    assert_eq!(whole.atoms(), [Atom::Range(tcp, 0, 65535)]);
}
