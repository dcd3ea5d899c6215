//! Settings under which a level cannot hold: a replica that has them serves no reads at that level, and
//! what the primary's settings break is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::domain::topology::guarantee::Flaw;
use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use support::{Setup, run};

/// How often a server answered the test's read. Not what Highwater itself asks on new connections.
async fn served(server: &Server) -> u64 {
    let sql = "SELECT COALESCE(SUM(COUNT_STAR), 0) FROM \
               performance_schema.events_statements_summary_by_digest \
               WHERE SCHEMA_NAME = 'app' AND DIGEST_TEXT = 'SELECT `a` FROM `t`'";
    server.value(sql).await.unwrap().unwrap().parse().unwrap()
}

async fn on(server: &Server, statements: &[&str]) {
    let mut conn = server.connect(&ROOT).await.unwrap();
    for sql in statements {
        conn.query_drop(*sql).await.unwrap();
    }
    conn.disconnect().await.unwrap();
}

/// Waits until the proxy knows that a server's settings have, or no longer have, a flaw.
async fn knows(proxy: &Proxy, backend: BackendId, flaw: Flaw, has: bool) {
    let mut topology = proxy.watch().topology();
    while topology.get(backend).unwrap().flaws.has(flaw) != has {
        topology = proxy.watch().changed(topology.epoch).await;
    }
}

async fn read(conn: &mut Conn) -> mysql_async::Result<Vec<u32>> {
    conn.query("SELECT a FROM t").await
}

#[tokio::test]
async fn a_level_that_cannot_hold_is_kept_off_or_refused() {
    let cluster = Cluster::builder().start().await.unwrap();
    let table = "CREATE TABLE app.t (a INT PRIMARY KEY)";
    cluster.primary().exec(table).await.unwrap();
    cluster.wait_all_caught_up().await.unwrap();
    let filter = [
        "STOP REPLICA SQL_THREAD",
        "CHANGE REPLICATION FILTER REPLICATE_IGNORE_TABLE = (app.ignored)",
        "START REPLICA SQL_THREAD",
    ];
    on(cluster.replica(0), &filter).await;
    let proxy = Proxy::start(support::config(&cluster)).await.unwrap();
    let setup = Setup { proxy, cluster };
    let (cluster, proxy) = (&setup.cluster, &setup.proxy);
    let (primary, filtered) = (cluster.primary(), cluster.replica(0));
    setup.replicas_usable(2).await;
    knows(proxy, BackendId(1), Flaw::FilteredReplication, true).await;

    let sessions = async |level: &str| {
        for _ in 0..8 {
            // Without the driver's own reads, so that no replica is held before the level is set.
            let opts = setup
                .opts()
                .max_allowed_packet(Some(1 << 20))
                .wait_timeout(Some(600));
            let mut conn = Conn::new(opts).await.unwrap();
            run(
                &mut conn,
                &format!("SET highwater_read_consistency = '{level}'"),
            )
            .await;
            read(&mut conn).await.unwrap();
            conn.disconnect().await.unwrap();
        }
    };
    let before = served(filtered).await;
    for level in ["bounded", "session", "group", "proxy", "global"] {
        sessions(level).await;
    }
    assert_eq!(served(filtered).await, before);
    sessions("eventual").await;
    assert!(
        served(filtered).await > before,
        "no eventual read went there"
    );
    let unfilter = [
        "STOP REPLICA SQL_THREAD",
        "CHANGE REPLICATION FILTER REPLICATE_IGNORE_TABLE = ()",
        "START REPLICA SQL_THREAD",
    ];
    on(filtered, &unfilter).await;
    knows(proxy, BackendId(1), Flaw::FilteredReplication, false).await;
    setup.replicas_usable(2).await;
    let before = served(filtered).await;
    sessions("session").await;
    assert!(served(filtered).await > before, "no session read came back");

    let mut conn = setup.connect().await;
    on(primary, &["SET GLOBAL binlog_order_commits = OFF"]).await;
    knows(proxy, BackendId::PRIMARY, Flaw::UnorderedCommits, true).await;
    let refused = read(&mut conn).await.unwrap_err().to_string();
    for words in [
        "Highwater: the level session cannot hold",
        "the primary has binlog_order_commits=OFF",
        "highwater doctor",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    let set = "SET highwater_read_consistency = 'global'";
    let refused = conn.query_drop(set).await.unwrap_err().to_string();
    assert!(
        refused.contains("the level global cannot hold"),
        "{refused}"
    );
    // What does not depend on it goes on.
    run(&mut conn, "INSERT INTO t VALUES (1)").await;
    run(&mut conn, "BEGIN").await;
    assert_eq!(read(&mut conn).await.unwrap(), [1]);
    run(&mut conn, "COMMIT").await;
    run(&mut conn, "SET highwater_read_consistency = 'bounded'").await;
    read(&mut conn).await.unwrap();
    run(&mut conn, "SET highwater_read_consistency = 'eventual'").await;
    read(&mut conn).await.unwrap();
}
