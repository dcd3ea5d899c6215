//! Levels `group`, `proxy` and `global`: what other sessions wrote is seen, as far as the level says.
//!
//! The replicas are healthy and stand still. Whoever does not have to see a write reads it from
//! there, and does not.

use std::sync::Arc;
use std::time::Duration;

use highwater::config::{Account, GroupBy};
use highwater::daemon::Proxy;
use highwater::domain::ids::BackendId;
use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::{APP, Cluster, ClusterBuilder, Engine};
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Error, Opts};
use tokio::task::JoinSet;

use super::measure::{Held, count, until};
use super::monotonic::counter;
use super::session::prepare_writes;
use super::support::{Setup, cell, config, run};
use super::wire::{Raw, only_cell};
use super::writes::{CASES, look, perform};

/// A reader of the counter at a level, in a group.
async fn reader(setup: &Setup, level: &str, group: &str) -> Conn {
    let mut conn = setup.connect().await;
    let sql = format!("SET highwater_read_consistency = '{level}', highwater_group = '{group}'");
    run(&mut conn, &sql).await;
    conn
}

async fn impatient(engine: Engine) -> Setup {
    impatient_on(Cluster::builder().engine(engine)).await
}

async fn impatient_on(servers: ClusterBuilder) -> Setup {
    let setup = Setup::with(servers, |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(600);
        config.users.push(Account::new("second", "second-pw"));
    })
    .await;
    let primary = setup.cluster.primary();
    for sql in [
        "CREATE TABLE app.counter (v BIGINT UNSIGNED)",
        "INSERT INTO app.counter VALUES (0)",
        "CREATE USER 'second'@'%' IDENTIFIED BY 'second-pw'",
        "GRANT SELECT ON *.* TO 'second'@'%'",
    ] {
        primary.exec(sql).await.unwrap();
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    setup
}

async fn hold(setup: &Setup) -> Vec<Held> {
    let mut held = Vec::new();
    for replica in setup.cluster.replicas() {
        held.push(Held::hold(replica).await);
    }
    held
}

#[tokio::test]
async fn each_level_sees_the_writes_of_its_scope_and_no_more() {
    scopes_of(Engine::MySql).await;
}

#[tokio::test]
async fn each_level_sees_the_writes_of_its_scope_on_mariadb() {
    scopes_of(Engine::MariaDb).await;
}

async fn scopes_of(engine: Engine) {
    let setup = impatient(engine).await;
    let mut writer = setup.connect().await;
    run(&mut writer, "SET highwater_group = 'cart'").await;
    let mut readers = Vec::new();
    for (level, group, sees_proxy, sees_all) in [
        ("eventual", "cart", false, false),
        ("session", "cart", false, false),
        ("group", "cart", true, false),
        ("group", "other", false, false),
        ("group", "", false, false),
        ("proxy", "other", true, false),
        ("global", "other", true, true),
    ] {
        let mut conn = reader(&setup, level, group).await;
        // What was acknowledged before the proxy started is unknown until somebody asks.
        assert_eq!(counter(&mut conn).await, 0);
        readers.push((level, group, conn, sees_proxy, sees_all));
    }
    let held = hold(&setup).await;
    run(&mut writer, "UPDATE counter SET v = 1").await;
    for (level, group, conn, sees, _) in &mut readers {
        let seen = counter(conn).await;
        assert_eq!(seen, u64::from(*sees), "{level} in group {group:?}");
    }
    // One that goes past the proxy.
    let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
    run(&mut direct, "UPDATE counter SET v = v + 10").await;
    for (level, group, conn, sees_proxy, sees_all) in &mut readers {
        let seen = counter(conn).await;
        // Who fell back to the primary saw more than the level asks for, and keeps to that.
        let fell_back = *sees_proxy;
        let expected = if *sees_all || fell_back { 11 } else { 0 };
        assert_eq!(seen, expected, "{level} in group {group:?}");
    }
    // A session that has seen nothing yet tells them apart.
    for (level, expected) in [("proxy", 1), ("global", 11)] {
        let mut fresh = reader(&setup, level, "").await;
        let seen = counter(&mut fresh).await;
        assert!(seen >= expected, "{level}: {seen}");
    }
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_write_past_the_proxy_is_seen_at_global_alone() {
    let setup = impatient(Engine::MySql).await;
    for level in ["eventual", "session", "group", "proxy"] {
        counter(&mut reader(&setup, level, "").await).await;
    }
    let held = hold(&setup).await;
    let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
    run(&mut direct, "UPDATE counter SET v = 1").await;
    for (level, expected) in [
        ("eventual", 0),
        ("session", 0),
        ("group", 0),
        ("proxy", 0),
        ("global", 1),
    ] {
        let mut conn = reader(&setup, level, "").await;
        assert_eq!(counter(&mut conn).await, expected, "{level}");
    }
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// Whatever a session did not learn of its write, group and proxy know that something is unknown.
#[tokio::test]
async fn every_kind_of_write_is_seen_by_its_group_and_its_proxy() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(3600);
    })
    .await;
    prepare_writes(&setup).await;
    let mut wrong = Vec::new();
    for (n, case) in (1..).zip(CASES) {
        for (n, untold) in [(n, false), (1_000 + n, true)] {
            // Sessions that have read on the replica, which has everything, and then stands still.
            setup.cluster.wait_all_caught_up().await.unwrap();
            let mut readers = Vec::new();
            for level in ["session", "group", "proxy"] {
                let mut conn = reader(&setup, level, "").await;
                run(&mut conn, "SET highwater_catch_up_timeout = 60000").await;
                look(&mut conn, case, n, false).await;
                run(&mut conn, "SET highwater_catch_up_timeout = DEFAULT").await;
                readers.push((level, conn));
            }
            let held = hold(&setup).await;
            let performed = match untold {
                false => {
                    let mut conn = setup.connect().await;
                    perform(&mut conn, case, n).await;
                    true
                }
                // A client to which the end of rows tells no position.
                true => {
                    let mut raw = Raw::connect(&setup, CapabilityFlags::empty()).await;
                    raw.perform(case, n).await
                }
            };
            for (level, conn) in readers.iter_mut().filter(|_| performed) {
                let seen = look(conn, case, n, false).await;
                // The check can fail: at session, others see what the replica has.
                if (seen == case.sees) != (*level != "session") {
                    wrong.push(format!("{level}, {} ({untold}): {seen}", case.name));
                }
            }
            for held in held {
                held.release().await;
            }
        }
    }
    assert!(wrong.is_empty(), "not as the level says: {wrong:#?}");
    setup.proxy.shut_down().await;
}

#[tokio::test]
async fn a_group_is_the_users_own_until_one_is_named() {
    let setup = impatient(Engine::MySql).await;
    let mut second = second(&setup).await;
    let mut mine = reader(&setup, "group", "").await;
    let mut named = reader(&setup, "group", "app").await;
    for conn in [&mut mine, &mut named, &mut second] {
        assert_eq!(counter(conn).await, 0);
    }
    let held = hold(&setup).await;
    let mut writer = setup.connect().await;
    run(&mut writer, "UPDATE counter SET v = 1").await;
    assert_eq!(counter(&mut mine).await, 1);
    assert_eq!(counter(&mut second).await, 0, "another user's group");
    assert_eq!(
        counter(&mut named).await,
        0,
        "a name is no user's own group"
    );
    // A group that is named is shared by all users.
    run(&mut second, "SET highwater_group = 'shared'").await;
    run(&mut writer, "SET highwater_group = 'shared'").await;
    run(&mut writer, "UPDATE counter SET v = 2").await;
    assert_eq!(counter(&mut second).await, 2);
    assert_eq!(
        cell(&mut second, "SELECT @@highwater_group")
            .await
            .as_deref(),
        Some("shared")
    );
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

async fn second(setup: &Setup) -> Conn {
    let opts = setup.opts().user(Some("second")).pass(Some("second-pw"));
    let mut conn = Conn::new(Opts::from(opts)).await.unwrap();
    run(&mut conn, "SET highwater_read_consistency = 'group'").await;
    conn
}

/// What the configuration gives a user is there at the login, after a reset, and after a change to
/// that user; what a session wrote stays through all of it.
#[tokio::test]
async fn users_start_with_their_own_settings() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.group_key = GroupBy::User;
        let mut account = Account::new("second", "second-pw");
        account.consistency.level = Some(highwater::domain::consistency::Level::Global);
        account.consistency.max_staleness = Some(Duration::from_secs(3));
        account.consistency.group = Some("shop".to_owned());
        config.users.push(account);
    })
    .await;
    let primary = setup.cluster.primary();
    for sql in [
        "CREATE USER 'second'@'%' IDENTIFIED BY 'second-pw'",
        "GRANT SELECT ON *.* TO 'second'@'%'",
    ] {
        primary.exec(sql).await.unwrap();
    }
    const ALL: &str = "SELECT @@highwater_read_consistency, @@highwater_max_staleness, \
                       @@highwater_on_timeout, @@highwater_group";
    type Shown = (String, String, String, String);
    let shown = async |conn: &mut Conn| -> Shown { conn.query_first(ALL).await.unwrap().unwrap() };
    let of = |all: [&str; 4]| -> Shown { all.map(str::to_owned).into() };
    let app = of(["session", "500", "primary", ""]);
    let shop = of(["global", "3000", "primary", "shop"]);
    let mut conn = setup.connect().await;
    assert_eq!(shown(&mut conn).await, app);
    run(
        &mut conn,
        "SET highwater_read_consistency = 'proxy', highwater_max_staleness = 7, \
         highwater_on_timeout = 'Stale', highwater_group = 'x'",
    )
    .await;
    assert_eq!(shown(&mut conn).await, of(["proxy", "7", "stale", "x"]));
    conn.reset().await.unwrap();
    assert_eq!(shown(&mut conn).await, app);
    let user = ChangeUserOpts::new()
        .with_user(Some("second".to_owned()))
        .with_pass(Some("second-pw".to_owned()));
    conn.change_user(user).await.unwrap();
    assert_eq!(shown(&mut conn).await, shop);
    run(
        &mut conn,
        "SET highwater_read_consistency = 'eventual', highwater_group = 'y'",
    )
    .await;
    run(
        &mut conn,
        "SET highwater_read_consistency = DEFAULT, highwater_group = DEFAULT",
    )
    .await;
    assert_eq!(shown(&mut conn).await, shop);
    setup.proxy.shut_down().await;
}

/// Readers that arrive together share the primary's answers; and each sees a write that was
/// acknowledged, past the proxy, before it asked.
#[tokio::test]
async fn concurrent_global_reads_share_probes() {
    const READERS: usize = 200;
    let setup = Arc::new(Setup::start().await);
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE seen (id INT PRIMARY KEY, v INT)").await;
    for id in 0..READERS {
        run(&mut conn, &format!("INSERT INTO seen VALUES ({id}, 0)")).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..READERS {
        sessions.push(reader(&setup, "global", "").await);
    }
    let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
    let before = setup.proxy.watch().counters(BackendId::PRIMARY);
    for round in 1..=3 {
        run(&mut direct, &format!("UPDATE seen SET v = {round}")).await;
        let mut reads = JoinSet::new();
        for (id, mut conn) in sessions.drain(..).enumerate() {
            reads.spawn(async move {
                let seen = cell(&mut conn, &format!("SELECT v FROM seen WHERE id = {id}")).await;
                assert_eq!(seen, Some(round.to_string()));
                conn
            });
        }
        while let Some(read) = reads.join_next().await {
            sessions.push(read.unwrap());
        }
    }
    let after = setup.proxy.watch().counters(BackendId::PRIMARY);
    let asked = after.executed_asked - before.executed_asked;
    let sent = after.upper_bounds_sent - before.upper_bounds_sent;
    println!(
        "global: {asked} reads asked what the primary has executed, {sent} questions were sent"
    );
    assert_eq!(asked, 3 * READERS as u64);
    assert!(
        sent >= 3 && sent <= asked / 2,
        "{sent} questions for {asked} reads"
    );
    // The last is counted when its answer is out.
    let level = ["level=\"global\""];
    until("every read's outcome is counted", || {
        count(&setup.proxy, "consistency_outcome_total", &level) >= asked
    })
    .await;
    drop(sessions);
    Arc::into_inner(setup).unwrap().proxy.shut_down().await;
}

/// In a READ ONLY transaction the level binds at the first read, and at READ COMMITTED at each.
#[tokio::test]
async fn a_read_only_transaction_is_as_fresh_as_its_snapshot_allows() {
    let setup = impatient(Engine::MySql).await;
    let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
    let mut write = async |value: u64| {
        run(&mut direct, &format!("UPDATE counter SET v = {value}")).await;
    };
    let mut conn = reader(&setup, "global", "").await;
    run(&mut conn, "SET highwater_catch_up_timeout = 60000").await;
    run(&mut conn, "START TRANSACTION READ ONLY").await;
    write(1).await;
    assert_eq!(counter(&mut conn).await, 1, "binds at the first read");
    write(2).await;
    assert_eq!(counter(&mut conn).await, 1, "one snapshot");
    run(&mut conn, "COMMIT").await;

    run(
        &mut conn,
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )
    .await;
    run(&mut conn, "START TRANSACTION READ ONLY").await;
    assert_eq!(counter(&mut conn).await, 2);
    write(3).await;
    assert_eq!(counter(&mut conn).await, 3, "binds at each statement");
    run(&mut conn, "SET highwater_catch_up_timeout = 20").await;
    let held = hold(&setup).await;
    write(4).await;
    let refused = conn.query_drop("SELECT v FROM counter").await;
    assert!(
        matches!(&refused, Err(Error::Server(error)) if error.code == 1205),
        "what was read ties it to its replica: {refused:?}"
    );
    run(&mut conn, "COMMIT").await;
    // A transaction that was begun on a replica, and has read nothing there, is moved.
    let mut other = reader(&setup, "proxy", "").await;
    run(&mut other, "START TRANSACTION READ ONLY").await;
    let mut writer = setup.connect().await;
    run(&mut writer, "UPDATE counter SET v = 5").await;
    assert_eq!(counter(&mut other).await, 5);
    let refused = other.query_drop("UPDATE counter SET v = 6").await;
    assert!(
        matches!(&refused, Err(Error::Server(error)) if error.code == 1792),
        "it is READ ONLY there as well: {refused:?}"
    );
    run(&mut other, "COMMIT").await;
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}

/// COMMIT AND CHAIN begins another READ ONLY transaction in the same place, with a snapshot of its own.
#[tokio::test]
async fn a_chained_read_only_transaction_binds_anew() {
    for engine in [Engine::MySql, Engine::MariaDb] {
        let setup = impatient(engine).await;
        let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
        let mut value = counter(&mut direct).await;
        let mut conn = reader(&setup, "global", "").await;
        for chain in ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"] {
            run(&mut conn, "START TRANSACTION READ ONLY").await;
            assert_eq!(counter(&mut conn).await, value, "{engine:?}");
            // Savepoints begin nothing.
            run(&mut conn, "SAVEPOINT a").await;
            value += 1;
            run(&mut direct, &format!("UPDATE counter SET v = {value}")).await;
            run(&mut conn, "ROLLBACK TO a").await;
            assert_eq!(
                counter(&mut conn).await,
                value - 1,
                "{engine:?}: one snapshot"
            );
            let held = hold(&setup).await;
            value += 1;
            run(&mut direct, &format!("UPDATE counter SET v = {value}")).await;
            run(&mut conn, chain).await;
            assert_eq!(counter(&mut conn).await, value, "{engine:?}: {chain}");
            run(&mut conn, "COMMIT").await;
            for held in held {
                held.release().await;
            }
            setup.cluster.wait_all_caught_up().await.unwrap();
        }
        setup.proxy.shut_down().await;
    }
}

/// MariaDB has another name for the isolation level that its configuration file sets.
#[tokio::test]
async fn read_committed_by_default_binds_at_each_statement() {
    for engine in [Engine::MySql, Engine::MariaDb] {
        let servers = Cluster::builder()
            .engine(engine)
            .option("transaction-isolation=READ-COMMITTED");
        let setup = impatient_on(servers).await;
        let mut direct = setup.cluster.primary().connect(&APP).await.unwrap();
        let mut conn = reader(&setup, "global", "").await;
        run(&mut conn, "START TRANSACTION READ ONLY").await;
        assert_eq!(counter(&mut conn).await, 0);
        let held = hold(&setup).await;
        run(&mut direct, "UPDATE counter SET v = 1").await;
        // On a machine so busy that no replica was fresh in time, the transaction is on the primary.
        let answer: mysql_async::Result<Option<u64>> =
            conn.query_first("SELECT v FROM counter").await;
        let is_right = match &answer {
            Err(Error::Server(error)) => error.code == 1205,
            Ok(value) => *value == Some(1),
            Err(_) => false,
        };
        assert!(is_right, "{engine:?}: {answer:?}");
        for held in held {
            held.release().await;
        }
        setup.proxy.shut_down().await;
    }
}

/// A client library that sends attributes needs no statement to be in a group.
#[tokio::test]
async fn a_connection_attribute_names_the_group() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        // The one that this test's client sends.
        config.consistency.group_key = GroupBy::Attribute("program_name".to_owned());
    })
    .await;
    let mut other = config(&setup.cluster);
    other.consistency.group_key = GroupBy::Attribute("nobody.sends.it".to_owned());
    let other = Proxy::start(other).await.unwrap();
    for (proxy, expected) in [(&setup.proxy, "highwater"), (&other, "")] {
        let mut raw = Raw::connect_to(proxy, CapabilityFlags::CLIENT_DEPRECATE_EOF).await;
        let shown = raw.query("SELECT @@highwater_group").await.unwrap();
        assert_eq!(only_cell(&shown), expected);
    }
    other.shut_down().await;
    setup.proxy.shut_down().await;
}

/// The COMMIT acknowledges what a statement of the transaction wrote in the group that it named; the
/// next transaction is the session's own again.
#[tokio::test]
async fn a_statements_group_holds_until_its_transaction_ends() {
    let setup = impatient(Engine::MySql).await;
    let mut writer = reader(&setup, "session", "writers").await;
    for group in ["alone", "first", "second", "none", "writers"] {
        assert_eq!(counter(&mut reader(&setup, "group", group).await).await, 0);
    }
    let held = hold(&setup).await;
    let begins = ["", "BEGIN", "SET autocommit = 0"];
    for (begin, group) in begins.into_iter().zip(["alone", "first", "second"]) {
        if !begin.is_empty() {
            run(&mut writer, begin).await;
        }
        let write = format!("/* highwater: group={group} */ UPDATE counter SET v = v + 1");
        run(&mut writer, &write).await;
        run(&mut writer, "COMMIT").await;
        let seen = counter(&mut reader(&setup, "group", group).await).await;
        assert!(seen > 0, "{group}: {seen}");
    }
    let other = counter(&mut reader(&setup, "group", "none").await).await;
    assert_eq!(other, 0, "another group does not have to see it");
    run(&mut writer, "UPDATE counter SET v = 9").await;
    run(&mut writer, "COMMIT").await;
    let mut writers = reader(&setup, "group", "writers").await;
    assert_eq!(counter(&mut writers).await, 9);
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}
