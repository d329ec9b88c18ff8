use super::*;
use crate::net::Family;

#[test]
fn names_that_the_tool_could_not_read_back_are_refused() {
    assert!(Name::new("a".repeat(255)).is_ok());
    for good in ["_x", "kube-router-policy", "a.b/c"] {
        assert!(Name::new(good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "1a", "a b", "a\"b", "ä", &"a".repeat(256)] {
        assert!(Name::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn labels_fit_between_quotes_and_are_cut_off_between_characters() {
    for (text, label) in [
        ("why: \"so\"\n", "why: 'so' "),
        (&"a".repeat(200), &"a".repeat(127)),
        (&"ä".repeat(100), &"ä".repeat(63)),
    ] {
        assert_eq!(Label::new(text).as_str(), label);
    }
}

#[test]
fn what_an_expression_depends_on_is_put_before_it_once() {
    let v4 = || Expr::Nfproto(Family::V4);
    let source = || Expr::Address(Side::Source, Test::Is("10.0.0.1".parse().unwrap()));
    let icmp = || Expr::IcmpType(Family::V4, Test::Is(8));
    let is_icmp = || Expr::L4proto(Test::Is(1));
    for (given, expected) in [
        (vec![source()], vec![v4(), source()]),
        (vec![v4(), source()], vec![v4(), source()]),
        (vec![source(), source()], vec![v4(), source(), source()]),
        (vec![icmp()], vec![v4(), is_icmp(), icmp()]),
        (
            vec![source(), icmp()],
            vec![v4(), source(), is_icmp(), icmp()],
        ),
    ] {
        assert_eq!(Rule::new(given).exprs(), expected);
    }
}
