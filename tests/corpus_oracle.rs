//! The oracle: every statement of the corpus that is called a read is run on a real replica and a
//! real primary, and the servers say whether it was one.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "corpus/raw_client.rs"]
mod raw_client;
#[path = "corpus/reader.rs"]
mod reader;

use highwater::domain::sql::{Access, LexMode, Seed, explain};
use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;
use raw_client::RawClient;

/// Accounts for the raw client: no password, so that it needs no scramble.
const ACCOUNT: [&str; 3] = [
    "CREATE USER oracle@'%' IDENTIFIED BY ''",
    "GRANT SELECT, INSERT, UPDATE, SHOW VIEW, EXECUTE, EVENT, TRIGGER, PROCESS, SHOW DATABASES, \
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

/// Statements damaged at random: those that still pass for reads must do nothing else on a server.
#[tokio::test]
async fn damaged_reads_read_or_fail() {
    let cluster = Cluster::builder()
        .replicas(0)
        .option("performance-schema=ON")
        .start()
        .await
        .unwrap();
    prepare(cluster.primary()).await;
    let address = cluster.primary().address();
    let (ran, complaints) = tokio::task::spawn_blocking(move || damage(&address))
        .await
        .unwrap();
    assert!(
        complaints.is_empty(),
        "{} wrong:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(ran >= 500, "only {ran} damaged statements were valid reads");
}

/// How many damaged statements are tried.
const DAMAGED: u64 = 20_000;

/// What would make a read more than one, or move the ends of strings and comments.
const SNIPPETS: [&str; 44] = [
    "/*",
    "*/",
    "/*!",
    "/*!50000 ",
    "/*!99999 ",
    "/*+",
    "-- ",
    "--",
    "#",
    "\n",
    "'",
    "\"",
    "`",
    "\\",
    ";",
    "(",
    ")",
    ",",
    ".",
    "@",
    ":=",
    "?",
    "x'",
    "_utf8mb4'",
    "N'",
    "1e",
    "{",
    "}",
    "\u{a0}",
    "\0",
    " INTO @a",
    " INTO @a -- ",
    " FOR UPDATE",
    " FOR SHARE",
    " LOCK IN SHARE MODE",
    ", @a := 1",
    ", (@a := 1)",
    ", GET_LOCK('hw', 0)",
    " AND GET_LOCK('hw', 0)",
    ", writes(1)",
    "; INSERT INTO log VALUES (1)",
    "; SELECT 1",
    " -- \n",
    " # \n",
];

/// How many damaged statements ran, and what the server has against them.
fn damage(primary: &str) -> (usize, Vec<String>) {
    let mut primary = connect(primary);
    watch(&mut primary);
    // The server can say no.
    for sql in [
        "SELECT @a := 1",
        "SELECT 1 INTO @a",
        "SELECT GET_LOCK('hw', 0)",
        "SELECT * FROM t FOR UPDATE",
        "SELECT writes(1)",
        "SELECT 1; INSERT INTO log VALUES (1)",
    ] {
        assert!(side_effect(&mut primary, sql).flatten().is_some(), "{sql}");
    }
    let seed = Seed::new(1);
    let reads: Vec<String> = reader::cases()
        .into_iter()
        .filter(|case| case.expected.access == Access::Read && case.sql.len() < 200)
        .map(|case| case.sql)
        .collect();
    let mut random = Random(1);
    let (mut ran, mut complaints) = (0, Vec::new());
    for _ in 0..DAMAGED {
        let mut sql = random.of(&reads).clone();
        for _ in 0..=random.below(3) {
            let boundaries: Vec<usize> = (0..=sql.len())
                .filter(|&at| sql.is_char_boundary(at))
                .collect();
            let snippet: &&str = random.of(&SNIPPETS);
            sql.insert_str(*random.of(&boundaries), snippet);
        }
        let mode = LexMode::default();
        if explain(sql.as_bytes(), mode, &seed).access != Access::Read {
            continue;
        }
        match side_effect(&mut primary, &sql) {
            None => {}
            Some(None) => ran += 1,
            Some(Some(found)) => complaints.push(format!("{sql:?}\n    {found}")),
        }
    }
    (ran, complaints)
}

/// Runs a statement; `None` if the server refuses it, else what it did that no read does.
fn side_effect(primary: &mut RawClient, sql: &str) -> Option<Option<String>> {
    // Fails with 1242 (more than one row) if anything is left behind.
    const LEFT: &str = "SELECT IF(@a IS NULL AND IS_USED_LOCK('hw') IS NULL AND NOT EXISTS \
        (SELECT 1 FROM performance_schema.data_locks), 1, (SELECT 1 UNION SELECT 2))";
    assert_eq!(primary.run("START TRANSACTION").unwrap().error, None);
    let ended = primary.run(sql).unwrap();
    let left = primary.run(LEFT).unwrap().error;
    for sql in ["ROLLBACK", "SET @a = NULL", "DO RELEASE_ALL_LOCKS()"] {
        assert_eq!(primary.run(sql).unwrap().error, None);
    }
    if let Some((code, message)) = left {
        return Some(Some(format!("something was left behind: {code} {message}")));
    }
    if ended.error.is_some() {
        return None;
    }
    let letters = ended.transaction.clone().unwrap_or_default();
    let wrote = ended.wrote_gtid || letters.contains(['W', 'w', 'L']);
    Some(wrote.then(|| format!("the trackers say {letters:?}")))
}

/// A small generator, so that a failure repeats.
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Turns on the trackers that tell what a statement did.
fn watch(primary: &mut RawClient) {
    for sql in [
        "SET session_track_gtids=OWN_GTID",
        "SET session_track_transaction_info=CHARACTERISTICS",
    ] {
        assert_eq!(primary.run(sql).unwrap().error, None);
    }
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
    watch(&mut primary);
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
