//! What triggers, and functions that views call, leave on a connection: it is its session's, on both engines,
//! also where no tracker tells of it.

use std::time::{Duration, Instant};

use highwater::domain::session::PinReason;
use highwater::relay::SessionPin;
use highwater::rig::{APP, Cluster, Engine};
use mysql_async::prelude::Queryable;

use crate::lends;
use crate::measure::until;
use crate::support::{Setup, cell, run};

/// What leaves something, a statement that meets it, and a question that shows it.
type Case = [&'static str; 3];

const VARIABLE: &str = "SELECT @left";
const LOCK: &str = "SELECT IS_USED_LOCK('left') IS NOT NULL";

/// Each in a schema of its own. A slash stands between two programs.
const CASES: [Case; 8] = [
    [
        "CREATE TRIGGER leaves BEFORE INSERT ON t FOR EACH ROW SELECT NEW.id INTO @left",
        "INSERT INTO t VALUES (7)",
        VARIABLE,
    ],
    [
        "CREATE TRIGGER leaves AFTER INSERT ON t FOR EACH ROW BEGIN DECLARE got INT; \
         SET got = GET_LOCK('left', 0); END",
        "REPLACE INTO t VALUES (7)",
        LOCK,
    ],
    [
        "CREATE PROCEDURE deep() SELECT 7 INTO @left/ \
         CREATE FUNCTION middle() RETURNS INT BEGIN CALL deep(); RETURN 1; END/ \
         CREATE TRIGGER leaves BEFORE UPDATE ON t FOR EACH ROW SET NEW.id = NEW.id + middle()",
        "UPDATE t SET id = 2",
        VARIABLE,
    ],
    [
        "CREATE TRIGGER leaves BEFORE DELETE ON t FOR EACH ROW \
         BEGIN CREATE TEMPORARY TABLE rest SELECT OLD.id; END",
        "DELETE FROM t",
        "SELECT id FROM rest",
    ],
    [
        "CREATE FUNCTION f() RETURNS INT BEGIN SELECT 7 INTO @left; RETURN 1; END/ \
         CREATE VIEW v AS SELECT f() AS x",
        "SELECT x FROM v FOR UPDATE",
        VARIABLE,
    ],
    [
        "CREATE FUNCTION f() RETURNS INT BEGIN SELECT 7 INTO @left; RETURN 1; END/ \
         CREATE VIEW v AS SELECT f() AS x",
        "INSERT INTO t SELECT x + 1 FROM v",
        VARIABLE,
    ],
    [
        "CREATE TRIGGER leaves BEFORE INSERT ON t FOR EACH ROW SELECT NEW.id INTO @left",
        "SELECT 1; INSERT INTO t VALUES (7)",
        VARIABLE,
    ],
    [
        "CREATE TRIGGER leaves BEFORE INSERT ON t FOR EACH ROW SET @left = NEW.id",
        "INSERT INTO t VALUES (7); SELECT 1",
        VARIABLE,
    ],
];

async fn setup(engine: Engine) -> Setup {
    let cluster = Cluster::builder().engine(engine).replicas(0);
    Setup::with(cluster, lends(1)).await
}

/// What a statement left is there for its session, and gone with it.
async fn check(setup: &Setup, [makes, meets, shows]: Case, schema: &str) -> Option<String> {
    let mut one = setup.connect().await;
    run(&mut one, &format!("CREATE DATABASE {schema}")).await;
    run(&mut one, &format!("USE {schema}")).await;
    run(&mut one, "CREATE TABLE t (id INT PRIMARY KEY)").await;
    run(&mut one, "INSERT INTO t VALUES (1)").await;
    for sql in makes.split("/ ") {
        run(&mut one, sql).await;
    }
    one.disconnect().await.unwrap();

    let mut one = setup.connect().await;
    run(&mut one, &format!("USE {schema}")).await;
    run(&mut one, meets).await;
    let own = cell(&mut one, shows).await;
    one.disconnect().await.unwrap();
    let mut two = setup.connect().await;
    run(&mut two, &format!("USE {schema}")).await;
    let others = two.query_first::<Option<String>, _>(shows).await;
    let others = others.ok().flatten().flatten();
    run(&mut two, &format!("DROP DATABASE {schema}")).await;
    two.disconnect().await.unwrap();
    let left = own.as_deref().is_some_and(|own| own != "0");
    let leaks = others.is_some_and(|others| others != "0");
    (!left || leaks).then(|| format!("{makes}: {meets}: here {own:?}, leaks {leaks}"))
}

async fn check_all(engine: Engine) {
    let setup = setup(engine).await;
    let mut wrong = Vec::new();
    for (number, case) in CASES.into_iter().enumerate() {
        wrong.extend(check(&setup, case, &format!("programs_{number}")).await);
    }
    setup.proxy.shut_down().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_a_program_leaves_stays_in_its_session() {
    check_all(Engine::MySql).await;
}

#[tokio::test]
async fn what_a_program_leaves_stays_in_its_session_on_mariadb() {
    check_all(Engine::MariaDb).await;
}

/// Whether a session is bound that begins now and runs this.
async fn binds(setup: &Setup, sql: &str) -> bool {
    let mut one = setup.connect().await;
    run(&mut one, sql).await;
    let pins = setup.proxy.pins();
    let unknown = |it: &SessionPin| it.pin.reason == PinReason::Unknown;
    let bound = pins.iter().any(unknown);
    assert_eq!(pins.len(), usize::from(bound));
    one.disconnect().await.unwrap();
    until("its pins are gone", || setup.proxy.pins().is_empty()).await;
    bound
}

/// Nobody tells Highwater of a trigger that was made past it: the server's counters do, within ten seconds.
#[tokio::test]
async fn a_program_made_past_the_proxy_is_noticed() {
    let setup = setup(Engine::MySql).await;
    let mut one = setup.connect().await;
    run(&mut one, "CREATE TABLE t (id INT)").await;
    one.disconnect().await.unwrap();
    let meets = "INSERT INTO t VALUES (7)";
    let schema = APP.database.unwrap();
    let makes = format!(
        "CREATE TRIGGER {schema}.leaves BEFORE INSERT ON {schema}.t FOR EACH ROW SELECT 7 INTO @left"
    );
    assert!(!binds(&setup, meets).await);
    let primary = setup.cluster.primary();
    for (sql, bound) in [
        (makes, true),
        (format!("DROP TRIGGER {schema}.leaves"), false),
    ] {
        primary.exec(&sql).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while binds(&setup, meets).await != bound {
            assert!(Instant::now() < deadline, "never noticed: {sql}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    setup.proxy.shut_down().await;
}

/// A function that a view calls may run on a replica.
#[tokio::test]
async fn what_a_function_leaves_on_a_replica_goes_with_its_session() {
    let setup = Setup::with(Cluster::builder().replicas(1), lends(1)).await;
    let mut one = setup.connect().await;
    for sql in [
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE FUNCTION f() RETURNS INT BEGIN SELECT 7 INTO @left; RETURN @@server_id; END",
        "CREATE VIEW v AS SELECT f() AS x",
    ] {
        run(&mut one, sql).await;
    }
    one.disconnect().await.unwrap();
    setup.cluster.wait_all_caught_up().await.unwrap();
    let primary = setup.cluster.primary().value("SELECT @@server_id").await;
    let mut one = setup.connect().await;
    let ran_on = cell(&mut one, "SELECT x FROM v").await;
    assert_ne!(ran_on, primary.unwrap());
    one.disconnect().await.unwrap();
    let mut two = setup.connect().await;
    let there = "SELECT IFNULL(@left, 'nothing') FROM t";
    assert_eq!(cell(&mut two, there).await.as_deref(), Some("nothing"));
    setup.proxy.shut_down().await;
}
