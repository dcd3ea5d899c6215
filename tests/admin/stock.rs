//! Stock clients and what tools send when they connect.

use std::process::{Command, Stdio};

use super::java::{self, java};
use super::support::Setup;
use super::{admin, programs, python, rows};

/// Runs a program on a thread of its own: the test's own thread serves the admin port.
async fn output(mut command: Command) -> String {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test]
async fn the_mysql_client_and_pymysql_look_around() {
    let setup = Setup::start().await;
    let address = setup.proxy.addresses().admin;
    let mut client = setup.cluster.program().client().expect("the mysql client");
    client
        .args(["--host", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args([
            "--user=admin",
            "--auto-rehash",
            "--batch",
            "--skip-column-names",
        ])
        .args([
            "--execute",
            "SHOW BACKENDS; SELECT @@version_comment; SHOW HELP",
        ])
        .arg("highwater");
    let shown = output(client).await;
    assert_eq!(shown.matches("\tup\t").count(), 3, "{shown}");
    assert!(shown.contains("Highwater admin port"), "{shown}");
    assert!(shown.contains("SHOW DIGESTS\t"), "{shown}");

    let script = format!(
        "import pymysql\n\
         c = pymysql.connect(host='{}', port={}, user='admin', database='highwater')\n\
         q = c.cursor(pymysql.cursors.DictCursor)\n\
         q.execute('SHOW BACKENDS WHERE role = %s', ('replica',))\n\
         print(sorted(type(r['id']).__name__ for r in q.fetchall()))\n\
         q.execute('SELECT DATABASE() AS d')\n\
         print(q.fetchone()['d'])\n\
         c.ping(); c.commit(); c.select_db('highwater')\n",
        address.ip(),
        address.port()
    );
    let mut python = Command::new(python::python());
    python.args(["-c", &script]);
    let printed = output(python).await;
    assert_eq!(printed, "['int', 'int']\nhighwater\n");
}

#[tokio::test]
async fn jdbc_looks_around() {
    let Some(mut java) = java() else {
        return programs::skipped(java::WHAT);
    };
    let setup = Setup::start().await;
    let address = setup.proxy.addresses().admin;
    java.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/admin/Admin.java"
    ));
    java.args([&address.ip().to_string(), &address.port().to_string()]);
    let way = "valid true\ncatalog highwater\nproduct MySQL\ncolumns true BIGINT UNSIGNED\n\
               primary 0\nreplica 1\nreplica 2\nrefused 42000\n";
    assert_eq!(output(java).await, format!("{way}{way}all is well\n"));
}

#[tokio::test]
async fn what_drivers_ask_when_they_connect() {
    let setup = Setup::with(highwater::rig::Cluster::builder().replicas(0), |_| {}).await;
    let mut conn = admin(&setup.proxy).await;
    for sql in [
        "/* mysql-connector-j-9.1.0 (Revision: x) */SELECT  @@session.auto_increment_increment AS \
         auto_increment_increment, @@character_set_client AS character_set_client, \
         @@character_set_connection AS character_set_connection, @@character_set_results AS \
         character_set_results, @@character_set_server AS character_set_server, @@collation_server \
         AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS \
         init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, \
         @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS \
         max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS \
         performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, \
         @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, \
         @@wait_timeout AS wait_timeout",
        "SELECT @@session.transaction_read_only",
        "SELECT @@version_comment LIMIT 1",
        "SELECT DATABASE(), USER() LIMIT 1",
        "SHOW VARIABLES LIKE 'lower_case_%'",
        "SHOW VARIABLES WHERE Variable_name = 'sql_mode' OR Variable_name = 'version'",
        "SHOW SESSION VARIABLES LIKE 'sql_mode'",
        "SHOW DATABASES",
        "SHOW FULL TABLES FROM highwater",
        "SHOW FULL COLUMNS FROM backends FROM highwater",
        "SHOW COLLATION",
        "SHOW CHARACTER SET",
        "SELECT 'keep alive'",
        "SELECT version() AS v, 1.5 AS number, NULL",
    ] {
        assert!(!rows(&mut conn, sql).await.is_empty(), "{sql}");
    }
    for sql in [
        "SET NAMES utf8mb4",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SQL_SAFE_UPDATES=1, SQL_SELECT_LIMIT=1000",
        "USE highwater",
        "BEGIN",
        "ROLLBACK",
        "SHOW WARNINGS",
        "SHOW ENGINES",
        "SHOW PLUGINS",
        "SHOW STATUS LIKE 'Ssl_cipher'",
        "SHOW PROCESSLIST",
        ";",
    ] {
        assert!(rows(&mut conn, sql).await.is_empty(), "{sql}");
    }
}
