//! Every way to read, after which no read may show anything older.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};

use super::measure::Held;
use super::support::{Setup, run};

/// Reads whose answer the update and the new table change.
const READS: &[&str] = &[
    "SELECT v FROM counter",
    "(SELECT v FROM counter)",
    "TABLE counter",
    "SELECT (SELECT v FROM counter)",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM counter WHERE v = 1)",
    "WITH c AS (SELECT v FROM counter) SELECT * FROM c",
    "SELECT v FROM shown",
    "SELECT COUNT(*) FROM made",
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'made'",
    "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'made'",
    "SELECT COUNT(*) FROM gone",
    "SHOW TABLES LIKE 'made'",
    "SHOW TABLE STATUS LIKE 'made'",
    "SHOW COLUMNS FROM made",
    "SHOW INDEX FROM made",
    "SHOW CREATE TABLE made",
    "DESCRIBE made",
    "DESC made",
    "EXPLAIN made",
    "SHOW TRIGGERS LIKE 'counter'",
    "SHOW PROCEDURE STATUS WHERE name = 'made_too'",
    "SHOW CREATE PROCEDURE made_too",
    "SHOW DATABASES LIKE 'made_as_well'",
    "CHECKSUM TABLE counter",
];

/// What a read shows, in full.
async fn look(conn: &mut Conn, sql: &str) -> String {
    match conn.query::<Row, _>(sql).await {
        Ok(rows) => {
            let cells = |row: Row| {
                row.unwrap()
                    .iter()
                    .map(|value: &Value| value.as_sql(true))
                    .collect::<Vec<_>>()
            };
            format!("{:?}", rows.into_iter().map(cells).collect::<Vec<_>>())
        }
        Err(Error::Server(error)) => format!("error {}", error.code),
        Err(error) => panic!("{sql}: {error}"),
    }
}

#[tokio::test]
async fn every_kind_of_read_is_remembered() {
    let setup = Setup::with(super::cluster(), |config| {
        config.consistency.catch_up_timeout = std::time::Duration::from_millis(20);
        config.consistency.max_lag = std::time::Duration::from_secs(3600);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let mut writer = setup.connect().await;
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "CREATE VIEW shown AS SELECT v FROM counter").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    run(&mut writer, "CREATE TABLE gone (v INT)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut old = Vec::new();
    let reads: Vec<&str> = READS.iter().copied().filter(super::is_known).collect();
    for sql in &reads {
        old.push(look(&mut writer, sql).await);
    }
    let held = Held::hold(&replicas[1]).await;
    for sql in [
        "UPDATE counter SET v = 1",
        "CREATE TABLE made (id INT PRIMARY KEY)",
        "CREATE TRIGGER made_trigger BEFORE INSERT ON counter FOR EACH ROW SET NEW.v = 1",
        "CREATE PROCEDURE made_too() SELECT 1",
        "CREATE DATABASE made_as_well",
        "DROP TABLE gone",
    ] {
        run(&mut writer, sql).await;
    }
    setup.cluster.wait_caught_up(0).await.unwrap();
    let (mut readers, mut others) = (Vec::new(), Vec::new());
    for (sql, old) in reads.iter().zip(&old) {
        // One of several reads from the first replica; all stay, so that they take turns.
        for _ in 0..8 {
            let mut reader = setup.connect().await;
            let seen = look(&mut reader, sql).await;
            if seen != *old {
                readers.push((reader, sql, seen));
                break;
            }
            others.push(reader);
        }
    }
    assert_eq!(
        readers.len(),
        reads.len(),
        "nobody reads that from the first replica"
    );
    replicas[0].kill();
    setup.replicas_usable(1).await;
    let mut wrong = Vec::new();
    for (reader, sql, seen) in &mut readers {
        let again = look(reader, sql).await;
        if again != *seen {
            wrong.push(format!("{sql}: {seen}, then {again}"));
        }
    }
    assert!(wrong.is_empty(), "back in time: {wrong:#?}");
    held.release().await;
    setup.proxy.shut_down().await;
}

/// Statements on the primary that show a row which another session wrote, without being a read.
const REVEALING: &[&[&str]] = &[
    &["INSERT IGNORE INTO t VALUES (1, 1)"],
    &["INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE v = 1"],
    &["INSERT INTO t VALUES (1, 1)"],
    &["INSERT INTO t VALUES (2, 2), (1, 1)"],
    &["UPDATE t SET v = 1 WHERE id = 1"],
    &["UPDATE t SET id = 1 WHERE id = 0"],
    &["BEGIN", "INSERT IGNORE INTO t VALUES (1, 1)", "COMMIT"],
    &["BEGIN", "INSERT INTO t VALUES (1, 1)", "ROLLBACK"],
    &["BEGIN", "SELECT COUNT(*) FROM t", "COMMIT"],
    &["BEGIN", "SELECT COUNT(*) FROM t", "ROLLBACK"],
    &[
        "SET autocommit = 0",
        "SELECT COUNT(*) FROM t",
        "SET autocommit = 1",
    ],
    &["SELECT COUNT(*) FROM t FOR SHARE"],
    &["SELECT v INTO @v FROM t WHERE id = 1"],
    &["SET @v = (SELECT v FROM t WHERE id = 1)"],
    &["SELECT @@hostname, v FROM t"],
    &["DO (SELECT v FROM t WHERE id = 1)"],
    &["CALL shows()"],
    &["SELECT shown()"],
    &["SELECT 1; SELECT v FROM t"],
    &["PREPARE p FROM 'SELECT v FROM t'", "EXECUTE p"],
    &["HANDLER t OPEN", "HANDLER t READ FIRST", "HANDLER t CLOSE"],
    &["CREATE TABLE t (id INT)"],
    &["CREATE TABLE IF NOT EXISTS t (id INT)"],
    &["LOCK TABLES t READ", "SELECT v FROM t", "UNLOCK TABLES"],
    &["CHECKSUM TABLE t"],
    &[
        "CREATE TEMPORARY TABLE mine SELECT * FROM t",
        "DROP TEMPORARY TABLE mine",
    ],
];

#[tokio::test]
async fn what_a_statement_on_the_primary_revealed_is_remembered() {
    let setup = Setup::with(super::cluster(), |config| {
        config.consistency.catch_up_timeout = std::time::Duration::from_millis(20);
        config.consistency.max_lag = std::time::Duration::from_secs(3600);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let mut writer = setup.connect().await;
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
        "INSERT INTO t VALUES (0, 0)",
        "CREATE PROCEDURE shows() SELECT v FROM t",
        "CREATE FUNCTION shown() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM t)",
    ] {
        run(&mut writer, sql).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let held = [
        Held::hold(&replicas[0]).await,
        Held::hold(&replicas[1]).await,
    ];
    run(&mut writer, "INSERT INTO t VALUES (1, 1)").await;
    let mut wrong = Vec::new();
    for statements in REVEALING {
        let mut conn = setup.connect().await;
        assert_eq!(
            look(&mut conn, "SELECT COUNT(*) FROM t").await,
            "[[\"'1'\"]]",
            "{statements:?}"
        );
        for sql in *statements {
            // Some fail, which shows as much.
            look(&mut conn, sql).await;
        }
        let seen = look(&mut conn, "SELECT COUNT(*) FROM t").await;
        if seen != "[[\"'2'\"]]" {
            wrong.push(format!("{statements:?}: {seen}"));
        }
    }
    assert!(wrong.is_empty(), "forgotten: {wrong:#?}");
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}
