//! Who logs in after a change of its account has the rights of then; who is there goes on with its own.

use std::time::Duration;

use highwater::config::{Config, PoolMode};
use highwater::daemon::Proxy;
use highwater::rig::{Cluster, ROOT};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::measure::Held;
use crate::support::run;
use crate::support::stage::until;
use crate::{all, boss, code, login, proxy};

/// Needs SELECT, which a replica's connection has or has not.
const READ: &str = "SELECT COUNT(*) FROM app.t";
/// Needs PROCESS on the primary's.
const PROCESS: &str = "SHOW ENGINE INNODB STATUS";

/// A cluster with a table in it.
async fn cluster() -> Cluster {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    for sql in [
        "CREATE TABLE app.t (id INT)",
        "INSERT INTO app.t VALUES (1)",
    ] {
        cluster.primary().exec(sql).await.unwrap();
    }
    cluster
}

fn made(user: &str) -> [String; 2] {
    [
        format!("CREATE USER {user} IDENTIFIED BY 'pw'"),
        format!("GRANT SELECT, PROCESS ON *.* TO {user}"),
    ]
}

/// What a session that begins now is told.
async fn told(proxy: &Proxy, user: &str) -> [u16; 2] {
    let mut conn = login(proxy, user, None).await.unwrap();
    let codes = codes(&mut conn).await;
    conn.disconnect().await.unwrap();
    codes
}

async fn codes(conn: &mut Conn) -> [u16; 2] {
    [code(conn, READ).await, code(conn, PROCESS).await]
}

#[tokio::test]
async fn a_session_has_the_rights_of_its_beginning() {
    let cluster = cluster().await;
    for mode in PoolMode::ALL {
        let user = format!("u_{}", mode.name());
        let proxy = proxy(&cluster, mode, &[&user], |_| {}).await;
        let mut boss = boss(&proxy).await;
        all(&mut boss, &made(&user)).await;
        assert_eq!(told(&proxy, &user).await, [0, 0], "{mode:?}");
        let mut open = login(&proxy, &user, None).await.unwrap();
        assert_eq!(codes(&mut open).await, [0, 0], "{mode:?}");

        run(
            &mut boss,
            &format!("REVOKE SELECT, PROCESS ON *.* FROM {user}"),
        )
        .await;
        assert_eq!(told(&proxy, &user).await, [1142, 1227], "{mode:?}");
        if mode == PoolMode::Session {
            assert_eq!(codes(&mut open).await, [0, 0], "as on one server");
        }
        run(
            &mut boss,
            &format!("GRANT SELECT, PROCESS ON *.* TO {user}"),
        )
        .await;
        assert_eq!(told(&proxy, &user).await, [0, 0], "{mode:?}");

        // A change that is refused is none: the connections are kept.
        let before = threads(&cluster, &user).await;
        let mut plain = login(&proxy, &user, None).await.unwrap();
        assert_eq!(code(&mut plain, "DROP USER nobody").await, 1227);
        plain.disconnect().await.unwrap();
        assert_eq!(told(&proxy, &user).await, [0, 0]);
        let kept = threads(&cluster, &user).await;
        assert!(
            before.iter().any(|it| kept.contains(it)),
            "{before:?} {kept:?}"
        );
    }
}

/// A connection that the session gets later does not let it into its schema: the server says why.
#[tokio::test]
async fn a_schema_that_is_the_accounts_no_more() {
    let cluster = cluster().await;
    let every_statement = |config: &mut Config| config.pool.switch_always = true;
    let proxy = proxy(&cluster, PoolMode::Transaction, &["u"], every_statement).await;
    let mut boss = boss(&proxy).await;
    let give = "GRANT INSERT ON own.* TO u";
    for sql in [
        "CREATE DATABASE own",
        "CREATE TABLE own.t (id INT)",
        "CREATE USER u IDENTIFIED BY 'pw'",
        give,
    ] {
        run(&mut boss, sql).await;
    }
    let mut open = login(&proxy, "u", Some("own")).await.unwrap();
    let write = "INSERT INTO t VALUES (1)";
    assert_eq!(code(&mut open, write).await, 0);
    run(&mut boss, "REVOKE INSERT ON own.* FROM u").await;
    assert_eq!(code(&mut open, write).await, 1044);
    run(&mut boss, give).await;
    assert_eq!(code(&mut open, write).await, 0, "it is still its schema");
    run(&mut boss, "DROP DATABASE own").await;
    assert_eq!(code(&mut open, write).await, 1049);
}

/// Every way in which a proxy sees a statement.
#[tokio::test]
async fn however_a_right_is_taken_away() {
    let cluster = cluster().await;
    let mode = PoolMode::Transaction;
    let proxy = proxy(&cluster, mode, &["u", "v"], |_| {}).await;
    let mut boss = boss(&proxy).await;
    all(&mut boss, &made("u")).await;
    run(&mut boss, "CREATE ROLE r").await;
    run(&mut boss, "GRANT SELECT, PROCESS ON *.* TO r").await;
    let give = "GRANT SELECT, PROCESS ON *.* TO u";
    let take = "REVOKE SELECT, PROCESS ON *.* FROM u";
    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("text", &[give], &[take]),
        ("several", &[give], &[&format!("DO 1; {take}; DO 2")]),
        (
            "comment",
            &[give],
            &["/*!80000 REVOKE SELECT, PROCESS ON *.* FROM u */"],
        ),
        (
            "default role",
            &["GRANT r TO u", "SET DEFAULT ROLE r TO u"],
            &["ALTER USER u DEFAULT ROLE NONE"],
        ),
        (
            "role's own",
            &["SET DEFAULT ROLE r TO u"],
            &["REVOKE SELECT, PROCESS ON *.* FROM r"],
        ),
        (
            "grant tables",
            &[give],
            &[
                "UPDATE mysql.user SET Select_priv = 'N', Process_priv = 'N' WHERE User = 'u'",
                "FLUSH PRIVILEGES",
            ],
        ),
    ];
    for (name, gives, takes) in cases {
        for sql in gives {
            run(&mut boss, sql).await;
        }
        assert_eq!(told(&proxy, "u").await, [0, 0], "{name}");
        for sql in takes {
            run(&mut boss, sql).await;
        }
        assert_eq!(told(&proxy, "u").await, [1142, 1227], "{name}");
    }
    run(&mut boss, give).await;
    assert_eq!(told(&proxy, "u").await, [0, 0]);
    boss.exec_drop(take, ()).await.unwrap();
    assert_eq!(told(&proxy, "u").await, [1142, 1227], "prepared");
}

/// What happens past the proxy, or inside of a stored program, is noticed by the servers' counters.
#[tokio::test]
async fn a_change_that_nobody_saw_is_noticed() {
    let cluster = cluster().await;
    let mode = PoolMode::Session;
    let proxy = proxy(&cluster, mode, &["u", "v"], |_| {}).await;
    let mut boss = boss(&proxy).await;
    for user in ["u", "v"] {
        all(&mut boss, &made(user)).await;
    }
    let body = "REVOKE SELECT, PROCESS ON *.* FROM u";
    run(&mut boss, &format!("CREATE PROCEDURE app.p() {body}")).await;
    for user in ["u", "v"] {
        assert_eq!(told(&proxy, user).await, [0, 0]);
    }
    run(&mut boss, "CALL app.p()").await;
    let past = "REVOKE SELECT, PROCESS ON *.* FROM v";
    cluster.primary().exec(past).await.unwrap();
    for user in ["u", "v"] {
        let gone = async || told(&proxy, user).await == [1142, 1227];
        until(&format!("{user}'s rights are gone"), gone).await;
    }
}

/// A replica applies a change later: what it let in before is not handed on, and who logs in after the
/// change is not told by it that a right is missing.
#[tokio::test]
async fn a_replica_that_lacks_the_change_yet() {
    let cluster = cluster().await;
    for mode in PoolMode::ALL {
        let user = format!("u_{}", mode.name());
        let proxy = proxy(&cluster, mode, &[&user], |config| {
            config.consistency.catch_up_timeout = Duration::from_millis(50);
        })
        .await;
        let mut boss = boss(&proxy).await;
        run(&mut boss, &format!("CREATE USER {user} IDENTIFIED BY 'pw'")).await;
        cluster.wait_all_caught_up().await.unwrap();
        let held = Held::hold(cluster.replica(0)).await;
        run(
            &mut boss,
            &format!("GRANT SELECT, PROCESS ON *.* TO {user}"),
        )
        .await;
        assert_eq!(told(&proxy, &user).await, [0, 0], "the primary answers");
        assert_eq!(eventual(&proxy, &user).await, 1142, "the replica answers");
        held.release().await;
        cluster.wait_all_caught_up().await.unwrap();
        assert_eq!(
            eventual(&proxy, &user).await,
            0,
            "not by the old connection"
        );
    }
}

async fn eventual(proxy: &Proxy, user: &str) -> u16 {
    let mut conn = login(proxy, user, None).await.unwrap();
    run(&mut conn, "SET highwater_read_consistency = 'eventual'").await;
    let code = code(&mut conn, READ).await;
    conn.disconnect().await.unwrap();
    code
}

/// The connections that an account has to the primary.
async fn threads(cluster: &Cluster, user: &str) -> Vec<String> {
    let mut root = cluster.primary().connect(&ROOT).await.unwrap();
    let sql = format!(
        "SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE PROCESSLIST_USER = '{user}'"
    );
    let threads = root.query(sql).await.unwrap();
    root.disconnect().await.unwrap();
    threads
}

#[tokio::test]
async fn no_connection_is_handed_on_for_ever() {
    let cluster = cluster().await;
    cluster
        .primary()
        .exec("CREATE USER u IDENTIFIED BY 'pw'")
        .await
        .unwrap();
    for mode in PoolMode::ALL {
        let proxy = proxy(&cluster, mode, &["u"], |config| {
            config.pool.max_lifetime = Some(Duration::from_millis(200));
        })
        .await;
        let visit = async || {
            let mut conn = login(&proxy, "u", None).await.unwrap();
            run(&mut conn, "DO 1").await;
            let threads = threads(&cluster, "u").await;
            conn.disconnect().await.unwrap();
            threads
        };
        let first = visit().await;
        assert!(!first.is_empty());
        let other = async || visit().await.iter().all(|it| !first.contains(it));
        until("another connection", other).await;
    }
}
