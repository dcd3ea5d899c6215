//! Statements that take longer than their rule allows. What they do instead of ending would take hours,
//! so that they ended at all is the proof.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{Room, error, server_error};
use crate::support::stage::until;
use crate::support::{cell, run};

/// Reads for hours, on a replica.
const ENDLESS: &str = "SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f \
                       WHERE a.b + b.b + c.b + d.b + e.b + f.b = -1";

async fn fill(conn: &mut Conn) {
    let values: Vec<_> = (2..400).map(|it| format!("({it}, {it})")).collect();
    run(conn, &format!("INSERT INTO t VALUES {}", values.join(","))).await;
}

#[tokio::test]
async fn a_read_is_stopped_on_its_server() {
    let mut room = Room::new("slow_read").await;
    fill(&mut room.client).await;
    room.setup().cluster.wait_all_caught_up().await.unwrap();
    room.rules("[[rule]]\nname = 'quick'\ntable = 't'\ntimeout = '300ms'\n");
    for sql in [ENDLESS.to_owned(), format!("{ENDLESS} FOR SHARE")] {
        let (code, state, message) = error(&mut room.client, &sql).await;
        assert_eq!((code, &*state), (3024, "HY000"), "{message}");
        assert!(
            message.contains("the rule quick") && message.contains("300ms"),
            "{message}"
        );
        let shown = cell(&mut room.client, "SHOW ERRORS").await;
        assert_eq!(shown.as_deref(), Some("Error"));
        assert_eq!(
            cell(&mut room.client, "SELECT 5").await.as_deref(),
            Some("5")
        );
    }
    let prepared = room
        .client
        .prep(format!("{ENDLESS} AND 1 = ?"))
        .await
        .unwrap();
    let failed = room.client.exec_drop(&prepared, (1,)).await;
    assert_eq!(server_error("execute", failed).0, 3024);
    // The last one is counted when its answer is out.
    until("all are counted", async || {
        room.count("quick", "timed_out").await == 3
    })
    .await;
    for server in
        std::iter::once(room.setup().cluster.primary()).chain(room.setup().cluster.replicas())
    {
        until("nothing of it runs on", async || {
            let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) FROM t a%'";
            server.value(sql).await.unwrap().as_deref() == Some("0")
        })
        .await;
    }
}

#[tokio::test]
async fn a_write_is_stopped_and_its_transaction_goes_on() {
    let mut room = Room::new("slow_write").await;
    let mut holder = room.another().await;
    run(&mut holder, "BEGIN").await;
    run(&mut holder, "UPDATE t SET b = 8").await;
    room.rules("[[rule]]\nname = 'quick'\nclass = 'write'\ntable = 't'\ntimeout = '300ms'\n");
    run(&mut room.client, "BEGIN").await;
    run(&mut room.client, "INSERT INTO u VALUES (1)").await;
    let (code, ..) = error(&mut room.client, "UPDATE t SET b = 9").await;
    assert_eq!(code, 3024);
    run(&mut room.client, "COMMIT").await;
    run(&mut holder, "ROLLBACK").await;
    let seen = cell(
        &mut room.client,
        "SELECT CONCAT(MAX(b), (SELECT COUNT(*) FROM u)) FROM t",
    )
    .await;
    assert_eq!(
        seen.as_deref(),
        Some("71"),
        "the statement did nothing, the rest is there"
    );
    // A slow machine needs longer than the rule allows.
    room.rules("");
    run(&mut room.client, "UPDATE t SET b = 9").await;
}

/// The wait for a replica counts.
#[tokio::test]
async fn a_read_that_waits_is_stopped() {
    let mut room = Room::new("waiting").await;
    let holds = room.hold_replicas("u").await;
    run(&mut room.client, "INSERT INTO u VALUES (1)").await;
    // On the stage a read waits for half a minute by default.
    run(&mut room.client, "SET highwater_catch_up_timeout = 3600000").await;
    room.rules("[[rule]]\nname = 'quick'\ntable = 'u'\ntimeout = '200ms'\n");
    let failed = error(&mut room.client, "SELECT COUNT(*) FROM u").await;
    Room::let_go(holds).await;
    assert_eq!(failed.0, 3024, "{}", failed.2);
    room.setup().cluster.wait_all_caught_up().await.unwrap();
    room.rules("");
    assert_eq!(
        cell(&mut room.client, "SELECT COUNT(*) FROM u")
            .await
            .as_deref(),
        Some("1")
    );
}

/// A limit that is over just when its statement ends never hits the next one.
#[tokio::test]
async fn the_next_statement_is_never_hit() {
    let mut room = Room::new("next").await;
    room.rules("[[rule]]\nname = 'quick'\nregex = 'SLEEP'\ntimeout = '2ms'\n");
    let mut stopped = 0;
    for round in 0..60 {
        let sleep = format!(
            "SELECT SLEEP({}), b FROM t WHERE SLEEP(0) = 0",
            0.001 * f64::from(round % 4)
        );
        match room.client.query_drop(&sleep).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(server_error(&sleep, Err(error)).0, 3024);
                stopped += 1;
            }
        }
        let next = "SELECT COUNT(*) FROM t WHERE SLEEP_NOT = 1".replace("SLEEP_NOT", "a");
        assert_eq!(cell(&mut room.client, &next).await.as_deref(), Some("1"));
    }
    println!("{stopped} of 60 were stopped");
    tokio::time::timeout(Duration::from_secs(60), room.client.ping())
        .await
        .unwrap()
        .unwrap();
}
