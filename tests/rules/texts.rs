//! Texts that rules rewrite.

use mysql_async::prelude::Queryable;

use super::{Room, error, server_error};
use crate::support::{cell, run};

#[tokio::test]
async fn what_a_rule_makes_is_what_runs_and_what_is_classified() {
    let mut room = Room::new("texts").await;
    for (regex, rewrite, sql, went) in [
        ("\\bold\\b", "t", "SELECT b FROM old", "replica fresh"),
        (
            "(?i)^select b from (\\w+)$",
            "SELECT b FROM $1 FOR UPDATE",
            "SELECT b FROM t",
            "primary locking_read",
        ),
        (
            "(?s)^.*$",
            "INSERT INTO u VALUES (5)",
            "SELECT b FROM t",
            "primary write",
        ),
        (
            "FOR UPDATE",
            "",
            "SELECT b FROM t FOR UPDATE",
            "replica fresh",
        ),
        (
            "b FROM",
            "@@hostname FROM",
            "SELECT b FROM t",
            "primary server_local",
        ),
        (
            "^SELECT",
            "/* highwater: primary */ SELECT",
            "SELECT b FROM t",
            "replica fresh",
        ),
    ] {
        room.rules(&format!(
            "[[rule]]\nname = 'a'\nregex = '{regex}'\nrewrite = '{rewrite}'"
        ));
        room.setup().cluster.wait_all_caught_up().await.unwrap();
        let (before, hits) = (
            room.count("a", "rewritten").await,
            room.count("a", "hits").await,
        );
        let seen = room.went(sql).await;
        assert_eq!(seen, went, "{sql} by {rewrite}");
        assert_eq!(room.count("a", "rewritten").await, before + 1, "{sql}");
        assert_eq!(room.count("a", "hits").await, hits + 1, "{sql}");
    }
    room.rules(
        "[[rule]]\nname = 'a'\nregex = '^SELECT 1$'\nrewrite = 'SELECT @@highwater_position'",
    );
    let (code, _, message) = error(&mut room.client, "SELECT 1").await;
    assert_eq!(code, 1235, "{message}");
    room.rules(
        "[[rule]]\nname = 'a'\nregex = 'WHERE a = (\\d+)'\nrewrite = 'WHERE a = 0 + $1 LIMIT 1'",
    );
    let read = cell(&mut room.client, "SELECT b FROM t WHERE a = 1").await;
    assert_eq!(read.as_deref(), Some("7"));
}

#[tokio::test]
async fn what_is_prepared_is_rewritten_once() {
    let mut room = Room::new("prepared_texts").await;
    room.rules("[[rule]]\nname = 'a'\nregex = '\\bold\\b'\nrewrite = 't'");
    let prepared = room
        .client
        .prep("SELECT b FROM old WHERE a = ?")
        .await
        .unwrap();
    for _ in 0..3 {
        let found: Option<i32> = room.client.exec_first(&prepared, (1,)).await.unwrap();
        assert_eq!(found, Some(7));
    }
    assert_eq!(room.count("a", "rewritten").await, 1);
    assert_eq!(
        room.count("a", "hits").await,
        4,
        "once as a text, and at each execution"
    );
    // On another connection it is prepared again, by the text that the rule made.
    for sql in ["BEGIN", "INSERT INTO u VALUES (1)"] {
        run(&mut room.client, sql).await;
    }
    let found: Option<i32> = room.client.exec_first(&prepared, (1,)).await.unwrap();
    assert_eq!(found, Some(7));
    run(&mut room.client, "COMMIT").await;
    room.rules(
        "[[rule]]\nname = 'a'\nregex = '^SELECT \\?$'\nrewrite = 'SELECT @@highwater_position'",
    );
    let failed = room.client.prep("SELECT ?").await;
    assert_eq!(server_error("prepare", failed.map(drop)).0, 1235);
}
