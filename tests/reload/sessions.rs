//! Sessions that are open while the configuration changes.

use highwater::config::{OnTimeout, PoolMode};
use highwater::domain::consistency::Level;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;
use std::time::Duration;

use super::stage::until;
use super::{cell, fill, rows, run, staged};

const LEVEL: &str = "SELECT @@highwater_read_consistency";

async fn level(conn: &mut mysql_async::Conn) -> String {
    cell(conn, LEVEL).await.unwrap()
}

#[tokio::test]
async fn transactions_and_prepared_statements_go_on() {
    let staged = staged(Cluster::builder().replicas(1), |_| {}).await;
    fill(&staged.setup).await;
    let mut open = staged.setup.connect().await;
    run(&mut open, "BEGIN").await;
    run(&mut open, "INSERT INTO kept VALUES (8)").await;
    let mut reader = staged.setup.connect().await;
    run(&mut reader, "START TRANSACTION READ ONLY").await;
    cell(&mut reader, "SELECT COUNT(*) FROM kept").await;
    let mut prepared = staged.setup.connect().await;
    let statement = prepared.prep("SELECT v + ? FROM kept").await.unwrap();
    run(&mut prepared, "SET @own = 5").await;

    let said = staged
        .reload(|config| {
            config.consistency.level = Level::Global;
            config.pool.max_connections = 50;
            config.pool.idle_timeout = Duration::from_secs(7);
            config.limits.max_sessions = 77;
            config.monitor.interval = Duration::from_millis(100);
            config.proxy.workers = 3;
        })
        .await;
    let expected = [
        "proxy.workers: 1 -> 3: needs a restart; the old value stays in force",
        "consistency.level: session -> global: in force; sessions that set it themselves keep theirs",
        "monitor.interval: 200ms -> 100ms: in force",
        "pool.max_connections: 200 -> 50: in force",
        "pool.idle_timeout: 5m -> 7s: in force",
        "limits.max_sessions: 10000 -> 77: in force",
    ];
    assert_eq!(said, expected);
    // What needs a restart is said every time.
    assert_eq!(staged.reload(|_| {}).await, expected[..1]);

    // The transaction is the same one, and what its session did not set is new from its end on.
    assert_eq!(level(&mut open).await, "session");
    assert_eq!(
        cell(&mut open, "SELECT COUNT(*) FROM kept")
            .await
            .as_deref(),
        Some("2")
    );
    run(&mut open, "COMMIT").await;
    assert_eq!(level(&mut open).await, "global");
    assert_eq!(
        cell(&mut reader, "SELECT COUNT(*) FROM kept")
            .await
            .as_deref(),
        Some("1")
    );
    run(&mut reader, "COMMIT").await;
    assert_eq!(
        cell(&mut reader, "SELECT COUNT(*) FROM kept")
            .await
            .as_deref(),
        Some("2")
    );
    let sum: Option<i64> = prepared.exec_first(&statement, (1,)).await.unwrap();
    assert_eq!(sum, Some(8));
    assert_eq!(
        cell(&mut prepared, "SELECT @own").await.as_deref(),
        Some("5")
    );

    let mut conn = staged.admin().await;
    let config = "SELECT value FROM config WHERE name IN \
                  ('consistency.level', 'proxy.workers', 'pool.max_connections', 'monitor.interval')";
    let in_force = [["1"], ["global"], ["100ms"], ["50"]];
    assert_eq!(rows(&mut conn, config).await, in_force);
    let max = "SELECT max FROM pools LIMIT 1";
    assert_eq!(rows(&mut conn, max).await, [["50"]]);
    let page = staged.setup.proxy.metrics().render().unwrap();
    for line in [
        "highwater_config_reloads_total{outcome=\"done\"} 2\n",
        "highwater_config_reloads_total{outcome=\"refused\"} 0\n",
        "highwater_config_reload_timestamp_seconds ",
    ] {
        assert!(page.contains(line), "{page}");
    }
}

#[tokio::test]
async fn what_a_session_set_itself_stays() {
    let staged = staged(Cluster::builder().replicas(1), |_| {}).await;
    let [mut own, mut back, mut reset] = [
        staged.setup.connect().await,
        staged.setup.connect().await,
        staged.setup.connect().await,
    ];
    for conn in [&mut own, &mut back, &mut reset] {
        run(conn, "SET @@highwater_read_consistency = 'eventual'").await;
    }
    run(&mut own, "SET @@highwater_catch_up_timeout = 11").await;
    run(&mut back, "SET @@highwater_read_consistency = DEFAULT").await;
    staged
        .reload(|config| {
            config.consistency.level = Level::Global;
            config.consistency.catch_up_timeout = Duration::from_millis(1234);
            config.consistency.max_staleness = Duration::from_millis(77);
            config.consistency.on_timeout = OnTimeout::Error;
        })
        .await;
    assert_eq!(level(&mut own).await, "eventual");
    let all =
        "SELECT @@highwater_catch_up_timeout, @@highwater_max_staleness, @@highwater_on_timeout";
    assert_eq!(rows(&mut own, all).await, [["11", "77", "error"]]);
    assert_eq!(rows(&mut back, all).await, [["1234", "77", "error"]]);
    assert_eq!(level(&mut back).await, "global");
    assert_eq!(level(&mut reset).await, "eventual");
    reset.reset().await.unwrap();
    assert_eq!(level(&mut reset).await, "global");
    assert_eq!(level(&mut staged.setup.connect().await).await, "global");
    // A user's own wish counts for its sessions, and comes before the common one.
    let of_user = |level| {
        move |config: &mut highwater::config::Config| config.users[0].consistency.level = level
    };
    let said = staged.reload(of_user(Some(Level::Proxy))).await;
    assert!(
        said[0].starts_with("user.app.consistency: nothing -> proxy"),
        "{said:?}"
    );
    assert_eq!(level(&mut back).await, "proxy");
    staged.reload(of_user(None)).await;
    assert_eq!(level(&mut back).await, "global");
}

#[tokio::test]
async fn switches_outlive_a_reload() {
    let staged = staged(Cluster::builder().replicas(1), |_| {}).await;
    fill(&staged.setup).await;
    let mut conn = staged.admin().await;
    let replica = "SELECT address FROM backends WHERE role = 'replica'";
    let replica = rows(&mut conn, replica).await[0][0].clone();
    run(&mut conn, "OFFLOAD 30%").await;
    run(&mut conn, &format!("DRAIN BACKEND {replica}")).await;
    staged
        .reload(|config| config.consistency.level = Level::Eventual)
        .await;
    let switches = "SELECT value FROM switches";
    assert_eq!(
        rows(&mut conn, switches).await,
        [["30%".to_owned()], [replica.clone()]]
    );
    run(&mut conn, "OFFLOAD OFF").await;
    run(&mut conn, &format!("ONLINE BACKEND {replica}")).await;
    staged
        .reload(|config| config.consistency.level = Level::Session)
        .await;
    let mut app = staged.setup.connect().await;
    cell(&mut app, "SELECT v FROM kept").await;
    let route = format!("SHOW ROUTE LAST 1 FOR SESSION {}", app.id());
    until("the route", async || {
        let routes = rows(&mut conn, &route).await;
        routes.first().is_some_and(|row| row[8] == "offload_off")
    })
    .await;
}

#[tokio::test]
async fn a_larger_pool_serves_those_who_wait() {
    let staged = staged(Cluster::builder().replicas(0), |config| {
        config.pool.mode = PoolMode::Session;
        config.pool.max_connections = 1;
        config.pool.min_idle = 0;
        config.pool.acquire_timeout = Duration::from_secs(300);
    })
    .await;
    let mut first = staged.setup.connect().await;
    run(&mut first, "BEGIN").await;
    run(&mut first, "CREATE TEMPORARY TABLE mine (v INT)").await;
    let opts = staged.setup.opts().db_name(None::<String>);
    let second = tokio::spawn(async move {
        let mut conn = mysql_async::Conn::new(mysql_async::Opts::from(opts))
            .await
            .unwrap();
        cell(
            &mut conn,
            "SELECT CONNECTION_ID() + RAND() * 0 > 0 FOR UPDATE",
        )
        .await
    });
    let mut conn = staged.admin().await;
    until("one waits", async || {
        rows(&mut conn, "SELECT waiting FROM pools").await == [["1"]]
    })
    .await;
    staged
        .reload(|config| config.pool.max_connections = 2)
        .await;
    assert!(second.await.unwrap().is_some());
    // And a smaller one closes what is too much as soon as nobody needs it.
    staged
        .reload(|config| config.pool.max_connections = 1)
        .await;
    until("one is left", async || {
        rows(&mut conn, "SELECT open FROM pools").await == [["1"]]
    })
    .await;
    cell(&mut first, "SELECT COUNT(*) FROM mine").await;
}
