//! The oracle: every statement of the corpus that is called a read is run on a real replica and a
//! real primary, and the servers say whether it was one.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "corpus/raw_client.rs"]
mod raw_client;
#[path = "corpus/reader.rs"]
mod reader;

use highwater::domain::sql::{Access, Dialect, Doubt, LexMode, Seed, explain};
use highwater::rig::{Cluster, Engine, ROOT, Server, Version};
use mysql_async::prelude::Queryable;
use raw_client::RawClient;

/// What differs between the engines.
struct Oracle {
    engine: Engine,
    dialect: Dialect,
    schema: &'static str,
    /// Makes the account for the raw client: no password, so that it needs no scramble.
    account: [&'static str; 3],
    /// Turns on the trackers that tell what a statement did.
    trackers: [&'static str; 2],
    /// Server options with which locks can be seen.
    option: Option<&'static str>,
    /// Fails if a user variable or a lock is left behind by the statement before.
    left: &'static str,
    /// The server's position.
    position: &'static str,
    cases: fn() -> Vec<reader::Case>,
    /// The other engine's.
    foreign: fn() -> Vec<reader::Case>,
}

static MYSQL: Oracle = Oracle {
    engine: Engine::MySql,
    dialect: Dialect::MYSQL,
    schema: include_str!("corpus/schema.sql"),
    account: [
        "CREATE USER oracle@'%' IDENTIFIED BY ''",
        "GRANT SELECT, INSERT, UPDATE, SHOW VIEW, EXECUTE, EVENT, TRIGGER, PROCESS, \
         SHOW DATABASES, SHOW_ROUTINE, CREATE USER ON *.* TO oracle@'%'",
        "CREATE DATABASE corpus",
    ],
    trackers: [
        "SET session_track_gtids=OWN_GTID",
        "SET session_track_transaction_info=CHARACTERISTICS",
    ],
    option: Some("performance-schema=ON"),
    // Fails with 1242 (more than one row).
    left: "SELECT IF(@a IS NULL AND IS_USED_LOCK('hw') IS NULL AND NOT EXISTS \
           (SELECT 1 FROM performance_schema.data_locks), 1, (SELECT 1 UNION SELECT 2))",
    position: "SELECT @@global.gtid_executed",
    cases: reader::mysql,
    foreign: reader::mariadb,
};

static MARIADB: Oracle = Oracle {
    engine: Engine::MariaDb,
    dialect: Dialect::MARIADB,
    schema: include_str!("corpus/mariadb/schema.sql"),
    account: [
        "CREATE USER oracle@'%' IDENTIFIED BY ''",
        "GRANT SELECT, INSERT, UPDATE, SHOW VIEW, EXECUTE, EVENT, TRIGGER, PROCESS, \
         SHOW DATABASES, CREATE USER ON *.* TO oracle@'%'",
        "CREATE DATABASE corpus",
    ],
    trackers: [
        "SET session_track_system_variables=CONCAT(@@session_track_system_variables, ',last_gtid')",
        "SET session_track_transaction_info=CHARACTERISTICS",
    ],
    option: None,
    left: "SELECT IF(@a IS NULL AND IS_USED_LOCK('hw') IS NULL, 1, (SELECT 1 UNION SELECT 2))",
    position: "SELECT @@global.gtid_binlog_pos",
    cases: reader::mariadb,
    foreign: reader::mysql,
};

#[tokio::test]
async fn reads_read() {
    check_reads(&MYSQL).await;
}

#[tokio::test]
async fn reads_read_on_mariadb() {
    check_reads(&MARIADB).await;
}

/// Every function that MariaDB lists as its own is a known one, so that reads that call it are
/// offloaded.
#[tokio::test]
async fn functions_of_mariadb_are_known() {
    let cluster = Cluster::builder()
        .engine(Engine::MariaDb)
        .replicas(0)
        .start()
        .await
        .unwrap();
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    let functions: Vec<String> = root
        .query("SELECT function FROM information_schema.sql_functions")
        .await
        .unwrap();
    assert!(functions.len() > 200, "{functions:?}");
    let mode = LexMode {
        dialect: Dialect::MARIADB,
        ..LexMode::default()
    };
    let unknown: Vec<&String> = functions
        .iter()
        .filter(|function| {
            let sql = format!("SELECT {function}(1) FROM t");
            explain(sql.as_bytes(), mode, &Seed::new(1)).doubt == Doubt::UnknownFunction
        })
        // Another name of DATABASE() to the list, and a keyword to the grammar.
        .filter(|function| *function != "SCHEMAS")
        .collect();
    let version = cluster.program().version();
    assert!(
        version > Version(11, 8, 99) || unknown.is_empty(),
        "{unknown:?}"
    );
}

async fn check_reads(oracle: &'static Oracle) {
    let cluster = Cluster::builder()
        .engine(oracle.engine)
        .replicas(1)
        .start()
        .await
        .unwrap();
    prepare(oracle, cluster.primary()).await;
    cluster.wait_all_caught_up().await.unwrap();
    let (primary, replica) = (cluster.primary().address(), cluster.replica(0).address());
    let before = traces(oracle, cluster.primary()).await;
    let complaints = tokio::task::spawn_blocking(move || ask(oracle, &primary, &replica))
        .await
        .unwrap();
    none(&complaints);
    assert_eq!(traces(oracle, cluster.primary()).await, before);
}

fn none(complaints: &[String]) {
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
    check_damaged(&MYSQL).await;
}

#[tokio::test]
async fn damaged_reads_read_or_fail_on_mariadb() {
    check_damaged(&MARIADB).await;
}

async fn check_damaged(oracle: &'static Oracle) {
    let cluster = Cluster::builder().engine(oracle.engine).replicas(0);
    let cluster = match oracle.option {
        Some(option) => cluster.option(option),
        None => cluster,
    };
    let cluster = cluster.start().await.unwrap();
    prepare(oracle, cluster.primary()).await;
    let address = cluster.primary().address();
    let canaries = address.clone();
    tokio::task::spawn_blocking(move || the_server_says_no(oracle, &canaries))
        .await
        .unwrap();
    let before = traces(oracle, cluster.primary()).await;
    let (ran, complaints) = tokio::task::spawn_blocking(move || damage(oracle, &address))
        .await
        .unwrap();
    none(&complaints);
    assert!(ran >= 500, "only {ran} damaged statements were valid reads");
    assert_eq!(traces(oracle, cluster.primary()).await, before);
}

/// How many damaged statements are tried.
const DAMAGED: u64 = 20_000;

/// What would make a read more than one, or move the ends of strings and comments.
const SNIPPETS: [&str; 60] = [
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
    "/*M!",
    "/*M!100100 ",
    "/*m!999999 ",
    "/*!50700 ",
    "/*!100100 ",
    ", NEXTVAL(s)",
    ", NEXT VALUE FOR s",
    ", PREVIOUS VALUE FOR s",
    ", SETVAL(s, 5)",
    ", s.nextval",
    " LIMIT ROWS EXAMINED 9",
    " FOR SYSTEM_TIME ALL",
    " PROCEDURE ANALYSE()",
    "ANALYZE ",
    "SET STATEMENT max_statement_time = 9 FOR ",
    " RETURNING 1",
];

/// Statements after which the oracle must complain.
fn the_server_says_no(oracle: &Oracle, primary: &str) {
    let (mut primary, mut other) = (watched(oracle, primary), connect(primary));
    let mut canaries = vec![
        "SELECT @a := 1",
        "SELECT 1 INTO @a",
        "SELECT GET_LOCK('hw', 0)",
        "SELECT * FROM t FOR UPDATE",
        "SELECT writes(1)",
        "SELECT 1; INSERT INTO log VALUES (1)",
    ];
    if oracle.engine == Engine::MariaDb {
        canaries.extend([
            "SELECT NEXTVAL(s)",
            "ANALYZE SELECT writes(1)",
            "SHOW TABLES WHERE NEXT VALUE FOR s",
        ]);
    }
    for sql in canaries {
        let found = side_effect(oracle, &mut primary, &mut other, sql);
        assert!(found.flatten().is_some(), "{sql}");
    }
}

/// How many damaged statements ran, and what the server has against them.
fn damage(oracle: &Oracle, primary: &str) -> (usize, Vec<String>) {
    let (mut primary, mut other) = (watched(oracle, primary), connect(primary));
    let seed = Seed::new(1);
    let reads: Vec<reader::Case> = [(oracle.cases)(), (oracle.foreign)()]
        .concat()
        .into_iter()
        .filter(|case| case.expected.access == Access::Read && case.sql.len() < 200)
        .collect();
    let mut random = Random(1);
    let (mut ran, mut complaints) = (0, Vec::new());
    for _ in 0..DAMAGED {
        let case = random.of(&reads);
        let mut sql = case.sql.clone();
        for _ in 0..=random.below(3) {
            let boundaries: Vec<usize> = (0..=sql.len())
                .filter(|&at| sql.is_char_boundary(at))
                .collect();
            let snippet: &&str = random.of(&SNIPPETS);
            sql.insert_str(*random.of(&boundaries), snippet);
        }
        let mode = LexMode {
            dialect: Dialect {
                oracle: case.expected.mode.dialect.oracle && oracle.engine == Engine::MariaDb,
                ..oracle.dialect
            },
            ..case.expected.mode
        };
        if explain(sql.as_bytes(), mode, &seed).access != Access::Read {
            continue;
        }
        assert_eq!(primary.run(&set_mode(mode)).unwrap().error, None);
        match side_effect(oracle, &mut primary, &mut other, &sql) {
            None => {}
            Some(None) => ran += 1,
            Some(Some(found)) => complaints.push(format!("{sql:?}\n    {found}")),
        }
    }
    (ran, complaints)
}

/// Runs a statement; `None` if the server refuses it, else what it did that no read does.
fn side_effect(
    oracle: &Oracle,
    primary: &mut RawClient,
    other: &mut RawClient,
    sql: &str,
) -> Option<Option<String>> {
    // Fails if a row is locked.
    const LOCKED: &str = "SELECT COUNT(*) FROM t, u, docs, p, tree FOR UPDATE NOWAIT";
    assert_eq!(primary.run("START TRANSACTION").unwrap().error, None);
    let ended = primary.run(sql).unwrap();
    let left = primary.run(oracle.left).unwrap().error;
    let left = left.or_else(|| other.run(LOCKED).unwrap().error);
    for sql in ["ROLLBACK", "SET @a = NULL", "DO RELEASE_ALL_LOCKS()"] {
        assert_eq!(primary.run(sql).unwrap().error, None);
    }
    if let Some((code, message)) = left {
        return Some(Some(format!("something was left behind: {code} {message}")));
    }
    if ended.error.is_some() && !ended.wrote_gtid {
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

fn connect(address: &str) -> RawClient {
    RawClient::connect(address, "oracle", "corpus").unwrap()
}

/// A connection whose trackers tell what a statement did.
fn watched(oracle: &Oracle, address: &str) -> RawClient {
    let mut client = connect(address);
    for sql in oracle.trackers {
        assert_eq!(client.run(sql).unwrap().error, None);
    }
    client
}

async fn prepare(oracle: &Oracle, primary: &Server) {
    let mut root = primary.connect(&ROOT).await.unwrap();
    for sql in oracle.account {
        root.query_drop(sql).await.unwrap();
    }
    root.query_drop("USE corpus").await.unwrap();
    for sql in oracle.schema.lines().filter(|line| !line.starts_with('#')) {
        root.query_drop(sql).await.unwrap();
    }
}

/// What any write leaves behind: the server's position and the checksums of all tables, of sequences
/// too.
async fn traces(oracle: &Oracle, primary: &Server) -> (String, Vec<(String, Option<u64>)>) {
    let mut root = primary.connect(&ROOT).await.unwrap();
    root.query_drop("USE corpus").await.unwrap();
    let tables: Vec<String> = root
        .query(
            "SELECT CONCAT('`', table_name, '`') FROM information_schema.tables \
             WHERE table_schema = 'corpus' AND table_type <> 'VIEW' ORDER BY table_name",
        )
        .await
        .unwrap();
    let sums = format!("CHECKSUM TABLE {}", tables.join(", "));
    let sums = root.query(sums).await.unwrap();
    let position: Option<String> = root.query_first(oracle.position).await.unwrap();
    (position.unwrap(), sums)
}

/// What the servers have against the statements that are called reads.
fn ask(oracle: &Oracle, primary: &str, replica: &str) -> Vec<String> {
    let mut primary = watched(oracle, primary);
    let mut replica = connect(replica);
    assert_eq!(
        replica
            .run("SET SESSION TRANSACTION READ ONLY")
            .unwrap()
            .error,
        None
    );
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

    let mut complaints = Vec::new();
    let mut asked = 0;
    for case in (oracle.cases)() {
        if case.expected.access != Access::Read || case.expected.unrunnable.is_some() {
            continue;
        }
        asked += 1;
        for server in [&mut replica, &mut primary] {
            let mode = set_mode(case.expected.mode);
            assert_eq!(server.run(&mode).unwrap().error, None);
        }
        let found =
            on_replica(&mut replica, &case.sql).or_else(|| on_primary(&mut primary, &case.sql));
        complaints
            .extend(found.map(|found| format!("{}: {:?}\n    {found}", case.place, case.sql)));
    }
    assert!(asked >= 150, "only {asked} statements asked");
    complaints.extend(ask_foreign(oracle, &mut primary));
    complaints
}

/// The other engine's statements that are reads here too: they may be errors, but not writes.
fn ask_foreign(oracle: &Oracle, primary: &mut RawClient) -> Vec<String> {
    let seed = Seed::new(1);
    let mut complaints = Vec::new();
    for case in (oracle.foreign)() {
        let mode = LexMode {
            dialect: oracle.dialect,
            ..case.expected.mode
        };
        if explain(case.sql.as_bytes(), mode, &seed).access != Access::Read {
            continue;
        }
        assert_eq!(primary.run(&set_mode(mode)).unwrap().error, None);
        let found = on_primary(primary, &case.sql).filter(|found| found.contains("trackers"));
        complaints
            .extend(found.map(|found| format!("{}: {:?}\n    {found}", case.place, case.sql)));
    }
    complaints
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
    if mode.dialect.oracle {
        modes.push("ORACLE");
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
