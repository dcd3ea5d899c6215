//! MariaDB, in its own words.

use highwater::doctor::finding::Severity::{Failure, Note, Warning};
use highwater::rig::{Cluster, Engine};

use crate::clinic::{Clinic, alarms, find};

#[tokio::test]
async fn what_is_broken_is_found_and_what_is_said_mends_it() {
    let clinic = Clinic::open(Cluster::builder().engine(Engine::MariaDb)).await;
    let (primary, replica) = (clinic.cluster.primary(), clinic.cluster.replica(0));
    let diagnosis = clinic.examine().await;
    assert!(alarms(&diagnosis).is_empty(), "{}", diagnosis.to_text());

    for server in [primary, replica] {
        let sql = "SET GLOBAL gtid_strict_mode = OFF";
        clinic
            .check("gtid_strict_mode", server, Warning, &[sql])
            .await;
    }
    let filter = [
        "STOP SLAVE",
        "SET GLOBAL replicate_do_db = 'app'",
        "SET GLOBAL replicate_wild_ignore_table = 'app.x%'",
        "CHANGE MASTER TO IGNORE_DOMAIN_IDS = (7)",
        "START SLAVE",
    ];
    clinic
        .check("replication_filters", replica, Failure, &filter)
        .await;
    let other = clinic.cluster.replica(1).port();
    let second = format!(
        "CHANGE MASTER 'other' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {other}, \
         MASTER_USER = 'repl', MASTER_PASSWORD = 'repl-pw', MASTER_USE_GTID = slave_pos"
    );
    clinic
        .check("multi_source", replica, Failure, &[second.as_str()])
        .await;
    clinic
        .check(
            "read_only",
            replica,
            Failure,
            &["SET GLOBAL read_only = OFF"],
        )
        .await;
    clinic
        .check(
            "binlog_format",
            primary,
            Warning,
            &["SET GLOBAL binlog_format = 'STATEMENT'"],
        )
        .await;
    clinic
        .check(
            "replication_runs",
            replica,
            Warning,
            &["STOP SLAVE SQL_THREAD"],
        )
        .await;
    let late = [
        "STOP SLAVE",
        "CHANGE MASTER TO MASTER_DELAY = 7",
        "START SLAVE",
    ];
    clinic.check("lag", replica, Note, &late).await;
    let single = [
        "STOP SLAVE",
        "SET GLOBAL slave_parallel_threads = 0",
        "START SLAVE",
    ];
    clinic
        .check("parallel_appliers", replica, Note, &single)
        .await;
    clinic
        .check(
            "monitor_grants",
            primary,
            Failure,
            &["REVOKE BINLOG MONITOR ON *.* FROM highwater"],
        )
        .await;
    clinic
        .check(
            "monitor_grants",
            replica,
            Failure,
            &[
                "SET SESSION sql_log_bin = OFF",
                "REVOKE SLAVE MONITOR ON *.* FROM highwater",
            ],
        )
        .await;

    // What an administrator wrote past the primary: read_only does not stop one.
    let errant = [
        "SET SESSION gtid_domain_id = 9",
        "CREATE TABLE app.errant (a INT)",
    ];
    clinic.run(replica, &errant).await;
    let diagnosis = clinic.examine().await;
    let found = find(&diagnosis, "errant_transactions", replica).unwrap();
    assert_eq!(found.severity, Warning);
    assert!(found.seen.ends_with(": 9-2-1"), "{}", found.seen);

    clinic.cluster.promote(0).await.unwrap();
    let diagnosis = clinic.examine().await;
    for replica in clinic.cluster.replicas() {
        let found = find(&diagnosis, "replicates_from_primary", replica).unwrap();
        assert_eq!(found.severity, Failure);
    }
}
