//! Settings that differ between servers, so that a split can be seen in answers.

use super::{or_ok, set_for_good};
use crate::doctor::facts::{Facts, Seen};
use crate::doctor::finding::{Finding, Severity};
use crate::domain::topology::Role;

/// Settings that every session starts with. Highwater sets them on its connections as the primary has
/// them, so a difference costs a little and shows nowhere.
const EVENED: &[&str] = &[
    "sql_mode",
    "time_zone",
    "character_set_server",
    "collation_server",
    "default_collation_for_utf8mb4",
    "transaction_isolation",
    "tx_isolation",
    "group_concat_max_len",
    "default_week_format",
    "div_precision_increment",
    "lc_time_names",
    "explicit_defaults_for_timestamp",
    "sql_select_limit",
    "max_sort_length",
    "cte_max_recursion_depth",
    "block_encryption_mode",
    "sql_big_selects",
    "max_join_size",
    "max_execution_time",
    "max_statement_time",
    "optimizer_switch",
    "big_tables",
    "autocommit",
];

/// Settings that no session can set: what to know of each.
const FIXED: &[(&str, &str)] = &[
    (
        "lower_case_table_names",
        "a table is found on one server and not on another",
    ),
    ("ft_min_word_len", "full text searches find different rows"),
    ("ft_max_word_len", "full text searches find different rows"),
    ("ft_stopword_file", "full text searches find different rows"),
    (
        "ft_query_expansion_limit",
        "full text searches find different rows",
    ),
    (
        "innodb_ft_min_token_size",
        "full text searches find different rows",
    ),
    (
        "innodb_ft_max_token_size",
        "full text searches find different rows",
    ),
    (
        "innodb_ft_server_stopword_table",
        "full text searches find different rows",
    ),
    ("ngram_token_size", "full text searches find different rows"),
    (
        "regexp_time_limit",
        "a regular expression fails on one server and not on another",
    ),
    (
        "regexp_stack_limit",
        "a regular expression fails on one server and not on another",
    ),
    (
        "character_set_filesystem",
        "file names are read differently",
    ),
    ("skip_show_database", "SHOW DATABASES answers differently"),
    (
        "max_prepared_stmt_count",
        "a statement can be prepared on one server and not on another",
    ),
];

/// Is there a setting that answers depend on and that differs?
pub(super) fn settings(facts: &Facts) -> Vec<Finding> {
    let Some((_, primary)) = facts.primary() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        for name in EVENED {
            if let Some((own, theirs)) = differing(seen, primary, name) {
                let finding = Finding::note(format!("{name} is {own}, on the primary {theirs}"))
                    .on(&server.address)
                    .why("Highwater sets the primary's value on its connections; other clients see the difference");
                findings.push(set_for_good(finding, seen.engine, name, &literal(theirs)));
            }
        }
        for (name, effect) in FIXED {
            if let Some((own, theirs)) = differing(seen, primary, name) {
                findings.push(
                    Finding::warning(format!("{name} is {own}, on the primary {theirs}"))
                        .on(&server.address)
                        .why(*effect)
                        .option(format!("{name} = {theirs}"))
                        .advice("put that into its option file and restart it"),
                );
            }
        }
    }
    match facts.replicas().next() {
        Some(_) => or_ok(
            findings,
            "settings that answers depend on are the same everywhere",
        ),
        None => Vec::new(),
    }
}

fn differing<'a>(own: &'a Seen, primary: &'a Seen, name: &str) -> Option<(&'a str, &'a str)> {
    let (own, primary) = (own.variable(&[name])?, primary.variable(&[name])?);
    (own != primary).then_some((own, primary))
}

/// A value as SHOW VARIABLES prints it, as SQL takes it.
fn literal(value: &str) -> String {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number = !digits.is_empty()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.parse::<f64>().is_ok();
    match number {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")),
    }
}

/// Does a statement run at each login?
pub(super) fn init_connect(facts: &Facts) -> Vec<Finding> {
    let findings = facts.seen().filter_map(|(server, seen)| {
        let sql = seen.variable(&["init_connect"])?;
        if sql.is_empty() {
            return None;
        }
        let severity = match server.role {
            Role::Primary => Severity::Note,
            Role::Replica => Severity::Warning,
        };
        let finding = Finding::new(severity, "init_connect is set")
            .on(&server.address)
            .why(match server.role {
                Role::Primary => "it runs for each client, as on the server alone, and for each pooled connection and each of the monitor's besides: both accounts need the rights for it",
                Role::Replica => "it runs for each pooled connection and for no client; what it writes fails on a replica and ends the connection",
            });
        Some(set_for_good(finding, seen.engine, "init_connect", "''"))
    });
    or_ok(findings.collect(), "init_connect is empty")
}

/// Does every server take packets as large as the primary?
pub(super) fn packets(facts: &Facts) -> Vec<Finding> {
    let name = "max_allowed_packet";
    let Some(theirs) = facts
        .primary()
        .and_then(|(_, primary)| primary.number(&[name]))
    else {
        return Vec::new();
    };
    let smaller = facts.replicas().filter_map(|(server, seen)| {
        let own = seen.number(&[name])?;
        if own >= theirs {
            return None;
        }
        let finding = Finding::warning(format!("{name} is {own}, on the primary {theirs}"))
            .on(&server.address)
            .why("a large read that the primary would answer fails there");
        Some(set_for_good(
            finding,
            seen.engine,
            name,
            &theirs.to_string(),
        ))
    });
    or_ok(
        smaller.collect(),
        format!("{name} is {theirs} or more everywhere"),
    )
}

/// Is a local time the same everywhere?
pub(super) fn time_zones(facts: &Facts) -> Vec<Finding> {
    let Some((primary_server, primary)) = facts.primary() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        let system = primary.variable(&["time_zone"]) == Some("SYSTEM");
        if let Some((own, theirs)) = differing(seen, primary, "system_time_zone")
            && system
        {
            findings.push(
                Finding::warning(format!("the machine's time zone is {own}, the primary's {theirs}"))
                    .on(&server.address)
                    .why("time_zone is SYSTEM, so sessions see other local times there")
                    .sql_on(&primary_server.address, "SET GLOBAL time_zone = '+00:00'")
                    .advice("any zone will do that is the same everywhere; also set default_time_zone in the option files"),
            );
        }
        if seen.named_zones != primary.named_zones {
            let (with, without) = match seen.named_zones {
                true => (&server.address, &primary_server.address),
                false => (&primary_server.address, &server.address),
            };
            findings.push(
                Finding::warning(format!("named time zones are loaded on {with} and not on {without}"))
                    .on(without)
                    .why("CONVERT_TZ answers NULL there")
                    .advice("load them on the primary, so that they replicate: mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql"),
            );
        }
    }
    match facts.replicas().next() {
        Some(_) => or_ok(findings, "time zones are the same everywhere"),
        None => Vec::new(),
    }
}
