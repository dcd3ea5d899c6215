//! Connections that their server closed while nobody used them.

use highwater::config::PoolMode;
use highwater::rig::{Cluster, ROOT};
use mysql_async::prelude::Queryable;

use crate::support::{Setup, cell, run};

const CONNECTED: &str = "SELECT COUNT(*) FROM performance_schema.variables_by_thread v \
                         JOIN performance_schema.threads t USING (THREAD_ID) \
                         WHERE v.VARIABLE_NAME = 'wait_timeout' AND v.VARIABLE_VALUE = '1' \
                         AND t.PROCESSLIST_USER = 'app'";

/// Waits until the servers have closed every connection of the application that may not be idle for
/// longer than a second.
async fn closed(setup: &Setup) {
    for server in [setup.cluster.primary(), setup.cluster.replica(0)] {
        let mut root = server.connect(&ROOT).await.unwrap();
        while root.query_first::<usize, _>(CONNECTED).await.unwrap() != Some(0) {}
        root.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn a_session_that_holds_nothing_outlives_its_connections() {
    for mode in PoolMode::ALL {
        let cluster = Cluster::builder().replicas(1).option("wait_timeout=1");
        let setup = Setup::with(cluster, |config| {
            config.pool.mode = mode;
            config.pool.min_idle = 0;
        })
        .await;
        let mut conn = setup.connect().await;
        run(&mut conn, "CREATE TABLE t (id INT PRIMARY KEY)").await;
        run(&mut conn, "SET sql_mode = 'ANSI_QUOTES'").await;
        for round in 0..2 {
            assert_eq!(
                cell(
                    &mut conn,
                    "SELECT @@sql_mode FROM t RIGHT JOIN (SELECT 1) o ON 1"
                )
                .await
                .as_deref(),
                Some("ANSI_QUOTES"),
                "{mode:?}"
            );
            run(&mut conn, &format!("INSERT INTO t VALUES ({round})")).await;
            closed(&setup).await;
        }
        run(&mut conn, "INSERT INTO t VALUES (2)").await;
        let rows = cell(&mut conn, "SELECT COUNT(*) FROM t").await;
        assert_eq!(rows.as_deref(), Some("3"), "{mode:?}");
        let mode_now = cell(&mut conn, "SELECT @@sql_mode").await;
        assert_eq!(mode_now.as_deref(), Some("ANSI_QUOTES"), "{mode:?}");
    }
}
