//! Names that a client writes in another charset than the servers do.

use highwater::config::PoolMode;
use highwater::rig::{APP, Cluster};
use mysql_async::prelude::Queryable;

use crate::support::raw::{Raw, usual};
use crate::support::{Setup, cell, run};

#[tokio::test]
async fn a_schema_is_the_same_on_every_connection() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE DATABASE `бд`").await;
    run(&mut conn, "CREATE TABLE `бд`.t (id INT)").await;
    run(&mut conn, "SET NAMES koi8r").await;
    let in_koi8r: &[u8] = b"USE `\xC2\xC4`";
    conn.query_drop(in_koi8r).await.unwrap();
    for id in 1..=6 {
        run(&mut conn, &format!("INSERT INTO t VALUES ({id})")).await;
        let count = cell(&mut conn, "SELECT COUNT(*) FROM t").await;
        assert_eq!(count, Some(id.to_string()));
    }
    let charset = "SELECT @@character_set_client";
    assert_eq!(cell(&mut conn, charset).await.as_deref(), Some("koi8r"));
    setup.proxy.shut_down().await;
}

/// latin1_swedish_ci and utf8mb4_0900_ai_ci.
const SPEAKS: [(u8, &str); 2] = [(8, "\u{c3}\u{bc}"), (255, "\u{fc}")];

#[tokio::test]
async fn a_schema_of_the_login_is_named_in_the_charset_of_the_login() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.pool.mode = PoolMode::Transaction;
        config.pool.switch_always = true;
    })
    .await;
    let mut conn = setup.connect().await;
    for (id, (_, schema)) in SPEAKS.iter().enumerate() {
        run(&mut conn, &format!("CREATE DATABASE `{schema}`")).await;
        let table = format!("CREATE TABLE `{schema}`.t AS SELECT {id} AS id");
        run(&mut conn, &table).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let primary = setup.cluster.primary().port();
    let account = (APP.user, APP.password);
    for port in [primary, setup.proxy.addresses().mysql.port()] {
        let address = format!("127.0.0.1:{port}");
        for (id, (collation, schema)) in SPEAKS.iter().enumerate() {
            // These two bytes are one letter to the one client and two to the other.
            let login =
                Raw::connect_speaking(*collation, &address, account, Some("\u{fc}"), usual());
            let mut client = login
                .await
                .unwrap_or_else(|error| panic!("{address} {schema}: {error}"));
            for _ in 0..2 {
                let frames = client.query("SELECT id FROM t").await;
                let row = [&[1], id.to_string().as_bytes()].concat();
                assert!(frames.contains(&row), "{address} {schema}: {frames:?}");
            }
        }
    }
    setup.proxy.shut_down().await;
}
