//! NOTIFICATION: RFC 4486, 6608, 7313, 8538, 9003.

use super::*;

fn round_trip(notification: &Notification) -> Vec<u8> {
    let mut bytes = Vec::new();
    let message = Message::Notification(notification.clone());
    Codec::default().encode(&message, &mut bytes).unwrap();
    assert_eq!(Codec::default().decode(&bytes.clone().into()), Ok(message));
    bytes.split_off(19)
}

#[test]
fn every_subcode_has_its_number_and_words() {
    let ceases: Vec<u8> = CeaseSubcode::ALL
        .iter()
        .map(|subcode| subcode.number())
        .collect();
    assert_eq!(ceases, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (notification, bytes, words) in [
        (
            Notification::from(CeaseSubcode::MaximumPrefixesReached),
            vec![6, 1],
            "cease: maximum number of prefixes reached",
        ),
        (
            FsmSubcode::UnexpectedInOpenConfirm.into(),
            vec![5, 2],
            "FSM error: unexpected message in OpenConfirm",
        ),
        (
            Notification::HOLD_TIMER_EXPIRED,
            vec![4, 0],
            "hold timer expired",
        ),
        (
            Notification::SEND_HOLD_TIMER_EXPIRED,
            vec![8, 0],
            "send hold timer expired",
        ),
        (
            OpenSubcode::UnsupportedCapability.into(),
            vec![2, 7],
            "OPEN error: unsupported capability",
        ),
        (
            RouteRefreshSubcode::InvalidMessageLength.into(),
            vec![7, 1],
            "ROUTE-REFRESH error: invalid message length",
        ),
    ] {
        assert_eq!(round_trip(&notification), bytes);
        assert_eq!(notification.to_string(), words);
    }
}

#[test]
fn unknown_codes_and_data_are_kept() {
    for (code, subcode, words) in [
        (99, 3, "error 99, subcode 3"),
        (6, 77, "cease: subcode 77"),
        (1, 0, "message header error: subcode 0"),
        (0, 0, "error 0, subcode 0"),
    ] {
        let data = Bytes::from_static(&[1, 2, 3]);
        let notification = Notification {
            code,
            subcode,
            data,
        };
        assert_eq!(round_trip(&notification), [code, subcode, 1, 2, 3]);
        assert_eq!(notification.to_string(), words);
    }
}

#[test]
fn a_shutdown_has_words_for_the_operator() {
    let shutdown = CeaseSubcode::AdministrativeShutdown;
    let notification = Notification::cease(shutdown, "Grüße, back at 5");
    assert_eq!(notification.text().as_deref(), Some("Grüße, back at 5"));
    assert_eq!(
        notification.to_string(),
        "cease: administrative shutdown (\"Grüße, back at 5\")"
    );
    round_trip(&notification);
    let long = Notification::cease(shutdown, &"ü".repeat(200));
    assert_eq!(long.data[0], 254, "cut at a character");
    assert_eq!(long.text(), Some("ü".repeat(127)));
    assert_eq!(Notification::cease(shutdown, "").data.len(), 0);
    let rejected = Notification::cease(CeaseSubcode::ConnectionRejected, "no");
    assert_eq!(rejected, CeaseSubcode::ConnectionRejected.into());
}

#[test]
fn text_that_is_none_is_not_shown() {
    let shutdown = Notification::from(CeaseSubcode::AdministrativeShutdown);
    let text = |data: &[u8]| shutdown.clone().with_data(data.to_vec().into()).text();
    assert_eq!(text(&[]), None);
    assert_eq!(text(&[0]), None);
    assert_eq!(text(&[5, b'a']), None);
    assert_eq!(text(&[2, b'a', 0xff]).as_deref(), Some("a\u{fffd}"));
    assert_eq!(text(&[1, b'a', b'b']).as_deref(), Some("a"));
}

#[test]
fn a_hard_reset_wraps_its_reason() {
    let inner = Notification::cease(CeaseSubcode::AdministrativeReset, "new keys");
    let outer = inner.clone().into_hard_reset();
    assert_eq!(round_trip(&outer)[..4], [6, 9, 6, 4]);
    assert_eq!(outer.hard_reset_cause(), Some(inner));
    assert_eq!(outer.text().as_deref(), Some("new keys"));
    assert_eq!(
        outer.to_string(),
        "cease: hard reset (cease: administrative reset (\"new keys\"))"
    );
    let bare = Notification::from(CeaseSubcode::HardReset);
    assert!(bare.is_hard_reset() && bare.hard_reset_cause().is_none());
    assert_eq!(bare.to_string(), "cease: hard reset");
    let mut nested = bare;
    for _ in 0..1000 {
        nested = nested.into_hard_reset();
    }
    assert_eq!(nested.text(), None, "and no deep recursion");
    assert_eq!(nested.to_string(), "cease: hard reset");
}
