//! MySQL: one cluster, one setting after the other.

use highwater::config::Account;
use highwater::doctor::finding::Severity::{Failure, Note, Warning};
use highwater::rig::Cluster;

use crate::clinic::{Clinic, alarms, find};

#[tokio::test]
async fn what_is_broken_is_found_and_what_is_said_mends_it() {
    let clinic = Clinic::open(Cluster::builder()).await;
    let (primary, replica) = (clinic.cluster.primary(), clinic.cluster.replica(0));
    let diagnosis = clinic.examine().await;
    assert!(alarms(&diagnosis).is_empty(), "{}", diagnosis.to_text());

    let order = "SET GLOBAL binlog_order_commits = OFF";
    clinic
        .check("binlog_order_commits", primary, Failure, &[order])
        .await;
    let unordered = [
        "STOP REPLICA SQL_THREAD",
        "SET GLOBAL replica_preserve_commit_order = OFF",
        "START REPLICA SQL_THREAD",
    ];
    clinic
        .check("preserve_commit_order", replica, Failure, &unordered)
        .await;
    let filter = [
        "STOP REPLICA SQL_THREAD",
        "CHANGE REPLICATION FILTER REPLICATE_DO_DB = (app), REPLICATE_IGNORE_TABLE = (app.x)",
        "START REPLICA SQL_THREAD",
    ];
    clinic
        .check("replication_filters", replica, Failure, &filter)
        .await;
    let other = clinic.cluster.replica(1).port();
    let second = format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {other} \
         FOR CHANNEL 'o''ther'"
    );
    clinic
        .check("multi_source", replica, Failure, &[second.as_str()])
        .await;
    let mode = "SET GLOBAL gtid_mode = ON_PERMISSIVE";
    clinic.check("gtid_mode", replica, Failure, &[mode]).await;

    let writable = [
        "SET GLOBAL super_read_only = OFF",
        "SET GLOBAL read_only = OFF",
    ];
    clinic.check("read_only", replica, Failure, &writable).await;
    clinic
        .check("read_only", replica, Warning, &writable[..1])
        .await;
    clinic
        .check(
            "read_only",
            primary,
            Failure,
            &["SET GLOBAL read_only = ON"],
        )
        .await;
    let errant = [
        "SET GLOBAL super_read_only = OFF",
        "CREATE TABLE app.errant (a INT)",
        "DROP TABLE app.errant",
        "SET GLOBAL super_read_only = ON",
    ];
    clinic
        .check("errant_transactions", replica, Warning, &errant)
        .await;
    clinic
        .check(
            "replication_runs",
            replica,
            Warning,
            &["STOP REPLICA SQL_THREAD"],
        )
        .await;
    clinic
        .check(
            "replication_runs",
            replica,
            Warning,
            &["STOP REPLICA IO_THREAD"],
        )
        .await;
    let late = [
        "STOP REPLICA SQL_THREAD",
        "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = 7",
        "START REPLICA SQL_THREAD",
    ];
    clinic.check("lag", replica, Note, &late).await;
    let single = [
        "STOP REPLICA SQL_THREAD",
        "SET GLOBAL replica_parallel_workers = 1",
        "START REPLICA SQL_THREAD",
    ];
    clinic
        .check("parallel_appliers", replica, Note, &single)
        .await;
}

#[tokio::test]
async fn settings_and_accounts_are_found_and_mended() {
    let mut clinic = Clinic::open(Cluster::builder().replicas(1)).await;
    let cluster = std::sync::Arc::clone(&clinic.cluster);
    let (primary, replica) = (cluster.primary(), cluster.replica(0));
    clinic
        .check(
            "durability",
            primary,
            Note,
            &["SET GLOBAL sync_binlog = 100"],
        )
        .await;
    for (rule, severity, sql) in [
        (
            "init_connect",
            Warning,
            "SET GLOBAL init_connect = 'SET @a = 1'",
        ),
        ("settings_that_differ", Note, "SET GLOBAL sql_mode = 'ANSI'"),
        (
            "settings_that_differ",
            Note,
            "SET GLOBAL group_concat_max_len = 77",
        ),
        (
            "settings_that_differ",
            Warning,
            "SET GLOBAL max_prepared_stmt_count = 7",
        ),
        (
            "max_allowed_packet",
            Warning,
            "SET GLOBAL max_allowed_packet = 1048576",
        ),
        (
            "max_connections",
            Warning,
            "SET GLOBAL max_connections = 150",
        ),
        (
            "max_connections",
            Warning,
            "SET GLOBAL max_user_connections = 20",
        ),
        ("wait_timeout", Warning, "SET GLOBAL wait_timeout = 100"),
    ] {
        if severity == Warning && rule == "settings_that_differ" {
            // No session can be given another value, and only a restart changes most of these.
            clinic.run(replica, &[sql]).await;
            let diagnosis = clinic.examine().await;
            let found = find(&diagnosis, rule, replica).unwrap();
            assert_eq!(found.mend.options, ["max_prepared_stmt_count = 16382"]);
            clinic
                .run(replica, &["SET GLOBAL max_prepared_stmt_count = 16382"])
                .await;
        } else {
            clinic.check(rule, replica, severity, &[sql]).await;
        }
    }

    let definitions = [
        "CREATE TABLE app.keyless (a INT)",
        "CREATE TABLE app.unique_one (a INT NOT NULL UNIQUE)",
        "CREATE TABLE app.keyed (a INT PRIMARY KEY)",
        "CREATE VIEW app.seen AS SELECT 1 AS a",
        "CREATE TRIGGER app.binds BEFORE INSERT ON app.keyed FOR EACH ROW SET @last = NEW.a",
        "CREATE TRIGGER app.free BEFORE UPDATE ON app.keyed FOR EACH ROW SET NEW.a = NEW.a + @@auto_increment_offset",
        "CREATE FUNCTION app.locks() RETURNS INT RETURN GET_LOCK('l', 0)",
        "CREATE FUNCTION app.plain() RETURNS INT RETURN 1",
    ];
    clinic.run(primary, &definitions).await;
    let diagnosis = clinic.examine().await;
    let found = find(&diagnosis, "primary_keys", primary).unwrap();
    assert_eq!(found.severity, Warning);
    assert_eq!(found.seen, "tables without a primary key: app.keyless");
    let found = find(&diagnosis, "binding_programs", primary).unwrap();
    assert_eq!(found.severity, Note);
    assert!(
        found
            .seen
            .ends_with(": function app.locks, trigger app.binds"),
        "{}",
        found.seen
    );
    let drops = [
        "DROP TABLE app.keyless",
        "DROP TRIGGER app.binds",
        "DROP FUNCTION app.locks",
    ];
    clinic.run(primary, &drops).await;
    let diagnosis = clinic.examine().await;
    for rule in ["primary_keys", "binding_programs"] {
        assert!(find(&diagnosis, rule, primary).is_none(), "{rule}");
    }

    let revoke = "REVOKE REPLICATION CLIENT ON *.* FROM highwater";
    clinic
        .check("monitor_grants", primary, Failure, &[revoke])
        .await;
    let role = [
        "CREATE ROLE reader",
        "GRANT SELECT ON app.* TO reader",
        "GRANT reader TO app",
    ];
    clinic.check("default_roles", primary, Warning, &role).await;
    let limit = "ALTER USER app WITH MAX_USER_CONNECTIONS 9";
    clinic
        .check("authentication_plugins", primary, Warning, &[limit])
        .await;

    // A password that was mistyped here, and an account that only the primary knows.
    clinic.config.users[0] = Account::new("app", "not it");
    let diagnosis = clinic.examine().await;
    let found = find(&diagnosis, "logins", primary).unwrap();
    assert_eq!(found.severity, Failure);
    assert!(!diagnosis.to_text().contains("not it") && !diagnosis.to_json().contains("not it"));
    let local = [
        "SET SESSION sql_log_bin = OFF",
        "CREATE USER here IDENTIFIED BY 'here-pw'",
        "GRANT SELECT ON app.* TO here",
    ];
    clinic.run(primary, &local).await;
    clinic.config.users[0] = Account::new("here", "here-pw");
    let diagnosis = clinic.examine().await;
    assert!(find(&diagnosis, "logins", primary).is_none());
    assert_eq!(
        find(&diagnosis, "logins", replica).unwrap().severity,
        Warning
    );
    assert!(diagnosis.holds());
}

#[tokio::test]
async fn a_server_that_is_frozen_dead_or_of_another_family_is_a_finding() {
    let clinic = Clinic::open(Cluster::builder()).await;
    let (primary, first) = (clinic.cluster.primary(), clinic.cluster.replica(0));
    let second = clinic.cluster.replica(1);
    first.freeze().await.unwrap();
    let diagnosis = clinic.examine().await;
    first.thaw().unwrap();
    let found = find(&diagnosis, "reachable", first).unwrap();
    assert_eq!(found.severity, Warning);
    assert!(found.seen.starts_with("no answer within"), "{}", found.seen);
    assert!(diagnosis.holds());

    // What the primary wrote last has not arrived on a replica that stands still.
    second.stop_applier().await.unwrap();
    primary.exec("CREATE TABLE app.t (a INT)").await.unwrap();
    let diagnosis = clinic.examine().await;
    let found = find(&diagnosis, "lag", second).unwrap();
    assert!(found.seen.contains(", 1 transactions"), "{}", found.seen);
    assert!(find(&diagnosis, "lag", first).is_none());
    second.start_applier().await.unwrap();
    clinic.cluster.wait_all_caught_up().await.unwrap();

    // After a failover that the configuration does not know of.
    clinic.cluster.promote(0).await.unwrap();
    let diagnosis = clinic.examine().await;
    for replica in [first, second] {
        let found = find(&diagnosis, "replicates_from_primary", replica).unwrap();
        assert_eq!(found.severity, Failure);
    }
    primary.kill();
    let diagnosis = clinic.examine().await;
    let found = find(&diagnosis, "reachable", primary).unwrap();
    assert_eq!(found.severity, Failure);
    assert!(!diagnosis.holds());
}
