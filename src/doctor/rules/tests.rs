//! Each rule on facts that are in order, and on facts that are not.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod cases;

use std::time::Duration;

use super::*;
use crate::doctor::facts::*;
use crate::domain::consistency::Level;
use crate::domain::topology::Receiver;
use cases::CASES;

const PRIMARY: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const REPLICA: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429563";

fn seen(engine: Engine, role: Role) -> Seen {
    let common = [
        ("log_bin", "ON"),
        ("binlog_format", "ROW"),
        ("sync_binlog", "1"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("init_connect", ""),
        ("max_connections", "500"),
        ("max_prepared_stmt_count", "16382"),
        ("max_user_connections", "0"),
        ("max_allowed_packet", "67108864"),
        ("wait_timeout", "28800"),
        ("sql_mode", "STRICT_TRANS_TABLES"),
        ("time_zone", "SYSTEM"),
        ("system_time_zone", "UTC"),
        ("lower_case_table_names", "0"),
    ];
    let mysql = [
        ("version", "9.7.4"),
        ("gtid_mode", "ON"),
        ("gtid_purged", ""),
        ("enforce_gtid_consistency", "ON"),
        ("binlog_order_commits", "ON"),
        ("replica_parallel_workers", "4"),
        ("replica_preserve_commit_order", "ON"),
        ("log_replica_updates", "ON"),
    ];
    let mariadb = [
        ("version", "10.11.19-MariaDB-log"),
        ("gtid_strict_mode", "ON"),
        ("slave_parallel_threads", "4"),
        ("log_slave_updates", "ON"),
    ];
    let own: &[(&str, &str)] = match engine {
        Engine::MySql => &mysql,
        Engine::MariaDb => &mariadb,
    };
    let (id, uuid) = match role {
        Role::Primary => ("1", PRIMARY),
        Role::Replica => ("2", REPLICA),
    };
    let mut variables: std::collections::BTreeMap<String, String> = common
        .iter()
        .chain(own)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    variables.insert("server_id".into(), id.into());
    variables.insert("server_uuid".into(), uuid.into());
    let read_only = if role == Role::Replica { "ON" } else { "OFF" };
    variables.insert("read_only".into(), read_only.into());
    variables.insert("super_read_only".into(), read_only.into());
    Seen {
        engine,
        variables,
        identities: [uuid.to_owned()].into(),
        account: "'watch'@'%'".into(),
        grants: vec!["GRANT REPLICATION CLIENT ON *.* TO `watch`@`%`".into()],
        channels: Ok(match role {
            Role::Primary => Vec::new(),
            Role::Replica => vec![channel()],
        }),
        binlog_filter: Ok(String::new()),
        executed: match engine {
            Engine::MySql => format!("{PRIMARY}:1-90"),
            Engine::MariaDb => "0-1-90".into(),
        },
        executed_later: (role == Role::Primary).then(|| match engine {
            Engine::MySql => format!("{PRIMARY}:1-100"),
            Engine::MariaDb => "0-1-100".into(),
        }),
        no_trackers: None,
        clock: Some(Clock {
            ahead: 200,
            error: 300,
        }),
        named_zones: true,
        connections: 7,
        arrival: (role == Role::Replica).then_some(Arrival::After(Duration::from_millis(3))),
        logins: vec![Login {
            user: "app".into(),
            seen: Ok(LoginSeen {
                account: "'app'@'%'".into(),
                plugin: Some("caching_sha2_password".into()),
                connections: None,
                role_active: false,
                grants: vec!["GRANT SELECT ON *.* TO `app`@`%`".into()],
                definitions: (role == Role::Primary).then(Definitions::default),
            }),
        }],
    }
}

fn channel() -> Channel {
    Channel {
        receiver: Some(Receiver::Running),
        applier: true,
        source_uuid: Some(PRIMARY.into()),
        source_id: 1,
        source: "db1:3306".into(),
        by_gtid: true,
        seconds_behind: Some(0),
        ..Channel::default()
    }
}

fn facts(engine: Engine) -> Facts {
    let server = |address: &str, role| Server {
        address: address.into(),
        role,
        seen: Ok(Box::new(seen(engine, role))),
    };
    Facts {
        asked: Asked {
            levels: vec![(Level::Session, "[consistency] level".into())],
            max_lag: Duration::from_secs(30),
            pool_connections: 200,
            pool_prepared: 80,
            pool_idle: Duration::from_secs(300),
            monitor: "watch".into(),
        },
        servers: vec![
            server("db1:3306", Role::Primary),
            server("db2:3306", Role::Replica),
        ],
        traffic: Some(Traffic {
            page: "the page".into(),
            by_replicas: 90,
            ..Traffic::default()
        }),
    }
}

fn at(facts: &mut Facts, index: usize) -> &mut Seen {
    facts.servers[index].seen.as_mut().unwrap()
}

fn set(facts: &mut Facts, index: usize, name: &str, value: &str) {
    at(facts, index)
        .variables
        .insert(name.to_owned(), value.to_owned());
}

fn replica_channel(facts: &mut Facts) -> &mut Channel {
    &mut at(facts, 1).channels.as_mut().unwrap()[0]
}

fn login(facts: &mut Facts, index: usize) -> &mut LoginSeen {
    at(facts, index).logins[0].seen.as_mut().unwrap()
}

fn refusal(code: u16) -> Refusal {
    Refusal {
        code,
        message: "no".into(),
    }
}

#[test]
fn servers_that_are_in_order_are_all_ok() {
    for engine in [Engine::MySql, Engine::MariaDb] {
        let diagnosis = judge(&facts(engine));
        let bad: Vec<_> = diagnosis
            .findings
            .iter()
            .filter(|it| it.severity != Severity::Ok)
            .collect();
        assert!(bad.is_empty(), "{engine:?}: {bad:#?}");
        let rules: Vec<_> = diagnosis.findings.iter().map(|it| it.rule).collect();
        // A rule says nothing only where it cannot apply.
        for rule in RULES.iter().map(|rule| rule.name) {
            let other = match engine {
                Engine::MySql => &["gtid_strict_mode"][..],
                Engine::MariaDb => &[
                    "gtid_mode",
                    "enforce_gtid_consistency",
                    "binlog_order_commits",
                    "purged_transactions",
                ],
            };
            assert_eq!(
                rules.contains(&rule),
                !other.contains(&rule),
                "{engine:?} {rule}"
            );
        }
        assert!(diagnosis.holds());
    }
}

#[test]
fn each_rule_finds_what_is_not_in_order() {
    for (number, (rule, engine, spoil, severity, mend)) in CASES.iter().enumerate() {
        let mut facts = facts(*engine);
        spoil(&mut facts);
        let found = judge(&facts);
        let found: Vec<_> = found
            .findings
            .iter()
            .filter(|it| it.rule == *rule && it.severity != Severity::Ok)
            .collect();
        let fits = found.iter().any(|finding| {
            let it = &finding.mend;
            let mut parts = it.sql.clone();
            parts.extend(it.options.clone());
            parts.extend(it.configuration.clone());
            let whole = format!("{}|{}", parts.join(";"), it.advice);
            finding.severity == *severity && whole.contains(mend) && !finding.why.is_empty()
        });
        assert!(fits, "case {number}, {rule}: {found:#?}");
    }
}

#[test]
fn every_rule_has_a_case() {
    for rule in RULES {
        assert!(
            CASES.iter().any(|case| case.0 == rule.name),
            "{}",
            rule.name
        );
    }
}

#[test]
fn what_breaks_no_configured_level_is_no_failure() {
    let mut facts = facts(Engine::MySql);
    facts.asked.levels = vec![(Level::Eventual, "[consistency] level".into())];
    set(&mut facts, 0, "binlog_order_commits", "OFF");
    replica_channel(&mut facts).filters = vec![("Replicate_Do_DB".into(), "app".into())];
    let diagnosis = judge(&facts);
    assert!(diagnosis.holds(), "{:#?}", diagnosis.findings);
    assert_eq!(diagnosis.count(Severity::Warning), 2);
    assert!(diagnosis.findings[0].breaks.contains(&Level::Session));
    // The same for one account that asks for more.
    facts
        .asked
        .levels
        .push((Level::Session, "[[user]] app".into()));
    assert!(!judge(&facts).holds());
}

#[test]
fn a_dead_primary_leaves_the_rules_nothing_to_stumble_over() {
    let mut facts = facts(Engine::MySql);
    facts.servers[0].seen = Err(Silence::Unreachable("gone".into()));
    assert!(!judge(&facts).holds());
    facts.servers[1].seen = Err(Silence::Unreachable("gone".into()));
    facts.traffic = None;
    let rules: Vec<_> = judge(&facts).findings.iter().map(|it| it.rule).collect();
    assert_eq!(rules, ["reachable", "reachable"]);
}
