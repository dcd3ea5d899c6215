//! The oracle: every statement of the corpus that is called a read is run on a real replica and a
//! real primary, and the servers say whether it was one.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "corpus/raw_client.rs"]
mod raw_client;
#[path = "corpus/reader.rs"]
mod reader;

use highwater::domain::sql::{Access, LexMode};
use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;
use raw_client::RawClient;

/// Accounts for the raw client: no password, so that it needs no scramble.
const ACCOUNT: [&str; 3] = [
    "CREATE USER oracle@'%' IDENTIFIED BY ''",
    "GRANT SELECT, INSERT, SHOW VIEW, EXECUTE, EVENT, TRIGGER, PROCESS, SHOW DATABASES, \
     SHOW_ROUTINE, CREATE USER ON *.* TO oracle@'%'",
    "CREATE DATABASE corpus",
];

#[tokio::test]
async fn reads_read() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    prepare(cluster.primary()).await;
    cluster.wait_all_caught_up().await.unwrap();
    let (primary, replica) = (cluster.primary().address(), cluster.replica(0).address());
    let complaints = tokio::task::spawn_blocking(move || ask(&primary, &replica))
        .await
        .unwrap();
    assert!(
        complaints.is_empty(),
        "{} wrong:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

async fn prepare(primary: &Server) {
    let mut root = primary.connect(&ROOT).await.unwrap();
    for sql in ACCOUNT {
        root.query_drop(sql).await.unwrap();
    }
    root.query_drop("USE corpus").await.unwrap();
    let schema = include_str!("corpus/schema.sql");
    for sql in schema.lines().filter(|line| !line.starts_with('#')) {
        root.query_drop(sql).await.unwrap();
    }
}

/// What the servers have against the statements that are called reads.
fn ask(primary: &str, replica: &str) -> Vec<String> {
    let mut primary = connect(primary);
    let mut replica = connect(replica);
    assert_eq!(
        replica
            .run("SET SESSION TRANSACTION READ ONLY")
            .unwrap()
            .error,
        None
    );
    for sql in [
        "SET session_track_gtids=OWN_GTID",
        "SET session_track_transaction_info=CHARACTERISTICS",
    ] {
        assert_eq!(primary.run(sql).unwrap().error, None);
    }
    // The oracle can say no, also where the write is hidden.
    for write in ["INSERT INTO log VALUES (1)", "SELECT writes(1)"] {
        let refused = on_replica(&mut replica, write).unwrap();
        assert!(
            refused.contains("1290") || refused.contains("1792"),
            "{write}: {refused}"
        );
        let traced = on_primary(&mut primary, write).unwrap();
        assert!(traced.contains("trackers"), "{write}: {traced}");
    }
    assert!(
        on_primary(&mut primary, "SELECT * FROM nosuchtable")
            .unwrap()
            .contains("1146")
    );

    let reads = reader::cases()
        .into_iter()
        .filter(|case| case.expected.access == Access::Read && case.expected.unrunnable.is_none());
    let mut asked = 0;
    let complaints: Vec<String> = reads
        .filter_map(|case| {
            asked += 1;
            for server in [&mut replica, &mut primary] {
                assert_eq!(
                    server.run(&set_mode(case.expected.mode)).unwrap().error,
                    None
                );
            }
            let found = on_replica(&mut replica, &case.sql)
                .or_else(|| on_primary(&mut primary, &case.sql))?;
            Some(format!("{}: {:?}\n    {found}", case.place, case.sql))
        })
        .collect();
    assert!(asked >= 200, "only {asked} statements asked");
    complaints
}

fn connect(address: &str) -> RawClient {
    RawClient::connect(address, "oracle", "corpus").unwrap()
}

/// Puts a server's session into the mode that the statement is read in.
fn set_mode(mode: LexMode) -> String {
    let mut modes = Vec::new();
    if mode.ansi_quotes {
        modes.push("ANSI_QUOTES");
    }
    if mode.no_backslash_escapes {
        modes.push("NO_BACKSLASH_ESCAPES");
    }
    format!("SET sql_mode = '{}'", modes.join(","))
}

/// Runs it as Highwater would. Any error is a complaint: a read of the corpus is valid.
fn on_replica(replica: &mut RawClient, sql: &str) -> Option<String> {
    let ended = replica.run(sql).unwrap();
    ended
        .error
        .map(|(code, message)| format!("the replica says {code} {message}"))
}

/// Runs it in a transaction, where the tracker tells what it did.
fn on_primary(primary: &mut RawClient, sql: &str) -> Option<String> {
    assert_eq!(primary.run("START TRANSACTION").unwrap().error, None);
    let ended = primary.run(sql).unwrap();
    assert_eq!(primary.run("ROLLBACK").unwrap().error, None);
    if let Some((code, message)) = ended.error {
        return Some(format!("the primary says {code} {message}"));
    }
    let letters = ended.transaction.unwrap_or_default();
    // W and w: wrote to a transactional table, to another one; L: holds table locks. The letter s
    // is no sign of a write: every LIMIT, RAND() and @@variable is "unsafe" to replay.
    (ended.wrote_gtid || letters.contains(['W', 'w', 'L']))
        .then(|| format!("the primary's trackers say {letters:?}"))
}
