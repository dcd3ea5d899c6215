//! Settings under which a level cannot hold, as `domain::topology::guarantee` judges them.

use super::{or_ok, set_for_good};
use crate::doctor::facts::{Channel, Facts, Seen, Server};
use crate::doctor::finding::Finding;
use crate::domain::consistency::Level;
use crate::domain::topology::guarantee::Flaw;
use crate::domain::topology::{Engine, Role};

/// Does the primary show commits in the order of its binlog?
pub(super) fn ordered_commits(facts: &Facts) -> Vec<Finding> {
    let flaw = Flaw::UnorderedCommits;
    if facts
        .primary()
        .is_none_or(|(_, it)| it.variable(&["binlog_order_commits"]).is_none())
    {
        return Vec::new();
    }
    let findings = flawed(facts, flaw).map(|(server, seen)| {
        let finding = finding(flaw, "binlog_order_commits is OFF").on(&server.address);
        set_for_good(finding, seen.engine, "binlog_order_commits", "ON")
    });
    or_ok(findings.collect(), "binlog_order_commits is ON")
}

/// Is every write in the binlog?
pub(super) fn binlog_filters(facts: &Facts) -> Vec<Finding> {
    let flaw = Flaw::FilteredBinlog;
    let findings = flawed(facts, flaw).map(|(server, seen)| {
        let filter = seen.binlog_filter.as_deref().unwrap_or_default();
        finding(flaw, format!("the binlog is filtered: {filter}"))
            .on(&server.address)
            .advice("take binlog_do_db and binlog_ignore_db out of its option file, restart it, and rebuild the replicas")
    });
    match facts.primary() {
        Some((_, primary)) if primary.binlog_filter.is_ok() => {
            or_ok(findings.collect(), "the primary's binlog has every write")
        }
        _ => Vec::new(),
    }
}

/// Does every replica apply everything?
pub(super) fn replication_filters(facts: &Facts) -> Vec<Finding> {
    let flaw = Flaw::FilteredReplication;
    let findings = flawed(facts, flaw).map(|(server, seen)| {
        let filters = seen.sources().flat_map(|channel| &channel.filters);
        let shown: Vec<_> = filters
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        finding(flaw, format!("replication is filtered: {}", shown.join(", ")))
            .on(&server.address)
            .sql(unfilter(seen))
            .advice("also take the filters out of its option file; what was left out so far stays missing until the replica is rebuilt")
    });
    on_replicas(facts, findings.collect(), "no replica filters")
}

/// Statements that take every filter away.
fn unfilter(seen: &Seen) -> Vec<String> {
    let filtered = seen.sources().filter(|it| !it.filters.is_empty());
    match seen.engine {
        Engine::MySql => filtered.flat_map(unfilter_mysql).collect(),
        Engine::MariaDb => {
            let mut sql = vec!["STOP ALL SLAVES".to_owned()];
            for (name, _) in filtered.flat_map(|channel| &channel.filters) {
                let name = name.to_ascii_lowercase();
                sql.push(match name.as_str() {
                    "replicate_do_domain_ids" => "CHANGE MASTER TO DO_DOMAIN_IDS = ()".to_owned(),
                    "replicate_ignore_domain_ids" => {
                        "CHANGE MASTER TO IGNORE_DOMAIN_IDS = ()".to_owned()
                    }
                    "replicate_ignore_server_ids" => {
                        "CHANGE MASTER TO IGNORE_SERVER_IDS = ()".to_owned()
                    }
                    _ => format!("SET GLOBAL {name} = ''"),
                });
            }
            sql.push("START ALL SLAVES".to_owned());
            sql
        }
    }
}

fn unfilter_mysql(channel: &Channel) -> Vec<String> {
    let of = of_channel(channel);
    let mut rules = Vec::new();
    let mut ignores_servers = false;
    for (name, _) in &channel.filters {
        match name.as_str() {
            "Replicate_Ignore_Server_Ids" => ignores_servers = true,
            _ => rules.push(format!("{} = ()", name.to_ascii_uppercase())),
        }
    }
    let mut sql = vec![format!("STOP REPLICA{of}")];
    if !rules.is_empty() {
        sql.push(format!(
            "CHANGE REPLICATION FILTER {}{of}",
            rules.join(", ")
        ));
    }
    if ignores_servers {
        sql.push(format!(
            "CHANGE REPLICATION SOURCE TO IGNORE_SERVER_IDS = (){of}"
        ));
    }
    sql.push(format!("START REPLICA{of}"));
    sql
}

/// The words that name a channel in MySQL's statements.
pub(super) fn of_channel(channel: &Channel) -> String {
    match channel.name.as_str() {
        "" => String::new(),
        name => format!(" FOR CHANNEL '{}'", name.replace('\'', "''")),
    }
}

/// Do parallel appliers commit in order?
pub(super) fn ordered_appliers(facts: &Facts) -> Vec<Finding> {
    let flaw = Flaw::UnorderedAppliers;
    let findings = flawed(facts, flaw).map(|(server, seen)| {
        let new = seen.variable(&["replica_preserve_commit_order"]).is_some();
        let (name, verb) = match new {
            true => ("replica_preserve_commit_order", "REPLICA"),
            false => ("slave_preserve_commit_order", "SLAVE"),
        };
        let text = format!("{} appliers, and {name} is OFF", seen.appliers());
        finding(flaw, text).on(&server.address).sql([
            format!("STOP {verb} SQL_THREAD"),
            format!("SET PERSIST {name} = ON"),
            format!("START {verb} SQL_THREAD"),
        ])
    });
    on_replicas(facts, findings.collect(), "appliers commit in order")
}

/// Does every replica have one source?
pub(super) fn several_sources(facts: &Facts) -> Vec<Finding> {
    let flaw = Flaw::SeveralSources;
    let primary = facts.primary().map(|(_, primary)| primary);
    let findings = flawed(facts, flaw).map(|(server, seen)| {
        let sources: Vec<_> = seen
            .sources()
            .map(|channel| format!("{:?} from {}", channel.name, channel.source))
            .collect();
        let foreign = seen
            .sources()
            .filter(|channel| !primary.is_some_and(|it| super::replication::is_from(channel, it)));
        finding(
            flaw,
            format!("it has several channels: {}", sources.join(", ")),
        )
        .on(&server.address)
        .sql(foreign.flat_map(|channel| forget(seen.engine, channel)))
        .advice("or keep it out of [cluster] replicas")
    });
    on_replicas(facts, findings.collect(), "every replica has one source")
}

fn forget(engine: Engine, channel: &Channel) -> [String; 2] {
    match engine {
        Engine::MySql => {
            let of = of_channel(channel);
            [
                format!("STOP REPLICA{of}"),
                format!("RESET REPLICA ALL{of}"),
            ]
        }
        Engine::MariaDb => {
            let name = channel.name.replace('\'', "''");
            [
                format!("STOP SLAVE '{name}'"),
                format!("RESET SLAVE '{name}' ALL"),
            ]
        }
    }
}

fn finding(flaw: Flaw, seen: impl Into<String>) -> Finding {
    let levels = Level::ALL.into_iter().filter(|level| flaw.breaks(*level));
    Finding::warning(seen).why(flaw.why()).breaks(levels)
}

fn flawed(facts: &Facts, flaw: Flaw) -> impl Iterator<Item = (&Server, &Seen)> {
    facts.seen().filter(move |(server, seen)| {
        let mut flaws = seen.history().flaws(server.role).iter();
        flaws.any(|found| found == flaw)
    })
}

/// Nothing can be said of replicas where there are none.
fn on_replicas(facts: &Facts, findings: Vec<Finding>, fine: &str) -> Vec<Finding> {
    let mut roles = facts.seen().map(|(server, _)| server.role);
    match roles.any(|role| role == Role::Replica) {
        true => or_ok(findings, fine),
        false => findings,
    }
}
