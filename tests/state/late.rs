//! A session that is older than the monitor's first look at the primary has the primary's defaults as soon as
//! they are known, wherever its statements run.

use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::rig::{APP, Cluster, MONITOR};

use crate::measure::{reads_on, until};
use crate::support;
use crate::support::raw::{Raw, usual};

#[tokio::test]
async fn a_session_that_was_there_first() {
    let cluster = Cluster::builder()
        .replicas(1)
        .replica_option(0, "sql_mode=ANSI")
        .start()
        .await
        .unwrap();
    let primary = cluster.primary();
    let monitor = |what: &str| format!("ALTER USER '{}'@'%' ACCOUNT {what}", MONITOR.user);
    primary.exec(&monitor("LOCK")).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let config = support::config(&cluster);
    let proxy = Proxy::start(config).await.unwrap();
    let address = proxy.addresses().mysql.to_string();
    let account = (APP.user, APP.password);
    let mut early = Raw::connect(&address, account, None, usual())
        .await
        .unwrap();
    let facts = proxy.watch().facts(BackendId::PRIMARY);
    assert!(facts.is_none(), "nothing is known of the primary");
    primary.exec(&monitor("UNLOCK")).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    support::usable(&proxy, 1).await;
    let expected = early.cell("SELECT @@global.sql_mode").await;
    assert!(!expected.contains("ANSI"), "{expected}");
    let before = reads_on(&proxy, "replica");
    assert_eq!(early.cell("SELECT @@sql_mode").await, expected);
    assert_eq!(early.cell("SELECT 'a' || 'b'").await, "0");
    let reads = || reads_on(&proxy, "replica") >= before + 2;
    until("both reads were on the replica", reads).await;
    proxy.shut_down().await;
}
