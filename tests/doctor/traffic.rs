//! Reads that a running proxy could not offload.

use highwater::doctor::finding::Severity;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;

use crate::support::{Setup, run};

#[tokio::test]
async fn the_share_of_reads_lost_to_transactions_is_named() {
    let setup = Setup::with(Cluster::builder().replicas(1), |_| {}).await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (a INT PRIMARY KEY)").await;
    for _ in 0..6 {
        let _: Vec<u32> = conn.query("SELECT a FROM t").await.unwrap();
    }
    run(&mut conn, "BEGIN").await;
    let _: Vec<u32> = conn.query("SELECT a FROM t").await.unwrap();
    run(&mut conn, "COMMIT").await;
    run(&mut conn, "SET autocommit = 0").await;
    for _ in 0..3 {
        let _: Vec<u32> = conn.query("SELECT a FROM t").await.unwrap();
    }
    run(&mut conn, "COMMIT").await;
    conn.disconnect().await.unwrap();

    let mut config = crate::support::config(&setup.cluster);
    config.http.listen = setup.proxy.addresses().http;
    let diagnosis = highwater::doctor::examine(&config, &|_| ()).await;
    let found = diagnosis
        .findings
        .iter()
        .find(|it| it.rule == "reads_lost_to_transactions")
        .unwrap();
    assert_eq!(found.severity, Severity::Warning);
    // The driver reads once at its login; with autocommit off only the first read opens one.
    let words = "36 % went to the primary because of transactions \
                 (27 % stood in an open one, 9 % opened one because autocommit is off), \
                 36 % before the transaction had written anything";
    assert!(found.seen.starts_with("of 11 reads"), "{}", found.seen);
    assert!(found.seen.ends_with(words), "{}", found.seen);
    assert!(found.mend.configuration[0].contains("replica_until_write"));
}
