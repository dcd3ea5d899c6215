//! Whether replicas follow this primary, how far behind they are, and what they have of their own.

use super::{or_ok, set_for_good};
use crate::doctor::facts::{Arrival, Channel, Facts, Seen};
use crate::doctor::finding::{Finding, Severity};
use crate::domain::consistency::Level;
use crate::domain::position::GtidSet;
use crate::domain::topology::{Engine, Receiver};

/// More errant transactions than this are not mended one by one.
const FEW: u64 = 10;

/// Whether a channel's source is this server.
pub(super) fn is_from(channel: &Channel, primary: &Seen) -> bool {
    match channel.source_uuid.as_deref() {
        Some(uuid) if !uuid.is_empty() => primary
            .variable(&["server_uuid"])
            .is_some_and(|own| own.eq_ignore_ascii_case(uuid)),
        _ => primary.number(&["server_id"]) == Some(channel.source_id),
    }
}

/// Does every replica follow this primary?
pub(super) fn source(facts: &Facts) -> Vec<Finding> {
    let Some((primary_server, primary)) = facts.primary() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        if seen.is_aurora() || seen.channels.is_err() {
            continue;
        }
        let channels: Vec<_> = seen.sources().collect();
        if channels.iter().any(|channel| is_from(channel, primary)) {
            continue;
        }
        let text = match channels.first() {
            None => "it replicates from nobody".to_owned(),
            Some(channel) => format!("it replicates from {}, another server", channel.source),
        };
        findings.push(
            Finding::warning(text)
                .on(&server.address)
                .why("a server that does not follow the primary has other data: it takes no reads at any level")
                .breaks(Level::ALL)
                .sql(follow(seen.engine, &primary_server.address))
                .advice("or take it out of [cluster] replicas; name the server that takes the writes as primary"),
        );
    }
    match facts.replicas().next() {
        Some(_) => or_ok(findings, "every replica replicates from this primary"),
        None => Vec::new(),
    }
}

fn follow(engine: Engine, primary: &str) -> Vec<String> {
    let (host, port) = primary.rsplit_once(':').unwrap_or((primary, "3306"));
    match engine {
        Engine::MySql => vec![
            "STOP REPLICA".to_owned(),
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{host}', SOURCE_PORT = {port}, \
                 SOURCE_USER = '<account>', SOURCE_PASSWORD = '<password>', SOURCE_AUTO_POSITION = 1"
            ),
            "START REPLICA".to_owned(),
        ],
        Engine::MariaDb => vec![
            "STOP SLAVE".to_owned(),
            format!(
                "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, \
                 MASTER_USER = '<account>', MASTER_PASSWORD = '<password>', MASTER_USE_GTID = slave_pos"
            ),
            "START SLAVE".to_owned(),
        ],
    }
}

/// Do its receiver and applier run?
pub(super) fn runs(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        for channel in seen.sources() {
            let state = match (channel.receiver, channel.applier) {
                (Some(Receiver::Running), true) => continue,
                (Some(Receiver::Connecting), _) => "its receiver cannot connect to its source",
                (Some(Receiver::Running), false) => "its applier does not run",
                (_, true) => "its receiver does not run",
                (_, false) => "neither its receiver nor its applier runs",
            };
            let complaint = match channel.complaint.as_str() {
                "" => String::new(),
                text => format!(": {text}"),
            };
            let start = match seen.engine {
                Engine::MySql => format!("START REPLICA{}", super::history::of_channel(channel)),
                Engine::MariaDb => "START ALL SLAVES".to_owned(),
            };
            findings.push(
                Finding::warning(format!("{state}{complaint}"))
                    .on(&server.address)
                    .why("a replica that stands still takes no reads")
                    .sql([start])
                    .advice("mend first what it complains about"),
            );
        }
    }
    match facts
        .replicas()
        .any(|(_, seen)| seen.sources().next().is_some())
    {
        true => or_ok(findings, "receivers and appliers run"),
        false => findings,
    }
}

/// Do replicas refuse writes, and does the primary take them?
pub(super) fn read_only(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((server, primary)) = facts.primary()
        && primary.is_on(&["read_only"])
    {
        let finding = Finding::failure("the primary is read-only")
            .on(&server.address)
            .why("it refuses every write")
            .sql(match primary.engine {
                Engine::MySql => vec![
                    "SET PERSIST super_read_only = OFF",
                    "SET PERSIST read_only = OFF",
                ],
                Engine::MariaDb => vec!["SET GLOBAL read_only = OFF"],
            })
            .advice("first see that it is the primary: after a failover [cluster] may name the wrong server");
        findings.push(finding);
    }
    for (server, seen) in facts.replicas().filter(|(_, seen)| !seen.is_aurora()) {
        if !seen.is_on(&["read_only"]) {
            let finding = Finding::warning("read_only is OFF")
                .on(&server.address)
                .why("somebody may write past the primary, so it takes no reads at any level")
                .breaks(Level::ALL);
            let name = match seen.engine {
                Engine::MySql => "super_read_only",
                Engine::MariaDb => "read_only",
            };
            findings.push(set_for_good(finding, seen.engine, name, "ON"));
        } else if seen.engine == Engine::MySql && !seen.is_on(&["super_read_only"]) {
            let finding = Finding::warning("super_read_only is OFF")
                .on(&server.address)
                .why("administrators can write past the primary: errant transactions that no other server has");
            findings.push(set_for_good(finding, seen.engine, "super_read_only", "ON"));
        }
    }
    match facts.seen().next() {
        Some(_) => or_ok(
            findings,
            "the primary takes writes and the replicas refuse them",
        ),
        None => Vec::new(),
    }
}

/// How far behind is each replica now?
pub(super) fn lag(facts: &Facts) -> Vec<Finding> {
    let max_lag = facts.asked.max_lag;
    let mut findings = Vec::new();
    let mut slowest = None;
    for (server, seen) in facts.replicas() {
        let channels = || seen.sources();
        let delay = channels().map(|channel| channel.delay).max().unwrap_or(0);
        let behind = channels()
            .filter_map(|channel| channel.seconds_behind)
            .max();
        if delay > 0 {
            let never = delay > max_lag.as_secs();
            let why = match never {
                true => "that is over max_lag: it takes no reads",
                false => "reads above eventual wait for it or go to the primary",
            };
            let severity = match never {
                true => Severity::Warning,
                false => Severity::Note,
            };
            findings.push(
                Finding::new(
                    severity,
                    format!("it holds every transaction back for {delay} s"),
                )
                .on(&server.address)
                .why(why)
                .sql(undelay(seen.engine)),
            );
            continue;
        }
        match seen.arrival {
            Some(Arrival::After(time)) => slowest = slowest.max(Some(time)),
            Some(Arrival::NotWithin(time)) => {
                let missing = missing(facts, seen);
                let behind = behind.map_or(String::new(), |it| format!(", by its own word {it} s"));
                findings.push(
                    Finding::warning(format!(
                        "it is more than {} s behind{missing}{behind}",
                        time.as_secs()
                    ))
                    .on(&server.address)
                    .why(format!(
                        "reads above eventual wait for it or go to the primary; over max_lag ({} s) it takes none",
                        max_lag.as_secs()
                    ))
                    .advice("see what holds it up: a long transaction, a lock, too few appliers, a slow disk"),
                );
            }
            None => {}
        }
    }
    match slowest {
        Some(slowest) => or_ok(
            findings,
            format!(
                "every replica had all of the primary within {} ms",
                slowest.as_millis()
            ),
        ),
        None => findings,
    }
}

fn undelay(engine: Engine) -> [&'static str; 3] {
    match engine {
        Engine::MySql => [
            "STOP REPLICA SQL_THREAD",
            "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 0",
            "START REPLICA SQL_THREAD",
        ],
        Engine::MariaDb => [
            "STOP SLAVE",
            "CHANGE MASTER TO MASTER_DELAY = 0",
            "START SLAVE",
        ],
    }
}

fn missing(facts: &Facts, replica: &Seen) -> String {
    let count = primary_set(facts).and_then(|mut all| {
        all.subtract(&replica.gtids()?);
        Some(all.count())
    });
    count.map_or(String::new(), |count| format!(", {count} transactions"))
}

/// What the primary had or owned after all replicas had been asked.
fn primary_set(facts: &Facts) -> Option<GtidSet> {
    let (_, primary) = facts.primary()?;
    primary.gtids()?;
    GtidSet::parse(primary.executed_later.as_ref()?.as_bytes()).ok()
}

/// Has a replica transactions that the primary does not have?
pub(super) fn errant(facts: &Facts) -> Vec<Finding> {
    let findings: Vec<_> = match facts.primary() {
        Some((_, primary)) if primary.engine == Engine::MariaDb => errant_mariadb(facts, primary),
        Some(_) => match primary_set(facts) {
            Some(known) => errant_mysql(facts, &known),
            None => return Vec::new(),
        },
        None => return Vec::new(),
    };
    match facts.replicas().next() {
        Some(_) => or_ok(findings, "no replica has transactions of its own"),
        None => Vec::new(),
    }
}

const ERRANT: &str = "data that no other server has: reads there differ, and after a failover to it \
                      the others cannot follow; the proxy leaves them out of what it waits for";

fn errant_mysql(facts: &Facts, known: &GtidSet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        let Some(mut own) = seen.gtids() else {
            continue;
        };
        own.subtract(known);
        if own.is_empty() {
            continue;
        }
        let text = format!(
            "{} transactions that the primary does not have: {own}",
            own.count()
        );
        let finding = Finding::warning(text).on(&server.address).why(ERRANT);
        findings.push(match own.count() > FEW {
            true => finding.advice("rebuild the replica from the primary"),
            false => empty_transactions(&own)
                .into_iter()
                .fold(finding, |it, sql| it.sql_on(super::reach::primary_address(facts), sql))
                .advice("these give the primary empty transactions of those names, in one session; what they changed stays on the replica unless it is rebuilt"),
        });
    }
    findings
}

/// Statements that make a server count these transactions as executed. A set prints as
/// `uuid:1-3:7:tag:1,uuid:…`, so that a number follows its uuid and, if it has one, its tag.
fn empty_transactions(set: &GtidSet) -> Vec<String> {
    let mut sql = Vec::new();
    for source in set.to_string().split(',') {
        let mut parts = source.split(':');
        let mut prefix = parts.next().unwrap_or_default().to_owned();
        let uuid = prefix.clone();
        for part in parts {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
                prefix = format!("{uuid}:{part}");
                continue;
            };
            for number in first..=last {
                sql.push(format!("SET SESSION gtid_next = '{prefix}:{number}'"));
                sql.push("BEGIN".to_owned());
                sql.push("COMMIT".to_owned());
            }
        }
    }
    sql.push("SET SESSION gtid_next = 'AUTOMATIC'".to_owned());
    sql
}

/// MariaDB: writes of a replica's own carry its server id, and nobody else's binlog has them.
fn errant_mariadb(facts: &Facts, primary: &Seen) -> Vec<Finding> {
    let known = primary.executed_later.as_deref().unwrap_or_default();
    let known: Vec<_> = known.split(',').filter_map(domain_and_server).collect();
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        let own = seen.executed.split(',').map(str::trim).filter(|gtid| {
            let found = domain_and_server(gtid);
            let is_own = found.is_some_and(|(_, id)| seen.number(&["server_id"]) == Some(id));
            is_own && found.is_some_and(|it| !known.contains(&it))
        });
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            let text = format!(
                "transactions that the primary does not have: {}",
                own.join(", ")
            );
            findings.push(
                Finding::warning(text)
                    .on(&server.address)
                    .why(ERRANT)
                    .advice("rebuild the replica from the primary"),
            );
        }
    }
    findings
}

fn domain_and_server(gtid: &str) -> Option<(u64, u64)> {
    let mut parts = gtid.trim().split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Does the primary still have what its replicas lack?
pub(super) fn purged(facts: &Facts) -> Vec<Finding> {
    let Some((primary_server, primary)) = facts.primary() else {
        return Vec::new();
    };
    let Some(purged) = primary
        .gtids()
        .and_then(|_| GtidSet::parse(primary.variable(&["gtid_purged"])?.as_bytes()).ok())
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas() {
        if seen.gtids().is_some_and(|has| !has.covers(&purged)) {
            let text = format!(
                "it lacks transactions that {} has purged",
                primary_server.address
            );
            findings.push(
                Finding::warning(text)
                    .on(&server.address)
                    .why("it can never catch up from this primary")
                    .advice(
                        "rebuild the replica; keep binlogs longer (binlog_expire_logs_seconds)",
                    ),
            );
        }
    }
    or_ok(
        findings,
        "the primary's binlogs reach back to every replica",
    )
}

/// Could the others follow a replica after a failover?
pub(super) fn log_replica_updates(facts: &Facts) -> Vec<Finding> {
    let names = ["log_replica_updates", "log_slave_updates"];
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas().filter(|(_, seen)| !seen.is_aurora()) {
        if seen.is_on(&names) && seen.is_on(&["log_bin"]) {
            continue;
        }
        let name = match seen.variable(&[names[0]]) {
            Some(_) => names[0],
            None => names[1],
        };
        let text = match seen.is_on(&["log_bin"]) {
            true => format!("{name} is OFF"),
            false => "it writes no binlog".to_owned(),
        };
        findings.push(
            Finding::warning(text)
                .on(&server.address)
                .why("after a failover to it the other replicas could not follow, and what its clients had seen could not be compared")
                .option("log_bin = binlog")
                .option(format!("{name} = ON"))
                .advice("put that into its option file and restart it"),
        );
    }
    match facts.replicas().next() {
        Some(_) => or_ok(findings, "replicas log what they apply"),
        None => Vec::new(),
    }
}

/// Does a replica apply with one hand?
pub(super) fn appliers(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, seen) in facts.replicas().filter(|(_, seen)| !seen.is_aurora()) {
        if seen.appliers() > 1 {
            continue;
        }
        let finding = Finding::note("it applies with one applier")
            .on(&server.address)
            .why("a primary with several writers can outrun it, and then reads wait");
        findings.push(match seen.engine {
            Engine::MySql => {
                let new = seen.variable(&["replica_parallel_workers"]).is_some();
                let (word, verb) = if new {
                    ("replica", "REPLICA")
                } else {
                    ("slave", "SLAVE")
                };
                finding.sql([
                    format!("STOP {verb} SQL_THREAD"),
                    format!("SET PERSIST {word}_preserve_commit_order = ON"),
                    format!("SET PERSIST {word}_parallel_workers = 4"),
                    format!("START {verb} SQL_THREAD"),
                ])
            }
            Engine::MariaDb => finding
                .sql([
                    "STOP ALL SLAVES",
                    "SET GLOBAL slave_parallel_threads = 4",
                    "START ALL SLAVES",
                ])
                .option("slave_parallel_threads = 4"),
        });
    }
    match facts.replicas().next() {
        Some(_) => or_ok(findings, "replicas apply in parallel"),
        None => Vec::new(),
    }
}
