//! Names that a client writes in another charset than the servers do.

use highwater::config::PoolMode;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;

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
