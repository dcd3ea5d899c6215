//! What a client does that commits by itself, and what happens when connections go.

use std::process::Command;

use highwater::rig::APP;
use mysql_async::prelude::Queryable;

use crate::deferring;
use crate::measure::{Held, count, reads_on, reason, until};
use crate::python::python;
use crate::support::{cell, run};

/// PyMySQL's default: autocommit off, COMMIT after each unit of work, connections kept.
#[tokio::test]
async fn units_of_work_read_from_replicas_and_see_what_they_committed() {
    let setup = deferring().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "SET AUTOCOMMIT = 0").await;
    run(&mut conn, "CREATE TABLE u (id INT PRIMARY KEY, v INT)").await;
    run(&mut conn, "INSERT INTO u VALUES (1, 0)").await;
    run(&mut conn, "COMMIT").await;
    let before = reads_on(&setup.proxy, "replica");
    for round in 0..100 {
        let read = match round % 2 {
            0 => cell(&mut conn, "SELECT v FROM u WHERE id = 1").await,
            _ => conn
                .exec_first::<i32, _, _>("SELECT v FROM u WHERE id = ?", (1,))
                .await
                .unwrap()
                .map(|v| v.to_string()),
        };
        assert_eq!(
            read,
            Some(round.to_string()),
            "the last unit's commit is seen"
        );
        run(&mut conn, "UPDATE u SET v = v + 1 WHERE id = 1").await;
        let own = cell(&mut conn, "SELECT v FROM u WHERE id = 1").await;
        assert_eq!(
            own,
            Some((round + 1).to_string()),
            "the own write is seen before its commit"
        );
        run(&mut conn, "COMMIT").await;
    }
    // To prepare a read counts as one.
    until("each unit's first read is on a replica", || {
        (100..=102).contains(&(reads_on(&setup.proxy, "replica") - before))
    })
    .await;
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn pymysql_with_its_defaults_reads_from_replicas() {
    const UNITS: u64 = 50;
    let setup = deferring().await;
    let address = setup.proxy.addresses().mysql;
    let mut python = Command::new(python());
    python
        .arg("-c")
        .arg(include_str!("units.py"))
        .args([address.ip().to_string(), address.port().to_string()])
        .args([APP.user, APP.password, "through", &UNITS.to_string()]);
    let output = tokio::task::spawn_blocking(move || python.output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    until("two reads of each unit are on replicas", || {
        reads_on(&setup.proxy, "replica") == 2 * UNITS
    })
    .await;
    let wrote = || count(&setup.proxy, "transaction_reads_total", &["wrote=\"yes\""]);
    until("each unit's end is counted", || wrote() >= UNITS).await;
    assert_eq!(wrote(), UNITS);
    assert_eq!(
        count(&setup.proxy, "transaction_reads_total", &["wrote=\"no\""]),
        0
    );
    setup.proxy.shut_down().await;
}

/// The transaction that waits is on no server, so a connection that goes takes nothing with it.
#[tokio::test]
async fn a_transaction_that_waits_outlives_connections() {
    let setup = deferring().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE l (id INT PRIMARY KEY)").await;
    run(&mut conn, "BEGIN").await;
    cell(&mut conn, "SELECT COUNT(*) FROM l").await;
    for server in [
        setup.cluster.primary(),
        &setup.cluster.replicas()[0],
        &setup.cluster.replicas()[1],
    ] {
        kill_all(server).await;
    }
    assert_eq!(
        cell(&mut conn, "SELECT COUNT(*) FROM l").await.as_deref(),
        Some("0")
    );
    run(&mut conn, "INSERT INTO l VALUES (1)").await;
    run(&mut conn, "ROLLBACK").await;
    assert_eq!(
        cell(&mut conn, "SELECT COUNT(*) FROM l").await.as_deref(),
        Some("0")
    );

    run(&mut conn, "BEGIN").await;
    cell(&mut conn, "SELECT COUNT(*) FROM l").await;
    run(&mut conn, "INSERT INTO l VALUES (1)").await;
    kill_all(setup.cluster.primary()).await;
    assert!(
        conn.query_drop("INSERT INTO l VALUES (2)").await.is_err(),
        "what was open is lost"
    );
    let mut other = setup.connect().await;
    assert_eq!(
        cell(&mut other, "SELECT COUNT(*) FROM l").await.as_deref(),
        Some("0")
    );

    // A reset ends what waits, and what comes next commits by itself.
    run(&mut other, "BEGIN").await;
    cell(&mut other, "SELECT COUNT(*) FROM l").await;
    other.reset().await.unwrap();
    run(&mut other, "INSERT INTO l VALUES (3)").await;
    let mut third = setup.connect().await;
    run(&mut third, "SET highwater_read_consistency = 'global'").await;
    assert_eq!(
        cell(&mut third, "SELECT COUNT(*) FROM l").await.as_deref(),
        Some("1")
    );
    setup.proxy.shut_down().await;
}

async fn kill_all(server: &highwater::rig::Server) {
    let mut root = server.connect(&highwater::rig::ROOT).await.unwrap();
    let ids: Vec<u64> = root
        .query("SELECT id FROM performance_schema.processlist WHERE user = 'app'")
        .await
        .unwrap();
    for id in ids {
        let _ = root.query_drop(format!("KILL {id}")).await;
    }
    root.disconnect().await.unwrap();
}

/// In a transaction a read is never older than the session's own commits, whatever its level says.
#[tokio::test]
async fn weaker_levels_are_no_weaker_than_session_in_a_transaction() {
    let setup = deferring().await;
    let mut conn = setup.connect().await;
    run(
        &mut conn,
        "SET highwater_read_consistency = 'eventual', highwater_catch_up_timeout = 0",
    )
    .await;
    run(&mut conn, "CREATE TABLE w (id INT PRIMARY KEY)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let held = [
        Held::hold(&setup.cluster.replicas()[0]).await,
        Held::hold(&setup.cluster.replicas()[1]).await,
    ];
    run(&mut conn, "INSERT INTO w VALUES (1)").await;
    let count = "SELECT COUNT(*) FROM w";
    assert_eq!(
        cell(&mut conn, count).await.as_deref(),
        Some("0"),
        "eventual, on a replica"
    );
    run(&mut conn, "BEGIN").await;
    assert_eq!(cell(&mut conn, count).await.as_deref(), Some("1"));
    run(&mut conn, "COMMIT").await;
    let timeouts = reason(&setup.proxy, "catch_up_timeout");
    assert!(timeouts > 0, "no replica could answer");
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}
