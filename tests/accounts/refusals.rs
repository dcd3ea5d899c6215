//! A server that refuses an account: its own error reaches the client, at the login and later; what only
//! a replica refuses, another server answers.

use highwater::backend::login::ConnectError;
use highwater::config::PoolMode;
use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;

use crate::measure::{reads_on, until};
use crate::support::raw::{Raw, error_of, usual};
use crate::support::{cell, run, stage};
use crate::{all, boss, code, login, proxy, refusal, refused_directly};

/// What makes the server refuse an account, and the schema that the client asks for.
const CASES: [(&str, &[&str], Option<&str>, u16); 8] = [
    ("dropped", &["DROP USER {u}"], None, 1045),
    ("dropped", &["DROP USER {u}"], Some("app"), 1045),
    (
        "password",
        &["ALTER USER {u} IDENTIFIED BY 'another'"],
        None,
        1045,
    ),
    ("locked", &["ALTER USER {u} ACCOUNT LOCK"], None, 3118),
    (
        "locked",
        &["ALTER USER {u} ACCOUNT LOCK"],
        Some("app"),
        3118,
    ),
    ("expired", &["ALTER USER {u} PASSWORD EXPIRE"], None, 1862),
    (
        "unknown schema",
        &["GRANT SELECT ON *.* TO {u}"],
        Some("nowhere"),
        1049,
    ),
    (
        "no rights",
        &["CREATE DATABASE IF NOT EXISTS theirs"],
        Some("theirs"),
        1044,
    ),
];

#[tokio::test]
async fn the_servers_own_error_at_the_login() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    let users: Vec<_> = (0..CASES.len())
        .map(|number| format!("u{number}"))
        .collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for mode in PoolMode::ALL {
        let proxy = proxy(&cluster, mode, &users, |_| {}).await;
        let mut boss = boss(&proxy).await;
        for (user, (name, changes, schema, code)) in users.iter().zip(CASES) {
            run(&mut boss, &format!("DROP USER IF EXISTS {user}")).await;
            run(&mut boss, &format!("CREATE USER {user} IDENTIFIED BY 'pw'")).await;
            run(&mut boss, &format!("GRANT SELECT ON app.* TO {user}")).await;
            // A connection that could be handed on.
            let mut before = login(&proxy, user, Some("app")).await.unwrap();
            run(&mut before, "DO 1").await;
            before.disconnect().await.unwrap();
            for change in changes {
                run(&mut boss, &change.replace("{u}", user)).await;
            }
            let expected = refused_directly(cluster.primary(), user, schema).await;
            let got = refusal(login(&proxy, user, schema).await);
            assert_eq!(got, expected, "{mode:?} {name}");
            assert_eq!(got.unwrap().0, code, "{mode:?} {name}");
        }
    }
}

/// A session that needs a new connection in the middle of its life, and goes on when it can have one.
#[tokio::test]
async fn the_servers_own_error_in_the_middle_of_a_session() {
    let cluster = Cluster::builder().replicas(1).start().await.unwrap();
    for mode in PoolMode::ALL {
        let user = format!("u_{}", mode.name());
        let proxy = proxy(&cluster, mode, &[&user], |_| {}).await;
        let mut boss = boss(&proxy).await;
        all(
            &mut boss,
            &[
                format!("CREATE USER {user} IDENTIFIED BY 'pw'"),
                format!("GRANT SELECT ON app.* TO {user}"),
            ],
        )
        .await;
        let mut open = login(&proxy, &user, None).await.unwrap();
        run(&mut boss, &format!("ALTER USER {user} ACCOUNT LOCK")).await;
        let expected = refused_directly(cluster.primary(), &user, None).await;
        let got = refusal(open.query_drop("DO 1").await);
        assert_eq!(got, expected, "{mode:?}");
        run(&mut boss, &format!("ALTER USER {user} ACCOUNT UNLOCK")).await;
        run(&mut open, "DO 1").await;
        assert_eq!(cell(&mut open, "SELECT 1").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn an_account_has_as_many_connections_as_it_may_have() {
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let mode = PoolMode::Session;
    let proxy = proxy(&cluster, mode, &["u"], |_| {}).await;
    let mut boss = boss(&proxy).await;
    let limit = "CREATE USER u IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 1";
    run(&mut boss, limit).await;
    let mut first = login(&proxy, "u", None).await.unwrap();
    run(&mut first, "DO 1").await;
    let expected = refused_directly(cluster.primary(), "u", None).await;
    assert_eq!(expected.as_ref().unwrap().0, 1226);
    assert_eq!(refusal(login(&proxy, "u", None).await), expected);
    first.disconnect().await.unwrap();
    let port = proxy.addresses().mysql.to_string();
    // Another kind of client: what the first one left is not for it, and must not be in its way. It may
    // still be on its way into the pool, or out of the server.
    let flags = usual() | CapabilityFlags::CLIENT_FOUND_ROWS;
    let let_in = async || match Raw::connect(&port, ("u", "pw"), None, flags).await {
        Ok(mut other) => error_of(&other.query("DO 1").await).is_none(),
        Err(ConnectError::Refused { code: 1226, .. }) => false,
        Err(error) => panic!("{error}"),
    };
    stage::until("another kind of client is let in", let_in).await;
}

/// An account that a replica does not know (yet): its reads are answered elsewhere.
#[tokio::test]
async fn what_only_replicas_refuse_the_primary_answers() {
    let cluster = Cluster::builder().start().await.unwrap();
    for mode in PoolMode::ALL {
        let user = format!("u_{}", mode.name());
        let proxy = proxy(&cluster, mode, &[&user], |_| {}).await;
        let mut boss = boss(&proxy).await;
        all(
            &mut boss,
            &[
                "CREATE TABLE IF NOT EXISTS app.t (id INT)".to_owned(),
                format!("CREATE USER {user} IDENTIFIED BY 'pw'"),
                format!("GRANT ALL ON app.* TO {user}"),
            ],
        )
        .await;
        cluster.wait_all_caught_up().await.unwrap();
        let unknown = format!(
            "SET GLOBAL super_read_only = 0; SET sql_log_bin = 0; DROP USER {user}; \
             SET GLOBAL super_read_only = 1"
        );
        let [first, second] = cluster.replicas() else {
            panic!("two replicas")
        };
        first.exec(&unknown).await.unwrap();
        let before = reads_on(&proxy, "primary");
        for _ in 0..8 {
            let mut conn = login(&proxy, &user, Some("app")).await.unwrap();
            assert_eq!(code(&mut conn, "SELECT COUNT(*) FROM t").await, 0);
            conn.disconnect().await.unwrap();
        }
        assert_eq!(reads_on(&proxy, "primary"), before, "the other replica did");
        second.exec(&unknown).await.unwrap();
        // A connection of the account that is there already is as good as ever.
        let flush = "FLUSH PRIVILEGES";
        run(&mut boss, flush).await;
        let mut conn = login(&proxy, &user, Some("app")).await.unwrap();
        assert_eq!(code(&mut conn, "SELECT COUNT(*) FROM t").await, 0);
        until("the primary answered", || {
            reads_on(&proxy, "primary") > before
        })
        .await;
        let topology = proxy.watch().topology();
        assert_eq!(
            topology.usable_replicas().count(),
            2,
            "nothing is wrong with them"
        );
    }
}
