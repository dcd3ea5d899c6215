//! Positions that an application carries from session to session and from proxy to proxy.

use std::time::Duration;

use highwater::daemon::Proxy;
use highwater::rig::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder};

use super::measure::Held;
use super::monotonic::counter;
use super::support::{Setup, cell, config, run};

async fn token(conn: &mut Conn) -> String {
    cell(conn, "SELECT @@highwater_position").await.unwrap()
}

#[tokio::test]
async fn a_token_carries_what_was_written_and_read() {
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(600);
    })
    .await;
    let replicas = setup.cluster.replicas();
    let mut writer = setup.connect().await;
    assert_eq!(
        token(&mut writer).await,
        "",
        "nothing written, nothing read"
    );
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    let second = Held::hold(&replicas[1]).await;
    run(&mut writer, "UPDATE counter SET v = 1").await;
    setup.cluster.wait_caught_up(0).await.unwrap();
    let written = token(&mut writer).await;

    // One that only read has a token as well: of what it saw on the first replica.
    let mut readers = Vec::new();
    let read = loop {
        let mut reader = setup.connect().await;
        let seen = counter(&mut reader).await;
        if seen == 1 {
            let read = token(&mut reader).await;
            assert_eq!(counter(&mut reader).await, 1, "asking changes nothing");
            break read;
        }
        readers.push(reader);
        assert!(readers.len() < 16, "nobody reads from the first replica");
    };
    let first = Held::hold(&replicas[0]).await;
    replicas[0].kill();
    setup.replicas_usable(1).await;

    // Another proxy, which knows nothing of these sessions.
    let mut other = config(&setup.cluster);
    other.consistency.catch_up_timeout = Duration::from_millis(20);
    other.consistency.max_lag = Duration::from_secs(600);
    let other = Proxy::start(other).await.unwrap();
    for (what, token) in [("written", &written), ("read", &read)] {
        for proxy in [&setup.proxy, &other] {
            let mut conn = connect_to(&setup, proxy).await;
            assert_eq!(
                counter(&mut conn).await,
                0,
                "{what}: the replica stands still"
            );
            run(&mut conn, &format!("SET highwater_read_after = '{token}'")).await;
            assert_eq!(counter(&mut conn).await, 1, "{what}");
            let shown = cell(&mut conn, "SELECT @@highwater_read_after").await;
            assert_eq!(shown.as_ref(), Some(token));
            // For one statement alone.
            let mut conn = connect_to(&setup, proxy).await;
            let hinted = format!("/* highwater: after='{token}' */ SELECT v FROM counter");
            assert_eq!(
                cell(&mut conn, &hinted).await.as_deref(),
                Some("1"),
                "{what}"
            );
        }
    }
    drop(first);
    second.release().await;
    other.shut_down().await;
    setup.proxy.shut_down().await;
}

async fn connect_to(setup: &Setup, proxy: &Proxy) -> Conn {
    let address = proxy.addresses().mysql;
    let opts: OptsBuilder = setup.opts().tcp_port(address.port());
    Conn::new(Opts::from(opts)).await.unwrap()
}

/// What is no position, and what no server can ever show, is refused at once and changes nothing.
#[tokio::test]
async fn a_token_that_nobody_can_honour_is_refused() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        // Whoever waited for one of these would wait for ever.
        config.consistency.catch_up_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut conn, "INSERT INTO counter VALUES (0)").await;
    let own = token(&mut conn).await;
    let (uuid, _) = own.split_once(':').unwrap();
    let future = format!("{uuid}:1-999999999");
    for (text, says) in [
        ("nonsense", "expected a position as @@highwater_position"),
        ("1-2", "expected a position"),
        (&*future, "neither executed nor owns"),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1",
            "neither executed nor owns",
        ),
        ("0-1-77", "neither executed nor owns"),
    ] {
        for sql in [
            format!("SET highwater_read_after = '{text}'"),
            format!("/* highwater: after='{text}' */ SELECT v FROM counter"),
        ] {
            match conn.query_drop(&sql).await {
                Err(Error::Server(error)) => {
                    assert_eq!((error.code, &*error.state), (1231, "42000"), "{sql}");
                    assert!(error.message.contains(says), "{sql}: {}", error.message);
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
        assert_eq!(counter(&mut conn).await, 0);
    }
    let shown = cell(&mut conn, "SELECT @@highwater_read_after").await;
    assert_eq!(shown.as_deref(), Some(""));
    setup.proxy.shut_down().await;
}
