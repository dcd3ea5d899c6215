//! Where positions come from, and what the binlog holds.

use super::{or_ok, set_for_good};
use crate::doctor::facts::{Facts, Seen};
use crate::doctor::finding::{Finding, Severity};
use crate::domain::consistency::Level;
use crate::domain::position::PositionKind;
use crate::domain::topology::{Engine, Role};

/// What positions are made of where this server is the primary.
fn kind_of(primary: &Seen) -> PositionKind {
    let logs = primary.is_on(&["log_bin"]);
    match primary.engine {
        _ if primary.is_aurora() => PositionKind::Lsn,
        Engine::MySql if logs && primary.is_on(&["gtid_mode"]) => PositionKind::Gtids,
        Engine::MariaDb if logs => PositionKind::MariaDb,
        _ if logs => PositionKind::Binlog,
        _ => PositionKind::Nothing,
    }
}

const fn words(kind: PositionKind) -> &'static str {
    match kind {
        PositionKind::Gtids => "positions are GTID sets",
        PositionKind::MariaDb => "positions are MariaDB GTIDs",
        PositionKind::Lsn => "positions are Aurora's LSNs",
        PositionKind::Binlog => "positions are binlog files and offsets",
        PositionKind::Nothing => "the primary tells no positions",
    }
}

/// Which kind of position is in force.
pub(super) fn kind(facts: &Facts) -> Vec<Finding> {
    let Some((server, primary)) = facts.primary() else {
        return Vec::new();
    };
    let kind = kind_of(primary);
    let finding = |severity| Finding::new(severity, words(kind)).on(&server.address);
    vec![match kind {
        PositionKind::Gtids | PositionKind::MariaDb => Finding::ok(words(kind)),
        PositionKind::Lsn => finding(Severity::Note)
            .why("a reply does not tell them, so after each write the writer's row has to be read")
            .advice("the columns are internal to Aurora: the README says what was verified"),
        PositionKind::Binlog => finding(Severity::Warning)
            .why("a reply does not tell them, so after each write the primary has to be asked, and they do not survive a failover")
            .advice("switch GTIDs on: see gtid_mode; until then the monitor's account needs BACKUP_ADMIN to see the very end of the log"),
        PositionKind::Nothing => finding(Severity::Warning)
            .why("time takes their part: after a write, reads stay on the primary for [consistency] sticky_after_write")
            .option("log_bin = binlog")
            .advice("switch the binlog on and restart the server"),
    }]
}

/// Does every write have a GTID?
pub(super) fn gtid_mode(facts: &Facts) -> Vec<Finding> {
    let servers: Vec<_> = facts
        .seen()
        .filter(|(_, seen)| seen.engine == Engine::MySql && !seen.is_aurora())
        .collect();
    if servers.is_empty() {
        return Vec::new();
    }
    let primary_on = facts
        .primary()
        .is_some_and(|(_, it)| it.is_on(&["gtid_mode"]));
    let mut findings = Vec::new();
    for (server, seen) in servers {
        let mode = seen.variable(&["gtid_mode"]).unwrap_or("unknown");
        if mode == "ON" {
            continue;
        }
        let finding = Finding::warning(format!("gtid_mode is {mode}"))
            .on(&server.address)
            .why("without GTIDs nobody can say which writes a server has")
            .sql(steps(mode))
            .advice("run each step on every server before the next; before the last, wait until Ongoing_anonymous_transaction_count is 0 everywhere");
        // A replica that tells no set can never be compared with a primary that does.
        let lost = server.role == Role::Replica && primary_on;
        findings.push(match lost {
            true => finding.breaks(above_eventual()),
            false => finding,
        });
    }
    or_ok(findings, "gtid_mode is ON")
}

/// The way up from a mode: it can only be changed one step at a time.
fn steps(mode: &str) -> Vec<&'static str> {
    const WAY: [(&str, &str); 4] = [
        ("OFF", "SET PERSIST enforce_gtid_consistency = ON"),
        ("OFF", "SET PERSIST gtid_mode = OFF_PERMISSIVE"),
        ("OFF_PERMISSIVE", "SET PERSIST gtid_mode = ON_PERMISSIVE"),
        ("ON_PERMISSIVE", "SET PERSIST gtid_mode = ON"),
    ];
    let from = WAY.iter().position(|(from, _)| *from == mode).unwrap_or(0);
    WAY.iter().skip(from).map(|(_, step)| *step).collect()
}

/// Is what cannot have a GTID refused?
pub(super) fn enforce_gtid_consistency(facts: &Facts) -> Vec<Finding> {
    let servers: Vec<_> = facts
        .seen()
        .filter(|(_, seen)| seen.engine == Engine::MySql && !seen.is_aurora())
        .collect();
    if servers.is_empty() {
        return Vec::new();
    }
    let name = "enforce_gtid_consistency";
    let findings = servers
        .into_iter()
        .filter(|(_, seen)| !seen.is_on(&[name]))
        .map(|(server, seen)| {
            let value = seen.variable(&[name]).unwrap_or("unknown");
            Finding::warning(format!("{name} is {value}"))
                .on(&server.address)
                .why("gtid_mode cannot be ON without it")
                .sql([format!("SET PERSIST {name} = ON")])
        });
    or_ok(findings.collect(), format!("{name} is ON"))
}

/// Do MariaDB servers refuse numbers out of order?
pub(super) fn gtid_strict_mode(facts: &Facts) -> Vec<Finding> {
    let servers: Vec<_> = facts
        .seen()
        .filter(|(_, seen)| seen.engine == Engine::MariaDb)
        .collect();
    if servers.is_empty() {
        return Vec::new();
    }
    let name = "gtid_strict_mode";
    let findings = servers
        .into_iter()
        .filter(|(_, seen)| !seen.is_on(&[name]))
        .map(|(server, seen)| {
            let finding = Finding::warning(format!("{name} is OFF"))
                .on(&server.address)
                .why("a number names all smaller ones of its domain; a server that takes them out of order may lack some it seems to have, and says nothing");
            set_for_good(finding, seen.engine, name, "ON")
        });
    or_ok(findings.collect(), format!("{name} is ON"))
}

/// Do OK packets tell what was written?
pub(super) fn trackers(facts: &Facts) -> Vec<Finding> {
    let missing = facts.seen().filter_map(|(server, seen)| {
        let refusal = seen.no_trackers.as_ref()?;
        let text = format!("session trackers cannot be set: {}", refusal.message);
        Some(
            Finding::warning(text)
                .on(&server.address)
                .why("the position of a write and the state of a session are read from them")
                .breaks(above_eventual())
                .advice("use a server that has them: MySQL 8.0, MariaDB 10.6 or newer"),
        )
    });
    or_ok(missing.collect(), "every server has session trackers")
}

/// Does the binlog hold rows?
pub(super) fn binlog_format(facts: &Facts) -> Vec<Finding> {
    let Some((server, primary)) = facts.primary() else {
        return Vec::new();
    };
    let Some(format) = primary.variable(&["binlog_format"]) else {
        return Vec::new();
    };
    let seen = format!("binlog_format is {format}");
    let why =
        "a statement that is run again on a replica may give other rows there than on the primary";
    let finding = match format {
        "ROW" => return vec![Finding::ok(seen)],
        "STATEMENT" => Finding::warning(seen),
        _ => Finding::note(seen),
    };
    let finding = finding.on(&server.address).why(why);
    vec![set_for_good(
        finding,
        primary.engine,
        "binlog_format",
        "'ROW'",
    )]
}

/// Does a crash lose what was acknowledged?
pub(super) fn durability(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let relaxed: Vec<String> = ["sync_binlog", "innodb_flush_log_at_trx_commit"]
            .into_iter()
            .filter_map(|name| Some((name, seen.variable(&[name])?)))
            .filter(|(_, value)| *value != "1")
            .map(|(name, value)| format!("{name} is {value}"))
            .collect();
        if relaxed.is_empty() || server.role == Role::Replica {
            continue;
        }
        let finding = Finding::note(relaxed.join(", "))
            .on(&server.address)
            .why("a crash of the machine may lose writes that were acknowledged; replicas may have them, and the primary may give their numbers to others");
        let finding = set_for_good(finding, seen.engine, "sync_binlog", "1");
        let flush = "innodb_flush_log_at_trx_commit";
        findings.push(set_for_good(finding, seen.engine, flush, "1"));
    }
    match facts.primary() {
        Some(_) => or_ok(findings, "the primary writes through at each commit"),
        None => Vec::new(),
    }
}

/// Every level that positions are needed for.
pub(super) fn above_eventual() -> impl Iterator<Item = Level> {
    Level::ALL
        .into_iter()
        .filter(|level| *level != Level::Eventual)
}
