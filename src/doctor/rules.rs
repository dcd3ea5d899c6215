//! The rules: pure functions from facts to findings, in one table.

mod accounts;
mod capacity;
mod differences;
mod history;
mod position;
mod reach;
mod replication;
mod schema;
#[cfg(test)]
mod tests;
mod traffic;

use std::cmp::Reverse;

use super::facts::{Facts, Seen, Server};
use super::finding::{Diagnosis, Finding, Severity};
use crate::domain::topology::{Engine, Role};

/// One rule: its name, and what it finds. It finds nothing where it does not apply.
struct Rule {
    name: &'static str,
    look: fn(&Facts) -> Vec<Finding>,
}

const fn rule(name: &'static str, look: fn(&Facts) -> Vec<Finding>) -> Rule {
    Rule { name, look }
}

/// Every rule, in the order in which findings of one weight are shown.
const RULES: &[Rule] = &[
    rule("reachable", reach::reachable),
    rule("one_server_behind_address", reach::identity),
    rule("engines", reach::engines),
    rule("versions", reach::versions),
    rule("clocks", reach::clocks),
    rule("monitor_grants", accounts::monitor),
    rule("position_kind", position::kind),
    rule("gtid_mode", position::gtid_mode),
    rule(
        "enforce_gtid_consistency",
        position::enforce_gtid_consistency,
    ),
    rule("gtid_strict_mode", position::gtid_strict_mode),
    rule("session_trackers", position::trackers),
    rule("binlog_order_commits", history::ordered_commits),
    rule("binlog_filters", history::binlog_filters),
    rule("replication_filters", history::replication_filters),
    rule("preserve_commit_order", history::ordered_appliers),
    rule("multi_source", history::several_sources),
    rule("replicates_from_primary", replication::source),
    rule("replication_runs", replication::runs),
    rule("read_only", replication::read_only),
    rule("lag", replication::lag),
    rule("errant_transactions", replication::errant),
    rule("purged_transactions", replication::purged),
    rule("log_replica_updates", replication::log_replica_updates),
    rule("parallel_appliers", replication::appliers),
    rule("binlog_format", position::binlog_format),
    rule("primary_keys", schema::primary_keys),
    rule("binding_programs", schema::binding_programs),
    rule("durability", position::durability),
    rule("init_connect", differences::init_connect),
    rule("settings_that_differ", differences::settings),
    rule("max_allowed_packet", differences::packets),
    rule("time_zones", differences::time_zones),
    rule("max_connections", capacity::connections),
    rule("max_prepared_stmt_count", capacity::statements),
    rule("wait_timeout", capacity::wait_timeout),
    rule("logins", accounts::logins),
    rule("authentication_plugins", accounts::plugins),
    rule("default_roles", accounts::roles),
    rule("same_account_everywhere", accounts::same_everywhere),
    rule("reads_lost_to_transactions", traffic::lost),
];

/// Runs every rule.
pub fn judge(facts: &Facts) -> Diagnosis {
    let mut findings: Vec<Finding> = RULES
        .iter()
        .flat_map(|rule| {
            let found = (rule.look)(facts).into_iter();
            found.map(|finding| weigh(facts, finding, rule.name))
        })
        .collect();
    // Of servers that told nothing, nothing is in order.
    let anything = facts.seen().next().is_some();
    findings.retain(|finding| anything || finding.severity != Severity::Ok);
    findings.sort_by_key(|finding| Reverse(finding.severity));
    Diagnosis {
        levels: facts.asked.levels.clone(),
        findings,
    }
}

/// What takes a configured level away is a failure.
fn weigh(facts: &Facts, mut finding: Finding, rule: &'static str) -> Finding {
    finding.rule = rule;
    let mut configured = facts.asked.levels.iter();
    if configured.any(|(level, _)| finding.breaks.contains(level)) {
        finding.severity = Severity::Failure;
    }
    finding
}

impl Facts {
    /// The servers that told something.
    fn seen(&self) -> impl Iterator<Item = (&Server, &Seen)> {
        self.servers
            .iter()
            .filter_map(|server| Some((server, server.seen.as_deref().ok()?)))
    }

    /// The replicas that told something.
    fn replicas(&self) -> impl Iterator<Item = (&Server, &Seen)> {
        self.seen()
            .filter(|(server, _)| server.role == Role::Replica)
    }

    /// The primary, if it told something.
    fn primary(&self) -> Option<(&Server, &Seen)> {
        self.seen().find(|(server, _)| server.role == Role::Primary)
    }
}

/// The findings, or that all is well.
fn or_ok(findings: Vec<Finding>, seen: impl Into<String>) -> Vec<Finding> {
    match findings.is_empty() {
        true => vec![Finding::ok(seen)],
        false => findings,
    }
}

/// The statement that sets a global variable for good, and the option line where there is no such
/// statement.
fn set_for_good(finding: Finding, engine: Engine, name: &str, value: &str) -> Finding {
    match engine {
        Engine::MySql => finding.sql([format!("SET PERSIST {name} = {value}")]),
        Engine::MariaDb => {
            let line = format!("{name} = {}", value.trim_matches('\''));
            finding
                .sql([format!("SET GLOBAL {name} = {value}")])
                .option(line)
        }
    }
}

/// What is the same everywhere, or what each server has.
fn summary<'a>(facts: &'a Facts, what: impl Fn(&'a Seen) -> String) -> String {
    let mut values: Vec<String> = facts.seen().map(|(_, seen)| what(seen)).collect();
    values.dedup();
    values.join(", ")
}
