//! Every kind of statement, and every way to ask about it.

use super::compare::Pair;
use super::support::Setup;
use super::support::stage::stage;
use highwater::config::{Config, PoolMode};
use highwater::rig::{Cluster, Engine};
use std::time::Duration;

/// Statements of all kinds. Those that fail begin with what both engines know.
const STATEMENTS: [&str; 78] = [
    "SELECT 1",
    "SELECT * FROM u",
    "SELECT * FROM u LIMIT 2",
    "SELECT * FROM u LIMIT 1, 5",
    "SELECT * FROM u LIMIT 5 OFFSET 5",
    "SELECT * FROM u LIMIT 0",
    "SELECT SQL_CALC_FOUND_ROWS * FROM u LIMIT 2",
    "SELECT * FROM u WHERE 0",
    "(SELECT 1) UNION ALL (SELECT 2) UNION ALL (SELECT 3) LIMIT 1",
    "(SELECT id FROM u LIMIT 2) UNION ALL (SELECT 2)",
    "SELECT v, COUNT(*) FROM u GROUP BY v WITH ROLLUP",
    "WITH a AS (SELECT * FROM u LIMIT 2) SELECT * FROM a LIMIT 1",
    "SELECT 1/0 FROM u",
    "SELECT CAST('x' AS SIGNED), CAST('y' AS SIGNED)",
    "SELECT * FROM nosuch",
    "SELECT nosuch FROM u",
    "SELECT id FROM u WHERE id = (SELECT id FROM u)",
    "SELECT id INTO @a FROM u LIMIT 1",
    "SELECT id INTO @a FROM u WHERE 0",
    "SELECT * FROM u FOR UPDATE",
    "DO 1",
    "DO 1/0",
    "DO LAST_INSERT_ID(44)",
    "SELECT LAST_INSERT_ID(45)",
    "SELECT COUNT(*) FROM u",
    "INSERT INTO t (v) VALUES (1)",
    "INSERT INTO t VALUES (60, 1)",
    "INSERT INTO t (v) VALUES (1), (2)",
    "INSERT INTO t VALUES (NULL, 1), (70, 2)",
    "INSERT INTO t VALUES (71, 2), (NULL, 1)",
    "INSERT IGNORE INTO t (v) VALUES (5)",
    "INSERT IGNORE INTO t (v) VALUES (5), (6)",
    "INSERT IGNORE INTO t (v) VALUES (1000)",
    "INSERT INTO t (v) VALUES (5)",
    "INSERT INTO t (v) VALUES (6), (5)",
    "INSERT INTO t (v) VALUES (5) ON DUPLICATE KEY UPDATE v = 5",
    "INSERT INTO t (v) VALUES (5) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
    "INSERT INTO t VALUES (LAST_INSERT_ID(90), 1)",
    "INSERT INTO t (v) SELECT id FROM u",
    "INSERT INTO n VALUES (1, 1)",
    "REPLACE INTO t (v) VALUES (7)",
    "UPDATE u SET v = v",
    "UPDATE u SET v = v + 1 WHERE id < 3",
    "UPDATE u SET v = LAST_INSERT_ID(v + 100)",
    "DELETE FROM n",
    "DELETE FROM n WHERE a = 1",
    "DELETE n FROM n JOIN u ON n.a = u.id",
    "SET @x = 1",
    "SET last_insert_id = 33",
    "SET sql_mode = @@sql_mode",
    "SET SESSION sort_buffer_size = 1",
    "SET nosuch = 1",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "DROP TABLE IF EXISTS nosuch",
    "TRUNCATE n",
    "SHOW TABLES",
    "SHOW VARIABLES LIKE 'autocommit'",
    "SHOW CREATE TABLE u",
    "SHOW COLUMNS FROM u",
    "SHOW WARNINGS",
    "SHOW COUNT(*) WARNINGS",
    "EXPLAIN SELECT * FROM u",
    "DESCRIBE u",
    "CALL rows_and_id()",
    "CALL keeps_id()",
    "CALL warns()",
    "CALL fails()",
    "SELECT 1; SELECT 1 UNION SELECT 2",
    "INSERT INTO t (v) VALUES (9); SELECT 1 FROM u",
    "SELECT * FROM u; DELETE FROM n",
    "SYNTAX ERROR",
    "SELECT ROW_COUNT(), FOUND_ROWS()",
    "SELECT @@warning_count",
    "GET DIAGNOSTICS @n = NUMBER",
    "!ping",
    "!prepared SELECT 1/0 FROM u",
];

/// All ways to ask; each is followed by others, which ask about it.
const FORMS: [&[&str]; 12] = [
    &[
        "SELECT LAST_INSERT_ID()",
        "SELECT LAST_INSERT_ID(), @@last_insert_id, @@identity",
    ],
    &["SELECT ROW_COUNT()", "SELECT ROW_COUNT()"],
    &["SELECT FOUND_ROWS()", "SELECT FOUND_ROWS()"],
    &[
        "SELECT @@warning_count, @@session.error_count AS e",
        "SHOW WARNINGS",
    ],
    &["SHOW COUNT(*) WARNINGS", "SELECT FOUND_ROWS(), ROW_COUNT()"],
    &["SHOW COUNT(*) ERRORS", "SHOW ERRORS"],
    &[
        "SHOW WARNINGS",
        "SHOW WARNINGS LIMIT 1",
        "SHOW WARNINGS LIMIT 1, 1",
        "SELECT FOUND_ROWS()",
    ],
    &["SHOW ERRORS LIMIT 1", "SHOW COUNT(*) WARNINGS"],
    &[
        "SET @r = ROW_COUNT(), @f = FOUND_ROWS(), @w = @@warning_count",
        "SELECT @r, @f, @w",
    ],
    &[
        "INSERT INTO n VALUES (FOUND_ROWS(), ROW_COUNT())",
        "SELECT * FROM n WHERE a IS NOT NULL",
    ],
    &[
        "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT",
        "SELECT @n, @r",
    ],
    &["CALL keeps_id()", "SELECT a FROM n ORDER BY a"],
];

/// What every round begins with: a known past.
const BEFORE: [&str; 4] = [
    "DELETE FROM t WHERE v <> 5 OR v IS NULL",
    "DELETE FROM n",
    "SELECT LAST_INSERT_ID(7)",
    "SELECT 1 FROM u UNION ALL SELECT 2 FROM u",
];

#[tokio::test]
async fn every_way_to_ask_about_every_kind_of_statement() {
    let stage = stage().await;
    all(stage.setup).await;
}

#[tokio::test]
async fn the_same_on_mariadb() {
    let setup = Setup::with(Cluster::builder().engine(Engine::MariaDb), patient).await;
    all(&setup).await;
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn the_same_with_another_connection_for_every_statement() {
    let setup = Setup::with(Cluster::builder(), |config| {
        patient(config);
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    all(&setup).await;
    setup.proxy.shut_down().await;
}

fn patient(config: &mut Config) {
    config.consistency.catch_up_timeout = Duration::from_secs(30);
}

async fn all(setup: &Setup) {
    let mut pair = Pair::new(setup, "forms").await;
    for statement in STATEMENTS {
        for form in FORMS {
            round(&mut pair, statement, form).await;
        }
        // A procedure may have left what binds a session.
        pair.anew().await;
    }
    pair.verdict();
}

async fn round(pair: &mut Pair<'_>, statement: &str, form: &[&str]) {
    for sql in BEFORE {
        pair.run(sql).await;
    }
    pair.check("", statement).await;
    for sql in form {
        pair.check(statement, sql).await;
    }
    pair.run("ROLLBACK").await;
}
