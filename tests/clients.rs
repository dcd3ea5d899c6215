//! Stock clients, with the settings they come with: `mysql`, PyMySQL, mysql_async, mysql2, JDBC.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/java.rs"]
mod java;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/python.rs"]
mod python;
mod support;
mod clients {
    mod drivers;
    use super::{finish, text};
}

use std::process::{Command, Output, Stdio};

use highwater::rig::APP;
use mysql_async::prelude::Queryable;
use mysql_async::{Opts, TxOpts, Value};
use support::stage::{Stage, stage, until};
use support::{cell, run};

/// The `mysql` client with its defaults and the proxy's TCP address.
fn mysql(stage: &Stage, schema: &str) -> Command {
    let address = stage.setup.proxy.addresses().mysql;
    let mut client = stage
        .setup
        .cluster
        .program()
        .client()
        .expect("the mysql client");
    client
        .args([
            "--host",
            &address.ip().to_string(),
            "--port",
            &address.port().to_string(),
        ])
        .arg(format!("--user={}", APP.user))
        .arg(format!("--password={}", APP.password))
        .args(["--batch", "--skip-column-names", schema])
        .stdin(Stdio::null());
    client
}

/// Runs it on a thread of its own, since the test's thread may have a proxy to serve.
async fn finish(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn sql(stage: &Stage, schema: &str, sql: &str) -> String {
    let mut client = mysql(stage, schema);
    client.arg("--execute").arg(sql);
    let output = finish(client).await;
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test]
async fn mysql_runs_statements_over_tcp() {
    let stage = stage().await;
    stage.schema("stock").await;
    let got = sql(
        &stage,
        "stock",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b'); \
         SELECT id, v FROM t ORDER BY id; PREPARE s FROM 'SELECT v FROM t WHERE id = ?'; SET @id = 2; \
         EXECUTE s USING @id; UPDATE t SET v = 'c'; SELECT ROW_COUNT(); SHOW TABLES; SELECT CURRENT_USER()",
    )
    .await;
    assert_eq!(got, "1\ta\n2\tb\nb\n2\nt\napp@%\n");
}

#[tokio::test]
async fn mysql_runs_statements_over_the_unix_socket() {
    let stage = stage().await;
    let socket = stage.setup.proxy.addresses().socket.clone().unwrap();
    let mut client = stage.setup.cluster.program().client().unwrap();
    client
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--user={}", APP.user))
        .arg(format!("--password={}", APP.password))
        .args([
            "--batch",
            "--skip-column-names",
            "app",
            "--execute",
            "SELECT DATABASE(), 6 * 7",
        ])
        .stdin(Stdio::null());
    let output = finish(client).await;
    assert_eq!(
        text(&output.stdout),
        "app\t42\n",
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn mysql_sends_its_own_file() {
    let stage = stage().await;
    stage.schema("local_file").await;
    let file = std::env::temp_dir().join(format!("highwater-infile-{}", std::process::id()));
    let lines: String = (0..200_000)
        .map(|id| format!("{id}\tline {id}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    sql(
        &stage,
        "local_file",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))",
    )
    .await;
    let mut client = mysql(&stage, "local_file");
    client.arg("--local-infile=1").arg("--execute").arg(format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE t; SELECT ROW_COUNT(); SELECT COUNT(*), SUM(id) FROM t",
        file.display()
    ));
    let output = finish(client).await;
    assert_eq!(
        text(&output.stdout),
        "200000\n200000\t19999900000\n",
        "{}",
        text(&output.stderr)
    );
    // A statement that is too long to be held is streamed, and its file after it.
    let statement = file.with_extension("sql");
    let sql = format!(
        "LOAD DATA LOCAL INFILE '{}' REPLACE INTO TABLE t (id, @v) SET v = LENGTH('{}'); \
         SELECT COUNT(*), MIN(v) FROM t",
        file.display(),
        "x".repeat(2 << 20)
    );
    std::fs::write(&statement, sql).unwrap();
    let mut client = mysql(&stage, "local_file");
    client
        .args(["--local-infile=1", "--max-allowed-packet=16M"])
        .stdin(std::fs::File::open(&statement).unwrap());
    let output = finish(client).await;
    assert_eq!(
        text(&output.stdout),
        "200000\t2097152\n",
        "{}",
        text(&output.stderr)
    );
    std::fs::remove_file(&statement).unwrap();
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn wrong_logins_get_the_servers_errors() {
    let stage = stage().await;
    let mut wrong = mysql(&stage, "app");
    wrong.args(["--password=wrong", "--execute", "SELECT 1"]);
    let said = text(&finish(wrong).await.stderr);
    assert!(said.contains("ERROR 1045 (28000)"), "{said}");
    let mut unknown = mysql(&stage, "nosuchschema");
    unknown.args(["--execute", "SELECT 1"]);
    let said = text(&finish(unknown).await.stderr);
    assert!(said.contains("ERROR 1049 (42000)"), "{said}");
}

#[tokio::test]
async fn kill_knows_the_ids_that_clients_were_given() {
    let stage = stage().await;
    let mut killer = stage.client("app").await;
    let code = |error: mysql_async::Error| match error {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("{other}"),
    };
    let unknown = killer.query_drop("KILL 4000000000").await.unwrap_err();
    assert_eq!(code(unknown), 1094);

    // As Ctrl-C in the mysql client does: a second connection kills the statement of the first.
    for begin in ["BEGIN", "START TRANSACTION READ ONLY"] {
        let mut victim = stage.client("app").await;
        let id = victim.id();
        let sleeping = tokio::spawn(async move {
            run(&mut victim, begin).await;
            let slept = victim
                .query_drop("SELECT SLEEP(300), COUNT(*) FROM (SELECT SLEEP(300)) s")
                .await;
            (victim, slept)
        });
        until("the statement is killed", async || {
            killer.query_drop(format!("KILL QUERY {id}")).await.unwrap();
            sleeping.is_finished()
        })
        .await;
        let (mut victim, slept) = sleeping.await.unwrap();
        if let Err(error) = slept {
            assert_eq!(code(error), 1317);
        }
        assert_eq!(
            cell(&mut victim, "SELECT 1").await.as_deref(),
            Some("1"),
            "the session lives"
        );
        killer
            .query_drop(format!("KILL CONNECTION {id}"))
            .await
            .unwrap();
        assert!(
            victim.query_drop("SELECT 1").await.is_err(),
            "the session is ended"
        );
    }

    let second = stage
        .setup
        .opts()
        .user(Some("second"))
        .pass(Some("second-pw"));
    let mut second = mysql_async::Conn::new(Opts::from(second)).await.unwrap();
    run(&mut killer, "DO 1").await;
    let id = killer.id();
    let refused = second.query_drop(format!("KILL {id}")).await.unwrap_err();
    assert!(
        [1094, 1095].contains(&code(refused)),
        "somebody else's session"
    );
    run(&mut killer, "DO 1").await;
    second.disconnect().await.unwrap();
    killer.disconnect().await.unwrap();
}

#[tokio::test]
async fn pymysql_works_with_its_defaults() {
    let stage = stage().await;
    stage.schema("pymysql_t").await;
    let address = stage.setup.proxy.addresses().mysql;
    let mut python = Command::new(python::python());
    python
        .arg("-c")
        .arg(include_str!("clients/defaults.py"))
        .args([address.ip().to_string(), address.port().to_string()])
        .args([APP.user, APP.password, "pymysql_t"]);
    let output = finish(python).await;
    assert_eq!(
        text(&output.stdout),
        "all is well\n",
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn mysql_async_binds_streams_and_commits() {
    let stage = stage().await;
    stage.schema("driver").await;
    let mut conn = stage.client("driver").await;
    run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, d DOUBLE, s TEXT, b BLOB, t DATETIME(6), n INT)").await;
    let row = (
        1,
        i64::MIN,
        u64::MAX,
        1.5_f64,
        "d\u{e9}j\u{e0} vu",
        vec![0_u8, 255, 39],
        Value::Date(2024, 2, 29, 1, 2, 3, 4),
        Option::<i32>::None,
    );
    conn.exec_drop("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row.clone())
        .await
        .unwrap();
    type Row = (i32, i64, u64, f64, String, Vec<u8>, Value, Option<i32>);
    for _ in 0..3 {
        let back: Option<Row> = conn
            .exec_first("SELECT * FROM t WHERE id = ? AND s = ?", (1, row.4))
            .await
            .unwrap();
        let back = back.unwrap();
        assert_eq!(
            (back.0, back.1, back.2, back.3),
            (row.0, row.1, row.2, row.3)
        );
        assert_eq!(
            (back.4.as_str(), back.5, back.6, back.7),
            (row.4, row.5.clone(), row.6.clone(), None)
        );
    }
    conn.exec_batch("INSERT INTO t (id) VALUES (?)", (2..50).map(|id| (id,)))
        .await
        .unwrap();
    let mut rows = conn
        .exec_iter("SELECT id FROM t ORDER BY id", ())
        .await
        .unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().await.unwrap() {
        seen += 1;
        assert_eq!(mysql_async::from_row::<i32>(row), seen);
    }
    drop(rows);
    assert_eq!(seen, 49);

    let mut transaction = conn.start_transaction(TxOpts::default()).await.unwrap();
    transaction
        .exec_drop("DELETE FROM t WHERE id > ?", (10,))
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(
        cell(&mut conn, "SELECT COUNT(*) FROM t").await.as_deref(),
        Some("49")
    );
    let mut options = TxOpts::default();
    options.with_readonly(true).with_consistent_snapshot(true);
    let mut transaction = conn.start_transaction(options).await.unwrap();
    let counted: Option<i64> = transaction
        .exec_first("SELECT COUNT(*) FROM t WHERE id > ?", (10,))
        .await
        .unwrap();
    assert_eq!(counted, Some(39));
    transaction.commit().await.unwrap();
    conn.disconnect().await.unwrap();
}
