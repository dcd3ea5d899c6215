//! Whether the servers take as many connections, and keep them as long, as the pools want.

use super::{or_ok, set_for_good};
use crate::doctor::facts::{Facts, Seen};
use crate::doctor::finding::Finding;

/// Connections of the monitor to each server.
const MONITOR: u64 = 5;
/// What should be left for administrators, replicas and whoever else.
const RESERVE: u64 = 10;

/// Is there room for the pools, and for others beside them?
pub(super) fn connections(facts: &Facts) -> Vec<Finding> {
    let pool = u64::try_from(facts.asked.pool_connections).unwrap_or(u64::MAX);
    let needed = pool.saturating_add(MONITOR + RESERVE);
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let Some(most) = seen.number(&["max_connections"]) else {
            continue;
        };
        if most < needed {
            let text = format!(
                "max_connections is {most} ({} in use now); [pool] max_connections is {pool}",
                seen.connections
            );
            let finding = Finding::warning(text).on(&server.address).why(format!(
                "under full load clients get error 1040: the pool wants {pool}, the monitor {MONITOR}, and {RESERVE} should be left for others"
            ));
            let fitting = most.saturating_sub(MONITOR + RESERVE).max(1);
            findings.push(
                set_for_good(finding, seen.engine, "max_connections", &needed.to_string())
                    .configure(format!("[pool] max_connections = {fitting}")),
            );
        }
        if let Some(limit) = user_limit(seen)
            && limit < pool
        {
            let finding = Finding::warning(format!("max_user_connections is {limit}"))
                .on(&server.address)
                .why(format!(
                    "one account may not open the {pool} connections of its pool"
                ));
            findings.push(set_for_good(
                finding,
                seen.engine,
                "max_user_connections",
                "0",
            ));
        }
    }
    match facts.seen().next() {
        Some(_) => or_ok(
            findings,
            format!("every server has room for {pool} pooled connections"),
        ),
        None => Vec::new(),
    }
}

fn user_limit(seen: &Seen) -> Option<u64> {
    seen.number(&["max_user_connections"])
        .filter(|limit| *limit > 0)
}

/// Is there room for the prepared statements of all pooled connections together?
pub(super) fn statements(facts: &Facts) -> Vec<Finding> {
    let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
    let pool = number(facts.asked.pool_connections);
    let each = number(facts.asked.pool_prepared);
    let needed = pool.saturating_mul(each);
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let Some(most) = seen.number(&["max_prepared_stmt_count"]) else {
            continue;
        };
        if most >= needed {
            continue;
        }
        let finding = Finding::warning(format!(
            "max_prepared_stmt_count is {most}; [pool] max_connections times prepared_per_connection is {needed}"
        ))
        .on(&server.address)
        .why("when all connections keep as many prepared statements as they may, clients get error 1461 for one more");
        let finding = set_for_good(
            finding,
            seen.engine,
            "max_prepared_stmt_count",
            &needed.to_string(),
        );
        let fitting = (most / pool.max(1)).max(1);
        findings.push(finding.configure(format!("[pool] prepared_per_connection = {fitting}")));
    }
    match facts.seen().next() {
        Some(_) => or_ok(
            findings,
            format!("every server has room for {needed} prepared statements"),
        ),
        None => Vec::new(),
    }
}

/// Does a server close idle connections before the pool does?
pub(super) fn wait_timeout(facts: &Facts) -> Vec<Finding> {
    let idle = facts.asked.pool_idle.as_secs();
    let mut findings = Vec::new();
    for (server, seen) in facts.seen() {
        let Some(limit) = seen.number(&["wait_timeout"]) else {
            continue;
        };
        if limit > idle {
            continue;
        }
        let finding = Finding::warning(format!(
            "wait_timeout is {limit} s; [pool] idle_timeout is {idle} s"
        ))
        .on(&server.address)
        .why("the server closes pooled connections while they are kept ready, so statements meet closed ones and logins are done anew");
        let finding = set_for_good(finding, seen.engine, "wait_timeout", "28800");
        findings
            .push(finding.configure(format!("[pool] idle_timeout = \"{}s\"", (limit / 2).max(1))));
    }
    match facts.seen().next() {
        Some(_) => or_ok(
            findings,
            "servers keep idle connections longer than the pools",
        ),
        None => Vec::new(),
    }
}
