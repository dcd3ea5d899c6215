//! A transaction that somebody only owns on the primary may never be committed.

use mysql_async::prelude::Queryable;

use super::measure::{count, reads_on, until};
use super::support::{Setup, cell, run};
use highwater::rig::ROOT;

const CHOSEN: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";

/// A session that read on the primary while somebody owned a GTID there goes back to the replicas as
/// soon as that is rolled back, and demands it of nobody any more.
#[tokio::test]
async fn what_was_owned_and_rolled_back_keeps_nobody_from_the_replicas() {
    let setup = Setup::with(super::cluster().replicas(1), |config| {
        config.consistency.catch_up_timeout = std::time::Duration::from_secs(3600);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE o (id INT PRIMARY KEY)").await;
    run(&mut conn, "INSERT INTO o VALUES (1)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut owner = setup.cluster.primary().connect(&ROOT).await.unwrap();
    for sql in [
        &format!("SET gtid_next = '{CHOSEN}'"),
        "BEGIN",
        "INSERT INTO app.o VALUES (2)",
    ] {
        owner.query_drop(sql).await.unwrap();
    }
    run(&mut conn, "SELECT id FROM o WHERE id = 1 FOR UPDATE").await;
    let before = reads_on(&setup.proxy, "replica");
    let read = tokio::spawn(async move {
        let rows = cell(&mut conn, "SELECT COUNT(*) FROM o").await;
        (conn, rows)
    });
    until("the read waits for what is owned", || {
        count(&setup.proxy, "sessions", &["state=\"catching_up\""]) == 1
    })
    .await;
    owner.query_drop("ROLLBACK").await.unwrap();
    owner
        .query_drop("SET gtid_next = 'AUTOMATIC'")
        .await
        .unwrap();
    let (mut conn, rows) = read.await.unwrap();
    assert_eq!(rows.as_deref(), Some("1"));
    let position = cell(&mut conn, "SELECT @@highwater_position").await;
    assert!(!position.unwrap().contains(&CHOSEN[..36]));
    run(&mut conn, "SELECT id FROM o WHERE id = 1 FOR UPDATE").await;
    cell(&mut conn, "SELECT COUNT(*) FROM o").await;
    until("both reads ran on the replica", || {
        reads_on(&setup.proxy, "replica") == before + 2
    })
    .await;
    setup.proxy.shut_down().await;
}
