//! What one server accepts Highwater accepts, and what one server refuses it refuses with the same words.
//! Two clusters of their own, for many of these statements change a whole server: one behind a proxy, the
//! other bare.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use highwater::config::Account;
use highwater::domain::sql::{LexMode, Seed, explain};
use highwater::protocol::frame::{HEADER, append_packet};
use highwater::protocol::ok::{OkView, strip_ok_in_place};
use highwater::protocol::packets::ErrView;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{Cluster, ROOT};
use support::Setup;
use support::raw::{Raw, shown, usual};

/// Statements whose whole reply is the same. A line `new` goes on with a new session; `~` before one says
/// that only the kind of its end is compared: its rows are a server's own, or its text tells an errno left
/// in the server's thread by something else (a library that cannot be opened).
const STATEMENTS: &str = r"
    CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(50), KEY (v)) ENGINE = InnoDB
    INSERT INTO t (v) VALUES ('a'), ('b'), ('c'); SELECT COUNT(*) FROM t; UPDATE t SET v = 'z' WHERE id = 1
    SELECT 1; SELEC 2; SELECT 3
    LOCK TABLES t WRITE
    INSERT INTO t (v) VALUES ('locked')
    SELECT COUNT(*) FROM mysql.user
    UNLOCK TABLES
    LOCK TABLES t READ LOCAL, t AS x READ
    SELECT COUNT(*) FROM t
    INSERT INTO t (v) VALUES ('no')
    UNLOCK TABLES
    ~SHOW GLOBAL STATUS LIKE 'Uptime'
    ~SHOW SESSION STATUS LIKE 'Com_select'
    ~SHOW ENGINE INNODB STATUS
    ~SHOW ENGINES
    ~SHOW PLUGINS
    ~SHOW PRIVILEGES
    SHOW OPEN TABLES LIKE 'nosuch'
    CREATE PROCEDURE p(IN a INT, OUT b INT, INOUT c INT) BEGIN SET b = a + 1; SET c = c * 2; SELECT a, b; SELECT COUNT(*) FROM t; END
    SET @c = 5
    CALL p(1, @b, @c)
    SELECT @b, @c
    CREATE PROCEDURE fails() BEGIN SELECT 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'wanted', MYSQL_ERRNO = 5555; END
    CALL fails()
    CALL nosuch()
    XA START 'one'
    INSERT INTO t (v) VALUES ('xa')
    XA END 'one'
    XA COMMIT 'one' ONE PHASE
    XA BEGIN 'two', 'branch', 7
    INSERT INTO t (v) VALUES ('xa two')
    SELECT 1 FROM t FOR UPDATE
    COMMIT
    XA END 'two', 'branch', 7
    XA PREPARE 'two', 'branch', 7
    XA RECOVER
    XA COMMIT 'two', 'branch', 7
    XA RECOVER CONVERT XID
    XA ROLLBACK 'nosuch'
    XA START 'three'
    XA END 'three'
    XA ROLLBACK 'three'
    HANDLER t OPEN AS h
    HANDLER h READ FIRST
    HANDLER h READ `PRIMARY` >= (2) LIMIT 2
    HANDLER h READ v = ('b')
    HANDLER h CLOSE
    HANDLER h READ NEXT
    START TRANSACTION
    INSERT INTO t (v) VALUES ('kept')
    SAVEPOINT a
    INSERT INTO t (v) VALUES ('dropped')
    SAVEPOINT b
    ROLLBACK TO SAVEPOINT a
    ROLLBACK TO b
    RELEASE SAVEPOINT a
    RELEASE SAVEPOINT a
    COMMIT AND CHAIN
    ROLLBACK
    SELECT v FROM t ORDER BY id
    BINLOG 'not base64'
    BINLOG ''
    FLUSH TABLES
    FLUSH TABLES t WITH READ LOCK
    INSERT INTO t (v) VALUES ('no')
    UNLOCK TABLES
    FLUSH TABLES WITH READ LOCK
    UNLOCK TABLES
    FLUSH LOCAL STATUS, PRIVILEGES
    FLUSH BINARY LOGS
    FLUSH ENGINE LOGS
    FLUSH ERROR LOGS
    FLUSH NOSUCH
    ANALYZE TABLE t, nosuch
    CHECK TABLE t QUICK
    OPTIMIZE TABLE t
    REPAIR TABLE t
    CHECKSUM TABLE t
    CREATE USER nobody IDENTIFIED BY 'pw', nobody2@localhost
    CREATE USER nobody
    GRANT SELECT (id), INSERT ON t TO nobody
    GRANT NOSUCHRIGHT ON *.* TO nobody
    SHOW GRANTS FOR nobody
    SHOW GRANTS FOR nosuchuser
    REVOKE INSERT ON t FROM nobody
    SET PASSWORD FOR nobody = 'other'
    ALTER USER nobody ACCOUNT LOCK PASSWORD EXPIRE
    RENAME USER nobody TO somebody
    CREATE ROLE r
    GRANT r TO somebody
    SET DEFAULT ROLE r TO somebody
    DROP ROLE r
    DROP USER somebody, nobody2@localhost
    DROP USER somebody
    ~INSTALL COMPONENT 'file://component_nosuch'
    UNINSTALL COMPONENT 'file://component_nosuch'
    ~INSTALL PLUGIN nosuch SONAME 'nosuch.so'
    UNINSTALL PLUGIN nosuch
    ~CREATE FUNCTION udf RETURNS STRING SONAME 'nosuch.so'
    SET PERSIST max_connect_errors = 4321
    SELECT @@global.max_connect_errors
    RESET PERSIST max_connect_errors
    RESET PERSIST IF EXISTS nosuch
    RESET PERSIST nosuch
    SET PERSIST_ONLY back_log = 99
    RESET PERSIST
    SET GLOBAL nosuch = 1
    SET GLOBAL max_connect_errors = DEFAULT
    PURGE BINARY LOGS TO 'binlog.000001'
    PURGE BINARY LOGS TO 'nosuch'
    PURGE BINARY LOGS BEFORE '2001-01-01'
    ~SHOW BINARY LOGS
    ~SHOW BINARY LOG STATUS
    ~SHOW BINLOG EVENTS LIMIT 2
    SHOW BINLOG EVENTS IN 'nosuch'
    SHOW REPLICA STATUS
    SHOW RELAYLOG EVENTS
    ~SHOW REPLICAS
    START REPLICA
    STOP REPLICA
    RESET REPLICA
    CHANGE REPLICATION FILTER REPLICATE_DO_DB = (nosuch) FOR CHANNEL 'nosuch'
    HELP 'contents'
    HELP 'SELECT'
    HELP 'nosuchtopic'
    ~EXPLAIN SELECT * FROM t
    ~EXPLAIN FORMAT=JSON UPDATE t SET v = 1
    ~EXPLAIN ANALYZE SELECT * FROM t
    EXPLAIN FORMAT=TREE INTO @plan SELECT 1
    DESCRIBE t
    EXPLAIN nosuch
    DO 1, RELEASE_LOCK('nosuch')
    TABLE t ORDER BY id LIMIT 1 OFFSET 1
    VALUES ROW(1, 'a'), ROW(2, 'b') ORDER BY column_0 DESC
    WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT * FROM n
    WITH d AS (SELECT 1 AS id) UPDATE t, d SET t.v = 'with' WHERE t.id = d.id
    SELECT * FROM t INTERSECT TABLE t EXCEPT SELECT 1, 'with' ORDER BY 1
    IMPORT TABLE FROM 'nosuch.sdi'
    LOCK INSTANCE FOR BACKUP
    CREATE TABLE blocked (id INT)
    UNLOCK INSTANCE
    CLONE LOCAL DATA DIRECTORY = '/nosuch/folder'
    CLONE INSTANCE FROM nobody@127.0.0.1:1 IDENTIFIED BY 'x'
    CACHE INDEX t IN nosuch
    LOAD INDEX INTO CACHE t
    LOAD DATA INFILE '/nosuch/file' INTO TABLE t
    LOAD XML INFILE '/nosuch/file' INTO TABLE t
    SELECT 1 INTO OUTFILE '/nosuch/folder/file'
    SELECT LOAD_FILE('/nosuch/file')
    SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'by hand'
    RESIGNAL
    GET DIAGNOSTICS @n = NUMBER
    SELECT @n
    PREPARE s FROM 'SELECT ? + 1'
    SET @x = 41
    EXECUTE s USING @x
    EXECUTE s
    DEALLOCATE PREPARE s
    EXECUTE s
    CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t
    DROP EVENT e
    CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = UPPER(NEW.v)
    INSERT INTO t (v) VALUES ('upper') , ('case')
    DROP TRIGGER tr
    CREATE VIEW w AS SELECT id FROM t
    SHOW CREATE VIEW nosuch
    ALTER VIEW w AS SELECT v FROM t
    DROP VIEW w
    CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'nosuch')
    DROP SERVER s
    CREATE SPATIAL REFERENCE SYSTEM 4326 NAME 'x' DEFINITION 'y'
    CREATE RESOURCE GROUP g TYPE = USER VCPU = 0
    DROP RESOURCE GROUP g
    ALTER INSTANCE ROTATE INNODB MASTER KEY
    ALTER INSTANCE RELOAD TLS
    TRUNCATE t
    RENAME TABLE t TO t2, t2 TO t
    SHOW COUNT(*) WARNINGS
    SHOW PROFILES
    SHOW CREATE USER nosuch
    SELECT /*!99999 1 + */ 2 /*!80000 + 3 */
    BEGIN; INSERT INTO t (v) VALUES ('m'); ROLLBACK; SELECT COUNT(*) FROM t
    COMMIT RELEASE
    new
    SHUTDOWN NOW
    RESTART 1
    SELECT";

/// Commands of the protocol, and the kinds of their replies.
const COMMANDS: [(&str, &[u8], ReplyKind); 12] = [
    ("debug", &[0x0D], ReplyKind::Simple),
    ("set option on", &[0x1B, 0, 0], ReplyKind::Simple),
    ("set option bad", &[0x1B, 9, 0], ReplyKind::Simple),
    ("field list", b"\x04t\0", ReplyKind::FieldList),
    (
        "field list of nothing",
        b"\x04nosuch\0%",
        ReplyKind::FieldList,
    ),
    ("create db", b"\x05nosuch", ReplyKind::Simple),
    ("drop db", b"\x06nosuch", ReplyKind::Simple),
    ("refresh", &[0x07, 4], ReplyKind::Simple),
    ("process info", &[0x0A], ReplyKind::Query),
    ("table dump", b"\x13\x01a\x01b", ReplyKind::Simple),
    ("time", &[0x0F], ReplyKind::Simple),
    ("daemon", &[0x1D], ReplyKind::Simple),
];

struct Side {
    address: String,
    raw: Raw,
}

impl Side {
    async fn new(address: String) -> Self {
        let mut raw = connect(&address).await;
        raw.query("CREATE DATABASE nothing").await;
        raw.query("USE nothing").await;
        Self { address, raw }
    }

    async fn again(&mut self) {
        self.raw = connect(&self.address).await;
        self.raw.query("USE nothing").await;
    }
}

async fn connect(address: &str) -> Raw {
    let mut raw = Raw::connect(address, (ROOT.user, ROOT.password), None, usual())
        .await
        .unwrap();
    // At its default a 9.7 tells of BEGIN; Highwater does not.
    raw.query("SET session_track_transaction_info = 'STATE'")
        .await;
    raw
}

/// A reply without the state blocks that a server sends though there is nothing in them.
fn plain(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let one = |frame: Vec<u8>| {
        let empty = |ok: OkView<'_>| ok.session_track().next().is_none();
        if !OkView::parse(&frame).is_some_and(empty) {
            return frame;
        }
        let mut packet = Vec::new();
        append_packet(&mut packet, &mut 1, &frame);
        let length = strip_ok_in_place(&mut packet);
        packet[HEADER..length].to_vec()
    };
    frames.into_iter().map(one).collect()
}

/// What ended a reply, for one whose rows are a server's own.
fn end_of(frames: &[Vec<u8>]) -> (usize, Option<u16>) {
    let error = ErrView::parse(frames.last().unwrap()).map(|error| error.code);
    (usize::from(frames[0][0]), error)
}

#[tokio::test]
async fn every_reply_is_the_servers() {
    let options = |builder: highwater::rig::ClusterBuilder| {
        builder
            .option("log_bin_trust_function_creators=ON")
            .replicas(1)
    };
    let setup = Setup::with(options(Cluster::builder()), |config| {
        config.users.push(Account::new(ROOT.user, ROOT.password));
    })
    .await;
    let bare = options(Cluster::builder()).start().await.unwrap();
    let mut ours = Side::new(setup.proxy.addresses().mysql.to_string()).await;
    let mut theirs = Side::new(bare.primary().address()).await;
    let mut wrong = Vec::new();
    for line in STATEMENTS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let sql = line.trim_start_matches('~');
        if sql == "new" {
            ours.again().await;
            theirs.again().await;
            continue;
        }
        let (our, their) = (ours.raw.query(sql).await, theirs.raw.query(sql).await);
        let (our, their) = (plain(our), plain(their));
        let same = match line.starts_with('~') {
            true => end_of(&our) == end_of(&their),
            false => our == their,
        };
        if !same {
            wrong.push(format!(
                "{sql}\n  bare:\n    {}\n  highwater:\n    {}",
                shown(&their),
                shown(&our)
            ));
        }
    }
    ours.again().await;
    theirs.again().await;
    for (name, payload, kind) in COMMANDS {
        let (our, their) = (
            ours.raw.ask(payload, kind).await,
            theirs.raw.ask(payload, kind).await,
        );
        if our != their {
            wrong.push(format!(
                "{name}\n  bare:\n    {}\n  highwater:\n    {}",
                shown(&their),
                shown(&our)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What nobody wants to try goes to the primary.
#[test]
fn what_ends_a_server_is_for_the_primary() {
    for sql in [
        "SHUTDOWN",
        "RESTART",
        "CLONE LOCAL DATA DIRECTORY 'x'",
        "RESET BINARY LOGS AND GTIDS",
    ] {
        let profile = explain(sql.as_bytes(), LexMode::default(), &Seed::new(1));
        assert_eq!(
            profile.access,
            highwater::domain::sql::Access::Write,
            "{sql}"
        );
    }
}
