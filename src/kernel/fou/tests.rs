use super::*;
use crate::kernel::netlink::Messages;
use crate::kernel::test_mutation::Chance;
use crate::net::Family;

fn every_port() -> [Port; 4] {
    [
        Port::gue(Family::V4, 5555),
        Port::gue(Family::V6, 5555),
        Port {
            payload: Payload::Direct(4),
            ..Port::gue(Family::V4, 5556)
        },
        Port {
            payload: Payload::Direct(41),
            ..Port::gue(Family::V6, 5556)
        },
    ]
}

fn sent(change: Change) -> Vec<u8> {
    wire::change(FamilyId(0x21), change).to_bytes(7).unwrap()
}

#[test]
fn a_port_has_the_bytes_that_the_kernels_header_says() {
    let golden: [(Change, &[u8]); 2] = [
        (
            Change::Add(Port::gue(Family::V4, 5555)),
            &[6, 0, 1, 0, 0x15, 0xb3, 0, 0, 5, 0, 2, 0, 2, 0, 0, 0],
        ),
        (
            Change::Del(Port::gue(Family::V6, 5555)),
            &[6, 0, 1, 0, 0x15, 0xb3, 0, 0, 5, 0, 2, 0, 10, 0, 0, 0],
        ),
    ];
    for (change, port_and_family) in golden {
        let bytes = sent(change);
        let kind: &[u8] = &[5, 0, 4, 0, 2, 0, 0, 0];
        assert_eq!(bytes[20..], [port_and_family, kind].concat());
        let command = if matches!(change, Change::Add(_)) {
            1
        } else {
            2
        };
        assert_eq!((bytes[4], bytes[16], bytes[17]), (0x21, command, 1));
    }
}

#[test]
fn what_is_sent_is_read_back() {
    for port in every_port() {
        let bytes = sent(Change::Add(port));
        let message = Messages::new(&bytes).next().unwrap();
        assert_eq!(wire::port(&message), Ok(Some(port)), "{port}");
    }
}

#[test]
fn two_hundred_thousand_damaged_messages_do_no_harm() {
    let messages = every_port().map(|port| sent(Change::Add(port)));
    let (mut chance, mut readable) = (Chance(0x9e37_79b9_7f4a_7c15), 0_u32);
    for round in 0..200_000 {
        let message = Messages::new(&messages[round % messages.len()]).next();
        let message = message.unwrap();
        let mut payload = message.payload.to_vec();
        chance.damage(&mut payload);
        let damaged = crate::kernel::netlink::Message {
            payload: &payload,
            ..message
        };
        readable += u32::from(matches!(wire::port(&damaged), Ok(Some(_))));
    }
    assert!(
        (20_000..200_000).contains(&readable),
        "{readable} could be read"
    );
}

#[test]
fn texts_are_what_ip_takes() {
    let [v4, v6, direct, direct_v6] = every_port();
    let table = [
        (Change::Add(v4), "ip fou add port 5555 gue"),
        (Change::Add(v6), "ip fou add port 5555 gue -6"),
        (Change::Add(direct), "ip fou add port 5556 ipproto 4"),
        (Change::Add(direct_v6), "ip fou add port 5556 ipproto 41 -6"),
        (Change::Del(v4), "ip fou del port 5555"),
        (Change::Del(v6), "ip fou del port 5555 -6"),
    ];
    for (change, text) in table {
        assert_eq!(change.to_string(), text);
    }
}

#[test]
fn a_kernel_without_the_module_is_named() {
    let error = Error::from(GenlError::UnknownFamily("fou".to_owned()));
    assert_eq!(
        error.to_string(),
        "this kernel has no FOU: the module fou is neither built in nor loaded"
    );
}
