//! Mutated messages through the whole codec: no panic, no memory beyond the message's own order.
//!
//! `BGP_MUTATIONS` sets how many; the figure of the notes is from ten million in release.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bgp_oracles::hostile::{Outcome, message, receive};
use bgp_oracles::seeds::{Random, session};
use bytes::Bytes;

/// Counts what is allocated; the tests of this file run one at a time for its sake.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn hostile_messages_do_no_harm() {
    let count: usize = std::env::var("BGP_MUTATIONS")
        .ok()
        .map_or(300_000, |count| {
            count.parse().expect("BGP_MUTATIONS is a number")
        });
    let mut random = Random(4271);
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    let (mut worst, mut worst_ratio) = (0, 0.0_f64);
    for i in 0..count {
        let terms = session(&mut random);
        let bytes = Bytes::from(message(&mut random, &terms));
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        let outcome = receive(&bytes, &terms);
        let used = MOST.load(Relaxed) - before;
        // Reading it, writing it again, and the announcement written anew.
        let allowed = 16 * 1024 + 16 * bytes.len();
        assert!(
            used <= allowed,
            "message {i}: {used} octets for {}",
            bytes.len()
        );
        worst = worst.max(used);
        if bytes.len() >= 512 {
            worst_ratio = worst_ratio.max(used as f64 / bytes.len() as f64);
        }
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{count} messages: {outcomes:?}");
    println!("most memory for one: {worst} octets, {worst_ratio:.1} times its length");
    let all = [
        Outcome::NoFrame,
        Outcome::Refused,
        Outcome::NoUpdate,
        Outcome::Fine,
        Outcome::Discard,
        Outcome::Withdraw,
        Outcome::Reset,
    ];
    for outcome in all {
        let seen = outcomes.get(&outcome).copied().unwrap_or_default();
        assert!(
            seen > count / 1000,
            "only {seen} {outcome:?}: the mutations miss something"
        );
    }
}
