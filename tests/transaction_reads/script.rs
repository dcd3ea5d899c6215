//! Statement by statement: the same answers as a single server gives, from where they should come.

use highwater::protocol::caps::CapabilityFlags;
use highwater::protocol::reply::ReplyKind;

use super::seen::run;
use crate::support::Setup;
use crate::support::raw::{Raw, usual};
use crate::support::script::{Went, counters};
use crate::{deferring, directly, through};

/// Each line is a place, perhaps with a reason, and a statement; `new` begins a new session.
const SCRIPT: &str = "
    p CREATE TABLE t (id INT PRIMARY KEY, v INT)
    p INSERT INTO t VALUES (1, 10), (2, 20)
    r SELECT * FROM t
    o BEGIN
    r SELECT * FROM t
    o SELECT @@highwater_read_consistency
    r SELECT * FROM t WHERE id = 1
    p UPDATE t SET v = v + 1 WHERE id = 1
    p:in_transaction SELECT * FROM t
    p COMMIT
    r SELECT * FROM t

    o START TRANSACTION READ WRITE
    r SELECT v FROM t WHERE id = 1
    o ROLLBACK
    r SELECT 1
    o BEGIN
    o BEGIN
    r SELECT COUNT(*) FROM t
    o COMMIT WORK AND NO CHAIN NO RELEASE
    p COMMIT

    o BEGIN
    r SELECT nosuch FROM t
    r SELECT COUNT(*) FROM t
    p:locking_read SELECT v FROM t WHERE id = 2 FOR UPDATE
    p ROLLBACK
    o BEGIN
    p SAVEPOINT a
    p:in_transaction SELECT COUNT(*) FROM t
    p ROLLBACK TO a
    p COMMIT
    o BEGIN
    r SELECT COUNT(*) FROM t
    p ROLLBACK TO nosuch
    p COMMIT
    o BEGIN
    p COMMIT AND CHAIN
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT

    o BEGIN
    p SET autocommit = 0
    p COMMIT
    p SET autocommit = 1
    o BEGIN
    p SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
    p ROLLBACK
    o BEGIN
    p CREATE TABLE u (id INT)
    r SELECT COUNT(*) FROM u
    o BEGIN
    p LOCK TABLES t READ
    p UNLOCK TABLES
    o BEGIN
    r START TRANSACTION READ ONLY
    r SELECT COUNT(*) FROM t
    r COMMIT
    p START TRANSACTION WITH CONSISTENT SNAPSHOT
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    o BEGIN
    r SELECT COUNT(*) FROM t
    p START TRANSACTION WITH CONSISTENT SNAPSHOT
    p COMMIT
    p:multi_statement BEGIN; SELECT COUNT(*) FROM t
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    o BEGIN
    p:multi_statement SELECT COUNT(*) FROM t; UPDATE t SET v = 5 WHERE id = 1
    p:in_transaction SELECT COUNT(*) FROM t
    p ROLLBACK
    o BEGIN
    p:hint /* highwater: primary */ SELECT COUNT(*) FROM t
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    o BEGIN
    p INSERT INTO t VALUES (1, 1)
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    o BEGIN
    r SELECT COUNT(*) FROM t
    p SET @a = 1
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    o BEGIN
    r SELECT COUNT(*) FROM t
    r SELECT @a
    o COMMIT
    o BEGIN
    p CREATE TEMPORARY TABLE tt (id INT)
    p COMMIT
    o BEGIN
    r SELECT COUNT(*) FROM t
    p:temporary_tables SELECT COUNT(*) FROM tt
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT

    new
    p SET autocommit = 0
    r SELECT 1
    r SELECT * FROM t
    r SELECT * FROM t
    p INSERT INTO t VALUES (3, 30)
    p:in_transaction SELECT * FROM t
    p ROLLBACK
    r SELECT * FROM t
    o COMMIT
    p:autocommit_off COMMIT
    p:autocommit_off INSERT INTO t VALUES (4, 40)
    p:in_transaction SELECT * FROM t
    p COMMIT
    r SELECT * FROM t
    p SET autocommit = 1
    r SELECT * FROM t
    p SET autocommit = 0
    r SELECT * FROM t
    o BEGIN
    r SELECT * FROM t
    p DELETE FROM t WHERE id = 4
    p COMMIT
    r SELECT * FROM t
    p SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
    p ROLLBACK
    p:autocommit_off START TRANSACTION READ ONLY
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT

    new
    p SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
    p:in_transaction BEGIN
    p:in_transaction SELECT COUNT(*) FROM t
    p COMMIT
    p SET autocommit = 0
    p:autocommit_off SELECT COUNT(*) FROM t
    p COMMIT
    p SET SESSION transaction_isolation = 'READ-COMMITTED'
    r SELECT COUNT(*) FROM t
    o COMMIT
    p SET autocommit = 1
    p SET TRANSACTION ISOLATION LEVEL READ COMMITTED
    p:one_shot BEGIN
    p COMMIT
    p SET completion_type = 'CHAIN'
    p:in_transaction BEGIN
    p COMMIT
    p SET completion_type = DEFAULT
    p ROLLBACK
    o BEGIN
    o COMMIT
    p SET session_track_transaction_info = 'STATE'
    p:in_transaction BEGIN
    p COMMIT
    p SET SESSION transaction_read_only = ON
    r BEGIN
    r SELECT COUNT(*) FROM t
    r COMMIT
";

/// Statements that the reference cannot run.
const OURS: &str = "@@highwater";

fn place(went: &Went) -> &'static str {
    match went.target.as_str() {
        "primary" => "p",
        "replica" => "r",
        _ => "o",
    }
}

async fn ping(client: &mut Raw) {
    client.ask(&[0x0E], ReplyKind::Simple).await;
}

async fn check(setup: &Setup, flags: CapabilityFlags) {
    let mut direct = directly(setup, flags).await;
    let mut client = through(setup, flags).await;
    for schema in ["through", "directly"] {
        for table in ["t", "u"] {
            let drop = format!("DROP TABLE IF EXISTS {schema}.{table}");
            setup.cluster.primary().exec(&drop).await.unwrap();
        }
    }
    let mut wrong = Vec::new();
    for line in SCRIPT
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let Some((expected, sql)) = line.split_once(' ') else {
            direct = directly(setup, flags).await;
            client = through(setup, flags).await;
            continue;
        };
        ping(&mut client).await;
        let before = counters(setup);
        let got = run(&mut client, sql).await;
        ping(&mut client).await;
        let after = counters(setup);
        let went = after
            .iter()
            .find(|(went, count)| before.get(went) != Some(count))
            .map(|(went, _)| went.clone())
            .unwrap();
        let at = match expected.contains(':') {
            true => format!("{}:{}", place(&went), went.reason),
            false => place(&went).to_owned(),
        };
        if at != expected {
            wrong.push(format!("{sql}: expected at {expected}, went {went:?}"));
        }
        if !sql.contains(OURS) {
            let reference = run(&mut direct, sql).await;
            if got != reference {
                wrong.push(format!(
                    "{sql}:\n  got      {got:?}\n  expected {reference:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_client_cannot_tell_the_difference() {
    let setup = deferring().await;
    check(&setup, usual()).await;
    check(&setup, usual() - CapabilityFlags::CLIENT_DEPRECATE_EOF).await;
    setup.proxy.shut_down().await;
}
