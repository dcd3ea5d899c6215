//! Replicas and tools that read the primary's binary log through Highwater.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsString;
use std::process::{Command, Stdio};

use highwater::config::Account;
use highwater::daemon::Proxy;
use highwater::protocol::command::com_query;
use highwater::protocol::frame::{HEADER, append_packet};
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, Engine, REPLICATION, Server};
use support::raw::{Raw, usual};
use support::stage::until;
use support::{Setup, config, run};
use tokio::io::AsyncWriteExt;

/// A proxy in front of a primary and its first replica; the second replica is none of its.
async fn setup(engine: Engine) -> Setup {
    let level = std::env::var("HW_LOG").unwrap_or("off".into());
    let _ = highwater::telemetry::log::init(highwater::telemetry::log::Format::Text, &level);
    let cluster = Cluster::builder()
        .engine(engine)
        .replicas(2)
        .start()
        .await
        .unwrap();
    let mut config = config(&cluster);
    config.cluster.replicas.truncate(1);
    let replicator = Account::new(REPLICATION.user, REPLICATION.password);
    config.users.push(replicator);
    let proxy = Proxy::start(config).await.unwrap();
    let setup = Setup { proxy, cluster };
    setup.replicas_usable(1).await;
    setup
}

/// How many replicas the primary sends its log to.
async fn dumps(primary: &Server) -> String {
    let sql =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
    primary.value(sql).await.unwrap().unwrap()
}

async fn has_row(server: &Server, id: u32) -> bool {
    let sql = format!("SELECT COUNT(*) FROM app.t WHERE id = {id}");
    server.value(&sql).await.ok().flatten().as_deref() == Some("1")
}

/// Makes the second replica one of Highwater's port, and back again to nothing.
async fn replicate(setup: &Setup, change: &[String], stop: &str) {
    let (primary, replica) = (setup.cluster.primary(), setup.cluster.replica(1));
    let mut client = setup.connect().await;
    run(
        &mut client,
        "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)",
    )
    .await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    replica.exec(stop).await.unwrap();
    until("the primary feeds one replica", async || {
        dumps(primary).await == "1"
    })
    .await;
    run(
        &mut client,
        "INSERT INTO t VALUES (1, 'while it was stopped')",
    )
    .await;
    for sql in change {
        replica
            .exec(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    until("the row arrives", async || has_row(replica, 1).await).await;
    assert_eq!(dumps(primary).await, "2");
    // Longer than what is held of a stream.
    run(
        &mut client,
        "INSERT INTO t VALUES (2, REPEAT('x', 3000000))",
    )
    .await;
    until("a long row arrives", async || has_row(replica, 2).await).await;
    replica.exec(stop).await.unwrap();
    until("the dump ends with its client", async || {
        dumps(primary).await == "1"
    })
    .await;
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_replica_follows_highwater_and_tools_read_the_log() {
    let setup = setup(Engine::MySql).await;
    let port = setup.proxy.addresses().mysql.port();
    let change = format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
         SOURCE_USER = '{}', SOURCE_PASSWORD = '{}', SOURCE_AUTO_POSITION = 1, \
         SOURCE_SSL = 0, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1",
        REPLICATION.user, REPLICATION.password
    );
    let change = [change, "START REPLICA".to_owned()];
    replicate(&setup, &change, "STOP REPLICA").await;
    tools(&setup, port).await;
    refusals(&setup).await;
}

#[tokio::test]
async fn a_mariadb_replica_follows_highwater() {
    let setup = setup(Engine::MariaDb).await;
    let port = setup.proxy.addresses().mysql.port();
    let change = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, \
         MASTER_USER = '{}', MASTER_PASSWORD = '{}', MASTER_USE_GTID = slave_pos, \
         MASTER_CONNECT_RETRY = 1",
        REPLICATION.user, REPLICATION.password
    );
    let change = [change, "START SLAVE".to_owned()];
    replicate(&setup, &change, "STOP SLAVE").await;
}

/// mysqlbinlog, which registers, dumps from a position, and reads to the end or for ever.
async fn tools(setup: &Setup, port: u16) {
    let primary = setup.cluster.primary();
    let read = |to_the_end: bool| {
        let mut command = beside_the_client(setup, "mysqlbinlog");
        command
            .args([
                "--no-defaults",
                "--read-from-remote-server",
                "--host=127.0.0.1",
            ])
            .arg(format!("--port={port}"))
            .arg(format!("--user={}", REPLICATION.user))
            .arg(format!("--password={}", REPLICATION.password))
            .args([
                "--ssl-mode=DISABLED",
                "--get-server-public-key",
                "--verbose",
                "--to-last-log",
            ])
            .arg("binlog.000001")
            .stdin(Stdio::null());
        if !to_the_end {
            command.args(["--stop-never", "--connection-server-id=4711"]);
        }
        command
    };
    let mut once = read(true);
    let output = tokio::task::spawn_blocking(move || once.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(text.contains("while it was stopped"), "{said}");
    let mut endless = read(false);
    let mut child = endless
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it reads", async || dumps(primary).await == "2").await;
    child.kill().unwrap();
    child.wait().unwrap();
    until("the dump ends with its client", async || {
        dumps(primary).await == "1"
    })
    .await;
}

/// A program that is installed with the `mysql` client.
fn beside_the_client(setup: &Setup, name: &str) -> Command {
    let client = setup.cluster.program().client().expect("the mysql client");
    let there = |word: &std::ffi::OsStr| -> OsString {
        match word.to_str().and_then(|word| word.strip_suffix("/mysql")) {
            Some(folder) => format!("{folder}/{name}").into(),
            None => word.to_owned(),
        }
    };
    let mut command = Command::new(there(client.get_program()));
    let before = client.get_args().take_while(|arg| *arg != "--no-defaults");
    command.args(before.map(there));
    command
}

/// What the primary refuses is told with its words, and the session goes on if its own would.
async fn refusals(setup: &Setup) {
    let proxy = setup.proxy.addresses().mysql.to_string();
    let primary = setup.cluster.primary().address();
    let from_file = [
        &[0x12][..],
        &4_u32.to_le_bytes(),
        &[0, 0],
        &9_u32.to_le_bytes(),
        b"binlog.000001",
    ];
    let register = [&[0x15][..], &9_u32.to_le_bytes(), &[0; 3], &[0; 2], &[0; 8]];
    for command in [
        from_file.concat(),
        vec![0x1E; 40],
        register.concat(),
        vec![0x20],
        vec![0x21; 20],
    ] {
        let [ours, theirs] = [told(&proxy, &command).await, told(&primary, &command).await];
        let what = command[0];
        assert_eq!(ours.0, theirs.0, "{what:#04x}");
        assert!(ours.1 || !theirs.1, "{what:#04x} ends a session");
    }
}

/// The refusal of a command, and whether the session goes on after it.
async fn told(address: &str, command: &[u8]) -> ((u16, [u8; 5], String), bool) {
    let account = (APP.user, APP.password);
    let mut raw = Raw::connect(address, account, None, usual()).await.unwrap();
    let frames = raw.ask(command, ReplyKind::Simple).await;
    let error = ErrView::parse(&frames[0]).unwrap();
    let text = String::from_utf8_lossy(error.message).into_owned();
    let mut select = Vec::new();
    append_packet(
        &mut select,
        &mut 0,
        &com_query(b"SELECT 1 FOR UPDATE", false),
    );
    let _ = raw.stream.write_all(&select).await;
    let goes_on = raw.frame().await.is_some_and(|frame| frame[HEADER] == 1);
    ((error.code, error.state, text), goes_on)
}
