//! OPEN and capabilities: RFC 4271 section 6.2, RFC 5492, RFC 9072 and the capabilities' own.

use super::*;

/// As BIRD 2 sends it: all capabilities in one parameter.
const ONE_PARAMETER: &str = "04 fc00 00f0 c0000202 \
    24 02 22 01 04 0001 00 01 01 04 0002 00 01 02 00 06 00 \
    40 06 4078 0001 01 80 41 04 0000fc00 46 00 47 00";
/// As Quagga and its heirs send it: each in a parameter of its own.
const MANY_PARAMETERS: &str = "04 5ba0 005a c0000203 \
    1c 02 06 01 04 0001 00 01 02 02 80 00 02 02 02 00 02 06 41 04 fffffff0 02 02 46 00";

fn decode(body: &str) -> Result<Open, DecodeError> {
    match Codec::default().decode(&framed(1, &hex(body)))? {
        Message::Open(open) => Ok(open),
        other => panic!("{other:?}"),
    }
}

fn open(capabilities: Vec<Capability>) -> Open {
    Open {
        asn: 64512,
        hold_time: HoldTime::SUGGESTED,
        router_id: Ipv4Addr::new(192, 0, 2, 2),
        capabilities,
    }
}

fn round_trip(open: &Open) -> Vec<u8> {
    let mut bytes = Vec::new();
    let message = Message::Open(open.clone());
    Codec::default().encode(&message, &mut bytes).unwrap();
    let back = Codec::default().decode(&bytes.clone().into());
    assert_eq!(back, Ok(message));
    bytes
}

#[test]
fn reads_all_capabilities_of_one_parameter() {
    let open = decode(ONE_PARAMETER).unwrap();
    assert_eq!((open.asn, open.hold_time.as_secs()), (64512, 240));
    let graceful = GracefulRestart {
        restarting: false,
        notification: true,
        restart_time: 120,
        families: vec![GracefulFamily {
            family: AddressFamily::IPV4_UNICAST,
            forwarding: true,
        }],
    };
    assert_eq!(
        open.capabilities,
        [
            Capability::Multiprotocol(AddressFamily::IPV4_UNICAST),
            Capability::Multiprotocol(AddressFamily::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::ExtendedMessage,
            Capability::GracefulRestart(graceful),
            Capability::FourOctetAs(64512),
            Capability::EnhancedRouteRefresh,
            Capability::LongLivedGracefulRestart(vec![]),
        ]
    );
    assert_eq!(round_trip(&open)[19..], hex(ONE_PARAMETER));
}

#[test]
fn reads_capabilities_of_several_parameters_and_the_long_as_number() {
    let open = decode(MANY_PARAMETERS).unwrap();
    assert_eq!(open.asn, 4_294_967_280);
    assert_eq!(open.capabilities.len(), 5);
    let old_refresh = Capability::Unknown {
        code: 128,
        value: [].into(),
    };
    assert!(open.has(&old_refresh) && open.has(&Capability::RouteRefresh));
    round_trip(&open);
}

#[test]
fn an_open_without_parameters_speaks_ipv4_with_short_as_numbers() {
    let open = decode("04 fc00 005a c0000203 00").unwrap();
    assert_eq!(open.four_octet_as(), None);
    assert!(open.speaks(Family::V4) && !open.speaks(Family::V6));
    round_trip(&open);
}

/// Body | code, subcode, data
const REFUSED: &str = "
03 fc00 005a c0000203 00                      | 2 1 0004
04 0000 005a c0000203 00                      | 2 2
04 fc00 005a c0000203 08 02 06 41 04 00000000 | 2 2
04 0000 005a c0000203 08 02 06 41 04 0000fc00 | 2 2
04 fc00 005a 00000000 00                      | 2 3
04 fc00 005a c0000203 02 01 00                | 2 4
04 fc00 0001 c0000203 00                      | 2 6
04 fc00 0002 c0000203 00                      | 2 6
04 fc00 005a c0000203 01                      | 2 0
04 fc00 005a c0000203 00 00                   | 2 0
04 fc00 005a c0000203 01 02                   | 2 0
04 fc00 005a c0000203 02 02 01                | 2 0
04 fc00 005a c0000203 03 02 01 41             | 2 0
04 fc00 005a c0000203 05 02 03 41 02 fc       | 2 0
04 fc00 005a c0000203 06 02 04 41 02 fc00     | 2 0
04 fc00 005a c0000203 ff ff 0001              | 2 0
04 fc00 005a c0000203 ff ff 0001 02           | 2 0
04 fc00 005a c0000203 ff ff                   | 2 0
";

#[test]
fn wrong_opens_are_refused_with_the_right_subcode() {
    for row in REFUSED.trim().lines() {
        let (body, expected) = row.split_once('|').unwrap();
        let told = decode(body).unwrap_err().notification();
        let data: String = told.data.iter().map(|byte| format!("{byte:02x}")).collect();
        let told = format!("{} {} {data}", told.code, told.subcode);
        assert_eq!(told.trim(), expected.trim(), "{row}");
    }
}

#[test]
fn hold_times_of_one_and_two_seconds_do_not_exist() {
    assert_eq!(HoldTime::from_secs(1), None);
    assert_eq!(HoldTime::from_secs(2), None);
    assert_eq!(HoldTime::from_secs(0), Some(HoldTime::DISABLED));
    assert_eq!(HoldTime::DISABLED.as_duration(), None);
    let three = HoldTime::from_secs(3).unwrap();
    assert_eq!(three.as_duration(), Some(std::time::Duration::from_secs(3)));
}

/// Code and value | what is read of it
const CAPABILITIES: &str = "
01 00010001         | Multiprotocol(IPv4 unicast)
01 000100           | unknown
05 000100010002     | IPv4 unicast by IPv6
05 0001000100       | unknown
05 000101000002     | unknown
06 00               | unknown
40 c0780001018000020100 | R N 120 s, IPv4 unicast F, IPv6 unicast
40 0fff             | 4095 s
40 00               | unknown
40 0000000101       | unknown
45 0001010300020102 | IPv4 unicast Both, IPv6 unicast Send
45 00010100         |
45 0001010400020101 | IPv6 unicast Receive
45 000101           | unknown
47 00010180ffffff   | IPv4 unicast F 16777215 s
47 00010180ffff     | unknown
49 026162016300     | unknown
49 0261620163       | ab c
49 02616201ff       | unknown
09 00               | unknown
";

fn text(capability: &Capability) -> String {
    let words = |words: Vec<String>| words.join(", ");
    let forwarding = |is: bool| if is { " F" } else { "" };
    match capability {
        Capability::Multiprotocol(family) => format!("Multiprotocol({family})"),
        Capability::ExtendedNextHop(list) => words(
            list.iter()
                .map(|entry| format!("{} by {}", entry.family, entry.next_hop))
                .collect(),
        ),
        Capability::GracefulRestart(graceful) => {
            let flags = [(graceful.restarting, "R "), (graceful.notification, "N ")];
            let flags: String = flags
                .iter()
                .filter(|flag| flag.0)
                .map(|flag| flag.1)
                .collect();
            let mut all = vec![format!("{flags}{} s", graceful.restart_time)];
            all.extend(
                graceful
                    .families
                    .iter()
                    .map(|entry| format!("{}{}", entry.family, forwarding(entry.forwarding))),
            );
            words(all)
        }
        Capability::AddPath(list) => words(
            list.iter()
                .map(|entry| format!("{} {:?}", entry.family, entry.mode))
                .collect(),
        ),
        Capability::LongLivedGracefulRestart(list) => words(
            list.iter()
                .map(|entry| {
                    let flag = forwarding(entry.forwarding);
                    format!("{}{flag} {} s", entry.family, entry.stale_time)
                })
                .collect(),
        ),
        Capability::Fqdn(fqdn) => format!("{} {}", fqdn.host, fqdn.domain),
        Capability::Unknown { .. } => "unknown".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn malformed_capabilities_count_as_unknown_and_are_kept() {
    for row in CAPABILITIES.trim().lines() {
        let (bytes, expected) = row.split_once('|').unwrap();
        let bytes = hex(bytes);
        let capability = Capability::decode(bytes[0], &bytes[1..]).unwrap();
        assert_eq!(text(&capability), expected.trim(), "{row}");
        assert_eq!(capability.code(), bytes[0]);
        let mut back = Vec::new();
        capability.encode(&mut back).unwrap();
        if !row.starts_with("45") {
            assert_eq!(back[2..], bytes[1..], "{row}");
        }
    }
}

#[test]
fn long_parameters_take_the_form_of_rfc_9072() {
    let filler = |length: usize| Capability::Unknown {
        code: 200,
        value: vec![1; length].into(),
    };
    let longest_short = round_trip(&open(vec![filler(250)]));
    assert_eq!(longest_short[28..31], [254, 2, 252]);
    let shortest_long = round_trip(&open(vec![filler(251)]));
    assert_eq!(shortest_long[28..35], [255, 255, 1, 0, 2, 0, 253]);
    round_trip(&open(vec![filler(255); 10]));
    let mut bytes = Vec::new();
    let too_long = Message::Open(open(vec![filler(255); 17]));
    assert!(Codec::default().encode(&too_long, &mut bytes).is_err());
    let too_long = Message::Open(open(vec![filler(256)]));
    assert!(Codec::default().encode(&too_long, &mut bytes).is_err());
    assert!(bytes.is_empty());
}

#[test]
fn long_parameters_are_read_whatever_the_short_length_says() {
    for short in ["ff", "04"] {
        let body = format!("04 fc00 005a c0000203 {short} ff 0005 02 0002 0200");
        assert_eq!(
            decode(&body).unwrap().capabilities,
            [Capability::RouteRefresh]
        );
    }
}

#[test]
fn terms_are_what_both_can_do() {
    let both = |mode| {
        let family = AddressFamily::IPV6_UNICAST;
        Capability::AddPath(vec![AddPathFamily { family, mode }])
    };
    let v6_next_hops = Capability::ExtendedNextHop(vec![ExtendedNextHop {
        family: AddressFamily::IPV4_UNICAST,
        next_hop: Afi::IPV6,
    }]);
    let families = [AddressFamily::IPV4_UNICAST, AddressFamily::IPV6_UNICAST];
    let mut ours = open(families.map(Capability::Multiprotocol).to_vec());
    ours.capabilities.extend([
        Capability::ExtendedMessage,
        Capability::FourOctetAs(64512),
        Capability::EnhancedRouteRefresh,
        both(AddPathMode::Receive),
        v6_next_hops.clone(),
    ]);
    let mut theirs = ours.clone();
    theirs.hold_time = HoldTime::from_secs(30).unwrap();
    theirs.capabilities.retain(|capability| {
        !matches!(
            capability,
            Capability::ExtendedMessage | Capability::AddPath(_)
        )
    });
    theirs.capabilities.push(both(AddPathMode::Both));
    let terms = Negotiated::between(&ours, &theirs, PeerKind::Internal);
    assert_eq!(terms.hold_time.as_secs(), 30);
    assert_eq!(
        (terms.receive_limit, terms.send_limit),
        (MessageLimit::Extended, MessageLimit::Standard)
    );
    assert!(terms.four_octet_as && terms.enhanced_refresh && !terms.route_refresh);
    assert!(!terms.enforce_first_as);
    let v4 = terms.family(Family::V4).unwrap();
    let v6 = terms.family(Family::V6).unwrap();
    assert!(v4.ipv6_next_hop && !v4.add_path_receive && !v4.add_path_send);
    assert!(!v6.ipv6_next_hop && v6.add_path_receive && !v6.add_path_send);
    let plain = open(vec![]);
    let terms = Negotiated::between(&ours, &plain, PeerKind::External);
    assert!(terms.family(Family::V4).is_some() && terms.family(Family::V6).is_none());
    assert!(!terms.four_octet_as && terms.enforce_first_as);
    assert!(!Negotiated::between(&plain, &ours, PeerKind::External).four_octet_as);
}

#[test]
fn long_lived_needs_graceful_restart() {
    let long = Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
        family: AddressFamily::IPV4_UNICAST,
        forwarding: false,
        stale_time: 3600,
    }]);
    let alone = open(vec![long.clone()]);
    assert_eq!(alone.long_lived(Family::V4), None);
    let with = open(vec![
        long,
        Capability::GracefulRestart(GracefulRestart::default()),
    ]);
    assert_eq!(
        with.long_lived(Family::V4).map(|entry| entry.stale_time),
        Some(3600)
    );
    assert_eq!(with.long_lived(Family::V6), None);
}
