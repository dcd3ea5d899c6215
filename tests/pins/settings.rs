//! Every session variable that a session can set has its value on the replica that answers it, by the
//! word of the server's own tables.

use std::collections::BTreeMap;

use highwater::rig::{ROOT, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::script::{STATEMENTS, leave, second_in};
use crate::support::script::observed;
use crate::support::stage::{Stage, stage};

/// Variables that are not carried over, and why.
const OTHERWISE: [(&str, &str); 12] = [
    ("autocommit", "each read on a replica commits by itself"),
    (
        "session_track_gtids",
        "Highwater's own; the client sees its wish",
    ),
    (
        "session_track_schema",
        "Highwater's own; the client sees its wish",
    ),
    (
        "session_track_state_change",
        "Highwater's own; the client sees its wish",
    ),
    (
        "session_track_system_variables",
        "Highwater's own; the client sees its wish",
    ),
    (
        "session_track_transaction_info",
        "Highwater's own; the client sees its wish",
    ),
    (
        "transaction_read_only",
        "the guard of a replica's connection",
    ),
    ("character_set_database", "follows the default schema"),
    ("collation_database", "follows the default schema"),
    ("last_insert_id", "belongs to the statement before"),
    ("identity", "belongs to the statement before"),
    ("statement_id", "counted by the server"),
];

/// Variables with which reads stay on the primary, where the session's own connection has them, and the
/// reason that is told.
const KEPT: [(&str, &str); 10] = [
    // A charset in which the ends of strings cannot be found; others are carried over.
    ("character_set_client", "not_understood"),
    // For one statement, or of the connection: no tracker tells them.
    ("insert_id", "cannot_restore"),
    // What the session asks next tells of its statements where they ran.
    ("optimizer_trace", "cannot_restore"),
    ("profiling", "cannot_restore"),
    ("pseudo_replica_mode", "cannot_restore"),
    ("pseudo_slave_mode", "cannot_restore"),
    ("pseudo_thread_id", "cannot_restore"),
    // The key that the session's own connection made last.
    ("sql_auto_is_null", "cannot_restore"),
    // Writes without a position.
    ("sql_log_bin", "untracked_write"),
    ("timestamp", "cannot_restore"),
];

/// Values for variables that take neither numbers nor switches.
const WORDS: [&str; 12] = [
    "'latin1'",
    "'latin1_bin'",
    "'+05:00'",
    "'de_DE'",
    "'aes-256-cbc'",
    "'MyISAM'",
    "'ANSI'",
    "'index_merge=off'",
    "'greedy_search=off'",
    "'/tmp'",
    "'x'",
    "NULL",
];

/// What may be tried for a variable that has this value.
fn candidates(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(number) = value.parse::<u64>() {
        let near = [
            number.wrapping_add(1),
            number.wrapping_mul(2) % (1 << 40),
            number / 2,
        ];
        found.extend(near.map(|it| it.to_string()));
    }
    found.extend(["ON", "OFF", "1", "0", "2"].map(str::to_owned));
    found.extend(WORDS.map(str::to_owned));
    found
}

async fn variables(conn: &mut Conn, thread: &str) -> BTreeMap<String, String> {
    let sql = format!(
        "SELECT VARIABLE_NAME, COALESCE(VARIABLE_VALUE, '') \
         FROM performance_schema.variables_by_thread WHERE THREAD_ID = {thread}"
    );
    conn.query(sql).await.unwrap().into_iter().collect()
}

/// The thread of a server that ran a statement with this mark as one of its last.
async fn thread(conn: &mut Conn, mark: &str) -> Option<String> {
    let sql = format!(
        "SELECT CAST(THREAD_ID AS CHAR) FROM {STATEMENTS} \
         JOIN performance_schema.threads USING (THREAD_ID) \
         WHERE SQL_TEXT LIKE '%{mark}%' AND PROCESSLIST_USER = 'second'"
    );
    conn.query_first(sql).await.unwrap()
}

async fn root(server: &Server) -> Conn {
    server.connect(&ROOT).await.unwrap()
}

async fn second(stage: &Stage) -> Conn {
    second_in(stage, "pin_settings").await
}

/// Sets a variable to something that it was not.
async fn change(client: &mut Conn, name: &str, value: &str) -> bool {
    for candidate in candidates(value) {
        let set = format!("SET SESSION {name} = {candidate}");
        if client.query_drop(set).await.is_err() {
            continue;
        }
        let now = format!("/* highwater: primary */ SELECT CAST(@@SESSION.{name} AS CHAR)");
        let now: Option<Option<String>> = client.query_first(now).await.unwrap_or_default();
        if now.flatten().unwrap_or_default() != value {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn every_session_variable_is_carried_over() {
    let stage = stage().await;
    stage.schema("pin_settings").await;
    let primary = stage.setup.cluster.primary();
    for sql in [
        "CREATE TABLE pin_settings.t (id INT PRIMARY KEY)",
        "GRANT SESSION_VARIABLES_ADMIN, SYSTEM_VARIABLES_ADMIN ON *.* TO second",
    ] {
        primary.exec(sql).await.unwrap();
    }
    stage.setup.cluster.wait_all_caught_up().await.unwrap();
    let mut roots = Vec::new();
    for server in stage.setup.cluster.replicas() {
        roots.push(root(server).await);
    }
    let mut at_primary = root(primary).await;
    let mut direct = root(primary).await;
    let all: Vec<(String, String)> = direct.query("SHOW SESSION VARIABLES").await.unwrap();
    let (mut wrong, mut carried, mut kept) = (Vec::new(), 0, Vec::new());
    for (name, value) in all {
        let known = OTHERWISE.iter().any(|(it, _)| *it == name);
        if known || name.contains('.') {
            continue;
        }
        let mut client = second(&stage).await;
        if change(&mut client, &name, &value).await {
            let mark = format!("mark_{name}_");
            // First the replica's: what it needs may have to be asked at the primary.
            let read = format!("SELECT '{mark}r' FROM t");
            let (_, went) = observed(stage.setup, &mut client, &read).await;
            let on_primary = format!("/* highwater: primary */ SELECT '{mark}p' FROM t");
            let _ = client.query_drop(&on_primary).await;
            let there = thread(&mut at_primary, &format!("{mark}p")).await;
            let expected = match &there {
                Some(thread) => variables(&mut at_primary, thread).await,
                None => BTreeMap::new(),
            };
            let mut found = None;
            for conn in &mut roots {
                if let Some(thread) = thread(conn, &format!("{mark}r")).await {
                    found = Some(variables(conn, &thread).await);
                }
            }
            match found {
                Some(found) if found.get(&name) == expected.get(&name) => carried += 1,
                Some(found) => wrong.push(format!(
                    "{name}: {:?} instead of {:?}",
                    found.get(&name),
                    expected.get(&name)
                )),
                None => kept.push((name.clone(), went[0].reason.clone())),
            }
        }
        leave(stage.setup, client).await;
    }
    println!("{carried} session variables were carried over");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(carried > 100, "only {carried} variables could be set");
    let kept: Vec<_> = kept
        .iter()
        .map(|(name, reason)| (&**name, &**reason))
        .collect();
    assert_eq!(kept, KEPT);
}
