//! Denied statements.

use mysql_async::prelude::Queryable;

use super::{Room, error, server_error};
use crate::support::{cell, run};

const NO_DELETES: &str = "[[rule]]\nname = 'no-deletes'\nregex = '(?i)^\\s*delete'\ntable = 't'\ndeny = 'keep what is there'\n";

#[tokio::test]
async fn a_denied_statement_does_not_run() {
    let mut room = Room::new("denied").await;
    room.rules(NO_DELETES);
    let (code, state, message) = error(&mut room.client, "DELETE FROM t WHERE a = 1").await;
    assert_eq!((code, &*state), (1227, "42000"));
    assert_eq!(
        message,
        "Highwater: keep what is there (rule no-deletes); the statement was not run"
    );
    let warnings = cell(&mut room.client, "SHOW ERRORS").await;
    assert_eq!(
        warnings.as_deref(),
        Some("Error"),
        "it is the session's last error"
    );
    let failed = room.client.prep("DELETE FROM t WHERE a = ?").await;
    assert_eq!(server_error("prepare", failed.map(drop)).0, 1227);
    assert_eq!(room.went("DELETE FROM u").await, "primary write");
    assert_eq!(
        cell(&mut room.client, "SELECT COUNT(*) FROM t")
            .await
            .as_deref(),
        Some("1")
    );
    assert_eq!(room.count("no-deletes", "denied").await, 2);
    assert_eq!(room.count("no-deletes", "hits").await, 2);
    let route = "SHOW HIGHWATER ROUTE";
    let rows: Vec<mysql_async::Row> = room.client.query(route).await.unwrap();
    let reasons: Vec<String> = rows.iter().map(|row| row.get("reason").unwrap()).collect();
    assert!(reasons.iter().any(|it| it == "denied"), "{reasons:?}");
}

/// A transaction can always be ended, and what is the session's own be asked.
#[tokio::test]
async fn the_way_out_is_never_denied() {
    let mut room = Room::new("way_out").await;
    for sql in ["BEGIN", "INSERT INTO u VALUES (1)"] {
        run(&mut room.client, sql).await;
    }
    room.rules("[[rule]]\nname = 'none'\nuser = '*'\ndeny = 'no'\n[[rule]]\nname = 'all'\nuser = 'app'\ndeny = 'no'\n");
    assert_eq!(error(&mut room.client, "SELECT 1").await.0, 1227);
    assert_eq!(error(&mut room.client, "SET @x = 1").await.0, 1227);
    for sql in [
        "SHOW WARNINGS",
        "SELECT @@highwater_read_consistency",
        "COMMIT",
    ] {
        run(&mut room.client, sql).await;
    }
    assert_eq!(
        room.count("none", "hits").await,
        0,
        "users have no wildcards"
    );
    room.rules("");
    assert_eq!(
        cell(&mut room.client, "SELECT COUNT(*) FROM u")
            .await
            .as_deref(),
        Some("1")
    );
}

/// A text that is too long to be read is matched by who sends it and by how it begins.
#[tokio::test]
async fn texts_that_are_streamed_are_denied_too() {
    let mut room = Room::new("streamed").await;
    let long = |word: &str| {
        format!(
            "INSERT INTO u /*{word}*/ SELECT LENGTH('{}')",
            "x".repeat(2 << 20)
        )
    };
    room.rules("[[rule]]\nname = 'long'\nregex = 'no-thanks'\ndeny = 'not that'\n");
    assert_eq!(error(&mut room.client, &long("no-thanks")).await.0, 1227);
    run(&mut room.client, &long("yes")).await;
    assert_eq!(
        cell(&mut room.client, "SELECT COUNT(*) FROM u")
            .await
            .as_deref(),
        Some("1")
    );
    assert_eq!(room.count("long", "denied").await, 1);
}
