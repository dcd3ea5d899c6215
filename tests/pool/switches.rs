//! Each statement runs on another connection than the one before it, and the answers are those of
//! one connection to one server.

use highwater::rig::Cluster;

use crate::lends;
use crate::support::script::answer;
use crate::support::{Setup, run};
use mysql_async::{Conn, Opts};

const SCRIPT: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, what VARCHAR(20))",
    "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "SELECT \"what\" || 'x' FROM t",
    "INSERT INTO t VALUES (1, 'a' || 'b')",
    "SELECT what FROM t",
    "SET sql_mode = DEFAULT",
    "SELECT \"what\" FROM t",
    "SET NAMES latin1 COLLATE latin1_bin",
    "SELECT @@character_set_client, @@character_set_results, @@collation_connection FROM t",
    "SELECT @@character_set_client, @@character_set_connection, @@collation_connection",
    "SET NAMES utf8mb4",
    "SELECT @@character_set_client, @@character_set_connection, @@collation_connection",
    "SET character_set_results = NULL",
    "SELECT @@character_set_results",
    "SET NAMES DEFAULT",
    "USE mysql",
    "SELECT DATABASE()",
    "SHOW TABLES LIKE 'user'",
    "USE app",
    "SELECT DATABASE() FROM t",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SELECT @@transaction_isolation",
    "SELECT COUNT(*) FROM t",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
    "SELECT @@transaction_isolation, @@transaction_read_only",
    "INSERT INTO t VALUES (2, 'refused')",
    "SET SESSION TRANSACTION READ WRITE",
    "INSERT INTO t VALUES (2, 'taken')",
    "SET TRANSACTION READ ONLY",
    "BEGIN",
    "INSERT INTO t VALUES (3, 'refused')",
    "COMMIT",
    "SET autocommit = 0",
    "SELECT @@autocommit",
    "INSERT INTO t VALUES (4, 'open')",
    "SELECT COUNT(*) FROM t",
    "ROLLBACK",
    "SELECT COUNT(*) FROM t",
    "COMMIT",
    "SET autocommit = 1",
    "SELECT @@autocommit, COUNT(*) FROM t",
    "BEGIN",
    "INSERT INTO t VALUES (5, 'five')",
    "SAVEPOINT s",
    "INSERT INTO t VALUES (6, 'six')",
    "ROLLBACK TO s",
    "COMMIT",
    "SELECT id FROM t ORDER BY id",
    "SET time_zone = '+05:30'",
    "SELECT FROM_UNIXTIME(0), @@time_zone FROM t",
    "SET @@session.group_concat_max_len = 4, lc_time_names = 'de_DE'",
    "SELECT GROUP_CONCAT(what ORDER BY id), MONTHNAME('2024-05-01') FROM t",
    "SET group_concat_max_len = DEFAULT",
    "SELECT @@group_concat_max_len, @@lc_time_names",
    "SET sql_select_limit = 1",
    "SELECT id FROM t",
    "SET sql_select_limit = DEFAULT",
    "SELECT COUNT(*) FROM t",
    "SET @x = 5",
    "SELECT @x",
    "CREATE TEMPORARY TABLE tt SELECT 1 AS a",
    "SELECT * FROM tt",
    "SELECT GET_LOCK('l', 1)",
    "SELECT IS_USED_LOCK('l') IS NULL",
];

#[tokio::test]
async fn each_statement_on_another_connection() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        lends(10)(config);
        config.pool.switch_always = true;
    })
    .await;
    // Others leave their own state on the connections that are taken turns with.
    let mut others = Vec::new();
    for wish in [
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES', time_zone = '-03:00', autocommit = 0",
        "SET NAMES sjis, group_concat_max_len = 77, SESSION transaction_isolation = 'SERIALIZABLE'",
    ] {
        let mut other = setup.connect().await;
        run(&mut other, wish).await;
        others.push(other);
    }
    let one_server = Cluster::builder().replicas(0).start().await.unwrap();
    let opts = one_server.primary().opts(&highwater::rig::APP);
    let mut direct = Conn::new(opts).await.unwrap();
    let mut conn = Conn::new(Opts::from(setup.opts())).await.unwrap();
    for sql in SCRIPT {
        for other in &mut others {
            run(other, "SELECT 1").await;
        }
        let expected = answer(&mut direct, sql).await;
        assert_eq!(answer(&mut conn, sql).await, expected, "{sql}");
    }
}
