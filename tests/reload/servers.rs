//! Replicas that come and go with the configuration.

use highwater::config::{Address, Config, PoolMode};
use highwater::rig::Cluster;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;

use super::stage::until;
use super::{Staged, cell, fill, rows, run, staged};

fn only(index: usize, cluster: &Cluster) -> impl FnOnce(&mut Config) {
    let address = Address::new(cluster.replica(index).host(), cluster.replica(index).port());
    move |config: &mut Config| config.cluster.replicas = vec![address]
}

/// Which server answered a session's last statement.
async fn answered_by(staged: &Staged, session: &mut Conn) -> String {
    // It is noted when its answer is out, but before the next command.
    session.ping().await.unwrap();
    let session = session.id();
    let mut admin = staged.admin().await;
    let sql = format!("SHOW ROUTE LAST 1 FOR SESSION {session}");
    let mut found = Vec::new();
    until("a route", async || {
        found = rows(&mut admin, &sql).await;
        found
            .first()
            .is_some_and(|row| row[3] == "select v from kept")
    })
    .await;
    found[0][7].clone()
}

/// Reads until a session is answered by this server.
async fn until_read_from(staged: &Staged, app: &mut Conn, address: &str) {
    until("a read from it", async || {
        assert_eq!(cell(app, "SELECT v FROM kept").await.as_deref(), Some("7"));
        answered_by(staged, app).await == address
    })
    .await;
}

async fn states(staged: &Staged) -> Vec<Vec<String>> {
    let sql = "SELECT address, state FROM backends WHERE role = 'replica'";
    rows(&mut staged.admin().await, sql).await
}

#[tokio::test]
async fn a_replica_that_comes_serves_reads_and_one_that_goes_serves_none() {
    for mode in PoolMode::ALL {
        comes_and_goes(mode).await;
    }
}

async fn comes_and_goes(mode: PoolMode) {
    let cluster = Cluster::builder().replicas(2);
    let mut both = Vec::new();
    let staged = staged(cluster, |config| {
        config.pool.mode = mode;
        config.proxy.drain_timeout = Duration::from_secs(600);
        both = config.cluster.replicas.clone();
        config.cluster.replicas.truncate(1);
    })
    .await;
    fill(&staged.setup).await;
    let [first, second] = [0, 1].map(|at| staged.setup.cluster.replica(at).address());
    let mut app = staged.setup.connect().await;
    until_read_from(&staged, &mut app, &first).await;
    let prepared = app.prep("SELECT v FROM kept WHERE v = ?").await.unwrap();
    let mut reader = staged.setup.connect().await;
    run(&mut reader, "START TRANSACTION READ ONLY").await;
    cell(&mut reader, "SELECT v FROM kept").await;

    let said = staged.reload(|config| config.cluster.replicas = both).await;
    assert_eq!(
        said,
        [format!("cluster.replicas: {second} added: in force")]
    );
    staged.setup.replicas_usable(2).await;
    let mut other = staged.setup.connect().await;
    until("the new one reads", async || {
        let mut fresh = staged.setup.connect().await;
        cell(&mut fresh, "SELECT v FROM kept").await;
        answered_by(&staged, &mut fresh).await == second
    })
    .await;

    let said = staged.reload(only(1, &staged.setup.cluster)).await;
    assert!(said[0].starts_with(&format!("cluster.replicas: {first} removed: no new reads")));
    // What is open there goes on; nothing new does.
    let leaving = [
        [first.clone(), "leaving".to_owned()],
        [second.clone(), "online".to_owned()],
    ];
    assert_eq!(states(&staged).await, leaving);
    cell(&mut reader, "SELECT v FROM kept").await;
    assert_eq!(answered_by(&staged, &mut reader).await, first);
    for conn in [&mut app, &mut other] {
        cell(conn, "SELECT v FROM kept").await;
        assert_eq!(answered_by(&staged, conn).await, second);
    }
    let found: Option<i64> = app.exec_first(&prepared, (7,)).await.unwrap();
    assert_eq!(found, Some(7));
    run(&mut reader, "COMMIT").await;
    cell(&mut reader, "SELECT v FROM kept").await;
    assert_eq!(answered_by(&staged, &mut reader).await, second);
    until("it is gone", async || {
        states(&staged).await == [[second.clone(), "online".to_owned()]]
    })
    .await;
    let page = staged.setup.proxy.metrics().render().unwrap();
    assert!(!page.contains(&first), "{page}");
    assert!(page.contains(&second));
    let pools = rows(&mut staged.admin().await, "SELECT backend FROM pools").await;
    assert_eq!(pools.len(), 2, "{pools:?}");
    run(&mut app, "INSERT INTO kept SELECT 7 FROM kept LIMIT 0").await;
    cell(&mut app, "SELECT v FROM kept").await;

    // It comes again, and is another server to the proxy.
    staged.reload(only(0, &staged.setup.cluster)).await;
    staged.setup.replicas_usable(1).await;
    until_read_from(&staged, &mut app, &first).await;
    assert!(
        staged
            .setup
            .proxy
            .metrics()
            .render()
            .unwrap()
            .contains(&first)
    );
}

#[tokio::test]
async fn one_that_is_to_go_can_stay() {
    let staged = staged(Cluster::builder().replicas(2), |config| {
        config.proxy.drain_timeout = Duration::from_secs(600);
    })
    .await;
    fill(&staged.setup).await;
    let both = staged.wanted.lock().unwrap().cluster.replicas.clone();
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = staged.setup.connect().await;
        run(&mut reader, "START TRANSACTION READ ONLY").await;
        cell(&mut reader, "SELECT v FROM kept").await;
        readers.push(reader);
    }
    staged
        .reload(|config| config.cluster.replicas.clear())
        .await;
    let left = |found: Vec<Vec<String>>| found.into_iter().map(|row| row[1].clone());
    let leaving: Vec<_> = left(states(&staged).await).collect();
    assert!(
        !leaving.is_empty() && leaving.iter().all(|it| it == "leaving"),
        "{leaving:?}"
    );
    // With none configured, reads go to the primary.
    let mut app = staged.setup.connect().await;
    cell(&mut app, "SELECT v FROM kept").await;
    let primary = staged.setup.cluster.primary().address();
    assert_eq!(answered_by(&staged, &mut app).await, primary);
    staged.reload(|config| config.cluster.replicas = both).await;
    staged.setup.replicas_usable(2).await;
    let online: Vec<_> = left(states(&staged).await).collect();
    assert_eq!(online, ["online", "online"]);
    for reader in &mut readers {
        cell(reader, "SELECT v FROM kept").await;
        run(reader, "COMMIT").await;
    }
    // A session that has not read yet goes to either again.
    let replicas = [0, 1].map(|at| staged.setup.cluster.replica(at).address());
    until("a read from a replica", async || {
        let mut fresh = staged.setup.connect().await;
        cell(&mut fresh, "SELECT v FROM kept").await;
        replicas.contains(&answered_by(&staged, &mut fresh).await)
    })
    .await;
}

#[tokio::test]
async fn a_replica_goes_when_its_time_is_over() {
    let staged = staged(Cluster::builder().replicas(1), |config| {
        config.proxy.drain_timeout = Duration::ZERO;
    })
    .await;
    fill(&staged.setup).await;
    let mut reader = staged.setup.connect().await;
    run(&mut reader, "START TRANSACTION READ ONLY").await;
    cell(&mut reader, "SELECT v FROM kept").await;
    staged
        .reload(|config| config.cluster.replicas.clear())
        .await;
    until("it is gone", async || states(&staged).await.is_empty()).await;
    // The snapshot that the session has read from is there for as long as its connection is.
    assert_eq!(
        cell(&mut reader, "SELECT v FROM kept").await.as_deref(),
        Some("7")
    );
    run(&mut reader, "COMMIT").await;
    // What it has read there, it sees on the primary.
    assert_eq!(
        cell(&mut reader, "SELECT v FROM kept").await.as_deref(),
        Some("7")
    );
    let primary = staged.setup.cluster.primary().address();
    assert_eq!(answered_by(&staged, &mut reader).await, primary);
}
