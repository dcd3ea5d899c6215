//! The tables, their filters, and what is said to those who ask wrongly.

use mysql_async::prelude::Queryable;

use super::support::{Setup, cell, run};
use super::{admin, error, rows, until_rows};

#[tokio::test]
async fn tables_show_what_is_there() {
    let setup = Setup::start().await;
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE shown (id INT PRIMARY KEY, v INT)").await;
    run(&mut app, "INSERT INTO shown VALUES (1, 7)").await;
    for id in 1..4 {
        cell(&mut app, &format!("SELECT v FROM shown WHERE id = {id}")).await;
    }
    run(&mut app, "CREATE TEMPORARY TABLE mine (id INT)").await;
    let id = app.id().to_string();
    let mut conn = admin(&setup.proxy).await;

    let tables = rows(&mut conn, "SHOW TABLES").await;
    assert_eq!(tables.len(), 11, "{tables:?}");
    for table in &tables {
        let name = &table[0];
        let columns = rows(&mut conn, &format!("DESCRIBE {name}")).await;
        let shown: Vec<mysql_async::Row> = conn.query(format!("SHOW {name}")).await.unwrap();
        let prepared: Vec<mysql_async::Row> = conn
            .exec(format!("SELECT * FROM {name}"), ())
            .await
            .unwrap();
        for row in shown.iter().chain(&prepared) {
            assert_eq!(row.len(), columns.len(), "{name}");
        }
        assert!(columns.iter().all(|column| !column[6].is_empty()), "{name}");
    }
    let help = rows(&mut conn, "SHOW HELP").await;
    assert!(help.iter().any(|row| row[0] == "SHOW PINS"), "{help:?}");
    assert_eq!(rows(&mut conn, "HELP LIKE '%OFFLOAD OFF%'").await.len(), 1);

    let backends = rows(
        &mut conn,
        "SELECT role, state, health FROM backends ORDER BY id",
    )
    .await;
    assert_eq!(backends[0], ["primary", "online", "up"]);
    assert_eq!(backends[1..], [["replica", "online", "up"]; 2]);
    let none = rows(&mut conn, "SELECT * FROM backends WHERE lag_ms > 1000000").await;
    assert_eq!(none.len(), 0);
    let replicas = rows(&mut conn, "SHOW BACKENDS LIKE 'replica'").await;
    assert_eq!(replicas.len(), 2);
    let versions = rows(&mut conn, "SHOW CONFIG LIKE 'pool.%'").await;
    assert!(versions.iter().any(|row| row[0] == "pool.max_connections"));
    let secrets = rows(&mut conn, "SHOW CONFIG LIKE '%app-pw%'").await;
    assert_eq!(secrets.len(), 0, "{secrets:?}");

    let sessions = "SELECT id, user, db, state, pins FROM sessions";
    let wanted = [[&*id, "app", "app", "idle", "temporary_table"]];
    until_rows(&mut conn, sessions, |rows| rows == wanted).await;
    let pins = rows(&mut conn, "SELECT session, reason, statement FROM pins").await;
    let text = "create temporary table mine(id int)";
    assert_eq!(pins, [[&*id, "temporary_table", text]]);
    let pools = rows(&mut conn, "SELECT backend FROM pools WHERE leased > 0").await;
    assert!(!pools.is_empty());
    let positions = rows(
        &mut conn,
        "SELECT kind, errant FROM positions WHERE applied IS NOT NULL AND role <> 'primary'",
    )
    .await;
    assert_eq!(positions, [["gtid", "0"]; 2]);
    let behind = "SELECT behind FROM positions WHERE role = 'replica'";
    until_rows(&mut conn, behind, |rows| rows == [["0"]; 2]).await;

    let digest = "SELECT statement, count, errors, row_count, replica + 0 FROM digests";
    assert_eq!(error(&mut conn, digest).await.0, 1064);
    let digest = "SELECT class, count, errors, row_count FROM digests \
                  WHERE statement = 'select v from shown where id=?'";
    let found = until_rows(&mut conn, digest, |rows| rows[0][1] == "3").await;
    assert_eq!(found, [["read", "3", "0", "1"]]);
    let literals = rows(&mut conn, "SHOW DIGESTS WHERE statement LIKE '%= 7%'").await;
    assert_eq!(literals.len(), 0);
    let pinning = "SELECT pins FROM digests WHERE statement LIKE 'create temporary%'";
    assert_eq!(rows(&mut conn, pinning).await, [["1"]]);

    for (sql, code, text) in [
        (
            "FROBNICATE",
            1064,
            "unknown command 'FROBNICATE'; try SHOW HELP",
        ),
        (
            "SHOW FROBS",
            1064,
            "unknown command 'SHOW FROBS'; try SHOW HELP",
        ),
        ("SELECT * FROM frobs", 1146, "unknown table 'frobs'"),
        (
            "SELECT x FROM pools",
            1054,
            "unknown column 'x'; pools has backend, mode",
        ),
        ("SHOW POOLS WHERE x = 1", 1054, "unknown column 'x'"),
        (
            "SHOW POOLS LIMIT many",
            1064,
            "expected a number of rows, found 'many'",
        ),
        (
            "SHOW ROUTE LAST 5 FOR SESSION 1",
            1105,
            "no session has the id 1",
        ),
        ("EXPLAIN ROUTE", 1105, "EXPLAIN ROUTE needs a statement"),
        (
            "EXPLAIN ROUTE /* highwater: primry */ SELECT 1",
            1105,
            "hint: 'primry'",
        ),
        ("OFFLOAD 101%", 1064, "expected 0% to 100%"),
        (
            "OFFLOAD",
            1064,
            "expected OFF, ON or a number of percent, found the end",
        ),
        (
            "DRAIN BACKEND nowhere:1",
            1105,
            "no server is configured as 'nowhere:1'",
        ),
        ("DRAIN", 1064, "expected BACKEND and its address"),
        (
            "SELECT @@no_such",
            1193,
            "unknown system variable 'no_such'",
        ),
        ("SHOW 'x", 1064, "cannot read ''x'"),
    ] {
        let (found, message) = error(&mut conn, sql).await;
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(text), "{sql}: {message}");
    }
    assert_eq!(
        rows(&mut conn, "SELECT 1").await,
        [["1"]],
        "the session goes on"
    );
}
