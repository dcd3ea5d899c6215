//! MySQL 9.7 forgets with COM_RESET_CONNECTION that a session's cascades fire triggers: a session behind Highwater
//! is none of those.

use highwater::config::PoolMode;
use highwater::rig::Cluster;
use mysql_async::Conn;

use crate::lends;
use crate::support::{Setup, cell, run};

/// How often the child's trigger fired for a row that its parent took along.
async fn fired(conn: &mut Conn) -> Option<String> {
    for sql in [
        "DELETE FROM fired",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
        "DELETE FROM parent",
    ] {
        run(conn, sql).await;
    }
    cell(conn, "SELECT COUNT(*) FROM fired").await
}

#[tokio::test]
async fn triggers_of_cascades_fire_on_every_connection() {
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let servers = Cluster::builder()
            .replicas(1)
            .option("enable_cascade_triggers=ON")
            .option("log_bin_trust_function_creators=ON");
        let setup = Setup::with(servers, |config| {
            lends(1)(config);
            config.pool.mode = mode;
        })
        .await;
        let mut first = setup.connect().await;
        for sql in [
            "CREATE TABLE parent (id INT PRIMARY KEY)",
            "CREATE TABLE child (id INT PRIMARY KEY, parent INT, \
             FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)",
            "CREATE TABLE fired (id INT PRIMARY KEY)",
            "CREATE TRIGGER fires AFTER DELETE ON child FOR EACH ROW INSERT INTO fired VALUES (OLD.id)",
        ] {
            run(&mut first, sql).await;
        }
        assert_eq!(fired(&mut first).await.as_deref(), Some("1"), "{mode:?}");
        // Whoever comes next has the same connection, clean: what is a session's own is gone from it.
        run(&mut first, "SET @own = 1").await;
        first.disconnect().await.unwrap();
        let mut second = setup.connect().await;
        assert_eq!(
            cell(&mut second, "SELECT @own FROM app.fired FOR UPDATE").await,
            None
        );
        assert_eq!(fired(&mut second).await.as_deref(), Some("1"), "{mode:?}");
        setup.proxy.shut_down().await;
    }
}
