//! What replies tell, statement by statement, as the servers were seen to answer.

use super::*;
use crate::domain::sql::{Dialect, LexMode, Seed, explain};

const BEFORE: Place = Place { lease: 7, sent: 1 };
const AFTER: Place = Place { lease: 7, sent: 2 };

fn ends(aftermath: &mut Aftermath, sql: &str, ending: Ending, mariadb: bool) {
    let dialect = match mariadb {
        true => Dialect::MARIADB,
        false => Dialect::default(),
    };
    let mode = LexMode {
        dialect,
        ..LexMode::default()
    };
    let profile = explain(sql.as_bytes(), mode, &Seed::new(1));
    aftermath.on_end(&Ended {
        kind: Kind::Statement,
        profile: &profile,
        ending,
        before: Some(BEFORE),
        after: Some(AFTER),
        had_last_insert_id: true,
        rows_before: false,
        cursor: false,
        mariadb,
    });
}

const fn ok(affected: u64, insert_id: u64, warnings: u16) -> Ending {
    Ending::Ok {
        affected,
        insert_id,
        warnings,
    }
}

const fn rows(count: u64) -> Ending {
    Ending::Rows { count, warnings: 0 }
}

fn error() -> Ending {
    Ending::Error(Condition {
        severity: Severity::Error,
        code: 1146,
        state: Some(*b"42S02"),
        message: Box::default(),
    })
}

#[test]
fn what_replies_tell_and_what_they_do_not() {
    // ROW_COUNT(), FOUND_ROWS() and LAST_INSERT_ID(): the value, and whether it is certain.
    type Case = (&'static str, Ending, (i64, u64, bool), (u64, bool));
    let cases: Vec<Case> = vec![
        ("SELECT 1 FROM t", rows(3), (-1, 3, true), (7, true)),
        ("SELECT 1 FROM t LIMIT 3", rows(3), (-1, 3, true), (7, true)),
        (
            "SELECT 1 FROM t LIMIT 1, 3",
            rows(3),
            (-1, 3, false),
            (7, true),
        ),
        (
            "SELECT SQL_CALC_FOUND_ROWS 1 FROM t LIMIT 3",
            rows(3),
            (-1, 3, false),
            (7, true),
        ),
        (
            "(SELECT 1) UNION (SELECT 2) LIMIT 1",
            rows(1),
            (-1, 1, false),
            (7, true),
        ),
        ("SELECT 1 UNION SELECT 2", rows(2), (-1, 2, true), (7, true)),
        ("SHOW TABLES", rows(2), (-1, 2, true), (7, true)),
        ("SHOW CREATE TABLE t", rows(1), (-1, 9, true), (7, true)),
        ("EXPLAIN SELECT 1", rows(1), (-1, 9, true), (7, true)),
        (
            "INSERT INTO t VALUES (1)",
            ok(1, 0, 0),
            (1, 9, true),
            (7, true),
        ),
        (
            "INSERT INTO t VALUES (1)",
            ok(1, 5, 0),
            (1, 9, true),
            (5, false),
        ),
        (
            "INSERT INTO t SELECT 1",
            ok(1, 0, 0),
            (1, 1, false),
            (7, true),
        ),
        (
            "INSERT INTO t VALUES (1)",
            error(),
            (-1, 9, true),
            (7, false),
        ),
        ("UPDATE t SET a = 1", ok(2, 0, 0), (2, 2, false), (7, true)),
        (
            "UPDATE t SET a = LAST_INSERT_ID(3)",
            ok(2, 3, 0),
            (2, 2, false),
            (3, false),
        ),
        (
            "DELETE FROM t WHERE a = 1",
            ok(2, 0, 0),
            (2, 9, true),
            (7, true),
        ),
        (
            "DELETE t FROM t JOIN u",
            ok(2, 0, 0),
            (2, 2, false),
            (7, true),
        ),
        ("SET @x = 1", ok(0, 0, 0), (0, 9, true), (7, true)),
        (
            "SET last_insert_id = 1",
            ok(0, 0, 0),
            (0, 9, true),
            (7, false),
        ),
        (
            "DO LAST_INSERT_ID(4)",
            ok(0, 0, 0),
            (0, 0, false),
            (7, false),
        ),
        ("BEGIN", ok(0, 0, 0), (0, 9, true), (7, true)),
        ("CALL p()", ok(2, 0, 0), (2, 9, false), (7, false)),
        (
            "CREATE TABLE t (a INT)",
            ok(0, 0, 0),
            (0, 9, true),
            (7, true),
        ),
        ("SELECT * FROM nosuch", error(), (-1, 9, true), (7, true)),
    ];
    for (sql, ending, (row_count, found_rows, certain), last_insert_id) in cases {
        let mut aftermath = Aftermath::default();
        aftermath.found_rows.value = 9;
        aftermath.found_rows.at = Some(BEFORE);
        aftermath.last_insert_id.value = 7;
        ends(&mut aftermath, sql, ending, false);
        let Part { value, exact, .. } = aftermath.row_count;
        assert_eq!((value, exact), (row_count, true), "{sql}");
        let Part { value, exact, .. } = aftermath.found_rows;
        assert_eq!((value, exact), (found_rows, certain), "{sql}");
        let Part { value, exact, .. } = aftermath.last_insert_id;
        assert_eq!((value, exact), last_insert_id, "{sql}");
    }
}

#[test]
fn warnings_that_mariadb_keeps() {
    let after = |sql: &str, mariadb: bool| {
        let mut aftermath = Aftermath::default();
        ends(
            &mut aftermath,
            "DROP TABLE IF EXISTS t",
            ok(0, 0, 1),
            mariadb,
        );
        ends(&mut aftermath, sql, ok(0, 0, 0), mariadb);
        let Part { value, exact, .. } = aftermath.conditions;
        (value.count, exact)
    };
    assert_eq!(after("SET @x = 1", false), (0, true));
    assert_eq!(after("SET @x = 1", true), (1, false));
    assert_eq!(after("SELECT 1", true), (1, false));
    assert_eq!(after("SELECT 1 FROM t", true), (0, true));
    assert_eq!(after("FLUSH STATUS", true), (0, false));
}

#[test]
fn a_place_holds_until_something_else_is_sent_there() {
    let mut aftermath = Aftermath::default();
    ends(&mut aftermath, "SELECT 1 / 0 FROM t", rows(3), false);
    assert!(aftermath.is_at(Asked::ALL, AFTER));
    assert!(!aftermath.is_at(Asked::ALL, BEFORE));
    let elsewhere = |sent| Place { lease: 8, sent };
    let mut ended = Ended {
        kind: Kind::Statement,
        profile: &explain(b"SET @x = 1", LexMode::default(), &Seed::new(1)),
        ending: ok(0, 0, 0),
        before: Some(elsewhere(4)),
        after: Some(elsewhere(5)),
        had_last_insert_id: true,
        rows_before: false,
        cursor: false,
        mariadb: false,
    };
    aftermath.on_end(&ended);
    let found_rows = Asked {
        found_rows: true,
        ..Asked::default()
    };
    assert!(aftermath.is_at(found_rows, AFTER), "still there");
    assert!(!aftermath.is_at(Asked::ALL, AFTER));
    assert!(!aftermath.is_at(Asked::ALL, elsewhere(5)));
    // What is kept goes along with its connection.
    ended.before = Some(AFTER);
    ended.after = Some(Place { sent: 9, ..AFTER });
    aftermath.on_end(&ended);
    assert!(aftermath.is_at(Asked::ALL, Place { sent: 9, ..AFTER }));
}

#[test]
fn highwaters_own_answers() {
    let mut aftermath = Aftermath::default();
    ends(&mut aftermath, "SELECT 1 / 0 FROM t", rows(3), false);
    aftermath.on_own_answer(None, false);
    assert_eq!(aftermath.row_count.value, 0);
    assert_eq!(aftermath.found_rows.value, 3);
    aftermath.add_own(Condition {
        severity: Severity::Warning,
        code: 51_000,
        state: None,
        message: Box::default(),
    });
    assert_eq!(aftermath.all_conditions().count, 1);
    assert!(!aftermath.is_at(Asked::ALL, AFTER));
    ends(&mut aftermath, "SELECT 1", rows(1), false);
    assert_eq!(aftermath.all_conditions().count, 0);
}

#[test]
fn rows_before_an_error_in_a_packet_were_counted() {
    let mut aftermath = Aftermath {
        found_rows: Part::exactly(1),
        ..Aftermath::default()
    };
    let profile = explain(
        b"SELECT 1; SELECT nosuch",
        LexMode::default(),
        &Seed::new(1),
    );
    let error = Condition {
        severity: Severity::Error,
        code: 1054,
        state: None,
        message: Box::default(),
    };
    let mut ended = Ended {
        kind: Kind::Statement,
        profile: &profile,
        ending: Ending::Error(error),
        before: None,
        after: Some(AFTER),
        had_last_insert_id: true,
        rows_before: false,
        cursor: false,
        mariadb: false,
    };
    aftermath.on_end(&ended);
    assert!(aftermath.found_rows.exact, "nothing had rows");
    ended.rows_before = true;
    aftermath.on_end(&ended);
    assert!(aftermath.only_at(AFTER)[1], "only the server knows");
}
