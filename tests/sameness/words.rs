//! The statements that sessions are made of. `{…}` stands for a choice of the generator: `{A}`, `{B}`
//! the session's two schemas, `{O}` another session's, `{int}` a number, `{var}` a user variable,
//! `{const}` a constant, `{sys}` a session variable and `{sys=}` one with a value, `{tmp}` a table that
//! may be temporary, `{sp}` a savepoint, `{ps}` a statement prepared as text, `{lock}` a named lock,
//! `{mode}` an sql_mode, `{charset}` a character set. `;;` stands between statements that follow each other in this session.

/// Statements of one kind, and how often one of them is taken.
pub(crate) struct Kind {
    pub weight: u32,
    pub texts: &'static [&'static str],
}

const fn kind(weight: u32, texts: &'static [&'static str]) -> Kind {
    Kind { weight, texts }
}

/// Session variables with values that they may have, some of them wrong.
pub(crate) const VARIABLES: [(&str, &[&str]); 48] = [
    ("group_concat_max_len", &["4", "10", "1000000", "DEFAULT"]),
    (
        "time_zone",
        &["'+02:00'", "'-05:30'", "'SYSTEM'", "DEFAULT", "'+99:00'"],
    ),
    ("sql_select_limit", &["1", "2", "DEFAULT"]),
    ("div_precision_increment", &["0", "9", "DEFAULT"]),
    ("default_week_format", &["1", "6", "DEFAULT"]),
    (
        "lc_time_names",
        &["'de_DE'", "'fr_FR'", "DEFAULT", "'nowhere'"],
    ),
    ("max_sort_length", &["4", "2000", "DEFAULT"]),
    ("sql_safe_updates", &["0", "1"]),
    ("foreign_key_checks", &["0", "ON"]),
    ("unique_checks", &["0", "ON"]),
    ("sql_auto_is_null", &["0", "1"]),
    ("auto_increment_increment", &["1", "5", "DEFAULT"]),
    ("auto_increment_offset", &["1", "3", "DEFAULT"]),
    ("insert_id", &["{int}", "1{int}0"]),
    ("timestamp", &["1000000000", "86400.5", "DEFAULT", "0"]),
    ("rand_seed1", &["{int}", "77"]),
    ("rand_seed2", &["{int}", "99"]),
    ("last_insert_id", &["{int}", "12345"]),
    ("sql_notes", &["0", "1"]),
    ("sql_warnings", &["0", "1"]),
    ("max_error_count", &["1", "2", "DEFAULT"]),
    ("sql_quote_show_create", &["0", "1"]),
    ("cte_max_recursion_depth", &["3", "DEFAULT"]),
    ("sort_buffer_size", &["70000", "DEFAULT", "1"]),
    ("optimizer_switch", &["'index_merge=off'", "DEFAULT"]),
    ("block_encryption_mode", &["'aes-256-cbc'", "DEFAULT"]),
    ("low_priority_updates", &["0", "1"]),
    ("updatable_views_with_limit", &["NO", "YES"]),
    ("information_schema_stats_expiry", &["0", "DEFAULT"]),
    (
        "transaction_isolation",
        &[
            "'READ-COMMITTED'",
            "'REPEATABLE-READ'",
            "'SERIALIZABLE'",
            "'READ-UNCOMMITTED'",
            "DEFAULT",
            "'NONE'",
        ],
    ),
    ("transaction_read_only", &["0", "1", "0", "OFF"]),
    ("autocommit", &["0", "1", "1", "ON"]),
    ("lock_wait_timeout", &["7", "DEFAULT"]),
    ("innodb_lock_wait_timeout", &["7", "DEFAULT"]),
    ("max_execution_time", &["0", "60000"]),
    ("max_join_size", &["1", "100000", "DEFAULT"]),
    ("sql_big_selects", &["0", "1", "DEFAULT"]),
    (
        "collation_connection",
        &["utf8mb4_bin", "latin1_swedish_ci", "DEFAULT"],
    ),
    ("character_set_results", &["NULL", "latin1", "utf8mb4"]),
    ("character_set_client", &["latin1", "utf8mb4", "ucs2"]),
    ("character_set_connection", &["latin1", "utf8mb4"]),
    (
        "default_collation_for_utf8mb4",
        &["utf8mb4_general_ci", "utf8mb4_0900_ai_ci"],
    ),
    ("explicit_defaults_for_timestamp", &["0", "1"]),
    ("end_markers_in_json", &["0", "1"]),
    ("windowing_use_high_precision", &["0", "1"]),
    ("show_create_table_verbosity", &["0", "1"]),
    ("print_identified_with_as_hex", &["0", "1"]),
    (
        "sql_mode",
        &[
            "'{mode}'",
            "'{mode},{mode}'",
            "DEFAULT",
            "CONCAT(@@sql_mode, ',{mode}')",
            "''",
        ],
    ),
];

pub(crate) const MODES: [&str; 20] = [
    "ANSI",
    "ANSI_QUOTES",
    "PIPES_AS_CONCAT",
    "NO_BACKSLASH_ESCAPES",
    "IGNORE_SPACE",
    "NO_UNSIGNED_SUBTRACTION",
    "HIGH_NOT_PRECEDENCE",
    "TRADITIONAL",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "ONLY_FULL_GROUP_BY",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_AUTO_VALUE_ON_ZERO",
    "REAL_AS_FLOAT",
    "PAD_CHAR_TO_FULL_LENGTH",
    "TIME_TRUNCATE_FRACTIONAL",
    "ALLOW_INVALID_DATES",
    "NO_SUCH_MODE",
];

/// Only with their default collations: columns of results name another one where Highwater restored it.
pub(crate) const CHARSETS: [&str; 6] =
    ["utf8mb4", "latin1", "utf8mb3", "binary", "koi8r", "DEFAULT"];

pub(crate) const CONSTANTS: [&str; 14] = [
    "1",
    "-3",
    "0",
    "2.50",
    "1e3",
    "'text'",
    "'it''s'",
    "'\u{e9}'",
    "0x41",
    "NULL",
    "TRUE",
    "''",
    "_latin1'x'",
    "b'101'",
];

/// How the session's tables begin, in both schemas; the second one has other rows.
pub(crate) const TABLES: &str = "
    CREATE DATABASE {A}
    CREATE DATABASE {B}
    CREATE TABLE {A}.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT UNIQUE, s VARCHAR(20))
    CREATE TABLE {A}.u (id INT PRIMARY KEY, v TINYINT)
    CREATE TABLE {B}.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT UNIQUE, s VARCHAR(20))
    INSERT INTO {A}.t (v, s) VALUES (10, 'a'), (20, 'b'), (30, NULL)
    INSERT INTO {A}.u VALUES (1, 1), (2, NULL), (3, 3)
    INSERT INTO {B}.t (v, s) VALUES (100, 'other')
    CREATE TRIGGER {A}.tr BEFORE UPDATE ON {A}.u FOR EACH ROW SET @d = NEW.v
    CREATE PROCEDURE {A}.p(n INT) BEGIN CASE n WHEN 0 THEN SET @a = 7; WHEN 1 THEN CREATE TEMPORARY TABLE IF NOT EXISTS x (id INT, v INT); WHEN 2 THEN SET SESSION sql_mode = 'ANSI'; WHEN 3 THEN SELECT 1; SELECT id FROM t ORDER BY id; WHEN 4 THEN SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'careful'; WHEN 5 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; WHEN 6 THEN INSERT INTO t (v) VALUES (NULL); WHEN 7 THEN SET SESSION time_zone = '+03:00'; WHEN 8 THEN START TRANSACTION; ELSE DO GET_LOCK('{A}_1', 0); END CASE; END
    CREATE FUNCTION {A}.f(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN n + 1
    CREATE FUNCTION {A}.g() RETURNS INT READS SQL DATA BEGIN SET @b = 5; RETURN (SELECT COUNT(*) FROM t); END";

pub(crate) const KINDS: [Kind; 20] = [
    // Settings.
    kind(
        14,
        &[
            "SET {sys=}",
            "SET SESSION {sys=}",
            "SET {sys=}, {sys=}",
            "SET {sys=}, {var} = {const}",
            "SET @@session.{sys=}",
            "SET LOCAL {sys=}",
        ],
    ),
    kind(
        4,
        &[
            "SET sql_mode = '{mode}'",
            "SET sql_mode = '{mode},{mode}'",
            "SET sql_mode = DEFAULT",
            "SET SESSION sql_mode = CONCAT(@@sql_mode, ',{mode}')",
            "SET nosuch = 1",
            "SET sql_mode = '', nosuch = 1",
        ],
    ),
    kind(
        4,
        &[
            "SET NAMES {charset}",
            "SET CHARACTER SET latin1",
            "SET CHARACTER SET DEFAULT",
            "SET NAMES utf8mb4",
            "SET NAMES nosuch",
        ],
    ),
    kind(
        12,
        &[
            "SELECT @@session.{sys}",
            "SELECT @@{sys}, @@{sys}",
            "SHOW SESSION VARIABLES LIKE '{sys}'",
            "SELECT @@session.{sys} AS x, {var}",
            "SHOW VARIABLES WHERE Variable_name IN ('{sys}', '{sys}', 'sql_mode')",
        ],
    ),
    // What settings change.
    kind(
        14,
        &[
            "SELECT 'a' || 'b', NOT 1 BETWEEN 0 AND 2",
            "SELECT 'a\\\\b', LENGTH('\\\\')",
            "SELECT \"v\" FROM t ORDER BY id",
            "SELECT 1/3, 2/7, 5 DIV 2, 7 MOD 3",
            "SELECT NOW() = FROM_UNIXTIME(1000000000), @@timestamp = 1000000000",
            "SELECT FROM_UNIXTIME(1000000000), UNIX_TIMESTAMP('2001-01-01')",
            "SELECT COLLATION('x'), CHARSET('x'), COERCIBILITY('x'), LENGTH('\u{e9}')",
            "SELECT 'a' = 'A', '\u{e9}', HEX('\u{e9}')",
            "SELECT GROUP_CONCAT(v ORDER BY id) FROM t",
            "SELECT WEEK('2024-03-03'), DAYNAME('2024-03-03'), MONTHNAME('2024-03-03')",
            "SELECT id, v, s FROM t ORDER BY id",
            "SELECT DATABASE(), SCHEMA()",
            "SELECT v, COUNT(*) FROM t GROUP BY s, v ORDER BY v",
            "SELECT id, s FROM t GROUP BY v",
            "SELECT CAST('x' AS SIGNED), 1/0, CAST(1 AS UNSIGNED) - 2",
            "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 6) SELECT COUNT(*) FROM c",
            "SELECT CURRENT_USER(), USER() LIKE 'app@%'",
            "SELECT s FROM t ORDER BY s DESC, id",
            "SHOW CREATE TABLE t",
            "SELECT COUNT(*) FROM u a, u b, u c",
            "SELECT id FROM t WHERE id IS NULL",
            "SELECT f(1), f(v) FROM t ORDER BY id",
            "SELECT CAST('2024-02-31' AS DATE), DATE('0000-00-00')",
            "SELECT STATEMENT_DIGEST_TEXT('SELECT 1')",
            "SELECT COUNT (*) FROM t",
            "SELECT TIME('10:00:00.7'), CAST('12:00:00.9' AS TIME)",
            "SELECT {sys} FROM t",
        ],
    ),
    kind(
        2,
        &[
            "SET rand_seed1 = 7{int}, rand_seed2 = {int}9;; SELECT RAND(), RAND();; SELECT RAND()",
            "SELECT RAND(3), RAND(4)",
            "SET rand_seed2 = {int}, rand_seed1 = 5;; SELECT RAND() FROM t ORDER BY id",
        ],
    ),
    // User variables.
    kind(
        14,
        &[
            "SET {var} = {const}",
            "SET {var} = {const}, {var} = {const}",
            "SET {var} = {var}",
            "SET {var} = {var} + 1",
            "SET {var} = (SELECT MAX(v) FROM t)",
            "SELECT {var}, {var}",
            "SELECT {var}, CHARSET({var}), COLLATION({var})",
            "SELECT {var} := {const}",
            "SELECT id, v FROM t ORDER BY id LIMIT 1 INTO {var}, {var}",
            "SELECT 9 INTO {var}",
            "SELECT {var} := {var} + id FROM t ORDER BY id",
            "INSERT INTO t (v) VALUES ({var})",
            "SELECT id FROM t WHERE v = {var}",
            "SET {var} := CONCAT({var}, 'x')",
            "UPDATE u SET v = id WHERE id = {int}",
            "SELECT g()",
            "SET {var} = @@{sys}",
            "SET @A = {const}, @`b` = {const}, @'c' = {const}",
        ],
    ),
    // Schemas.
    kind(
        5,
        &[
            "USE {A}",
            "USE {B}",
            "USE nosuch",
            "SELECT COUNT(*) FROM {B}.t",
            "SHOW TABLES",
            "CREATE DATABASE IF NOT EXISTS {A}x",
            "USE {A}x",
            "DROP DATABASE IF EXISTS {A}x",
        ],
    ),
    // Temporary tables.
    kind(
        9,
        &[
            "CREATE TEMPORARY TABLE {tmp} (id INT, v INT)",
            "CREATE TEMPORARY TABLE {tmp} SELECT id, v FROM t",
            "INSERT INTO {tmp} (id, v) VALUES ({int}, {int})",
            "SELECT * FROM {tmp} ORDER BY 1, 2",
            "SELECT COUNT(*) FROM {tmp}, u",
            "DROP TEMPORARY TABLE {tmp}",
            "DROP TABLE IF EXISTS x, y",
            "DROP TEMPORARY TABLE IF EXISTS {tmp}, x",
            "ALTER TABLE x ADD COLUMN w INT DEFAULT 4",
            "ALTER TABLE x RENAME TO y",
            "TRUNCATE TABLE {tmp}",
            "SHOW COLUMNS FROM {tmp}",
            "CREATE TEMPORARY TABLE {B}.x (id INT)",
            "SELECT COUNT(*) FROM {B}.x",
        ],
    ),
    // Locks.
    kind(
        5,
        &[
            "SELECT GET_LOCK('{lock}', 0)",
            "SELECT RELEASE_LOCK('{lock}')",
            "SELECT IS_FREE_LOCK('{lock}'), IS_FREE_LOCK('{O}_1'), IS_USED_LOCK('{O}_2') IS NULL",
            "SELECT RELEASE_ALL_LOCKS()",
            "DO GET_LOCK('{lock}', 0)",
            "DO RELEASE_LOCK('{lock}')",
            "SELECT GET_LOCK('{O}_1', 0)",
            "SELECT IS_USED_LOCK('{lock}') = CONNECTION_ID()",
        ],
    ),
    kind(
        4,
        &[
            "LOCK TABLES t WRITE, u READ",
            "LOCK TABLES t READ",
            "UNLOCK TABLES",
            "UNLOCK TABLES",
            "UNLOCK TABLES",
            "LOCK TABLES nosuch READ",
            "FLUSH TABLES u WITH READ LOCK",
        ],
    ),
    // Transactions.
    kind(
        14,
        &[
            "BEGIN",
            "START TRANSACTION",
            "START TRANSACTION READ ONLY",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            "START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT",
            "START TRANSACTION READ WRITE",
            "COMMIT",
            "COMMIT",
            "COMMIT",
            "ROLLBACK",
            "ROLLBACK",
            "COMMIT AND CHAIN",
            "ROLLBACK AND CHAIN",
            "SAVEPOINT {sp}",
            "ROLLBACK TO {sp}",
            "RELEASE SAVEPOINT {sp}",
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION READ ONLY",
            "SET TRANSACTION READ WRITE",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION TRANSACTION READ WRITE",
            "SET SESSION TRANSACTION READ WRITE",
            "SET SESSION TRANSACTION READ WRITE",
            "SET autocommit = 0",
            "SET autocommit = 1",
            "SELECT @@autocommit, @@transaction_isolation, @@transaction_read_only",
            "SELECT v FROM t WHERE id = 1 FOR UPDATE",
            "SELECT v FROM t WHERE id = 1 FOR SHARE",
            "SELECT @@in_transaction",
        ],
    ),
    // Prepared as text.
    kind(
        6,
        &[
            "PREPARE {ps} FROM 'SELECT id, v FROM t WHERE id >= ? ORDER BY id'",
            "PREPARE {ps} FROM 'INSERT INTO t (v) VALUES (?)'",
            "PREPARE {ps} FROM 'SET @a = ?'",
            "PREPARE {ps} FROM 'SELECT @@sql_mode, @b'",
            "PREPARE {ps} FROM 'CREATE TEMPORARY TABLE x (id INT, v INT)'",
            "PREPARE {ps} FROM 'SELEC'",
            "PREPARE {ps} FROM @b",
            "EXECUTE {ps} USING {var}",
            "EXECUTE {ps} USING {var}",
            "EXECUTE {ps}",
            "EXECUTE {ps}",
            "DEALLOCATE PREPARE {ps}",
            "DROP PREPARE {ps}",
        ],
    ),
    // Writes and definitions.
    kind(
        12,
        &[
            "INSERT INTO t (v, s) VALUES ({int}{int}, 'n')",
            "INSERT INTO t (v) VALUES ({int}), ({int}1), ({int}2)",
            "INSERT IGNORE INTO t (v, s) VALUES ({int}, 'a very long text that does not fit')",
            "INSERT INTO t (v) VALUES (10)",
            "INSERT INTO t (id, v) VALUES (0, {int}{int}{int})",
            "INSERT INTO t (v) VALUES ({int}) ON DUPLICATE KEY UPDATE v = v + 100, id = LAST_INSERT_ID(id)",
            "REPLACE INTO t (id, v) VALUES ({int}, {int})",
            "UPDATE t SET v = v + 1 ORDER BY v DESC",
            "UPDATE t SET s = 'z' WHERE id = {int}",
            "UPDATE u SET v = 1000",
            "DELETE FROM t WHERE id = {int}",
            "DELETE FROM t ORDER BY id DESC LIMIT 1",
            "INSERT INTO nosuch VALUES (1)",
            "INSERT INTO u SELECT id + 10, 5 FROM t",
            "INSERT INTO u (id, v) VALUES (LAST_INSERT_ID() + 50, ROW_COUNT())",
            "INSERT INTO t (s) VALUES (DATABASE())",
            "INSERT INTO t (s) VALUES (1/0)",
        ],
    ),
    kind(
        5,
        &[
            "ALTER TABLE t ADD COLUMN c INT",
            "ALTER TABLE t DROP COLUMN c",
            "CREATE TABLE IF NOT EXISTS n (id INT PRIMARY KEY)",
            "DROP TABLE IF EXISTS n",
            "CREATE OR REPLACE VIEW w AS SELECT id, v FROM t",
            "SELECT * FROM w ORDER BY id",
            "CREATE INDEX i ON u (v)",
            "TRUNCATE TABLE u",
            "RENAME TABLE u TO u2, u2 TO u",
            "ALTER TABLE t AUTO_INCREMENT = 500",
        ],
    ),
    // About the statement before.
    kind(
        16,
        &[
            "SELECT LAST_INSERT_ID()",
            "SELECT @@last_insert_id, @@identity",
            "SELECT LAST_INSERT_ID({int}7)",
            "SELECT ROW_COUNT()",
            "SELECT FOUND_ROWS()",
            "SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 1",
            "SHOW WARNINGS",
            "SHOW WARNINGS LIMIT 1",
            "SHOW ERRORS",
            "SHOW COUNT(*) WARNINGS",
            "SHOW COUNT(*) ERRORS",
            "SELECT @@warning_count, @@error_count",
            "GET DIAGNOSTICS {var} = NUMBER, {var} = ROW_COUNT",
            "SELECT * FROM nosuch;; GET DIAGNOSTICS CONDITION 1 {var} = MYSQL_ERRNO",
            "GET DIAGNOSTICS CONDITION 1 {var} = MYSQL_ERRNO, {var} = MESSAGE_TEXT",
            "GET DIAGNOSTICS CONDITION {int} {var} = RETURNED_SQLSTATE, {var} = TABLE_NAME",
            "SELECT /*+ SET_VAR(max_error_count = 0) */ 1/0, v FROM t ORDER BY id;; SHOW WARNINGS",
            "SELECT * FROM t WHERE id = LAST_INSERT_ID()",
            "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID(), @@warning_count",
        ],
    ),
    // Errors.
    kind(
        4,
        &[
            "SELEC 1",
            "SELECT * FROM nosuch",
            "SELECT nosuch FROM t",
            "SELECT 1 FROM",
            "SELECT (SELECT id FROM t)",
            "DO 1/0",
            "DO nosuch()",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'",
            "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'w'",
        ],
    ),
    kind(
        3,
        &[
            "HANDLER t OPEN",
            "HANDLER t READ FIRST",
            "HANDLER t READ NEXT",
            "HANDLER t CLOSE",
            "HANDLER t CLOSE",
        ],
    ),
    kind(
        5,
        &[
            "CALL p({int})",
            "CALL p({int})",
            "CALL p(3)",
            "CALL nosuch()",
            "CALL {A}.p(1)",
        ],
    ),
    kind(
        3,
        &[
            "SELECT 1",
            "SELECT 'x' AS y",
            "DO 1",
            "SELECT /* c */ 1",
            "SHOW CREATE VIEW w",
            "SHOW COLUMNS FROM t",
            "DESCRIBE u",
        ],
    ),
];

/// What is prepared by the binary protocol, with so many parameters.
pub(crate) const PREPARED: [(&str, usize); 23] = [
    ("SELECT id, v, s FROM t WHERE id >= ? ORDER BY id", 1),
    ("SELECT ?, ? + 1", 2),
    ("INSERT INTO t (v, s) VALUES (?, 'ps')", 1),
    ("SELECT @@session.sql_mode, @@time_zone, DATABASE(), @a", 0),
    ("SELECT 'a' || 'b', COLLATION('x'), 1/3", 0),
    ("SELECT \"v\", id FROM t ORDER BY id", 0),
    ("SET @a = ?, @b = 1", 1),
    ("SET sql_mode = ?", 1),
    ("SET time_zone = '+04:00'", 0),
    ("SET autocommit = ?", 1),
    ("SELECT @a, @b, @c, @d", 0),
    ("CREATE TEMPORARY TABLE x (id INT, v INT)", 0),
    ("SELECT * FROM x ORDER BY id", 0),
    ("DROP TEMPORARY TABLE IF EXISTS x", 0),
    ("CALL p(?)", 1),
    ("UPDATE u SET v = ? WHERE id = ?", 2),
    ("COMMIT", 0),
    ("SELECT LAST_INSERT_ID(), ROW_COUNT()", 0),
    ("SELECT CAST(? AS SIGNED), 1/0", 1),
    ("SHOW WARNINGS", 0),
    ("SELECT FOUND_ROWS(), ROW_COUNT()", 0),
    ("SELEC ?", 1),
    ("SELECT NOW() = FROM_UNIXTIME(?), GET_LOCK('{A}_1', 0)", 1),
];
