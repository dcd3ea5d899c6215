//! What a transaction that is opened late must not change: its savepoints, and how old it may be.

use std::time::{Duration, Instant};

use highwater::rig::{APP, Engine};

use super::seen::run as see;
use crate::measure::Held;
use crate::support::raw::usual;
use crate::support::{cell, run};
use crate::{deferring, deferring_on, directly, through};

/// With autocommit off a savepoint may stand before anything was read or written.
#[tokio::test]
async fn a_savepoint_before_the_first_read_stays() {
    const SCRIPT: [&str; 19] = [
        "CREATE TABLE s (id INT PRIMARY KEY)",
        "SET autocommit = 0",
        "SAVEPOINT a",
        "SELECT COUNT(*) FROM s",
        "INSERT INTO s VALUES (1)",
        "ROLLBACK TO a",
        "COMMIT",
        "SELECT COUNT(*) FROM s",
        "COMMIT",
        "SAVEPOINT a",
        "SELECT COUNT(*) FROM s",
        "SAVEPOINT b",
        "INSERT INTO s VALUES (2)",
        "ROLLBACK TO b",
        "RELEASE SAVEPOINT a",
        "ROLLBACK",
        "SAVEPOINT a",
        "SELECT COUNT(*) FROM s",
        "ROLLBACK TO a",
    ];
    for engine in [Engine::MySql, Engine::MariaDb] {
        let setup = deferring_on(engine).await;
        let mut client = through(&setup, usual()).await;
        let mut direct = directly(&setup, usual()).await;
        let mut wrong = Vec::new();
        for sql in SCRIPT {
            let got = see(&mut client, sql).await;
            let expected = see(&mut direct, sql).await;
            if got != expected {
                wrong.push(format!("{sql}: got {got:?}, expected {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{engine:?}:\n{}", wrong.join("\n"));
        setup.proxy.shut_down().await;
    }
}

/// In a transaction `bounded` promises what it promises outside.
#[tokio::test]
async fn bounded_stays_bounded_in_a_transaction() {
    const STALENESS: Duration = Duration::from_millis(300);
    let setup = deferring().await;
    let mut writer = setup.cluster.primary().connect(&APP).await.unwrap();
    run(&mut writer, "CREATE TABLE b (v INT)").await;
    run(&mut writer, "INSERT INTO b VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut conn = setup.connect().await;
    run(
        &mut conn,
        "SET highwater_read_consistency = 'bounded', highwater_catch_up_timeout = 0, \
         highwater_max_staleness = 300",
    )
    .await;
    let held = [
        Held::hold(&setup.cluster.replicas()[0]).await,
        Held::hold(&setup.cluster.replicas()[1]).await,
    ];
    run(&mut writer, "UPDATE b SET v = 1").await;
    let due = Instant::now() + STALENESS;
    while Instant::now() < due {
        run(&mut conn, "SELECT v FROM b").await;
    }
    assert_eq!(
        cell(&mut conn, "SELECT v FROM b").await.as_deref(),
        Some("1")
    );
    let mut other = setup.connect().await;
    run(
        &mut other,
        "SET highwater_read_consistency = 'bounded', highwater_catch_up_timeout = 0, \
         highwater_max_staleness = 300",
    )
    .await;
    run(&mut other, "BEGIN").await;
    assert_eq!(
        cell(&mut other, "SELECT v FROM b").await.as_deref(),
        Some("1")
    );
    run(&mut other, "COMMIT").await;
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}
