//! Who may change a table, with the processes that a table can belong to as sockets.

use std::time::Duration;

use super::*;

fn header(nft: &mut impl Tables, table: &str) -> Option<Ownership> {
    let tables = nft.tables().unwrap();
    let found = tables.into_iter().find(|header| header.name == name(table));
    found.map(|header| header.ownership)
}

fn add_chain(tables: &mut impl Tables, chain: &str) -> Result<(), Error> {
    let mut transaction = Transaction::new(name("t"));
    transaction.add_chain(plain(chain));
    tables.commit(&transaction, None)
}

fn add_table(tables: &mut impl Tables, is_owned: bool) -> Result<(), Error> {
    let mut transaction = Transaction::new(name("t"));
    transaction.add_table(is_owned);
    tables.commit(&transaction, None)
}

/// Why the first command was refused.
fn reason(result: Result<(), Error>) -> Reason {
    match result {
        Err(Error::Refused(mut refused)) => refused.remove(0).reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_outlives_its_owner_and_is_adopted_by_the_next() {
    in_namespace(|| {
        let (mut first, mut second) = (Nft::open().unwrap(), Nft::open().unwrap());
        if !first.can_own().unwrap() {
            // Before Linux 6.9.
            let mut fake = FakeNft::new();
            fake.is_able_to_own = false;
            for refused in [add_table(&mut first, true), add_table(&mut fake, true)] {
                assert!(is_not_supported(&reason(refused)));
            }
            return;
        }
        add_table(&mut first, true).unwrap();
        add_chain(&mut first, "c").unwrap();
        let port = first.port().unwrap();
        assert_eq!(header(&mut first, "t"), Some(Ownership::Mine));
        assert_eq!(header(&mut second, "t"), Some(Ownership::Other(port)));
        assert_eq!(reason(add_chain(&mut second, "d")), Reason::NotOwner);
        assert_eq!(reason(add_table(&mut second, true)), Reason::NotOwner);
        feed("flush ruleset").unwrap();
        assert!(feed("delete table inet t").is_err());
        assert!(observe(&mut second, "t").chains.contains_key(&name("c")));

        drop(first);
        assert_eq!(header(&mut second, "t"), Some(Ownership::Orphan));
        assert!(observe(&mut second, "t").chains.contains_key(&name("c")));
        let mut fake = FakeNft::new();
        add_table(&mut fake, true).unwrap();
        add_chain(&mut fake, "c").unwrap();
        fake.set_ownership(&name("t"), Ownership::Other(port));
        assert_eq!(reason(add_chain(&mut fake, "d")), Reason::NotOwner);
        assert_eq!(reason(add_table(&mut fake, true)), Reason::NotOwner);
        fake.set_ownership(&name("t"), Ownership::Orphan);
        adopt(&mut second);
        adopt(&mut fake);
        drop(second);
        fake.set_ownership(&name("t"), Ownership::Orphan);
        let mut third = Nft::open().unwrap();
        delete_and_make_anew(&mut third);
        delete_and_make_anew(&mut fake);
    });
}

/// Adopts the orphan, in kernel and fake alike.
fn adopt(tables: &mut impl Tables) {
    let orphan_as_nobodys = reason(add_table(tables, false));
    assert!(is_not_supported(&orphan_as_nobodys), "{orphan_as_nobodys}");
    add_chain(tables, "d").unwrap();
    add_table(tables, true).unwrap();
    assert_eq!(header(tables, "t"), Some(Ownership::Mine));
    add_table(tables, true).unwrap();
    let mine_as_nobodys = reason(add_table(tables, false));
    assert!(is_not_supported(&mine_as_nobodys), "{mine_as_nobodys}");
}

/// Deletes what an owner left behind; a table made without one cannot be owned later.
fn delete_and_make_anew(tables: &mut impl Tables) {
    assert_eq!(header(tables, "t"), Some(Ownership::Orphan));
    let mut transaction = Transaction::new(name("t"));
    transaction.delete_table();
    tables.commit(&transaction, None).unwrap();
    assert_eq!(header(tables, "t"), None);
    add_table(tables, false).unwrap();
    assert_eq!(header(tables, "t"), Some(Ownership::Nobody));
    let nobodys_as_owned = reason(add_table(tables, true));
    assert!(is_not_supported(&nobodys_as_owned), "{nobodys_as_owned}");
}

fn is_not_supported(reason: &Reason) -> bool {
    matches!(reason, Reason::Kernel(error) if error.is(libc::EOPNOTSUPP))
}

#[test]
fn a_transaction_made_for_an_older_generation_is_refused() {
    in_namespace(|| {
        let (mut nft, mut fake) = (Nft::open().unwrap(), FakeNft::new());
        let old = (nft.generation().unwrap(), fake.generation().unwrap());
        add_table(&mut nft, false).unwrap();
        add_table(&mut fake, false).unwrap();
        let mut transaction = Transaction::new(name("t"));
        transaction.add_chain(plain("c"));
        assert_eq!(nft.commit(&transaction, Some(old.0)), Err(Error::Outdated));
        assert_eq!(fake.commit(&transaction, Some(old.1)), Err(Error::Outdated));
        let new = (nft.generation().unwrap(), fake.generation().unwrap());
        assert!(old.0 < new.0 && old.1 < new.1);
        nft.commit(&transaction, Some(new.0)).unwrap();
        fake.commit(&transaction, Some(new.1)).unwrap();
        // What changes nothing is no new generation.
        let new = (nft.generation().unwrap(), fake.generation().unwrap());
        add_table(&mut nft, false).unwrap();
        add_table(&mut fake, false).unwrap();
        assert_eq!(new, (nft.generation().unwrap(), fake.generation().unwrap()));
    });
}

const SOON: Option<Duration> = Some(Duration::from_secs(5));

/// The next notice about the table watched.
fn notice(monitor: &mut Monitor) -> Notice {
    loop {
        let notice = monitor.next(SOON).unwrap();
        if notice != Notice::Elsewhere {
            return notice;
        }
    }
}

#[test]
fn the_monitor_tells_what_others_change_in_its_table() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        let mut monitor = Monitor::open(name("t")).unwrap();
        monitor.leave_out(nft.port().unwrap()).unwrap();
        let quiet = |monitor: &mut Monitor| monitor.next(Some(Duration::ZERO)).unwrap();

        nft.commit(&vocabulary("t", false), None).unwrap();
        assert_eq!(quiet(&mut monitor), Notice::Quiet);
        feed("add table inet other\nadd chain inet other t").unwrap();
        assert_eq!(monitor.next(SOON).unwrap(), Notice::Elsewhere);
        while quiet(&mut monitor) != Notice::Quiet {}
        for change in [
            "add element inet t plain4 { 10.9.9.9 . tcp . 1 }",
            "add rule inet t rules accept",
            "flush chain inet t rules",
            "add chain inet t foreign",
            "flush ruleset",
        ] {
            feed(change).unwrap();
            assert_eq!(notice(&mut monitor), Notice::Changed, "{change}");
            while quiet(&mut monitor) != Notice::Quiet {}
        }
        // Another socket of the same process is somebody else, too.
        Nft::open()
            .unwrap()
            .commit(&vocabulary("t", false), None)
            .unwrap();
        assert_eq!(notice(&mut monitor), Notice::Changed);
    });
}

#[test]
fn lost_notifications_are_told() {
    in_namespace(|| {
        let mut monitor = Monitor::open(name("t")).unwrap();
        let mut nft = Nft::open().unwrap();
        let set = Arc::new(Set::new(name("many"), [KeyType::Ipv4Addr]));
        let many: Vec<Element> = (0..500_u32)
            .map(|n| Element::new([Term::Address(IpAddr::from(n.to_be_bytes()))]))
            .collect();
        let mut transaction = Transaction::new(name("t"));
        transaction.add_table(false).add_set(&set);
        transaction.add_elements(&set, many.clone(), Existing::Refused);
        transaction.delete_elements(&set, many);
        for _ in 0..400 {
            nft.commit(&transaction, None).unwrap();
        }
        let is_overflow = |_| monitor.next(SOON).unwrap() == Notice::Overflow;
        assert!((0..20_000).any(is_overflow));
    });
}

#[test]
fn a_paused_monitor_tells_nothing_but_the_generation_does() {
    in_namespace(|| {
        let (mut nft, mut monitor) = (Nft::open().unwrap(), Monitor::open(name("t")).unwrap());
        monitor.leave_out(nft.port().unwrap()).unwrap();
        let before = nft.generation().unwrap();
        monitor.pause().unwrap();
        add_table(&mut nft, false).unwrap();
        feed("add chain inet t foreign").unwrap();
        monitor.resume().unwrap();
        assert_eq!(nft.generation().unwrap(), Generation(before.0 + 2));
        assert_eq!(monitor.next(Some(Duration::ZERO)).unwrap(), Notice::Quiet);
        feed("add chain inet t again").unwrap();
        assert_eq!(notice(&mut monitor), Notice::Changed);
    });
}
