//! What is news after a change that nobody listened to, on the fake; `tests/netns_kernel` shows the
//! same on the kernel.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::kernel::nft::object::{Element, KeyType, Name, Set, Term};
use crate::kernel::nft::{Existing, FakeNft};

fn members(number: usize) -> Transaction {
    let set = Arc::new(Set::new(Name::new("many").unwrap(), [KeyType::Ipv4Addr]));
    let mut transaction = Transaction::new(Name::new("ours").unwrap());
    let elements = (0..u32::try_from(number).unwrap())
        .map(|n| Element::new([Term::Address(IpAddr::from(n.to_be_bytes()))]));
    transaction.add_table(false).add_set(&set).add_elements(
        &set,
        elements.collect(),
        Existing::Ignored,
    );
    transaction
}

fn table(name: &str) -> Transaction {
    let mut transaction = Transaction::new(Name::new(name).unwrap());
    transaction.add_table(false);
    transaction
}

#[test]
fn only_many_elements_and_rules_make_a_transaction_large() {
    let mut flushed = members(1);
    let set = Arc::new(Set::new(Name::new("many").unwrap(), [KeyType::Ipv4Addr]));
    flushed.flush_set(&set);
    for (transaction, expected) in [
        (members(1), false),
        (members(LARGE - 3), false),
        (members(LARGE - 2), true),
        (members(10 * LARGE), true),
        (flushed, true),
    ] {
        let commands = transaction.commands().len();
        assert_eq!(is_large(&transaction), expected, "{commands} commands");
    }
}

#[test]
fn what_others_commit_while_nobody_listens_is_news_once() {
    let outcome = |nft: &mut FakeNft, transaction: &Transaction| {
        let done = nft.commit(transaction, None).is_ok();
        ((), u32::from(done))
    };
    let mut refused = members(1);
    refused.delete_chain(&Name::new("never-made").unwrap());
    for (ours, is_foreign) in [
        (members(3), false),
        (members(3), true),
        (refused.clone(), false),
        (refused, true),
    ] {
        let (mut nft, mut watch) = (FakeNft::new(), Watch::new(None));
        assert!(!watch.has_news());
        watch.unheard(&mut nft, |nft| {
            if is_foreign {
                nft.commit(&table("theirs"), None).unwrap();
            }
            outcome(nft, &ours)
        });
        assert_eq!(watch.has_news(), is_foreign, "{ours}");
        assert!(!watch.has_news(), "once: {ours}");
    }
}

#[test]
fn generations_that_can_not_be_read_are_news() {
    let (one, two) = (Ok(Generation(1)), Ok(Generation(2)));
    assert!(is_explained(one.clone(), two.clone(), 1));
    assert!(!is_explained(one.clone(), two.clone(), 0));
    assert!(!is_explained(one, Err(nft::Error::Outdated), 1));
    assert!(!is_explained(Err(nft::Error::Outdated), two, 1));
    let around = (Ok(Generation(u32::MAX)), Ok(Generation(0)));
    assert!(is_explained(around.0, around.1, 1));
}
