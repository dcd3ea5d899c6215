//! What is read out of texts.

use super::*;

fn mode(mariadb: bool) -> LexMode {
    use super::super::mode::Dialect;
    LexMode {
        dialect: match mariadb {
            true => Dialect::MARIADB,
            false => Dialect::MYSQL,
        },
        ..LexMode::default()
    }
}

/// The facts of a text in short.
fn shown(text: &str, mode: LexMode) -> String {
    let touches = touches(text.as_bytes(), mode);
    let statements = touches.statements.iter().map(|facts| {
        let facts: Vec<_> = facts.iter().map(short).collect();
        facts.join(" ")
    });
    let mut all = statements.collect::<Vec<_>>().join("; ");
    if touches.stored {
        all.push_str(" (stored)");
    }
    if touches.uncounted {
        all.push_str(" (uncounted)");
    }
    all
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", string(schema), string(&name.table)),
        None => string(&name.table),
    }
}

fn short(fact: &StateFact) -> String {
    let known = |name: &Option<Box<[u8]>>| name.as_ref().map_or("?".into(), |name| string(name));
    match fact {
        StateFact::Settings => "set".into(),
        StateFact::Assigns(name, None) => format!("@{}=?", string(name)),
        StateFact::Assigns(name, Some(Constant::Null)) => format!("@{}=NULL", string(name)),
        StateFact::Assigns(name, Some(Constant::Literal(value))) => {
            format!("@{}={}", string(name), string(value))
        }
        StateFact::Assigns(
            name,
            Some(Constant::Text {
                charset,
                value,
                collation,
            }),
        ) => format!(
            "@{}=<{}>:{}:{}",
            string(name),
            string(value),
            known(charset),
            known(collation)
        ),
        StateFact::AssignsSome => "@?".into(),
        StateFact::CreatesTemporary(name) => format!("+{}", table(name)),
        StateFact::Drops(name) => format!("-{}", table(name)),
        StateFact::Renames(from, to) => format!("{}>{}", table(from), table(to)),
        StateFact::Locks(name) => format!("lock:{}", known(name)),
        StateFact::Unlocks => "unlock".into(),
        StateFact::UnlocksAll => "unlock:all".into(),
        StateFact::LocksServer(lock) => format!("+{lock:?}"),
        StateFact::UnlocksServer(lock) => format!("-{lock:?}"),
        StateFact::OpensHandler(name) => format!("open:{}", string(name)),
        StateFact::ClosesHandler(name) => format!("close:{}", string(name)),
        StateFact::Prepares(name, touches) => {
            let inner: Vec<_> = touches.facts().map(short).collect();
            format!("prepare:{}({})", string(name), inner.join(" "))
        }
        StateFact::Deallocates(name) => format!("deallocate:{}", string(name)),
        StateFact::Executes(name) => format!("execute:{}", string(name)),
        StateFact::TakesRole(words) => format!("role:{}", known(words)),
        StateFact::JoinsResourceGroup => "group".into(),
        StateFact::Xa(step) => format!("xa:{step:?}"),
        StateFact::Untracked(name, back) => format!("{}:{back}", string(name)),
        StateFact::SetsTracker => "tracker".into(),
        StateFact::RunsRoutine => "routine".into(),
        StateFact::Unread => "unread".into(),
    }
}

fn check(cases: &[(&str, &str)], mariadb: bool) {
    for (text, expected) in cases {
        assert_eq!(shown(text, mode(mariadb)), *expected, "{text}");
    }
}

#[test]
fn user_variables() {
    check(
        &[
            ("SET @a = 1", "set @a=1"),
            ("SET @A := -1.50, @b=1e-5", "set @a=-1.50 @b=1e-5"),
            ("SET @a=.5, @b=5., @c=0x41", "set @a=.5 @b=5. @c=0x41"),
            (
                "SET @a=X'41', @b=b'01', @c=TRUE",
                "set @a=X'41' @b=b'01' @c=TRUE",
            ),
            ("SET @a=NULL", "set @a=NULL"),
            ("SET @a='it''s', @b=\"x\"", "set @a=<it's>:?:? @b=<x>:?:?"),
            (
                "SET @a=_latin1'x' COLLATE latin1_bin",
                "set @a=<x>:latin1:latin1_bin",
            ),
            ("SET @a='x' COLLATE utf8mb4_bin", "set @a=<x>:?:utf8mb4_bin"),
            ("SET @a=_utf8mb4'x'", "set @a=?"),
            ("SET @a='x' 'y'", "set @a=?"),
            ("SET @a=N'x'", "set @a=?"),
            ("SET @a=DATE'2020-01-01'", "set @a=?"),
            ("SET @a=1+1", "set @a=?"),
            ("SET @a=?", "set @a=?"),
            ("SET @a=@b", "set @a=?"),
            ("SET @a=(SELECT 1)", "set @a=?"),
            ("SET @a=@b:=3", "set @a=? @b=?"),
            ("SET @a=@@sql_mode, @b=2", "set @a=? @b=2"),
            ("SET sql_mode='', @a=1, autocommit=1", "set @a=1"),
            ("SET @`b c`=1, @'d'=2, @e.f$=3", "set @b c=1 @d=2 @e.f$=3"),
            ("SET @\u{e9}=1", "set @\u{e9}=?"),
            ("SET @a=f(1)", "set @a=? routine"),
            ("SET @a=concat('x',1)", "set @a=?"),
            ("SET @a=get_lock('l', 1)", "set @a=? lock:l"),
            ("SELECT @a:=1, @b", "@a=?"),
            ("SELECT 1, 2 INTO @a, @b", "@a=? @b=?"),
            ("SELECT a INTO @a FROM t WHERE x = @b", "@a=?"),
            ("INSERT INTO t VALUES (@a := @a + 1)", "@a=?"),
            ("CALL p(@a, 5)", "@a=? routine"),
            (
                "LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = @b",
                "@b=? @b=?",
            ),
            ("/*!50000 SET @a=1 */", "@? set"),
            ("/*!99999 SET @a=1 */", "unread"),
        ],
        false,
    );
}

#[test]
fn temporary_tables() {
    check(
        &[
            ("CREATE TEMPORARY TABLE t (a INT)", "+t"),
            ("CREATE TEMPORARY TABLE IF NOT EXISTS s.`t` LIKE u", "+s.t"),
            ("CREATE TEMPORARY TABLE t SELECT f(1)", "+t routine"),
            (
                "CREATE TEMPORARY TABLE t (a VARCHAR(9)) SELECT 1 AS a",
                "+t",
            ),
            ("CREATE TABLE t (a VARCHAR(9))", ""),
            ("CREATE TABLE t (a INT)", ""),
            ("DROP TABLE t", "-t"),
            ("DROP TEMPORARY TABLE IF EXISTS a, s.b CASCADE", "-a -s.b"),
            ("DROP VIEW v", ""),
            ("ALTER TABLE t RENAME u", "t>u"),
            ("ALTER TABLE t ADD c INT, RENAME TO s.u", "t>s.u"),
            ("ALTER TABLE t RENAME COLUMN a TO b", ""),
            ("ALTER TABLE t RENAME INDEX a TO b, RENAME AS x", "t>x"),
            ("ALTER USER u RENAME x", ""),
            ("RENAME TABLE a TO b", ""),
        ],
        false,
    );
    check(
        &[
            ("RENAME TABLE a TO b, s.c TO d", "a>b s.c>d"),
            ("CREATE OR REPLACE TEMPORARY TABLE t (a INT)", "+t"),
            ("CREATE TEMPORARY SEQUENCE q", "+q"),
            ("DROP SEQUENCE q", "-q"),
        ],
        true,
    );
}

#[test]
fn locks() {
    check(
        &[
            ("SELECT GET_LOCK('a', 10)", "lock:a"),
            ("DO get_lock(concat('a', 1), 10)", "lock:?"),
            ("SELECT GET_LOCK(@a, 10), GET_LOCK('b', 1)", "lock:? lock:b"),
            ("SELECT RELEASE_LOCK('a')", "unlock"),
            ("SELECT RELEASE_ALL_LOCKS()", "unlock:all"),
            ("DO RELEASE_ALL_LOCKS()", "unlock:all"),
            ("SELECT IF(1, 2, RELEASE_ALL_LOCKS())", "unlock"),
            ("UPDATE t SET a = GET_LOCK('x', 1)", "lock:x"),
            ("FLUSH STATUS", "status:false"),
            (
                "TRUNCATE performance_schema.file_summary_by_event_name",
                "performance_schema:false",
            ),
            ("TRUNCATE TABLE t", ""),
            ("FLUSH LOCAL LOGS", ""),
            ("FLUSH TABLES WITH READ LOCK", "+Reads"),
            ("FLUSH TABLES t WITH READ LOCK", ""),
            ("UNLOCK TABLES", "-Reads"),
            ("LOCK TABLES t WRITE", ""),
            ("LOCK INSTANCE FOR BACKUP", "+Instance"),
            ("UNLOCK INSTANCE", "-Instance"),
        ],
        false,
    );
    check(
        &[
            ("BACKUP STAGE START", "+Backup"),
            ("BACKUP STAGE END", "-Backup"),
            ("BACKUP LOCK t", "+Backup"),
            ("BACKUP UNLOCK", "-Backup"),
        ],
        true,
    );
}

#[test]
fn what_else_a_connection_holds() {
    check(
        &[
            ("HANDLER t OPEN", "open:t"),
            ("HANDLER s.T OPEN AS A", "open:a"),
            ("HANDLER t OPEN b", "open:b"),
            ("HANDLER a READ FIRST", ""),
            ("HANDLER `A` CLOSE", "close:a"),
            ("PREPARE s FROM 'SELECT ?'", "prepare:s()"),
            ("PREPARE s FROM 'SET @a = 1'", "prepare:s(set @a=1)"),
            ("PREPARE s FROM 'SELECT f(1)'", "prepare:s(routine)"),
            ("PREPARE s FROM @v", "prepare:s(unread)"),
            ("DEALLOCATE PREPARE S", "deallocate:s"),
            ("DROP PREPARE s", "deallocate:s"),
            ("EXECUTE s USING @a", "execute:s"),
            ("XA START 'x'", "xa:Begins"),
            ("XA END 'x'", ""),
            ("XA PREPARE 'x'", "xa:Prepared"),
            ("XA COMMIT 'x' ONE PHASE", "xa:Ends"),
            ("XA ROLLBACK 'x'", "xa:Ends"),
            ("XA RECOVER", ""),
            ("SET ROLE 'r'@'%', s", "role:'r'@'%', s"),
            ("SET ROLE ALL EXCEPT r", "role:ALL EXCEPT r"),
            ("SET ROLE \"r\"", "role:?"),
            ("SET DEFAULT ROLE r TO u", "set"),
            ("SET RESOURCE GROUP g", "group"),
            ("SET RESOURCE GROUP g FOR 5", "set"),
            ("SET PASSWORD = 'x'", "set"),
            ("SET GLOBAL max_connections = 5", "set"),
            ("SET PERSIST max_connections = 5", "set"),
            ("SET timestamp = 5", "set timestamp:false"),
            (
                "SET optimizer_trace = 'enabled=on'",
                "set optimizer_trace:false",
            ),
            ("SET optimizer_trace = \"enabled=off\"", "set"),
            ("SET profiling = 1", "set profiling:false"),
            ("SET profiling = OFF", "set"),
            ("SET @@session.timestamp = DEFAULT", "set timestamp:true"),
            ("SET sql_auto_is_null = 1", "set sql_auto_is_null:false"),
            (
                "SET sql_auto_is_null = OFF, wait_timeout = 5",
                "set sql_auto_is_null:true",
            ),
            ("SET gtid_next = 'AUTOMATIC'", "set gtid_next:false"),
            ("USE x", "set"),
        ],
        false,
    );
    check(
        &[
            ("EXECUTE IMMEDIATE 'SET @a = 1'", "set @a=1"),
            ("EXECUTE IMMEDIATE @a", "routine"),
            ("SET STATEMENT sql_mode='' FOR CALL p()", "routine"),
        ],
        true,
    );
}

#[test]
fn what_may_be_anything() {
    check(
        &[
            ("CALL p()", "routine"),
            ("SELECT f()", "routine"),
            ("SELECT s.f(1) FROM t", "routine"),
            ("SELECT count(*) FROM t", ""),
            ("INSERT INTO t (a) VALUES (1)", ""),
            ("INSERT INTO t (a) VALUES (f(1))", "routine"),
            (
                "LOAD DATA INFILE 'x' INTO TABLE t (a) SET b = f(a)",
                "routine",
            ),
            ("CHECK TABLE t", ""),
            ("FROBNICATE x", "unread"),
            ("BINLOG 'x'", "unread"),
            ("SELECT 'open", "unread"),
            ("", ""),
        ],
        false,
    );
}

#[test]
fn packets() {
    check(
        &[
            ("SET @a=1; DROP TABLE t;", "set @a=1; -t"),
            (
                "SET session_track_system_variables = '', @@session_track_gtids = OFF; DROP TABLE t",
                "set tracker tracker; -t",
            ),
            (
                "SELECT 1; CALL p(); SET @a=1",
                "; routine; set @a=1 (uncounted)",
            ),
            (
                "CREATE PROCEDURE p() BEGIN SET @a=1; SELECT 1; END",
                "unread (stored)",
            ),
            (
                "CREATE DEFINER=u TRIGGER t BEFORE INSERT ON u FOR EACH ROW BEGIN SET @a=1; END",
                "unread (stored)",
            ),
            (
                "SELECT 1; CREATE PROCEDURE p() BEGIN SET @a=1; END",
                "unread",
            ),
        ],
        false,
    );
}

#[test]
fn names_of_tables() {
    let names: [&[u8]; 2] = [b"Tmp", b"other"];
    for (text, expected) in [
        ("SELECT 1 FROM t", Mention::No),
        ("SELECT 1 FROM tmp", Mention::Maybe),
        ("SELECT 1 FROM s.`TMP` x", Mention::Maybe),
        ("SELECT other FROM t", Mention::Maybe),
        ("SELECT 'tmp' FROM t", Mention::No),
        ("SELECT 1 FROM tmp2", Mention::No),
        ("SELECT 1 /* tmp */ FROM t", Mention::No),
        ("SELECT 1 /*!50000 FROM t */", Mention::Maybe),
    ] {
        let found = mentions(text.as_bytes(), mode(false), names.into_iter());
        assert_eq!(found, expected, "{text}");
    }
    let far = ["\u{e9}".as_bytes()];
    let found = mentions(b"SELECT 1", mode(false), far.into_iter());
    assert_eq!(found, Mention::Maybe);
}
