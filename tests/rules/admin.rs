//! What the admin port and the metrics tell of rules.

use mysql_async::prelude::Queryable;

use super::{Room, parsed};

const RULES: &str = "
[[rule]]
name = 'watched'
table = 't'
count_only = true
deny = 'some day'
[[rule]]
name = 'closed'
table = 't'
class = 'write'
deny = 'read only'
[[rule]]
name = 'reports'
regex = '(?i)report'
consistency = 'global'
rewrite = 'u'
timeout = '5s'
";

async fn explained(room: &Room, sql: &str) -> Vec<String> {
    let mut admin = room.admin().await;
    let rows: Vec<(String, String)> = admin.query(format!("EXPLAIN ROUTE {sql}")).await.unwrap();
    admin.disconnect().await.unwrap();
    rows.into_iter()
        .map(|(what, found)| format!("{what}: {found}"))
        .collect()
}

#[tokio::test]
async fn explain_route_names_the_rule() {
    let room = Room::new("explained").await;
    room.rules(RULES);
    let table = format!("{}.t", room.schema);
    for (sql, expected) in [
        (
            format!("INSERT INTO {table} VALUES (1)"),
            vec![
                "rule that only counts: watched",
                "rule: closed: deny",
                "error: read only",
                "decision: nowhere: an error",
                "reason: denied",
            ],
        ),
        (
            format!("SELECT a FROM {table}"),
            vec!["rule that only counts: watched", "rule: none"],
        ),
        (
            "SELECT a FROM report".to_owned(),
            vec![
                "rule: reports: rewrite, consistency global, timeout 5s",
                "statement: select a from u",
                "level: global",
            ],
        ),
        ("SELECT 1".to_owned(), vec!["rule: none", "level: session"]),
    ] {
        let said = explained(&room, &sql).await;
        for line in expected {
            assert!(
                said.contains(&line.to_owned()),
                "{sql}: no {line:?} in {said:?}"
            );
        }
    }
    for rule in ["watched", "closed", "reports"] {
        assert_eq!(room.count(rule, "hits").await, 0, "nothing ran");
    }
}

#[tokio::test]
async fn counts_outlive_a_change_of_the_rules() {
    let mut room = Room::new("counts").await;
    room.rules(RULES);
    room.went("SELECT b FROM t").await;
    room.went("DELETE FROM t").await;
    let mut admin = room.admin().await;
    let sql = "SELECT number, name, act, count_only, hits, denied FROM rules";
    let rows: Vec<(u64, String, String, String, u64, u64)> = admin.query(sql).await.unwrap();
    let row = |n, name: &str, act: &str, only: &str, hits, denied| {
        (
            n,
            name.to_owned(),
            act.to_owned(),
            only.to_owned(),
            hits,
            denied,
        )
    };
    let act = "rewrite, consistency global, timeout 5s";
    assert_eq!(
        rows,
        [
            row(1, "watched", "deny", "yes", 2, 0),
            row(2, "closed", "deny", "no", 1, 1),
            row(3, "reports", act, "no", 0, 0),
        ]
    );
    let proxy = &room.setup().proxy;
    let page = || proxy.metrics().render().unwrap();
    let metric =
        |rule: &str, hits: u64| format!("highwater_rule_hits_total{{rule=\"{rule}\"}} {hits}\n");
    assert!(page().contains(&metric("watched", 2)) && page().contains(&metric("reports", 0)));

    let rest = RULES.split_once("[[rule]]\nname = 'reports'").unwrap().0;
    let mut rules = parsed("other", rest);
    rules.reverse();
    proxy.set_rules(&rules);
    assert_eq!(room.count("watched", "hits").await, 2);
    assert_eq!(room.count("watched", "number").await, 2);
    assert!(page().contains(&metric("watched", 2)) && !page().contains("reports"));
    assert_eq!(room.went("DELETE FROM t").await, "1227");
    assert_eq!(
        room.count("watched", "hits").await,
        2,
        "the first one decided"
    );
    proxy.set_rules(&[]);
    assert!(room.went("SELECT b FROM t").await.starts_with("replica"));
    let none: Vec<String> = admin.query("SELECT name FROM rules").await.unwrap();
    assert!(none.is_empty() && !page().contains("rule=\"watched\""));
}
