//! User variables that were given constants are the same on every server that a session reads from.

use highwater::config::PoolMode;
use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::script::leave;
use crate::support::script::observed;
use crate::support::stage::{stage, until};
use crate::support::{Setup, cell, run};

/// All that a client can see of `@a`.
async fn shown(conn: &mut Conn, hint: &str) -> (String, String) {
    let sql = format!("{hint} SELECT @a, CHARSET(@a), COLLATION(@a), COERCIBILITY(@a)");
    let row: Option<Row> = conn.query_first(sql).await.unwrap();
    let row = row.unwrap();
    let columns: Vec<_> = row
        .columns_ref()
        .iter()
        .map(|column| {
            (
                column.column_type(),
                column.character_set(),
                column.column_length(),
                column.decimals(),
                column.flags(),
            )
        })
        .collect();
    (format!("{:?}", row.unwrap()), format!("{columns:?}"))
}

const CONSTANTS: [&str; 29] = [
    "SET @a = 1",
    "SET @a = -1",
    "SET @a = 18446744073709551615",
    "SET @a = -9223372036854775808",
    "SET @a = 99999999999999999999",
    "SET @a = 1.50",
    "SET @a = -.5",
    "SET @a = 1e5",
    "SET @a = TRUE",
    "SET @a = FALSE",
    "SET @a = 0x41",
    "SET @a = X'41'",
    "SET @a = b'1000001'",
    "SET @a = NULL",
    "SET @a = 5, @a = NULL",
    "SET @a = 1.5, @a = NULL",
    "SET @a = 'x', @a = NULL",
    "SET @a = ''",
    "SET @a = 'it''s \\n \\% \\\\ \"'",
    "SET @a = \"x\"",
    "SET @a = 'gr\u{fc}n'",
    "SET @a = 'x' COLLATE utf8mb4_bin",
    "SET @a = _latin1'x' COLLATE latin1_bin",
    "SET @a = _binary'x'",
    "SET NAMES binary; SET @a = 'x'; SET NAMES utf8mb4",
    "SET NAMES latin1; SET @a = 'x'",
    "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci; SET @a = 'x'; SET NAMES latin1",
    "SET SESSION collation_connection = 'utf8mb4_bin'; SET @a = 'x'; SET NAMES utf8mb4",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'; SET @a = 'a\\'; SET sql_mode = ''",
];

#[tokio::test]
async fn constants_are_the_same_on_a_replica() {
    let stage = stage().await;
    for sql in CONSTANTS {
        let mut direct = stage.direct("app").await;
        let mut client = stage.client("app").await;
        for conn in [&mut direct, &mut client] {
            for sql in sql.split("; ") {
                run(conn, sql).await;
            }
        }
        let (values, _) = shown(&mut direct, "").await;
        let on_primary = shown(&mut client, "/* highwater: primary */").await;
        let on_replica = shown(&mut client, "").await;
        assert_eq!(on_replica, on_primary, "{sql}");
        assert_eq!(on_replica.0, values, "{sql}");
        let (_, went) = observed(stage.setup, &mut client, "SELECT @a").await;
        assert_eq!(went[0].target, "replica", "{sql}");
        direct.disconnect().await.unwrap();
        leave(stage.setup, client).await;
    }
}

#[tokio::test]
async fn constants_that_cannot_be_written_elsewhere_pin() {
    let stage = stage().await;
    for sql in [
        "SET NAMES latin1; SET SESSION collation_connection = 'utf8mb4_bin'; SET @a = '\u{fc}'",
        "SET @a = _utf8mb4'x'",
        "SET @a = DATE'2020-01-01'",
    ] {
        let mut client = stage.client("app").await;
        for sql in sql.split("; ") {
            run(&mut client, sql).await;
        }
        let (_, went) = observed(stage.setup, &mut client, "SELECT @a").await;
        assert_eq!(went[0].reason, "user_variable", "{sql}");
        leave(stage.setup, client).await;
    }
}

#[tokio::test]
async fn too_many_constants_pin() {
    let stage = stage().await;
    let mut client = stage.client("app").await;
    for index in 0..64 {
        run(&mut client, &format!("SET @v{index} = {index}")).await;
    }
    let (_, went) = observed(stage.setup, &mut client, "SELECT @v63").await;
    assert_eq!(went[0].target, "replica");
    run(&mut client, "SET @v64 = 64").await;
    let (_, went) = observed(stage.setup, &mut client, "SELECT @v64").await;
    assert_eq!(went[0].reason, "user_variable");
    assert_eq!(
        cell(&mut client, "SELECT @v63").await.as_deref(),
        Some("63")
    );
    leave(stage.setup, client).await;
}

/// What only the server knows, of every type that a user variable can have.
const COMPUTED: [&str; 8] = [
    "SET @a = 1 + 1",
    "SET @a = CAST(1 AS UNSIGNED) + 0",
    "SET @a = 1.5 * 2",
    "SET @a = SQRT(2)",
    "SET @a = CONCAT('a', 'b')",
    "SET @a = CONVERT('a' USING latin1)",
    "SET @a = UNHEX('41')",
    "SET @a = NOW()",
];

/// NULL keeps the type of the value before, and nothing else binds the session then.
#[tokio::test]
async fn a_computed_value_that_is_cleared_binds_no_longer() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.pool.switch_always = true;
        config.pool.mode = PoolMode::Transaction;
    })
    .await;
    let mut one = setup.connect().await;
    let mut other = setup.connect().await;
    let primary = setup.cluster.primary().opts(&APP);
    let mut direct = Conn::new(primary).await.unwrap();
    run(&mut other, "SET @a = 'other'").await;
    for sql in COMPUTED {
        run(&mut one, sql).await;
        until("it is bound", async || setup.proxy.pins().len() == 1).await;
        run(&mut direct, sql).await;
        for conn in [&mut one, &mut direct] {
            run(conn, "SET @a = NULL").await;
        }
        until("it is free", async || setup.proxy.pins().is_empty()).await;
        let theirs = "/* highwater: primary */ SELECT @a";
        assert_eq!(cell(&mut other, theirs).await.as_deref(), Some("other"));
        assert_eq!(
            cell(&mut other, "SELECT @a").await.as_deref(),
            Some("other")
        );
        let expected = shown(&mut direct, "").await;
        for hint in ["/* highwater: primary */", ""] {
            assert_eq!(shown(&mut one, hint).await, expected, "{sql} {hint}");
        }
    }
}

/// In `[pool] mode = "transaction"`, with another session's connection in its hand at every statement.
#[tokio::test]
async fn constants_are_the_same_on_any_connection() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    let mut one = setup.connect().await;
    let mut other = setup.connect().await;
    run(&mut other, "SET @a = 'other', @b = 2").await;
    for sql in CONSTANTS {
        for sql in sql.split("; ") {
            run(&mut one, sql).await;
        }
        let here = shown(&mut one, "/* highwater: primary */").await;
        assert_eq!(
            cell(&mut other, "SELECT @a").await.as_deref(),
            Some("other")
        );
        let primary = "/* highwater: primary */ SELECT @a";
        assert_eq!(cell(&mut other, primary).await.as_deref(), Some("other"));
        assert_eq!(
            shown(&mut one, "/* highwater: primary */").await,
            here,
            "{sql}"
        );
        assert_eq!(shown(&mut one, "").await, here, "{sql}");
        let never = "/* highwater: primary */ SELECT @b";
        assert_eq!(cell(&mut one, never).await, None, "{sql}");
    }
    assert!(setup.proxy.pins().is_empty());
}
