//! What the answers to commands that are no statements say of the statement before, and what a server
//! says of prepared statements that it does not know: packet by packet.

use highwater::config::PoolMode;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, Engine};

use super::support::Setup;
use super::support::raw::{Param, Raw, about, execute, fetch, shown, usual};
use super::support::stage::stage;

/// What comes before.
const STATEMENTS: [&str; 12] = [
    "SELECT 1",
    "SELECT 1/0",
    "SELECT 1/0, CAST('x' AS SIGNED) FROM u",
    "SELECT * FROM nosuch",
    // A warning comes before the error.
    "SET character_set_client = ucs2",
    "GET DIAGNOSTICS CONDITION 1 @a = MYSQL_ERRNO",
    "GET DIAGNOSTICS CONDITION 7 @a = MYSQL_ERRNO",
    "SHOW WARNINGS",
    "INSERT INTO u (v) VALUES (1), (2)",
    "INSERT IGNORE INTO u (v) VALUES (1000)",
    "SET @a = 1",
    "SHOW WARNINGS",
];

const EXECUTE: ReplyKind = ReplyKind::Execute { cursor: false };

/// What is asked behind a command, in turns. The list would tell the numbers of statements.
const AFTER: [&[&[u8]]; 2] = [
    &[
        b"\x0E",
        b"\x03SHOW COUNT(*) ERRORS",
        b"\x03SHOW COUNT(*) WARNINGS",
    ],
    &[b"\x03SELECT ROW_COUNT()"],
];

/// A command, with the id of a statement that is prepared, and of what kind its reply is.
type Command = (&'static str, fn(u32) -> Vec<u8>, ReplyKind);

const COMMANDS: [Command; 12] = [
    ("COM_PING", |_| vec![0x0E], ReplyKind::Simple),
    ("COM_INIT_DB", |_| b"\x02app".to_vec(), ReplyKind::Simple),
    (
        "COM_INIT_DB of none",
        |_| b"\x02nosuch".to_vec(),
        ReplyKind::Simple,
    ),
    ("COM_SET_OPTION", |_| vec![0x1B, 0, 0], ReplyKind::Simple),
    ("COM_STMT_RESET", |id| about(0x1A, id), ReplyKind::Simple),
    (
        "COM_STMT_RESET of none",
        |_| about(0x1A, 999),
        ReplyKind::Simple,
    ),
    (
        "COM_STMT_EXECUTE of none",
        |_| execute(999, 0, &[], true, false),
        EXECUTE,
    ),
    (
        "COM_STMT_EXECUTE of none, with a parameter",
        |_| execute(999, 0, &[Param::Int(1)], true, false),
        EXECUTE,
    ),
    (
        "COM_STMT_FETCH of none",
        |_| fetch(999, 1),
        ReplyKind::Fetch,
    ),
    (
        "COM_STMT_FETCH without a cursor",
        |id| fetch(id, 1),
        ReplyKind::Fetch,
    ),
    ("an unknown one", |_| vec![0x7F], ReplyKind::Simple),
    ("COM_RESET_CONNECTION", |_| vec![0x1F], ReplyKind::Simple),
];

#[tokio::test]
async fn commands_tell_of_the_statement_before() {
    let stage = stage().await;
    check(stage.setup, &AFTER).await;
}

#[tokio::test]
async fn the_same_on_mariadb() {
    let setup = Setup::with(Cluster::builder().engine(Engine::MariaDb), |_| {}).await;
    check(&setup, &[&[]]).await;
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn the_same_with_another_connection_for_every_statement() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    check(&setup, &AFTER).await;
    setup.proxy.shut_down().await;
}

async fn check(setup: &Setup, asked: &[&[&[u8]]]) {
    let primary = setup.cluster.primary();
    for sql in [
        "CREATE DATABASE commands",
        "CREATE TABLE commands.u (id INT PRIMARY KEY AUTO_INCREMENT, v TINYINT)",
        "INSERT INTO commands.u (v) VALUES (1)",
    ] {
        primary.exec(sql).await.unwrap();
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let proxy = setup.proxy.addresses().mysql.to_string();
    let mut wrong = Vec::new();
    for (name, command, kind) in COMMANDS {
        // Both wrote into the same table, in other sessions.
        setup.cluster.wait_all_caught_up().await.unwrap();
        let mut ours = session(&proxy, "commands").await;
        let mut theirs = session(&primary.address(), "commands").await;
        let prepared = [
            ours.prepare("SELECT 1").await,
            theirs.prepare("SELECT 1").await,
        ];
        let each = STATEMENTS
            .iter()
            .flat_map(|sql| asked.iter().map(move |after| (sql, *after)));
        for (sql, after) in each {
            let before = [ours.query(sql).await, theirs.query(sql).await];
            let got = ours.ask(&command(prepared[0]), kind).await;
            let expected = theirs.ask(&command(prepared[1]), kind).await;
            let same = |frames: &[Vec<u8>], id: u32| {
                let id = format!("({id})");
                shown(frames).replace(&id, "(id)")
            };
            let (mut got, mut expected) = (same(&got, prepared[0]), same(&expected, prepared[1]));
            for ask in after {
                got += &same(&ours.ask(ask, kind_of(ask)).await, prepared[0]);
                expected += &same(&theirs.ask(ask, kind_of(ask)).await, prepared[1]);
            }
            if got != expected {
                let counted =
                    before.map(|frames| shown(frames.last().map(std::slice::from_ref).unwrap()));
                wrong.push(format!(
                    "{sql} ({counted:?}), {name}:\n    expected {expected}\n    got      {got}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What a cursor's rows are counted as, and what is left when it is closed.
#[tokio::test]
async fn cursors_and_what_they_leave() {
    const CURSOR: ReplyKind = ReplyKind::Execute { cursor: true };
    let stage = stage().await;
    let primary = stage.setup.cluster.primary();
    let proxy = stage.setup.proxy.addresses().mysql.to_string();
    let mut seen = Vec::new();
    for address in [proxy, primary.address()] {
        let mut raw = session(&address, "app").await;
        let id = raw.prepare("SELECT 1/0 UNION SELECT 2").await;
        let open = execute(id, 1, &[], true, false);
        let steps: [(&[u8], ReplyKind); 12] = [
            (&open, CURSOR),
            (b"\x03SELECT FOUND_ROWS()", ReplyKind::Query),
            (&open, CURSOR),
            (&about(0x1A, id), ReplyKind::Simple),
            (b"\x0E", ReplyKind::Simple),
            (b"\x03SHOW COUNT(*) WARNINGS", ReplyKind::Query),
            (&open, CURSOR),
            (&fetch(id, 9), ReplyKind::Fetch),
            (b"\x03SHOW WARNINGS", ReplyKind::Query),
            (&open, CURSOR),
            (b"\x0E", ReplyKind::Simple),
            (&about(0x1A, id), ReplyKind::Simple),
        ];
        let mut all = Vec::new();
        for (command, kind) in steps {
            all.push(shown(&raw.ask(command, kind).await));
        }
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
}

fn kind_of(command: &[u8]) -> ReplyKind {
    match command {
        [3, ..] => ReplyKind::Query,
        _ => ReplyKind::Simple,
    }
}

async fn session(address: &str, schema: &str) -> Raw {
    let flags = usual() - highwater::protocol::caps::CapabilityFlags::CLIENT_SESSION_TRACK;
    let account = (APP.user, APP.password);
    let raw = Raw::connect(address, account, Some(schema), flags).await;
    let mut raw = raw.unwrap();
    // The login's is of MySQL 8, and unknown to MariaDB.
    raw.query("SET NAMES utf8mb4").await;
    raw
}
