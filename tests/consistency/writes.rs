//! Every way to write that a session has, and what the session must read right after it.

use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Error};

use highwater::rig::APP;

/// One thing a session does. `{n}` in a text stands for a number that nobody else uses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A statement as text.
    Run(&'static str),
    /// A statement prepared and executed.
    Exec(&'static str),
    /// A statement that must fail with this error.
    Fails(&'static str, u16),
    /// COM_RESET_CONNECTION.
    Reset,
    /// COM_CHANGE_USER to the same user.
    ChangeUser,
}

use Step::{ChangeUser, Exec, Fails, Reset, Run};

/// Steps, then a read and what it gives.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    pub(crate) read: &'static str,
    pub(crate) sees: &'static str,
}

/// What the cases need.
pub(crate) const BEFORE: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE m (id INT PRIMARY KEY) ENGINE = MyISAM",
    "CREATE PROCEDURE writer(n INT) INSERT INTO t VALUES (n, 1)",
    "CREATE PROCEDURE writer_then_rows(n INT) BEGIN INSERT INTO t VALUES (n, 1); SELECT 1; END",
    "CREATE PROCEDURE rows_then_writer(n INT) BEGIN SELECT 1; INSERT INTO t VALUES (n, 1); END",
    "CREATE PROCEDURE writer_then_signal(n INT) \
     BEGIN INSERT INTO t VALUES (n, 1); SIGNAL SQLSTATE '45000'; END",
    "CREATE PROCEDURE untracked(n INT) \
     BEGIN SET session_track_gtids = 'OFF'; INSERT INTO t VALUES (n, 1); END",
    "CREATE PROCEDURE untracked_for_a_while(n INT) \
     BEGIN SET session_track_gtids = 'OFF'; INSERT INTO t VALUES (n, 1); \
     SET session_track_gtids = 'OWN_GTID'; END",
    "CREATE PROCEDURE blinded() \
     SET session_track_system_variables = '', session_track_gtids = 'OFF', \
     session_track_transaction_info = 'OFF', session_track_state_change = 0, session_track_schema = 0",
    "CREATE FUNCTION written(n INT) RETURNS INT DETERMINISTIC \
     BEGIN INSERT INTO t VALUES (n, 1); RETURN n; END",
];

const INSERT: Step = Run("INSERT INTO t VALUES ({n}, 1)");
const COUNT: &str = "SELECT COUNT(*) FROM t WHERE id = {n}";
const COUNT_M: &str = "SELECT COUNT(*) FROM m WHERE id = {n}";
const COUNT_D: &str = "SELECT COUNT(*) FROM d{n}";

const fn case(name: &'static str, steps: &'static [Step]) -> Case {
    Case {
        name,
        steps,
        read: COUNT,
        sees: "1",
    }
}

/// The cases.
pub(crate) const CASES: &[Case] = &[
    case("text", &[INSERT]),
    case("prepared", &[Exec("INSERT INTO t VALUES ({n}, 1)")]),
    case("reset", &[INSERT, Reset]),
    case(
        "reset of a session with two connections",
        &[Run("SELECT 1 FROM t"), INSERT, Reset],
    ),
    case("change user", &[INSERT, ChangeUser]),
    case(
        "session variables",
        &[INSERT, Run("SELECT @@auto_increment_increment, @@sql_mode")],
    ),
    case(
        "SQL_CALC_FOUND_ROWS",
        &[
            INSERT,
            Run("SELECT SQL_CALC_FOUND_ROWS id FROM t LIMIT 1"),
            Run("SELECT FOUND_ROWS()"),
        ],
    ),
    case(
        "user variables",
        &[
            Run("SET @n = {n}"),
            Run("INSERT INTO t VALUES (@n, 1)"),
            Run("SELECT @seen := 1"),
        ],
    ),
    case(
        "LAST_INSERT_ID",
        &[
            INSERT,
            Run("SELECT LAST_INSERT_ID()"),
            Run("SELECT ROW_COUNT()"),
        ],
    ),
    case(
        "tagged GTID",
        &[Run("SET gtid_next = 'AUTOMATIC:tag1'"), INSERT],
    ),
    case(
        "tagged GTID, then plain again",
        &[
            Run("SET gtid_next = 'AUTOMATIC:tag1'"),
            INSERT,
            Run("SET gtid_next = 'AUTOMATIC'"),
        ],
    ),
    case(
        "several statements",
        &[Run(
            "INSERT INTO t VALUES ({n}, 1); INSERT INTO t VALUES (-{n}, 1)",
        )],
    ),
    case(
        "several, the last one reads",
        &[Run("INSERT INTO t VALUES ({n}, 1); SELECT 1")],
    ),
    case(
        "several, the first one reads",
        &[Run("SELECT 1; INSERT INTO t VALUES ({n}, 1)")],
    ),
    case(
        "several, the last one fails",
        &[Fails(
            "INSERT INTO t VALUES ({n}, 1); SELECT * FROM nowhere",
            1146,
        )],
    ),
    case("procedure", &[Run("CALL writer({n})")]),
    case("procedure, prepared", &[Exec("CALL writer({n})")]),
    case(
        "procedure that ends with rows",
        &[Run("CALL writer_then_rows({n})")],
    ),
    case(
        "procedure that begins with rows",
        &[Run("CALL rows_then_writer({n})")],
    ),
    case(
        "procedure that fails",
        &[Fails("CALL writer_then_signal({n})", 1644)],
    ),
    case(
        "procedure that fails, then a reset",
        &[Fails("CALL writer_then_signal({n})", 1644), Reset],
    ),
    case(
        "procedure that fails, then another error",
        &[
            Fails("CALL writer_then_signal({n})", 1644),
            Fails("SELECT nothing FROM t", 1054),
        ],
    ),
    case("function", &[Run("SELECT written({n})")]),
    case("function, prepared", &[Exec("SELECT written({n})")]),
    case("function in DO", &[Run("DO written({n})")]),
    case("function in SET", &[Run("SET @x = written({n})")]),
    case(
        "text PREPARE",
        &[
            Run("PREPARE p FROM 'INSERT INTO t VALUES ({n}, 1)'"),
            Run("EXECUTE p"),
        ],
    ),
    case("transaction", &[Run("BEGIN"), INSERT, Run("COMMIT")]),
    case(
        "transaction with a read in it",
        &[
            Run("START TRANSACTION"),
            INSERT,
            Run("SELECT COUNT(*) FROM t"),
            Run("COMMIT"),
        ],
    ),
    case(
        "COMMIT AND CHAIN",
        &[Run("BEGIN"), INSERT, Run("COMMIT AND CHAIN"), Run("COMMIT")],
    ),
    case("COMMIT prepared", &[Run("BEGIN"), INSERT, Exec("COMMIT")]),
    case(
        "transaction ended by BEGIN",
        &[Run("BEGIN"), INSERT, Run("BEGIN"), Run("COMMIT")],
    ),
    case(
        "transaction ended by READ ONLY",
        &[
            Run("BEGIN"),
            INSERT,
            Run("START TRANSACTION READ ONLY"),
            Run("COMMIT"),
        ],
    ),
    case(
        "transaction ended by DDL",
        &[
            Run("BEGIN"),
            INSERT,
            Run("CREATE TABLE c{n} (id INT)"),
            Run("DROP TABLE c{n}"),
        ],
    ),
    case(
        "transaction ended by DDL that fails",
        &[Run("BEGIN"), INSERT, Fails("CREATE TABLE t (id INT)", 1050)],
    ),
    case(
        "transaction ended by LOCK TABLES",
        &[
            Run("BEGIN"),
            INSERT,
            Run("LOCK TABLES t READ"),
            Run("UNLOCK TABLES"),
        ],
    ),
    case(
        "read in a READ ONLY transaction",
        &[INSERT, Run("START TRANSACTION READ ONLY")],
    ),
    case(
        "read in a READ ONLY snapshot",
        &[
            INSERT,
            Run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
        ],
    ),
    case(
        "read in a session that became READ ONLY",
        &[
            INSERT,
            Run("SET SESSION TRANSACTION READ ONLY"),
            Run("BEGIN"),
        ],
    ),
    case(
        "read after a READ ONLY transaction",
        &[
            Run("START TRANSACTION READ ONLY"),
            Run("SELECT COUNT(*) FROM t"),
            Run("COMMIT"),
            INSERT,
        ],
    ),
    case(
        "write that ends a READ ONLY transaction",
        &[
            Run("START TRANSACTION READ ONLY"),
            Run("SELECT COUNT(*) FROM t"),
            Run("START TRANSACTION READ WRITE"),
            INSERT,
            Run("COMMIT"),
        ],
    ),
    case(
        "autocommit off",
        &[
            Run("SET autocommit = 0"),
            INSERT,
            Run("COMMIT"),
            Run("SET autocommit = 1"),
        ],
    ),
    case(
        "autocommit on commits",
        &[Run("SET autocommit = 0"), INSERT, Run("SET autocommit = 1")],
    ),
    case(
        "XA",
        &[
            Run("XA START 'x{n}'"),
            INSERT,
            Run("XA END 'x{n}'"),
            Run("XA PREPARE 'x{n}'"),
            Run("XA COMMIT 'x{n}'"),
        ],
    ),
    case(
        "XA in one phase",
        &[
            Run("XA START 'x{n}'"),
            INSERT,
            Run("XA END 'x{n}'"),
            Run("XA COMMIT 'x{n}' ONE PHASE"),
        ],
    ),
    case(
        "tracker turned off",
        &[Run("SET session_track_gtids = 'OFF'"), INSERT],
    ),
    case(
        "tracker turned off, several",
        &[Run(
            "SET session_track_gtids = 'OFF'; INSERT INTO t VALUES ({n}, 1)",
        )],
    ),
    case(
        "trackers turned off one by one",
        &[
            Run("SET session_track_system_variables = ''"),
            Run("SET session_track_gtids = 'OFF'"),
            INSERT,
        ],
    ),
    case(
        "trackers turned off at once",
        &[Run(
            "SET session_track_system_variables = '', session_track_gtids = 'OFF'; \
             INSERT INTO t VALUES ({n}, 1)",
        )],
    ),
    case(
        "tracker turned off by a procedure",
        &[Run("CALL untracked({n})")],
    ),
    case(
        "tracker off for a while in a procedure",
        &[Run("CALL untracked_for_a_while({n})")],
    ),
    case(
        "procedure turns it off, then a write",
        &[Run("CALL untracked(-{n})"), INSERT],
    ),
    case(
        "tracker turned off by a procedure, then a reset",
        &[Run("CALL untracked({n})"), Reset],
    ),
    case(
        "trackers off without a word, then a write",
        &[Run("CALL blinded()"), INSERT],
    ),
    case(
        "trackers off without a word, then a write and a reset",
        &[Run("CALL blinded()"), Run("SELECT 1 FROM t"), INSERT, Reset],
    ),
    case(
        "trackers off without a word, then a transaction",
        &[
            Run("CALL blinded()"),
            Run("BEGIN"),
            INSERT,
            Run("COMMIT"),
            Reset,
        ],
    ),
    Case {
        name: "CREATE TABLE",
        steps: &[
            Run("CREATE TABLE d{n} (id INT)"),
            Run("INSERT INTO d{n} VALUES (1)"),
        ],
        read: COUNT_D,
        sees: "1",
    },
    Case {
        name: "CREATE TABLE, empty",
        steps: &[Run("CREATE TABLE d{n} (id INT)")],
        read: COUNT_D,
        sees: "0",
    },
    Case {
        name: "CREATE TABLE AS",
        steps: &[Run("CREATE TABLE d{n} AS SELECT 1 AS id")],
        read: COUNT_D,
        sees: "1",
    },
    Case {
        name: "DROP, CREATE",
        steps: &[
            Run("CREATE TABLE d{n} (id INT)"),
            Run("DROP TABLE d{n}"),
            Run("CREATE TABLE d{n} (other INT)"),
        ],
        read: "SELECT COUNT(other) FROM d{n}",
        sees: "0",
    },
    Case {
        name: "ROLLBACK of a table without transactions",
        steps: &[
            Run("BEGIN"),
            Run("INSERT INTO m VALUES ({n})"),
            Run("ROLLBACK"),
        ],
        read: COUNT_M,
        sees: "1",
    },
    Case {
        name: "trackers off without a word, then a ROLLBACK of a table without transactions",
        steps: &[
            Run("CALL blinded()"),
            Run("BEGIN"),
            Run("INSERT INTO m VALUES ({n})"),
            Run("ROLLBACK"),
            Reset,
        ],
        read: COUNT_M,
        sees: "1",
    },
    Case {
        name: "error after half of a table without transactions",
        steps: &[Fails("INSERT INTO m VALUES ({n}), ({n})", 1062)],
        read: COUNT_M,
        sees: "1",
    },
];

/// Does a case's steps as number `n`.
pub(crate) async fn perform(conn: &mut Conn, case: &Case, n: u32) {
    for step in case.steps {
        let context = || format!("{}: {step:?}", case.name);
        let done = match step {
            Run(sql) => conn.query_drop(numbered(sql, n)).await,
            Exec(sql) => conn.exec_drop(numbered(sql, n), ()).await,
            Reset => conn.reset().await.map(drop),
            ChangeUser => {
                let who = ChangeUserOpts::new()
                    .with_user(Some(APP.user.into()))
                    .with_pass(Some(APP.password.into()))
                    .with_db_name(APP.database.map(Into::into));
                conn.change_user(who).await
            }
            Fails(sql, code) => match conn.query_drop(numbered(sql, n)).await {
                Err(Error::Server(error)) if error.code == *code => Ok(()),
                other => panic!("{}: expected error {code}, got {other:?}", context()),
            },
        };
        done.unwrap_or_else(|error| panic!("{}: {error}", context()));
    }
}

/// What a case's read shows: a number, or the error.
pub(crate) async fn look(conn: &mut Conn, case: &Case, n: u32, prepared: bool) -> String {
    let sql = numbered(case.read, n);
    let seen: Result<Option<u32>, _> = match prepared {
        true => conn.exec_first(sql, ()).await,
        false => conn.query_first(sql).await,
    };
    match seen {
        Ok(seen) => seen.unwrap().to_string(),
        Err(Error::Server(error)) => format!("error {}", error.code),
        Err(error) => panic!("{}: {error}", case.name),
    }
}

/// A text with its number.
pub(crate) fn numbered(sql: &str, n: u32) -> String {
    sql.replace("{n}", &n.to_string())
}
