use proptest::prelude::*;

use super::*;
use crate::bfd::Malformed;

/// RFC 5880 section 4.1, written down by hand: Up, neighbor signaled down, poll and C.
const PACKET: [u8; 24] = [
    0x23, 0xe8, 3, 24, 0, 0, 0, 7, 0, 0, 0, 1, 0, 1, 0x86, 0xa0, 0, 4, 0x93, 0xe0, 0, 0, 0, 9,
];

fn packet() -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NeighborSignaledDown,
        poll: true,
        control_plane_independent: true,
        required_min_rx: 300_000,
        required_min_echo_rx: 9,
        ..said(State::Up)
    }
}

#[test]
fn a_packet_is_read_and_written_as_the_standard_draws_it() {
    assert_eq!(ControlPacket::decode(&PACKET), Ok(packet()));
    assert_eq!(packet().encode(), PACKET);
    let longer = [&PACKET[..], &[1, 2, 3]].concat();
    assert_eq!(ControlPacket::decode(&longer), Ok(packet()));
}

#[test]
fn a_packet_has_a_text() {
    assert_eq!(
        packet().to_string(),
        "Up (neighbor signaled session down) poll independent my 0x00000007 your 0x00000001 \
         tx 100000 us rx 300000 us echo 9 us x3"
    );
}

/// Each check fails alone.
#[test]
fn each_check_refuses_with_its_fact() {
    let cases: &[(&[(usize, u8)], Malformed)] = &[
        (&[(0, 0x03)], Malformed::Version(0)),
        (&[(0, 0x43)], Malformed::Version(2)),
        (
            &[(3, 23)],
            Malformed::TooShort {
                length: 23,
                least: 24,
            },
        ),
        // With the A bit.
        (
            &[(1, 0xec), (3, 25)],
            Malformed::TooShort {
                length: 25,
                least: 26,
            },
        ),
        (
            &[(3, 49)],
            Malformed::TooLong {
                length: 49,
                payload: 48,
            },
        ),
        (&[(2, 0)], Malformed::DetectMultiplier),
        (&[(1, 0xe9)], Malformed::Multipoint),
        (&[(7, 0)], Malformed::MyDiscriminator),
        (&[(11, 0)], Malformed::YourDiscriminator(State::Up)),
        (
            &[(11, 0), (1, 0x80)],
            Malformed::YourDiscriminator(State::Init),
        ),
        (&[(1, 0xec), (3, 48), (24, 4)], Malformed::Authentication(4)),
    ];
    for (changes, expected) in cases {
        let mut octets = [0; 48];
        octets[..24].copy_from_slice(&PACKET);
        for (at, octet) in *changes {
            octets[*at] = *octet;
        }
        assert_eq!(
            ControlPacket::decode(&octets),
            Err(*expected),
            "{changes:?}"
        );
    }
    for length in 0..24 {
        let expected = Err(Malformed::Truncated(length));
        assert_eq!(ControlPacket::decode(&PACKET[..length]), expected);
    }
}

/// Where all of them fail, the first of the standard's order is told, and so on.
#[test]
fn the_checks_are_made_in_the_standards_order() {
    let mut octets = [0_u8; 40];
    octets[1] = 0xed;
    // What mends the first fault that is left.
    let steps: &[(&[(usize, u8)], Malformed)] = &[
        (&[], Malformed::Version(0)),
        (
            &[(0, 0x20)],
            Malformed::TooShort {
                length: 0,
                least: 26,
            },
        ),
        (
            &[(3, 41)],
            Malformed::TooLong {
                length: 41,
                payload: 40,
            },
        ),
        (&[(3, 40)], Malformed::DetectMultiplier),
        (&[(2, 1)], Malformed::Multipoint),
        (&[(1, 0xec)], Malformed::MyDiscriminator),
        (&[(4, 1)], Malformed::YourDiscriminator(State::Up)),
        (&[(8, 1)], Malformed::Authentication(0)),
    ];
    for (changes, expected) in steps {
        for (at, octet) in *changes {
            octets[*at] = *octet;
        }
        assert_eq!(ControlPacket::decode(&octets), Err(*expected));
    }
    octets[1] = 0xe8;
    assert!(ControlPacket::decode(&octets).is_ok());
}

#[test]
fn a_session_that_is_not_known_yet_may_be_down() {
    for (flags, state) in [(0x00, State::AdminDown), (0x40, State::Down)] {
        let mut octets = PACKET;
        (octets[1], octets[11]) = (flags, 0);
        let packet = ControlPacket::decode(&octets).unwrap();
        assert_eq!((packet.state, packet.your_discriminator), (state, None));
    }
}

#[test]
fn every_diagnostic_has_its_code_and_its_text() {
    let texts: std::collections::BTreeSet<_> = (0..32)
        .map(|code| {
            let diagnostic = Diagnostic::of_code(code);
            assert_eq!(diagnostic.code(), code);
            diagnostic.to_string()
        })
        .collect();
    assert_eq!(texts.len(), 32);
}

proptest! {
    #[test]
    fn what_is_read_is_written_again(octets in proptest::array::uniform24(any::<u8>())) {
        let mut octets = octets;
        // Most would fail at the first checks.
        octets[0] = 0x20 | octets[0] & 0x1f;
        octets[3] = 24;
        if let Ok(packet) = ControlPacket::decode(&octets) {
            prop_assert_eq!(packet.encode(), octets);
        }
    }

    #[test]
    fn nothing_that_comes_does_harm(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(packet) = ControlPacket::decode(&octets) {
            prop_assert_eq!(&packet.encode()[..], &octets[..24]);
        }
    }
}
