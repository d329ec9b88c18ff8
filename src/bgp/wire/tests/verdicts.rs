//! RFC 7606, sentence by sentence: what becomes of an UPDATE with that fault.

use super::*;

/// Who sends, besides an external peer of AS 64512 ("e"): an internal ("i"), a member of the
/// confederation ("c"), an external one that knows only short AS numbers ("o"), an external one
/// that speaks IPv4 alone ("4").
fn session(who: &str) -> Negotiated {
    let mut terms = terms();
    match who {
        "e" => {}
        "i" => terms = internal(),
        "c" => terms.peer = PeerKind::Confederation,
        "o" => terms.four_octet_as = false,
        "4" => terms.families.v6 = None,
        "6" => terms.families.v4 = None,
        other => panic!("{other}"),
    }
    terms
}

/// `O`, `A`, `N` stand for a right ORIGIN, AS_PATH, NEXT_HOP, `R` for an MP_REACH_NLRI, `U` for an
/// MP_UNREACH_NLRI, `E` for an empty one.
fn attributes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        bytes.extend(match word {
            "O" => hex("40 01 01 00"),
            "A" => hex("40 02 06 02 01 0000fc00"),
            "a" => hex("40 02 04 02 01 fc00"),
            "N" => hex("40 03 04 c0000201"),
            "R" => hex(REACH6),
            "U" => hex("80 0f 08 0002 01 20 20010db9"),
            "E" => hex("80 0f 03 0002 01"),
            other => hex(other),
        });
    }
    bytes
}

fn verdict(who: &str, text: &str, nlri: &str) -> String {
    let parsed = ParsedUpdate {
        attributes: attributes(text).into(),
        ..update("", "", nlri)
    };
    match validate(&parsed, &session(who)) {
        Err(fault) => {
            assert_eq!(fault.action, FaultAction::Reset);
            let told = fault.notification();
            let family = fault
                .family
                .map_or(String::new(), |family| format!(" {family}"));
            let data = if told.data.is_empty() { "" } else { " data" };
            format!("reset {} {}{data}{family}", told.code, told.subcode)
        }
        Ok(update) => {
            let mut words: Vec<String> = update
                .faults
                .iter()
                .map(|fault| match fault.action {
                    FaultAction::Discard => format!("discard {}", fault.code.0),
                    FaultAction::TreatAsWithdraw => format!("withdraw {}", fault.code.0),
                    FaultAction::Reset => panic!("{fault}"),
                })
                .collect();
            let is_withdrawn = update
                .faults
                .iter()
                .any(|fault| fault.action == FaultAction::TreatAsWithdraw);
            if is_withdrawn {
                assert_eq!(announced(&update), [""; 0], "{text}");
                assert_eq!(update.attributes, Attributes::default());
            }
            if words.is_empty() {
                words.push("fine".to_owned());
            }
            words.join(", ")
        }
    }
}

/// Session | attributes | NLRI | verdict; comments start with #
const TABLE: &str = "
# as it should be
e | O A N | 180a0000 | fine
o | O a N | 180a0000 | fine
i | O 400200 N | 180a0000 | fine
e | O A R | | fine
e | R A O | | fine
e | O A N R U | 180a0000 | fine
e | | | fine
e | E | | fine
e | U | | fine
e | O A N | | fine
# flags of low bits, partial on a well-known one and a long length are no faults
e | 4f010100 A N | 180a0000 | fine
e | 60010100 A N | 180a0000 | fine
e | 5001000100 A N | 180a0000 | fine
# section 3 c: flags
e | c0010100 A N | 180a0000 | withdraw 1
e | 00010100 A N | 180a0000 | withdraw 1
e | O 80020602010000fc00 N | 180a0000 | withdraw 2
e | O A c00304c0000201 | 180a0000 | withdraw 3
e | O A N 40040400000001 | 180a0000 | withdraw 4
e | O A N c0040400000001 | 180a0000 | withdraw 4
i | O A N c0050400000064 | 180a0000 | withdraw 5
e | O A N c00600 | 180a0000 | withdraw 6
e | O A N 4007080000fc00c0000201 | 180a0000 | withdraw 7
e | O A N 800804fc000001 | 180a0000 | withdraw 8
i | O A N c00904c0000201 | 180a0000 | withdraw 9
i | O A N 400a04c0000201 | 180a0000 | withdraw 10
e | O A N 8010080002fc0000000001 | 180a0000 | withdraw 16
e | O A N 80200c0000fc000000000100000002 | 180a0000 | withdraw 32
# section 3 d: missing
e | A N | 180a0000 | withdraw 1
e | O N | 180a0000 | withdraw 2
e | O A | 180a0000 | withdraw 3
e | | 180a0000 | withdraw 1, withdraw 2, withdraw 3
e | A R | | withdraw 1
e | O R | | withdraw 2
e | O A R | 180a0000 | withdraw 3
i | O 400200 N | 180a0000 | fine
# section 3 g: duplicates
e | O A N 40010102 | 180a0000 | discard 1
e | O A N O O O | 180a0000 | discard 1
e | O A N e06300 e06300 | 180a0000 | discard 99
e | O A R R | | reset 3 1
e | U U | | reset 3 1
e | O A R 800e00 | | reset 3 1
# section 3 h: the strongest counts
e | O A N c00700 c00800 | 180a0000 | discard 7, withdraw 8
e | c0010100 A N 800e00 | 180a0000 | reset 3 5 data
# section 4: lengths that don't add up
e | O A N 40 | 180a0000 | withdraw 0
e | O A N 4006 | 180a0000 | withdraw 6
e | O A N 400605 | 180a0000 | withdraw 6
e | O A N 50060005 | 180a0000 | withdraw 6
e | O A N 500600 | 180a0000 | withdraw 6
e | 4001ff00 | 180a0000 | withdraw 1, withdraw 1, withdraw 2, withdraw 3
# section 5.2: no prefixes that a fault could belong to
e | c0010100 A N | | reset 3 4 data
e | 40010103 A N | | reset 3 6 data
e | O 40020102 N | | reset 3 11
e | U c00800 | | reset 3 5 data
e | O A N 4006 | | reset 3 1
e | U 40 | | reset 3 1
e | O A N c00700 | | discard 7
e | E c00800 | | reset 3 5 data
# section 5.3: prefixes
e | O A N | 210a00000000 | reset 3 10
e | O A N | 180a00 | reset 3 10
e | O A N | 180a000018 | reset 3 10
e | O A N | 00 | fine
e | O A N | 200a000001 | fine
e | O A N | 080a 090a80 | fine
e | O A 800e16000201 1020010db8000000000000000000000001 00 81 | | reset 3 9 data IPv6
e | O A 800e16000201 1020010db8000000000000000000000001 00 20 | | reset 3 9 data IPv6
e | 800f0500020120 20 | | reset 3 9 data IPv6
e | 800f0400020181 | | reset 3 9 data IPv6
e | 800f0500010121 00 | | reset 3 9 data IPv4
e | 400f03000201 | | reset 3 4 data IPv6
e | O A c00e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8 | | reset 3 4 data IPv6
e | 800f020002 | | reset 3 5 data
e | 800f00 | | reset 3 5 data
e | O A 800e0400020100 | | reset 3 5 data IPv6
e | O A 800e00 | | reset 3 5 data
# section 7.1: ORIGIN
e | 400100 A N | 180a0000 | withdraw 1
e | 4001020000 A N | 180a0000 | withdraw 1
e | 40010103 A N | 180a0000 | withdraw 1
e | 400101ff A N | 180a0000 | withdraw 1
e | 40010101 A N | 180a0000 | fine
# section 7.2: AS_PATH
e | O 40020605010000fc00 N | 180a0000 | withdraw 2
e | O 40020600010000fc00 N | 180a0000 | withdraw 2
e | O 40020602020000fc00 N | 180a0000 | withdraw 2
e | O 40020702010000fc0002 N | 180a0000 | withdraw 2
e | O 40020802010000fc000200 N | 180a0000 | withdraw 2
e | O 40020602010000fc01 N | 180a0000 | withdraw 2
e | O 40020601010000fc00 N | 180a0000 | withdraw 2
e | O 400200 N | 180a0000 | withdraw 2
e | O a N | 180a0000 | withdraw 2
o | O A N | 180a0000 | withdraw 2
# RFC 7607: AS 0
e | O 40020a02020000fc0000000000 N | 180a0000 | withdraw 2
e | O A N c0070800000000c0000201 | 180a0000 | discard 7
# RFC 5065 section 5: the confederation
e | O 40020c 03010000fde9 02010000fc00 N | 180a0000 | withdraw 2
i | O 40020c 03010000fde9 02010000fc00 N | 180a0000 | fine
c | O 40020c 03010000fde9 02010000fc00 N | 180a0000 | fine
c | O A N | 180a0000 | withdraw 2
c | O 400200 N | 180a0000 | withdraw 2
c | O 40020604010000fde9 N | 180a0000 | withdraw 2
# section 7.3: NEXT_HOP
e | O A 400303c00002 | 180a0000 | withdraw 3
e | O A 40031020010db8000000000000000000000001 | 180a0000 | withdraw 3
e | O A 40030400000000 | 180a0000 | withdraw 3
e | O A 400304e0000001 | 180a0000 | withdraw 3
e | O A 400304ffffffff | 180a0000 | withdraw 3
e | O A 40030400000000 R | | fine
e | O A 400303c00002 R | | withdraw 3
# sections 7.4 and 7.5: MULTI_EXIT_DISC, LOCAL_PREF
e | O A N 800403000001 | 180a0000 | withdraw 4
e | O A N 800400 | 180a0000 | withdraw 4
e | O A N 80040400000001 | 180a0000 | fine
i | O A N 400503000001 | 180a0000 | withdraw 5
c | O 40020603010000fde9 N 40050400000001 | 180a0000 | fine
e | O A N 40050400000064 | 180a0000 | discard 5
e | O A N 400503000064 | 180a0000 | discard 5
# sections 7.6 and 7.7: ATOMIC_AGGREGATE, AGGREGATOR
e | O A N 400600 | 180a0000 | fine
e | O A N 40060100 | 180a0000 | discard 6
e | O A N c007080000fc00c0000201 | 180a0000 | fine
e | O A N c00706fc00c0000201 | 180a0000 | discard 7
o | O a N c00706fc00c0000201 | 180a0000 | fine
o | O a N c007080000fc00c0000201 | 180a0000 | discard 7
# sections 7.8, 7.14 and RFC 8092: communities
e | O A N c00804fc000001 | 180a0000 | fine
e | O A N c00800 | 180a0000 | withdraw 8
e | O A N c00803fc0000 | 180a0000 | withdraw 8
e | O A N c00805fc00000100 | 180a0000 | withdraw 8
e | O A N c010080002fc0000000001 | 180a0000 | fine
e | O A N c01008ff12345678900001 | 180a0000 | fine
e | O A N c01000 | 180a0000 | withdraw 16
e | O A N c010070002fc00000000 | 180a0000 | withdraw 16
e | O A N c0200c0000fc000000000100000002 | 180a0000 | fine
e | O A N c02000 | 180a0000 | withdraw 32
e | O A N c0200b0000fc0000000001000000 | 180a0000 | withdraw 32
# sections 7.9 and 7.10: ORIGINATOR_ID, CLUSTER_LIST
i | O A N 800904c0000201 800a04c0000209 | 180a0000 | fine
i | O A N 800903c00002 | 180a0000 | withdraw 9
i | O A N 800a00 | 180a0000 | withdraw 10
i | O A N 800a05c000020100 | 180a0000 | withdraw 10
e | O A N 800904c0000201 800a03c00002 | 180a0000 | discard 9, discard 10
c | O 40020603010000fde9 N 800904c0000201 | 180a0000 | discard 9
# section 7.11: the next hop in MP_REACH_NLRI
e | O A 800e0e 0002 01 04 c0000201 00 20 20010db8 | | reset 3 9 data IPv6
e | O A 800e0d 0001 01 04 c0000201 00 18 0a0000 | | fine
e | O A 800e19 0001 01 10 20010db8000000000000000000000001 00 18 0a0000 | | reset 3 9 data IPv4
e | O A 800e21 0002 01 18 000000000000000020010db8000000000000000000000001 00 20 20010db8 | | reset 3 9 data IPv6
e | O A 800e09 0002 01 00 00 20 20010db8 | | reset 3 9 data IPv6
e | O A 800e09 0002 01 ff 00 20 20010db8 | | reset 3 5 data IPv6
e | O A 800e1a 0002 01 10 00000000000000000000000000000000 00 20 20010db8 | | withdraw 14
e | O A 800e1a 0002 01 10 ff020000000000000000000000000001 00 20 20010db8 | | withdraw 14
e | O A 800e15 0002 01 10 00000000000000000000000000000000 00 | | fine
# other families are ignored, and their prefixes with them
4 | O A R | | discard 14
4 | O A R c00800 | | discard 14, withdraw 8
4 | U | | discard 15
4 | O A N R | 180a0000 | discard 14
e | O A 800e08 0019 41 00 00 010203 | | discard 14
e | 800f05 4004 47 0000 | | discard 15
6 | O A N | 180a0000 | discard 0
6 | O A N | ff | discard 0
# RFC 6793 section 6: AS4_PATH, AS4_AGGREGATOR
e | O A N c0110602010000fc00 c012080000fc00c0000201 | 180a0000 | discard 17, discard 18
o | O a N c0110602010000fc00 c012080000fc00c0000201 | 180a0000 | fine
o | O a N c0110602020000fc00 | 180a0000 | discard 17
o | O a N c0110609010000fc00 | 180a0000 | discard 17
o | O a N c01106020100000000 | 180a0000 | discard 17
o | O a N c012070000fc00c00002 | 180a0000 | discard 18
o | O a N c0120800000000c0000201 | 180a0000 | discard 18
# attributes that we don't know
e | O A N c0630101 | 180a0000 | fine
e | O A N 80630101 | 180a0000 | fine
e | O A N 40630101 | 180a0000 | reset 3 2 data
e | O A N 00630101 | 180a0000 | reset 3 2 data
";

#[test]
fn every_fault_has_its_verdict() {
    let mut wrong = Vec::new();
    let rows: Vec<&str> = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    for row in &rows {
        let [who, text, nlri, expected] = row.split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("not four columns: {row}");
        };
        let got = verdict(who, text, nlri);
        if got != expected {
            wrong.push(format!("{row}\n    but: {got}"));
        }
    }
    assert!(rows.len() > 130, "{} rows", rows.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_withdrawal_by_fault_takes_every_prefix_of_the_update() {
    let mut bytes = attributes("R O A N U");
    bytes.extend(hex("c00800"));
    let parsed = ParsedUpdate {
        attributes: bytes.into(),
        ..update("180a0001", "", "180a0000 180a0002")
    };
    let update = validate(&parsed, &terms()).unwrap();
    let gone = [
        "10.0.1.0/24",
        "2001:db9::/32",
        "10.0.0.0/24",
        "10.0.2.0/24",
        "2001:db8::/32",
    ];
    assert_eq!(withdrawn(&update), gone);
}

#[test]
fn the_notification_holds_the_attribute_and_fits_a_plain_message() {
    let fault = validate(&update("", "40 63 01 01", ""), &terms()).unwrap_err();
    assert_eq!(fault.notification().data[..], hex("40 63 01 01"));
    let long = format!("50 63 2000 {}", "00".repeat(0x2000));
    let fault = validate(&update("", &long, ""), &terms()).unwrap_err();
    let mut bytes = Vec::new();
    let message = Message::Notification(fault.notification());
    Codec::default().encode(&message, &mut bytes).unwrap();
    assert_eq!(bytes.len(), 4096);
}

#[test]
fn withdrawn_routes_are_checked_like_nlri() {
    for field in ["21 0a00000000", "18 0a00", "18"] {
        let fault = validate(&update(field, "", ""), &terms()).unwrap_err();
        let told = fault.notification();
        assert_eq!((told.code, told.subcode), (3, 10), "{field}");
    }
}

#[test]
fn many_faults_cost_no_more_than_one_each() {
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        bytes.extend(hex("c00800"));
    }
    let parsed = ParsedUpdate {
        attributes: bytes.into(),
        ..update("", "", "180a0000")
    };
    let update = validate(&parsed, &terms()).unwrap();
    assert_eq!(update.faults.len(), 5, "{:?}", update.faults);
}
