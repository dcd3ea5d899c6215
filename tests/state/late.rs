//! A session that is older than the monitor's first look at the primary has the primary's defaults as soon as
//! they are known.

use highwater::config::PoolMode;
use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::{APP, Cluster, MONITOR};

use crate::support;
use crate::support::raw::{Raw, execute, shown, usual};

/// A string in the usual sql_mode; here it ends at its backslash, and rows are locked.
const LOCKS: &str = "SELECT 'x\\' FOR UPDATE -- '";

#[tokio::test]
async fn a_session_that_was_there_first() {
    let cluster = Cluster::builder()
        .replicas(1)
        .option("sql_mode=NO_BACKSLASH_ESCAPES")
        .start()
        .await
        .unwrap();
    let primary = cluster.primary();
    let monitor = |what: &str| format!("ALTER USER '{}'@'%' ACCOUNT {what}", MONITOR.user);
    primary.exec(&monitor("LOCK")).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let mut config = support::config(&cluster);
    config.pool.mode = PoolMode::Transaction;
    config.pool.switch_always = true;
    let proxy = Proxy::start(config).await.unwrap();
    let address = proxy.addresses().mysql.to_string();
    let account = (APP.user, APP.password);
    let login = Raw::connect(&address, account, None, usual());
    let mut early = login.await.unwrap();
    let facts = proxy.watch().facts(BackendId::PRIMARY);
    assert!(facts.is_none(), "nothing is known of the primary");
    primary.exec(&monitor("UNLOCK")).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    support::usable(&proxy, 1).await;
    let expected = Ok("x\\".to_owned());
    assert_eq!(first_cell(&early.query(LOCKS).await), expected);
    let went = shown(&early.query("SHOW HIGHWATER ROUTE LAST 1").await);
    assert!(went.contains("primary"), "{went}");
    assert_eq!(early.cell("SELECT 'y'").await, "y");
    let went = shown(&early.query("SHOW HIGHWATER ROUTE LAST 1").await);
    assert!(went.contains("replica"), "{went}");
    let id = early.prepare("SELECT @@sql_mode").await;
    for _ in 0..3 {
        let execute = execute(id, 0, &[], true, early.profile.query_attributes());
        let kind = ReplyKind::Execute { cursor: false };
        let answer = shown(&early.ask(&execute, kind).await);
        assert!(answer.contains("NO_BACKSLASH_ESCAPES"), "{answer}");
    }
    proxy.shut_down().await;
}

/// The first cell of the only row, or the whole answer where there is none.
fn first_cell(frames: &[Vec<u8>]) -> Result<String, String> {
    let row = frames.get(2).filter(|_| frames.len() == 4);
    let cell = row.and_then(|row| row.get(1..=usize::from(*row.first()?)));
    cell.map(|cell| String::from_utf8_lossy(cell).into_owned())
        .ok_or_else(|| shown(frames))
}
