//! A transaction that is opened late meets a primary that refuses it, a client of the older protocol,
//! texts that are too long to be held, and the end of its connection.

use std::time::Duration;

use highwater::domain::consistency::TransactionReads;
use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::ok::OkView;
use highwater::rig::Cluster;
use tokio::io::AsyncWriteExt;

use super::seen::run as see;
use crate::support::Setup;
use crate::support::raw::{Raw, error_of, shown, usual};
use crate::{deferring, directly, through};

/// Longer than what is held of a command.
fn long(text: &str) -> String {
    format!("{text} /* {} */", "x".repeat(2 << 20))
}

/// The server's error is the answer to the first write, and the session goes on.
#[tokio::test]
async fn a_primary_that_refuses_the_transaction_says_so_itself() {
    let setup = deferring().await;
    let primary = setup.cluster.primary();
    for insert in [
        "INSERT INTO r VALUES (1)".to_owned(),
        long("INSERT INTO r VALUES (2)"),
    ] {
        let mut client = through(&setup, usual()).await;
        client.query("CREATE TABLE IF NOT EXISTS r (id INT)").await;
        client.query("START TRANSACTION READ WRITE").await;
        primary.exec("SET GLOBAL read_only = ON").await.unwrap();
        let refused = client.query(&insert).await;
        primary.exec("SET GLOBAL read_only = OFF").await.unwrap();
        assert_eq!(error_of(&refused), Some(1290));
        let after = see(&mut client, "SELECT COUNT(*) FROM r").await;
        assert_eq!(
            (after.error, after.flags),
            (None, 2),
            "no transaction is open"
        );
        assert_eq!(error_of(&client.query(&insert).await), None);
    }
    setup.proxy.shut_down().await;
}

/// Every EOF packet tells whether a transaction is open, also the one behind the columns.
#[tokio::test]
async fn an_older_client_sees_its_transaction_behind_the_columns_too() {
    const SCRIPT: [&str; 6] = [
        "CREATE TABLE e (id INT)",
        "BEGIN",
        "SELECT id FROM e",
        "COMMIT",
        "SET autocommit = 0",
        "SELECT id FROM e",
    ];
    let setup = deferring().await;
    let flags = usual() - CapabilityFlags::CLIENT_DEPRECATE_EOF;
    let mut client = through(&setup, flags).await;
    let mut direct = directly(&setup, flags).await;
    for sql in SCRIPT {
        let ends = |frames: Vec<Vec<u8>>| -> Vec<u16> {
            let ends = frames.iter().filter(|frame| frame[0] == 0xFE);
            let status = |frame: &Vec<u8>| OkView::parse(frame).unwrap().status.0 & 0x2003;
            ends.map(status).collect()
        };
        let got = ends(client.query(sql).await);
        assert_eq!(got, ends(direct.query(sql).await), "{sql}");
        assert_eq!(
            got.len(),
            2 * usize::from(sql.starts_with("SELECT")),
            "{sql}"
        );
    }
    setup.proxy.shut_down().await;
}

/// Hints stand at the beginning of a text, which is there before the rest is streamed.
#[tokio::test]
async fn a_long_text_is_asked_for_its_hints() {
    let setup = deferring().await;
    let mut client = through(&setup, usual()).await;
    for (hint, error) in [
        ("consistency=nonsense", Some(1231)),
        ("consistency=global", None),
    ] {
        let sql = long(&format!("/* highwater: {hint} */ SELECT 1"));
        assert_eq!(error_of(&client.query(&sql).await), error, "{hint}");
    }
    setup.proxy.shut_down().await;
}

/// With autocommit off a long text may set a savepoint for the transaction that comes next.
#[tokio::test]
async fn a_savepoint_in_a_long_text_stays() {
    let setup = deferring().await;
    let mut client = through(&setup, usual()).await;
    let mut direct = directly(&setup, usual()).await;
    for sql in [
        "CREATE TABLE l (id INT)",
        "SET autocommit = 0",
        &long("SAVEPOINT a"),
        "SELECT COUNT(*) FROM l",
        "INSERT INTO l VALUES (1)",
        "ROLLBACK TO a",
        "SELECT COUNT(*) FROM l",
    ] {
        let name = &sql[..sql.len().min(30)];
        assert_eq!(
            see(&mut client, sql).await,
            see(&mut direct, sql).await,
            "{name}"
        );
    }
    setup.proxy.shut_down().await;
}

/// A server closes the connection after the OK of such a COMMIT, wherever the transaction ran.
#[tokio::test]
async fn release_closes_the_clients_connection() {
    let setup = deferring().await;
    setup
        .cluster
        .primary()
        .exec("CREATE TABLE through.c (id INT)")
        .await
        .unwrap();
    setup
        .cluster
        .primary()
        .exec("CREATE TABLE directly.c (id INT)")
        .await
        .unwrap();
    setup.cluster.wait_all_caught_up().await.unwrap();
    let closes = async |mut client: Raw, script: &[&str]| {
        for sql in script {
            assert_eq!(error_of(&client.query(sql).await), None, "{sql}");
        }
        // A ping; the other end may be gone already.
        let _ = client.stream.write_all(b"\x01\0\0\0\x0e").await;
        client.frame().await.is_none()
    };
    for (script, expected) in [
        (
            &[
                "START TRANSACTION READ ONLY",
                "SELECT id FROM c",
                "COMMIT RELEASE",
            ][..],
            true,
        ),
        (
            &[
                "START TRANSACTION READ ONLY",
                "SELECT id FROM c",
                "ROLLBACK NO RELEASE",
            ],
            false,
        ),
        (
            &["BEGIN", "SELECT id FROM c", "ROLLBACK AND NO CHAIN RELEASE"],
            true,
        ),
        (
            &["BEGIN", "INSERT INTO c VALUES (1)", "COMMIT RELEASE"],
            true,
        ),
        (
            &[
                "SET completion_type = 'RELEASE'",
                "START TRANSACTION READ ONLY",
                "SELECT id FROM c",
                "COMMIT",
            ],
            true,
        ),
    ] {
        let direct = closes(directly(&setup, usual()).await, script).await;
        assert_eq!(direct, expected, "{script:?}");
        let through = closes(through(&setup, usual()).await, script).await;
        assert_eq!(through, expected, "{script:?}");
    }
    setup.proxy.shut_down().await;
}

/// A session keeps the isolation level that it began with: at REPEATABLE READ its snapshot is the primary's, also
/// when those who begin later read anew each time.
#[tokio::test]
async fn an_isolation_level_that_was_set_globally_is_for_others() {
    let cluster = Cluster::builder().start().await.unwrap();
    for sql in [
        "CREATE DATABASE through",
        "CREATE TABLE through.t (id INT PRIMARY KEY)",
        "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO app",
    ] {
        cluster.primary().exec(sql).await.unwrap();
    }
    cluster.wait_all_caught_up().await.unwrap();
    let setup = Setup::over(cluster, |config| {
        config.consistency.transaction_reads = TransactionReads::ReplicaUntilWrite;
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    let mut old = through(&setup, usual()).await;
    let set = "SET GLOBAL transaction_isolation = 'READ-COMMITTED'";
    assert_eq!(error_of(&old.query(set).await), None);
    let mut new = through(&setup, usual()).await;
    for (client, expected) in [(&mut old, "primary"), (&mut new, "replica")] {
        client.query("BEGIN").await;
        client.query("SELECT COUNT(*) FROM t").await;
        let went = shown(&client.query("SHOW HIGHWATER ROUTE LAST 1").await);
        assert!(went.contains(expected), "{went}");
        client.query("COMMIT").await;
    }
    setup.proxy.shut_down().await;
}
