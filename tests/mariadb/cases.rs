//! The kinds of writes of both engines in MariaDB's words, and MariaDB's own.

use super::writes::Step::{self, Exec, Fails, Reset, Run};
use super::writes::{BEFORE, CASES, Case};

/// The rights that some of the writes need, which applications seldom have.
pub(crate) const RIGHTS: &str = "GRANT BINLOG ADMIN, BINLOG REPLAY, SUPER ON *.* TO app";

const MORE: &[&str] = &[
    "CREATE SEQUENCE numbers CACHE 1",
    "CREATE PROCEDURE elsewhere(n INT) BEGIN SET gtid_domain_id = 3; \
     INSERT INTO t VALUES (n, 1); SET gtid_domain_id = 4; INSERT INTO t VALUES (-n, 1); END",
];

const INSERT: Step = Run("INSERT INTO t VALUES ({n}, 1)");

const fn case(name: &'static str, steps: &'static [Step]) -> Case {
    Case {
        name,
        steps,
        read: "SELECT COUNT(*) FROM t WHERE id = {n}",
        sees: "1",
    }
}

const OWN: &[Case] = &[
    case(
        "RETURNING",
        &[Run("INSERT INTO t VALUES ({n}, 1) RETURNING id")],
    ),
    case(
        "RETURNING, prepared",
        &[Exec("INSERT INTO t VALUES ({n}, 1) RETURNING id")],
    ),
    case(
        "EXECUTE IMMEDIATE",
        &[Run("EXECUTE IMMEDIATE 'INSERT INTO t VALUES ({n}, 1)'")],
    ),
    case(
        "BEGIN NOT ATOMIC",
        &[Run("BEGIN NOT ATOMIC INSERT INTO t VALUES ({n}, 1); END")],
    ),
    case(
        "SET STATEMENT",
        &[Run(
            "SET STATEMENT max_statement_time = 10 FOR INSERT INTO t VALUES ({n}, 1)",
        )],
    ),
    case("another domain", &[Run("SET gtid_domain_id = 5"), INSERT]),
    case(
        "one domain, then another",
        &[
            Run("SET gtid_domain_id = 5"),
            INSERT,
            Run("SET gtid_domain_id = 6"),
            Run("INSERT INTO t VALUES (-{n}, 1)"),
        ],
    ),
    case("two domains in a procedure", &[Run("CALL elsewhere({n})")]),
    case(
        "two domains in a procedure, then a reset",
        &[Run("CALL elsewhere({n})"), Reset],
    ),
    case(
        "not in the binary log",
        &[Run("SET sql_log_bin = 0"), INSERT],
    ),
    case(
        "marked to be skipped",
        &[Run("SET skip_replication = 1"), INSERT],
    ),
    case(
        "marked to be skipped, no longer",
        &[
            Run("SET skip_replication = 1"),
            INSERT,
            Run("SET skip_replication = 0"),
        ],
    ),
    case(
        "error after the GTID of another write",
        &[INSERT, Fails("INSERT INTO t VALUES ({n}, 1)", 1062)],
    ),
];

/// What the cases need.
pub(crate) fn before() -> Vec<String> {
    let common = BEFORE.iter().map(|sql| translated(sql));
    common
        .chain(MORE.iter().map(|sql| (*sql).to_owned()))
        .collect()
}

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let common = CASES.iter().filter(|case| !case.name.starts_with("tagged"));
    let own = OWN.iter().map(copied);
    common.map(in_its_words).chain(own).collect()
}

fn copied(case: &Case) -> Case {
    Case { ..*case }
}

fn in_its_words(case: &Case) -> Case {
    let step = |step: &Step| match *step {
        Run(sql) => Run(leaked(translated(sql))),
        Exec(sql) => Exec(leaked(translated(sql))),
        Fails(sql, code) => Fails(leaked(translated(sql)), code),
        other => other,
    };
    let steps: Vec<Step> = case.steps.iter().map(step).collect();
    Case {
        steps: Vec::leak(steps),
        ..*case
    }
}

/// A write's GTID is told by a variable here, not by a tracker of its own.
fn translated(sql: &str) -> String {
    sql.replace(", session_track_gtids = 'OFF'", "")
        .replace(
            "session_track_gtids = 'OFF'",
            "session_track_system_variables = ''",
        )
        .replace(
            "session_track_gtids = 'OWN_GTID'",
            "session_track_system_variables = 'last_gtid'",
        )
}

fn leaked(text: String) -> &'static str {
    String::leak(text)
}
