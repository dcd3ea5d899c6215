//! Which rule matches which statement.

use super::*;
use crate::domain::sql::{Doubt, Effects, StatementProfile};

mod matching {
    use super::*;

    fn profile(access: Access) -> StatementProfile {
        StatementProfile {
            access,
            effects: Effects::default(),
            doubt: Doubt::None,
            fingerprint: 0xabc,
        }
    }

    fn rule(name: &str, change: impl FnOnce(&mut When)) -> Rule {
        let mut rule = Rule {
            name: name.to_owned(),
            ..Rule::default()
        };
        change(&mut rule.when);
        rule
    }

    const ASKER: Asker<'static> = Asker {
        user: "app",
        client: Some(core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 1, 2, 3))),
        schema: Some(b"shop"),
    };
    const TEXT: &[u8] = b"SELECT a FROM orders WHERE b = 'X' /*app='cart'*/";

    fn found(rules: Vec<Rule>, access: Access) -> (Option<usize>, Vec<usize>) {
        let set = RuleSet::new(rules, 1);
        let profile = profile(access);
        let look = set.look(Some(b"select a from orders where b='?'"), &profile);
        let mut counted = Vec::new();
        let found = set.find(&look, access, &ASKER, TEXT, |it| counted.push(it));
        (found, counted)
    }

    #[test]
    fn every_condition_matches_and_does_not() {
        type Change = fn(&mut When);
        let cases: [(&str, Change, Change); 10] = [
            (
                "user",
                |w| w.users = vec!["x".into(), "app".into()],
                |w| w.users = vec!["App".into()],
            ),
            (
                "schema",
                |w| w.schemas.extend(Wildcard::new("SH*")),
                |w| w.schemas.extend(Wildcard::new("sh")),
            ),
            (
                "client",
                |w| w.clients.extend(Network::new("10.0.0.0/8")),
                |w| w.clients.extend(Network::new("10.1.2.4")),
            ),
            (
                "fingerprint",
                |w| w.fingerprints = vec![1, 0xabc],
                |w| w.fingerprints = vec![1],
            ),
            (
                "regex",
                |w| w.regex = Pattern::new("(?i)B = 'x'").ok(),
                |w| w.regex = Pattern::new("b = 'x'").ok(),
            ),
            (
                "table",
                |w| w.tables.extend(TablePattern::new("shop.ord*")),
                |w| w.tables.extend(TablePattern::new("other.orders")),
            ),
            (
                "table of any schema",
                |w| w.tables.extend(TablePattern::new("Orders")),
                |w| w.tables.extend(TablePattern::new("order")),
            ),
            (
                "only_table",
                |w| w.only_tables.extend(TablePattern::new("*.orders")),
                |w| w.only_tables.extend(TablePattern::new("b.*")),
            ),
            (
                "tag",
                |w| w.tags.extend(Tag::new("app=c*")),
                |w| w.tags.extend(Tag::new("app=shop")),
            ),
            (
                "class",
                |w| w.classes = vec![Class::Read],
                |w| w.classes = vec![Class::Write, Class::PrimaryRead],
            ),
        ];
        for (what, yes, no) in cases {
            let first = found(vec![rule("a", yes)], Access::Read).0;
            assert_eq!(first, Some(0), "{what}");
            assert_eq!(found(vec![rule("a", no)], Access::Read).0, None, "{what}");
            let both = rule("a", |when| {
                yes(when);
                when.users.push("nobody".into());
            });
            let fulfilled = what == "user";
            let (first, _) = found(vec![both], Access::Read);
            assert_eq!(first.is_some(), fulfilled, "all conditions of {what}");
        }
    }

    #[test]
    fn the_first_match_decides_and_what_only_counts_is_told() {
        let user = |name: &str, users: &str| rule(name, |w| w.users = vec![users.into()]);
        let counts = |name: &str| Rule {
            count_only: true,
            ..user(name, "app")
        };
        let rules = vec![
            user("a", "nobody"),
            counts("b"),
            user("c", "app"),
            counts("d"),
            user("e", "app"),
        ];
        assert_eq!(found(rules, Access::Read), (Some(2), vec![1]));
        assert_eq!(found(vec![counts("a")], Access::Write), (None, vec![0]));
    }

    #[test]
    fn what_ends_a_transaction_is_never_stopped() {
        let all = || vec![rule("a", |w| w.users = vec!["app".into()])];
        for access in [
            Access::TransactionEnd,
            Access::Own,
            Access::Kill,
            Access::Diagnostics,
        ] {
            assert_eq!(found(all(), access).0, None, "{access:?}");
        }
        assert_eq!(found(all(), Access::Session).0, Some(0));
    }

    #[test]
    fn only_tables_means_each_of_them() {
        let check = |pattern: &str, text: &str, schema: Option<&[u8]>, expected: bool| {
            let rule = rule("a", |w| w.only_tables.extend(TablePattern::new(pattern)));
            let set = RuleSet::new(vec![rule], 1);
            let look = set.look(Some(text.as_bytes()), &profile(Access::Read));
            let asker = Asker { schema, ..ASKER };
            let found = set.find(&look, Access::Read, &asker, b"", |_| {});
            assert_eq!(found.is_some(), expected, "{pattern}: {text}");
        };
        let shop: Option<&[u8]> = Some(b"shop");
        check("shop.*", "select a from shop.t,u", shop, true);
        check("shop.*", "select a from shop.t,u", Some(b"x"), false);
        check("shop.*", "select a from shop.t,u", None, false);
        check("shop.*", "select a from t,x.u", shop, false);
        check("shop.*", "select ?", shop, false);
        check(
            "t",
            "select a from t where b in(select c from u)",
            shop,
            false,
        );
    }

    #[test]
    fn a_look_belongs_to_its_set() {
        let (one, other) = (RuleSet::new(Vec::new(), 1), RuleSet::new(Vec::new(), 2));
        let look = one.look(None, &profile(Access::Write));
        assert!(one.took(&look) && !other.took(&look));
    }
}

mod conditions {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "A", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*ab", "aab", true),
            ("a**b", "ab", true),
            ("a?", "ab", false),
        ] {
            let wildcard = Wildcard::new(pattern);
            let matches = wildcard.is_some_and(|it| it.matches(name.as_bytes()));
            assert_eq!(matches, expected, "{pattern} {name}");
        }
        assert_eq!(Wildcard::new(""), None);
    }

    #[test]
    fn networks() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("fd00::/8", "fdab::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "fe00::1", true),
        ] {
            let (network, address) = (Network::new(network), address.parse());
            let (Ok(network), Ok(address)) = (network, address) else {
                panic!("one of them cannot be read");
            };
            assert_eq!(network.contains(address), expected, "{network} {address}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "10.1.0.0/8", "x/8", "::1/129"] {
            assert!(Network::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn regular_expressions() {
        let pattern = Pattern::new(r"(?i)limit\s+(\d+)").expect("it is one");
        assert!(pattern.matches(b"SELECT 1 Limit 5"));
        let rewritten = pattern.rewrite(b"SELECT a LIMIT 500 -- limit 7", "LIMIT 0$1");
        assert_eq!(rewritten, b"SELECT a LIMIT 0500 -- LIMIT 07");
        assert_eq!(pattern.rewrite(b"SELECT \xff", "x"), b"SELECT \xff");
        for wrong in ["", "(", "a{99999999}", r"(\w{500}){500}"] {
            let error = Pattern::new(wrong).expect_err(wrong);
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn contradictions() {
        let of = |change: fn(&mut Rule)| {
            let mut rule = Rule::default();
            rule.when.users.push("app".into());
            change(&mut rule);
            let keys = rule.contradictions().into_iter().map(|(key, _)| key);
            keys.collect::<Vec<_>>()
        };
        type Change = fn(&mut Rule);
        let cases: [(Change, &[&str]); 15] = [
            (|_| {}, &["name"]),
            (|r| r.count_only = true, &[]),
            (|r| r.act.allow = true, &[]),
            (|r| r.act.deny = Some("no".into()), &[]),
            (
                |r| {
                    r.when.users.clear();
                    r.act.allow = true;
                },
                &["name"],
            ),
            (
                |r| {
                    r.act.deny = Some("no".into());
                    r.act.timeout = Some(Duration::from_secs(1));
                },
                &["deny"],
            ),
            (
                |r| {
                    r.act.allow = true;
                    r.act.level = Some(Level::Global);
                },
                &["allow"],
            ),
            (|r| r.act.rewrite = Some("x".into()), &["rewrite"]),
            (
                |r| {
                    r.act.target = Some(HintTarget::Replica);
                    r.when.classes = vec![Class::Write];
                },
                &["target"],
            ),
            (
                |r| {
                    r.act.target = Some(HintTarget::Replica);
                    r.when.classes = vec![Class::Write, Class::Read];
                },
                &[],
            ),
            (
                |r| {
                    r.act.mirror = Some(Mirror {
                        address: "a:1".into(),
                        percent: 1,
                    });
                    r.when.classes = vec![Class::PrimaryRead];
                },
                &["mirror"],
            ),
            (
                |r| {
                    r.act.max_staleness = Some(Duration::from_secs(1));
                    r.act.level = Some(Level::Session);
                },
                &["max_staleness"],
            ),
            (
                |r| {
                    r.act.level = Some(Level::Eventual);
                    r.when.tables.extend(TablePattern::new("t"));
                },
                &["table"],
            ),
            (
                |r| {
                    r.act.level = Some(Level::Eventual);
                    r.when.only_tables.extend(TablePattern::new("t"));
                },
                &[],
            ),
            (
                |r| {
                    r.act.level = Some(Level::Global);
                    r.when.tables.extend(TablePattern::new("t"));
                },
                &[],
            ),
        ];
        for (place, (change, keys)) in cases.into_iter().enumerate() {
            assert_eq!(of(change), keys, "case {place}");
        }
    }
}
