//! Messages that somebody has had hands on, and what the codec makes of them.

use bytes::Bytes;

use crate::bgp::wire::*;
use crate::seeds::{self, Random};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// No frame at all: octets are missing or the header is wrong.
    NoFrame,
    Refused,
    NoUpdate,
    Fine,
    Discard,
    Withdraw,
    Reset,
}

/// Reads the bytes as a session would, uses all that comes out, and writes it again.
///
/// # Panics
/// If the codec contradicts itself.
pub fn receive(bytes: &Bytes, terms: &Negotiated) -> Outcome {
    let codec = Codec::new(terms);
    let Ok(Some(length)) = codec.next_frame(bytes) else {
        return Outcome::NoFrame;
    };
    let message = match codec.decode(&bytes.slice(..length)) {
        Ok(message) => message,
        Err(error) => {
            assert!(matches!(error.notification().code, 1..=3 | 7), "{error}");
            return Outcome::Refused;
        }
    };
    let mut again = Vec::new();
    codec
        .encode(&message, &mut again)
        .expect("it fitted when it came");
    let Message::Update(parsed) = message else {
        let back = codec.decode(&Bytes::from(again));
        assert_eq!(back.as_ref(), Ok(&message), "read, written and read");
        return Outcome::NoUpdate;
    };
    assert_eq!(
        again[..],
        bytes[..length],
        "fields are written as they came"
    );
    match validate(&parsed, terms) {
        Ok(update) => use_up(&update, terms, length),
        Err(fault) => {
            assert_eq!(fault.action, FaultAction::Reset);
            let told = Message::Notification(fault.notification());
            Codec::default().encode(&told, &mut again).expect("it fits");
            Outcome::Reset
        }
    }
}

fn use_up(update: &Update, terms: &Negotiated, length: usize) -> Outcome {
    let mut count = 0;
    for list in update.withdrawn() {
        for nlri in list {
            assert_eq!(nlri.prefix, nlri.prefix.trunc());
            count += 1;
        }
    }
    let mut again = Vec::new();
    let writer = UpdateWriter::new(terms);
    for one in update.announced() {
        count += one.nlri.iter().count();
        let (family, nlri) = (one.nlri.family(), &one.nlri);
        // What came may grow beyond the limit: lengths of 16 bits, a LOCAL_PREF that was missing.
        let _ = writer.announce(family, &update.attributes, one.next_hop, nlri, &mut again);
    }
    assert!(count <= length, "{count} prefixes of {length} octets");
    assert!(update.faults.len() <= 1024);
    let worst = update.faults.iter().map(|fault| fault.action).max();
    match worst {
        None => Outcome::Fine,
        Some(FaultAction::Discard) => Outcome::Discard,
        Some(FaultAction::TreatAsWithdraw) => {
            assert_eq!(update.announced().count(), 0);
            Outcome::Withdraw
        }
        Some(FaultAction::Reset) => panic!("a reset is no UPDATE"),
    }
}

/// A message that was sound once, or never.
pub fn message(random: &mut Random, terms: &Negotiated) -> Vec<u8> {
    let mut bytes = match random.below(8) {
        0 => grammar(random),
        1 => {
            let mut bytes = Vec::new();
            let message = seeds::other(random);
            Codec::new(terms)
                .encode(&message, &mut bytes)
                .expect("it fits");
            bytes
        }
        _ => seeds::updates(random, terms),
    };
    for _ in 0..random.below(4) {
        mutate(random, &mut bytes);
    }
    if !random.one_in(16) {
        frame(&mut bytes);
    }
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    if length <= 19 {
        bytes.push(random.byte());
        return;
    }
    let at = 19 + random.below(length - 19);
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 4, 0x7f, 0x80, 0xff, 33, 129][random.below(8)],
        2 => bytes[at] = random.byte(),
        3 => bytes.truncate(at),
        4 => bytes.insert(at, random.byte()),
        5 => {
            bytes.remove(at);
        }
        6 => {
            let end = at + random.below((length - at).min(40) + 1);
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        _ => {
            bytes[at] = bytes[at]
                .wrapping_add(random.below(5) as u8)
                .wrapping_sub(2)
        }
    }
}

/// An UPDATE of attributes that have the right look and nothing else.
fn grammar(random: &mut Random) -> Vec<u8> {
    let mut attributes = Vec::new();
    for _ in 0..random.below(10) {
        let code = match random.below(4) {
            0 => random.byte(),
            _ => 1 + random.below(20) as u8,
        };
        let right = AttributeCode(code).flags().map_or(0xc0, |flags| flags.0);
        let flags = if random.one_in(6) {
            random.byte()
        } else {
            right
        } & !0x10;
        let length = match random.below(4) {
            0 => random.below(40),
            1 => 4,
            _ => [0, 1, 4, 6, 8, 12, 21, 26, 32][random.below(9)],
        };
        attributes.extend([flags, code, length as u8]);
        let interesting = [0, 1, 2, 3, 4, 16, 24, 32, 128, 255];
        attributes.extend((0..length).map(|_| interesting[random.below(10)]));
    }
    let mut bytes = vec![0xff; 16];
    bytes.extend([0, 0, 2, 0, 0]);
    bytes.extend((attributes.len() as u16).to_be_bytes());
    bytes.extend(attributes);
    for _ in 0..random.below(4) {
        bytes.extend([24, 10, random.byte(), random.byte()]);
    }
    bytes
}

/// Sets the header's length right.
fn frame(bytes: &mut Vec<u8>) {
    bytes.truncate(65_535);
    let length = (bytes.len() as u16).to_be_bytes();
    if let Some(field) = bytes.get_mut(16..18) {
        field.copy_from_slice(&length);
    }
}
