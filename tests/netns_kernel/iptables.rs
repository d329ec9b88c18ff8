//! iptables in both variants and families, with `iptables -S` as witness.

use kube_router::kernel::iptables::{
    Chain, ChainName, Edit, Error, FakeIptables, Guest, Iptables, Own, Position, Rule, RuleTables,
    Table, TableEdits, Variant,
};
use kube_router::net::Family;

use super::{in_namespace, not_run, tool};

fn chain(name: &str) -> ChainName {
    ChainName::new(name).unwrap()
}

fn is_ours(name: &str) -> bool {
    name.starts_with("KUBE-ROUTER-")
}

fn guest(at: &str, position: Position, matches: &str, target: &str) -> Guest {
    let (chain, rule) = (
        chain(at),
        Rule::new(matches, target, "sends us \"traffic\""),
    );
    Guest {
        chain,
        position,
        rule,
    }
}

/// All that is ours in the filter table, with so many ports accepted.
fn own(ports: u16) -> Own {
    let accept = |port| {
        let matches = format!("-p tcp -m tcp --dport {port}");
        Rule::new(&matches, "-j ACCEPT", "a port")
    };
    Own {
        table: Table::Filter,
        chains: vec![
            Chain {
                name: chain("KUBE-ROUTER-B"),
                rules: (1..=ports).map(accept).collect(),
            },
            Chain {
                name: chain("KUBE-ROUTER-A"),
                rules: vec![
                    Rule::new("", "-j KUBE-ROUTER-B", ""),
                    Rule::new("", "-j RETURN", "no more"),
                ],
            },
        ],
        guests: vec![
            guest("INPUT", Position::First, "-p tcp", "-j KUBE-ROUTER-A"),
            guest("INPUT", Position::First, "-p udp", "-j KUBE-ROUTER-A"),
            guest("FORWARD", Position::Last, "", "-j KUBE-ROUTER-B"),
        ],
    }
}

/// Brings the tables to `own`; how many edits it took.
fn settle(tables: &mut dyn RuleTables, own: &Own) -> usize {
    let edits = tables.save(own.table).unwrap().changes(own, is_ours);
    let count = edits.edits.len();
    tables.restore(&[edits]).unwrap();
    let again = tables.save(own.table).unwrap().changes(own, is_ours);
    assert_eq!(again.edits, [], "a second look finds nothing to do");
    count
}

/// What the fake claims about the tools, on either. `foreign` inserts a rule of someone else's
/// into INPUT at a place.
fn scenario<T: RuleTables>(tables: &mut T, foreign: impl Fn(&mut T, usize)) {
    foreign(tables, 1);
    assert_eq!(settle(tables, &own(3)), 5);
    assert_eq!(
        settle(tables, &own(3)),
        0,
        "nothing changes when nothing is new"
    );
    assert_eq!(
        settle(tables, &own(4)),
        1,
        "only the chain that differs is replaced"
    );

    foreign(tables, 1);
    assert_eq!(
        settle(tables, &own(4)),
        4,
        "ours are before all others again"
    );
    let saved = tables.save(Table::Filter).unwrap();
    let places: Vec<usize> = saved.ours_in("INPUT").map(|(place, _)| place).collect();
    assert_eq!((places, saved.chains["INPUT"].rules.len()), (vec![1, 2], 4));

    // Someone empties a chain of ours, another doubles a guest.
    let meddling = TableEdits {
        table: Table::Filter,
        edits: vec![
            Edit::ReplaceChain(Chain {
                name: chain("KUBE-ROUTER-B"),
                rules: Vec::new(),
            }),
            Edit::InsertRule {
                chain: chain("FORWARD"),
                place: None,
                rule: own(4).guests[2].rule.clone(),
            },
        ],
    };
    tables.restore(&[meddling]).unwrap();
    assert_eq!(settle(tables, &own(4)), 4);

    // A refused line leaves the whole table as it was.
    let before = tables.save(Table::Filter).unwrap();
    let jump = Rule::new("", "-j KUBE-ROUTER-NONE", "to nowhere");
    let bad = TableEdits {
        table: Table::Filter,
        edits: vec![Edit::ReplaceChain(Chain {
            name: chain("KUBE-ROUTER-A"),
            rules: vec![jump],
        })],
    };
    let error = tables.restore(&[bad]).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Refused {
                line: Some(3 | 4),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(tables.save(Table::Filter).unwrap(), before);

    // A chain in use cannot go.
    let used = Edit::DeleteChain(chain("KUBE-ROUTER-B"));
    let used = TableEdits {
        table: Table::Filter,
        edits: vec![used],
    };
    tables.restore(&[used]).unwrap_err();
    assert_eq!(tables.save(Table::Filter).unwrap(), before);

    let nothing = Own {
        table: Table::Filter,
        chains: Vec::new(),
        guests: Vec::new(),
    };
    assert_eq!(settle(tables, &nothing), 5);
    let saved = tables.save(Table::Filter).unwrap();
    assert!(!saved.chains.keys().any(|name| is_ours(name)));
    assert_eq!(saved.chains["INPUT"].rules.len(), 2, "rules of others stay");
    assert_eq!(saved.ours_in("FORWARD").count(), 0);
}

/// The tools of a variant, or a word about why they are not here.
fn open(family: Family, variant: Variant) -> Option<Iptables> {
    match Iptables::open_variant(family, variant) {
        Ok(iptables) => Some(iptables),
        Err(error) => {
            not_run(&error.to_string());
            None
        }
    }
}

fn program(family: Family, variant: Variant) -> String {
    let stem = if family == Family::V4 {
        "iptables"
    } else {
        "ip6tables"
    };
    format!("{stem}-{variant}")
}

#[test]
fn the_fake_behaves_like_both_variants() {
    scenario(&mut FakeIptables::new(), |fake, place| {
        fake.insert_foreign(Table::Filter, "INPUT", place, "-p icmp -j ACCEPT");
    });
    for variant in [Variant::Nft, Variant::Legacy] {
        for family in Family::ALL {
            in_namespace(move || {
                let Some(mut iptables) = open(family, variant) else {
                    return;
                };
                assert_eq!((iptables.variant(), iptables.family()), (variant, family));
                scenario(&mut iptables, |_, place| {
                    let program = program(family, variant);
                    tool(&format!(
                        "{program} -w 5 -I INPUT {place} -p 47 -m comment --comment other -j ACCEPT"
                    ));
                });
            });
        }
    }
}

#[test]
fn the_tool_shows_our_rules_with_their_notes() {
    for variant in [Variant::Nft, Variant::Legacy] {
        in_namespace(move || {
            let Some(mut iptables) = open(Family::V4, variant) else {
                return;
            };
            settle(&mut iptables, &own(2));
            let shown = tool(&format!("{} -S", program(Family::V4, variant)));
            let hash = own(2).chains[0].rules[1].hash();
            let rule = format!(
                "-A KUBE-ROUTER-B -p tcp -m tcp --dport 2 -m comment --comment \"kube-router:{hash} a port\" -j ACCEPT"
            );
            assert!(shown.lines().any(|line| line == rule), "{rule}\n{shown}");
            let first = shown
                .lines()
                .find(|line| line.starts_with("-A INPUT"))
                .unwrap();
            assert!(
                first.contains("-p tcp") && first.contains("-j KUBE-ROUTER-A"),
                "{first}"
            );
        });
    }
}

#[test]
fn errors_name_the_line_and_the_tools_words() {
    for variant in [Variant::Nft, Variant::Legacy] {
        in_namespace(move || {
            let Some(mut iptables) = open(Family::V4, variant) else {
                return;
            };
            let input = "*filter\n:KUBE-ROUTER-A - [0:0]\n-A KUBE-ROUTER-A --foo\nCOMMIT\n";
            let error = iptables.restore_text(input).unwrap_err();
            assert!(!error.is_transient());
            let Error::Refused {
                line, text, stderr, ..
            } = error
            else {
                panic!("{error}");
            };
            assert_eq!(
                (line, text.as_deref()),
                (Some(3), Some("-A KUBE-ROUTER-A --foo"))
            );
            assert!(stderr.contains("unknown option \"--foo\""), "{stderr}");
        });
    }
}

#[test]
fn a_table_that_only_nft_can_show_is_an_error_not_an_empty_table() {
    in_namespace(|| {
        let Some(mut iptables) = open(Family::V4, Variant::Nft) else {
            return;
        };
        tool("iptables-nft -N KUBE-ROUTER-A");
        tool("nft add rule ip filter KUBE-ROUTER-A meta mark set numgen inc mod 7");
        let saved = iptables.save(Table::Filter);
        assert!(matches!(saved, Err(Error::Unreadable { .. })), "{saved:?}");
    });
}

#[test]
fn a_table_never_used_is_empty_or_has_only_its_built_in_chains() {
    for variant in [Variant::Nft, Variant::Legacy] {
        in_namespace(move || {
            let Some(mut iptables) = open(Family::V6, variant) else {
                return;
            };
            for table in Table::ALL {
                let saved = iptables.save(table).unwrap();
                assert!(saved.chains.values().all(|chain| chain.rules.is_empty()));
            }
            let mangle = Own {
                table: Table::Mangle,
                chains: Vec::new(),
                guests: vec![guest("PREROUTING", Position::First, "", "-j RETURN")],
            };
            assert_eq!(settle(&mut iptables, &mangle), 1);
        });
    }
}
