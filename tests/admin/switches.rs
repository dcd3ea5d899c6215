//! OFFLOAD, DRAIN and their kin, and that they do what they say within a statement.

use highwater::config::PoolMode;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;

use super::support::{Setup, cell, run};
use super::{admin, error, explained, rows, until_rows};

const SERVED: [&str; 2] = ["fresh", "waited"];

/// Waits until a session's last statement is known to have gone its way for one of these reasons.
async fn went(conn: &mut mysql_async::Conn, session: u32, reasons: &[&str]) {
    let sql = format!("SHOW ROUTE LAST 1 FOR SESSION {session}");
    until_rows(conn, &sql, |rows| reasons.contains(&&*rows[0][8])).await;
}

async fn stage(setup: &Setup) -> mysql_async::Conn {
    let mut app = setup.connect().await;
    run(&mut app, "CREATE TABLE switched (v INT)").await;
    run(&mut app, "INSERT INTO switched VALUES (7)").await;
    app
}

#[tokio::test]
async fn offload_off_keeps_every_read_on_the_primary() {
    let setup = Setup::start().await;
    let mut app = stage(&setup).await;
    let mut conn = admin(&setup.proxy).await;
    let read = "SELECT v FROM switched";
    let id = app.id();
    cell(&mut app, read).await;
    went(&mut conn, id, &SERVED).await;

    run(&mut conn, "OFFLOAD OFF").await;
    cell(&mut app, read).await;
    went(&mut conn, id, &["offload_off"]).await;
    run(&mut app, "START TRANSACTION READ ONLY").await;
    went(&mut conn, id, &["offload_off"]).await;
    run(&mut app, "COMMIT").await;
    let said = explained(&mut conn, read).await;
    assert!(said.contains(&"decision: primary".to_owned()), "{said:?}");
    assert!(said.contains(&"reason: offload_off".to_owned()), "{said:?}");
    let advice = "SELECT change FROM advice WHERE reason = 'offload_off' LIMIT 1";
    assert_eq!(
        rows(&mut conn, advice).await,
        [["OFFLOAD ON lets replicas answer again"]]
    );
    let switch = "SELECT value FROM switches WHERE name = 'offload'";
    assert_eq!(rows(&mut conn, switch).await, [["OFF"]]);
    let page = setup.proxy.metrics().render().unwrap();
    assert!(page.contains("highwater_offload_limit_ratio 0\n"), "{page}");

    run(&mut conn, "OFFLOAD 50%").await;
    assert_eq!(rows(&mut conn, switch).await, [["50%"]]);
    // A part of the sessions, each of them for all of its life.
    let mut others = vec![app];
    for _ in 0..9 {
        others.push(setup.connect().await);
    }
    for _ in 0..2 {
        for other in &mut others {
            cell(other, read).await;
        }
    }
    let mut on_replicas = 0;
    for other in &others {
        let sql = format!("SHOW ROUTE LAST 2 FOR SESSION {}", other.id());
        let both = |rows: &[Vec<String>]| {
            let is_read = |row: &Vec<String>| row[3] == "select v from switched";
            rows.len() == 2 && rows.iter().all(is_read)
        };
        let routes = until_rows(&mut conn, &sql, both).await;
        assert_eq!(routes[0][6], routes[1][6], "{routes:?}");
        let offload = format!("SELECT offload FROM sessions WHERE id = {}", other.id());
        let takes_part = rows(&mut conn, &offload).await[0][0] == "yes";
        assert_eq!(takes_part, routes[0][6] == "replica");
        on_replicas += usize::from(takes_part);
    }
    assert!((2..=8).contains(&on_replicas), "{on_replicas}");
    run(&mut conn, "OFFLOAD ON").await;
    cell(&mut others[0], read).await;
    let id = others[0].id();
    went(&mut conn, id, &SERVED).await;
}

#[tokio::test]
async fn found_rows_of_a_drained_replica_outlive_an_error_elsewhere() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.pool.mode = PoolMode::Session;
    })
    .await;
    let mut app = stage(&setup).await;
    run(&mut app, "INSERT INTO switched VALUES (8), (9)").await;
    let mut conn = admin(&setup.proxy).await;
    let read = "SELECT SQL_CALC_FOUND_ROWS v FROM switched LIMIT 1";
    cell(&mut app, read).await;
    let id = app.id();
    went(&mut conn, id, &SERVED).await;
    let route = format!("SHOW ROUTE LAST 1 FOR SESSION {id}");
    let server = rows(&mut conn, &route).await[0][7].clone();
    run(&mut conn, &format!("DRAIN BACKEND {server}")).await;

    let failed = app.query_drop("SELECT * FROM nosuch").await;
    assert!(failed.is_err());
    let error_at = until_rows(&mut conn, &route, |rows| rows[0][3].contains("nosuch")).await;
    assert!(SERVED.contains(&&*error_at[0][8]), "{error_at:?}");
    assert_ne!(error_at[0][7], server);
    assert_eq!(
        cell(&mut app, "SELECT FOUND_ROWS()").await.as_deref(),
        Some("3")
    );
}

#[tokio::test]
async fn a_drained_replica_gets_no_reads_until_it_is_online() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.pool.mode = PoolMode::Transaction;
    })
    .await;
    let mut app = stage(&setup).await;
    let mut conn = admin(&setup.proxy).await;
    let read = "SELECT v FROM switched";
    let id = app.id();
    let replica = rows(
        &mut conn,
        "SELECT address FROM backends WHERE role = 'replica'",
    )
    .await;
    let replica = replica[0][0].clone();

    // A transaction that is open there goes on to its end.
    run(&mut app, "START TRANSACTION READ ONLY").await;
    cell(&mut app, read).await;
    run(&mut conn, &format!("DRAIN BACKEND {replica}")).await;
    let state = "SELECT state FROM backends WHERE role = 'replica'";
    assert_eq!(rows(&mut conn, state).await, [["draining"]]);
    cell(&mut app, read).await;
    went(&mut conn, id, &["read_only_transaction"]).await;
    run(&mut app, "COMMIT").await;
    cell(&mut app, read).await;
    went(&mut conn, id, &["no_replica"]).await;
    let said = explained(&mut conn, read).await;
    let drained = format!("candidate {replica}: not taken: it is drained (DRAIN BACKEND)");
    assert!(
        said.iter().any(|line| line.starts_with(&drained)),
        "{said:?}"
    );
    let sql = format!("SELECT connections FROM backends WHERE address = '{replica}'");
    until_rows(&mut conn, &sql, |rows| rows[0][0] == "0").await;

    run(&mut conn, &format!("ONLINE BACKEND `{replica}`")).await;
    assert_eq!(rows(&mut conn, state).await, [["online"]]);
    cell(&mut app, read).await;
    went(&mut conn, id, &SERVED).await;

    let primary = rows(&mut conn, "SELECT address FROM backends WHERE id = 0").await;
    let (code, text) = error(&mut conn, &format!("DRAIN BACKEND {}", primary[0][0])).await;
    assert_eq!(code, 1105);
    assert!(text.contains("the primary takes the writes"), "{text}");
}

#[tokio::test]
async fn shutdown_asks_for_the_end() {
    let setup = Setup::with(Cluster::builder().replicas(0), |_| {}).await;
    let mut conn = admin(&setup.proxy).await;
    let (code, _) = error(&mut conn, "SHUTDOWN NOW").await;
    assert_eq!(code, 1064);
    conn.query_drop("SHUTDOWN").await.unwrap();
    setup.proxy.asked_to_end().await;
    setup.proxy.shut_down().await;
    assert!(conn.query_drop("SELECT 1").await.is_err());
}
