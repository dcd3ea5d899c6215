//! `[pool] primary_max_connections_pct`.

use std::time::Duration;

use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::server_error;
use crate::support::stage::until;
use crate::support::{Setup, run};

#[tokio::test]
async fn the_primary_is_used_up_to_the_share() {
    let builder = Cluster::builder()
        .replicas(1)
        .primary_option("max_connections=40");
    let setup = Setup::with(builder, |config| {
        config.pool.mode = highwater::config::PoolMode::Session;
        config.pool.switch_always = false;
        config.pool.primary_max_connections_pct = 10;
        config.pool.min_idle = 0;
        config.pool.acquire_timeout = Duration::from_millis(500);
    })
    .await;
    let admin = setup.proxy.addresses().admin;
    let opts = OptsBuilder::default()
        .ip_or_hostname(admin.ip().to_string())
        .tcp_port(admin.port())
        .user(Some("admin"))
        .prefer_socket(false);
    let mut admin = Conn::new(Opts::from(opts)).await.unwrap();
    let bounds = async |admin: &mut Conn| -> Vec<u64> {
        admin.query("SELECT max FROM pools").await.unwrap()
    };
    until("the share is known", async || {
        bounds(&mut admin).await == [4, 200]
    })
    .await;
    let mut holders = Vec::new();
    for _ in 0..4 {
        let mut holder = setup.connect().await;
        run(&mut holder, "BEGIN").await;
        run(&mut holder, "SELECT 1 FOR UPDATE").await;
        holders.push(holder);
    }
    // What this driver asks at its start is for the primary.
    let opts = || Opts::from(setup.opts());
    let refused = Conn::new(opts()).await.map(drop);
    let (code, _, message) = server_error("one more", refused);
    assert_eq!(code, 1040, "{message}");
    let said = "all 4 connections";
    let why = "which is [pool] primary_max_connections_pct of its max_connections";
    assert!(message.contains(said) && message.contains(why), "{message}");
    // What the server allows is read again now and then.
    let primary = setup.cluster.primary();
    primary
        .exec("SET GLOBAL max_connections = 60")
        .await
        .unwrap();
    until("the new share is known", async || {
        bounds(&mut admin).await == [6, 200]
    })
    .await;
    let mut one_more = Conn::new(opts()).await.unwrap();
    run(&mut one_more, "DO 1").await;
}
