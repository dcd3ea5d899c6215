//! Spellings of statements about own variables.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::domain::sql::Known;

fn read(text: &str) -> Option<OwnStatement> {
    parse_own(text.as_bytes(), LexMode::default())
}

fn text(variable: OwnVariable, value: &str) -> OwnSet {
    OwnSet {
        variable,
        source: OwnSource::Value(OwnValue::Text(value.to_owned())),
    }
}

fn set(pairs: &[(OwnVariable, &str)], rest: Option<&str>) -> Option<OwnStatement> {
    let assignments = pairs.iter().map(|&(own, value)| text(own, value)).collect();
    Some(OwnStatement::Set {
        assignments,
        rest: rest.map(|r| r.as_bytes().to_vec()),
        placeholders: 0,
    })
}

#[test]
fn set_in_every_spelling() {
    let aurora = OwnVariable::AuroraReplicaReadConsistency;
    for text in [
        "SET aurora_replica_read_consistency = 'session'",
        "set SESSION Aurora_Replica_Read_Consistency=session;",
        "SET LOCAL aurora_replica_read_consistency := \"session\"",
        "SET @@aurora_replica_read_consistency = 'session'",
        "SET @@session.aurora_replica_read_consistency = 'session' -- really",
        "SET @@local.`aurora_replica_read_consistency` = `session`",
        "SET @@`SESSION`.aurora_replica_read_consistency = 'session'",
        "SET `aurora_replica_read_consistency` = 'session'",
    ] {
        assert_eq!(read(text), set(&[(aurora, "session")], None), "{text}");
    }
}

#[test]
fn set_within_a_list() {
    let timeout = OwnVariable::CatchUpTimeout;
    let level = OwnVariable::ReadConsistency;
    assert_eq!(
        read(
            "SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), highwater_catch_up_timeout = 250, \
             @x = 'a,b', SESSION highwater_read_consistency='global', NAMES utf8mb4"
        ),
        set(
            &[(timeout, "250"), (level, "global")],
            Some("SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), @x = 'a,b', NAMES utf8mb4")
        )
    );
}

#[test]
fn sources() {
    let on_timeout = |source, placeholders| {
        let variable = OwnVariable::OnTimeout;
        Some(OwnStatement::Set {
            assignments: vec![OwnSet { variable, source }],
            rest: None,
            placeholders,
        })
    };
    for (spelled, source, placeholders) in [
        ("DEFAULT", OwnSource::Value(OwnValue::Default), 0),
        ("?", OwnSource::Placeholder(0), 1),
        (
            "@@session.highwater_position",
            OwnSource::Of(OwnVariable::Position),
            0,
        ),
    ] {
        assert_eq!(
            read(&format!("SET highwater_on_timeout = {spelled}")),
            on_timeout(source, placeholders),
            "{spelled}"
        );
    }
    let two = read("SET highwater_group = ?, SESSION highwater_read_consistency := ?");
    let Some(OwnStatement::Set {
        assignments,
        placeholders,
        ..
    }) = two
    else {
        panic!("{two:?}");
    };
    assert_eq!(placeholders, 2);
    assert_eq!(assignments[1].source, OwnSource::Placeholder(1));
}

#[test]
fn values_that_are_no_plain_value() {
    for text in [
        "SET highwater_on_timeout = CONCAT('a', 'b')",
        "SET highwater_on_timeout = @x",
        "SET highwater_on_timeout =",
        "SET highwater_on_timeout",
        "SET GLOBAL highwater_on_timeout = 'error'",
        "SET sql_mode = ''",
        "SET highwater_on_timeout = ?, sql_mode = ''",
        "SET highwater_on_timeout = @@sql_mode",
        "SET highwater_on_timeout = 'error', @x = @@highwater_position",
        "SET /*!50000 highwater_on_timeout = 'error' */",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn select_with_labels() {
    assert_eq!(
        read(
            "SELECT @@highwater_position, @@session . highwater_on_timeout AS 't', @@Highwater_read_consistency lvl;"
        ),
        Some(OwnStatement::Select(vec![
            OwnItem {
                variable: OwnVariable::Position,
                label: "@@highwater_position".into()
            },
            OwnItem {
                variable: OwnVariable::OnTimeout,
                label: "t".into()
            },
            OwnItem {
                variable: OwnVariable::ReadConsistency,
                label: "lvl".into()
            },
        ]))
    );
    assert_eq!(read("SELECT @@global.highwater_position"), None);
}

fn value(mention: Mention) -> Option<Literal> {
    Some(match mention {
        Mention::Own(own) => Literal::Text(own.name().replace("highwater_", "the ")),
        Mention::Known(Known::ConnectionId) => Literal::Unsigned(7),
    })
}

/// The statement for the server where every variable has its own name as its value.
fn filled(text: &str) -> Option<String> {
    let Some(OwnStatement::Mentions(template)) =
        parse_own_prepared(text.as_bytes(), LexMode::default())
    else {
        return None;
    };
    let filled = template.fill(template.mentions().map(value));
    Some(String::from_utf8(filled).unwrap())
}

#[test]
fn mentions_are_filled_in() {
    for (text, expected) in [
        (
            "SELECT @@session.highwater_position, @@version",
            "SELECT 'the position' AS `@@session.highwater_position`, @@version",
        ),
        (
            "/* pool */ SELECT  1, @@Highwater_Group g, @@`highwater_group` FROM t WHERE a = @@highwater_group;",
            "SELECT  1, 'the group' g, 'the group' AS `@@``highwater_group``` FROM t WHERE a = 'the group'",
        ),
        (
            "SELECT @@highwater_position AS p",
            "SELECT 'the position' AS p",
        ),
        (
            "SELECT DISTINCT @@highwater_position LIMIT 1",
            "SELECT DISTINCT 'the position' AS `@@highwater_position` LIMIT 1",
        ),
        (
            "SELECT CONCAT(1, @@highwater_position) FROM t ORDER BY 1, @@highwater_position",
            "SELECT CONCAT(1, 'the position') AS `CONCAT(1, @@highwater_position)` FROM t ORDER BY 1, 'the position'",
        ),
        (
            "(SELECT @@highwater_position) UNION SELECT 1",
            "(SELECT 'the position' AS `@@highwater_position`) UNION SELECT 1",
        ),
        (
            "INSERT INTO log VALUES (?, @@highwater_position)",
            "INSERT INTO log VALUES (?, 'the position')",
        ),
        (
            "SET @p = @@highwater_position, sql_mode = ''",
            "SET @p = 'the position', sql_mode = ''",
        ),
        (
            "SHOW VARIABLES LIKE 'highwater_gr%'",
            "SELECT 'highwater_group' AS `Variable_name`, 'the group' AS `Value`",
        ),
    ] {
        assert_eq!(filled(text).as_deref(), Some(expected), "{text}");
    }
    for none in [
        "CREATE VIEW v AS SELECT @@highwater_position",
        "PREPARE s FROM @@highwater_position",
        "SELECT 1",
        "SELECT @@global.highwater_position",
        "SELECT 1; SELECT @@highwater_position",
    ] {
        assert_eq!(filled(none), None, "{none}");
    }
}

#[test]
fn literals_read_alike_everywhere() {
    let template = Template::of_show(&[OwnVariable::Group]);
    let fill = |value: &str| {
        let filled = template.fill([Some(Literal::Text(value.to_owned()))]);
        let filled = String::from_utf8(filled).unwrap();
        let (_, literal) = filled.split_once("`, ").unwrap();
        literal.split_once(" AS").unwrap().0.to_owned()
    };
    for (value, expected) in [
        ("", "''"),
        ("3e11fa47-71ca:1-5:7,b:1", "'3e11fa47-71ca:1-5:7,b:1'"),
        ("it's", "_utf8mb4 X'69742773'"),
        ("a\\b", "_utf8mb4 X'615C62'"),
        ("\u{e9}", "_utf8mb4 X'C3A9'"),
    ] {
        assert_eq!(fill(value), expected);
    }
}

#[test]
fn packets() {
    let level = OwnVariable::ReadConsistency;
    let packet = |values: &[&str], rest: &str| {
        Some(OwnStatement::Packet {
            assignments: values.iter().map(|value| text(level, value)).collect(),
            sets: values.len(),
            rest: rest.as_bytes().to_vec(),
        })
    };
    for (text, expected) in [
        (
            "SET highwater_read_consistency = 'global'; SELECT 'a;b'; -- c\n INSERT INTO t VALUES (1);",
            packet(
                &["global"],
                "DO 0;SELECT 'a;b'; -- c\n INSERT INTO t VALUES (1);",
            ),
        ),
        (
            ";SET highwater_read_consistency = a;; SET SESSION highwater_read_consistency = b",
            packet(&["a", "b"], "DO 0;DO 0;"),
        ),
        ("SELECT 1; SET highwater_read_consistency = 'global'", None),
        (
            "SET highwater_read_consistency = a; SELECT @@highwater_position",
            None,
        ),
        (
            "SET highwater_read_consistency = a; SELECT 1; SET sql_mode = '', highwater_group = b",
            None,
        ),
        (
            "SET highwater_read_consistency = a, sql_mode = ''; SELECT 1",
            None,
        ),
        ("SET highwater_read_consistency = ?; SELECT 1", None),
        ("SET sql_mode = ''; SELECT 1", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn show_variables() {
    let own = OwnVariable::AuroraReplicaReadConsistency;
    for text in [
        "SHOW VARIABLES LIKE 'aurora_replica_read_consistency'",
        "show session variables like 'AURORA\\_replica\\_read\\_consistency';",
        "SHOW LOCAL VARIABLES WHERE Variable_name = 'aurora_replica_read_consistency'",
        "SHOW VARIABLES WHERE `variable_name` LIKE 'aurora_replica%'",
    ] {
        assert_eq!(read(text), Some(OwnStatement::Show(vec![own])), "{text}");
    }
    let all = read("SHOW VARIABLES LIKE 'highwater%'");
    assert!(
        matches!(&all, Some(OwnStatement::Show(own)) if own.len() == 8),
        "{all:?}"
    );
    for text in [
        "SHOW VARIABLES LIKE 'aurora%'",
        "SHOW VARIABLES WHERE Value = 'highwater_group'",
        "SHOW VARIABLES WHERE Variable_name = 'highwater%'",
        "SHOW VARIABLES",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn show_routes() {
    for (text, most) in [
        ("SHOW HIGHWATER ROUTE", Some(None)),
        ("show highwater route last 12;", Some(Some(12))),
        ("SHOW HIGHWATER ROUTE LAST", None),
        ("SHOW HIGHWATER ROUTE LAST x", None),
        ("SHOW HIGHWATER ROUTE now", None),
        ("SHOW HIGHWATER", None),
    ] {
        assert_eq!(read(text), most.map(OwnStatement::Routes), "{text}");
    }
}

#[test]
fn what_the_session_knows_is_filled_in() {
    for (text, expected) in [
        (
            "SELECT CONNECTION_ID()",
            "SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`",
        ),
        (
            "select connection_id ( ) id, @@Pseudo_Thread_Id, @@session.pseudo_thread_id x;",
            "select CAST(7 AS UNSIGNED) id, CAST(7 AS UNSIGNED) AS `@@Pseudo_Thread_Id`, CAST(7 AS UNSIGNED) x;",
        ),
        (
            "SELECT `connection_id`() + 1, 1 + CONNECTION_ID() n, CONNECTION_ID() AS a FROM t ORDER BY CONNECTION_ID()",
            "SELECT CAST(7 AS UNSIGNED) + 1 AS ```connection_id``() + 1`, 1 + CAST(7 AS UNSIGNED) n, \
             CAST(7 AS UNSIGNED) AS a FROM t ORDER BY CAST(7 AS UNSIGNED)",
        ),
        (
            "SELECT (SELECT CONNECTION_ID()) FROM (SELECT DISTINCT CONNECTION_ID() = t.id FROM t) d",
            "SELECT (SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`) AS `(SELECT CONNECTION_ID())` \
             FROM (SELECT DISTINCT CAST(7 AS UNSIGNED) = t.id AS `CONNECTION_ID() = t.id` FROM t) d",
        ),
        (
            "INSERT INTO connection_id() VALUES (); SELECT CONNECTION_ID()",
            "INSERT INTO connection_id() VALUES (); SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`",
        ),
        (
            "BEGIN; SET @a = CONNECTION_ID(), @b = @@pseudo_thread_id = 1; CREATE PROCEDURE p() BEGIN SELECT CONNECTION_ID(); END",
            "BEGIN; SET @a = CAST(7 AS UNSIGNED), @b = CAST(7 AS UNSIGNED) = 1; CREATE PROCEDURE p() BEGIN SELECT CONNECTION_ID(); END",
        ),
        (
            "SELECT CONNECTION_ID() + t.order, CASE WHEN CONNECTION_ID() THEN 1 END, ? + CONNECTION_ID(), CONNECTION_ID() + ? x",
            "SELECT CAST(7 AS UNSIGNED) + t.order AS `CONNECTION_ID() + t.order`, CASE WHEN CAST(7 AS UNSIGNED) THEN 1 END, \
             ? + CAST(7 AS UNSIGNED) AS `? + CONNECTION_ID()`, CAST(7 AS UNSIGNED) + ? x",
        ),
    ] {
        let template = parse_known(text.as_bytes(), LexMode::default()).expect(text);
        let filled = template.fill(template.mentions().map(value));
        assert_eq!(String::from_utf8(filled).unwrap(), expected, "{text}");
    }
    for none in [
        "SELECT 1",
        "SELECT connection_id FROM t",
        "SELECT db.connection_id(), CONNECTION_ID(1), @connection_id, 'CONNECTION_ID()'",
        "CALL connection_id()",
        "CREATE VIEW v AS SELECT CONNECTION_ID()",
        "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW BEGIN DO 1; DO CONNECTION_ID(); END",
        "SELECT /*!50000 CONNECTION_ID() */",
        "SELECT @@global.pseudo_thread_id",
        "SELECT IS_USED_LOCK('l') = CONNECTION_ID()",
        "SELECT thread_id FROM performance_schema.threads WHERE processlist_id = CONNECTION_ID()",
        "SELECT trx_id FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = CONNECTION_ID()",
        "SELECT * FROM information_schema.`PROCESSLIST` WHERE id = @@pseudo_thread_id",
        "SET @@pseudo_thread_id = 5",
        "SET SESSION pseudo_thread_id = 5",
    ] {
        assert_eq!(
            parse_known(none.as_bytes(), LexMode::default()),
            None,
            "{none}"
        );
    }
}

#[test]
fn a_session_that_takes_another_id() {
    let sets = |text: &str| sets_known(text.as_bytes(), LexMode::default());
    assert!(sets("SET @@session.pseudo_thread_id = 5"));
    assert!(sets("SET @a = 1, pseudo_thread_id=5"));
    assert!(sets("SELECT 1; SET LOCAL pseudo_thread_id := 5"));
    assert!(!sets("SET @a = @@pseudo_thread_id"));
    assert!(!sets("SELECT @@pseudo_thread_id = 5"));
}
