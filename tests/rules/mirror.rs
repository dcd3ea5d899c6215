//! Reads that are repeated on another server.

use tokio::net::TcpListener;

use super::Room;
use crate::support::run;
use crate::support::stage::until;

/// A share of the reads, and nothing else, arrives in its schema; no answer comes from there.
#[tokio::test]
async fn a_share_of_the_reads_is_repeated() {
    let mut room = Room::new("mirror").await;
    // Reads go to the replicas, so what the primary logs of them came to it as to a mirror.
    let mirror = room.setup().cluster.primary();
    for sql in [
        "SET GLOBAL log_output = 'TABLE'",
        "SET GLOBAL general_log = ON",
    ] {
        mirror.exec(sql).await.unwrap();
    }
    let address = mirror.address();
    room.rules(&format!(
        "[[rule]]\nname = 'shadow'\ntable = 't'\nmirror = '{address}'\nmirror_share = '25%'\n"
    ));
    for _ in 0..40 {
        assert!(
            room.went("SELECT b FROM t /* mirrored */")
                .await
                .starts_with("replica")
        );
    }
    assert!(
        room.went("UPDATE t SET b = 8 /* mirrored */")
            .await
            .starts_with("primary")
    );
    assert_eq!(room.count("shadow", "hits").await, 41);
    assert_eq!(room.count("shadow", "mirrored").await, 10);
    assert_eq!(room.count("shadow", "not_mirrored").await, 0);
    let logged = |what: &str| {
        format!(
            "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Query' \
             AND CONVERT(argument USING utf8mb4) LIKE '{what} t % mirrored */'"
        )
    };
    let reads = logged("SELECT b FROM");
    until("they arrive", async || {
        mirror.value(&reads).await.unwrap().as_deref() == Some("10")
    })
    .await;
    let writes = mirror.value(&logged("UPDATE")).await.unwrap();
    assert_eq!(writes.as_deref(), Some("1"), "the write itself");
    // Inside of a transaction a read may depend on what the mirror does not have.
    run(&mut room.client, "START TRANSACTION READ ONLY").await;
    for _ in 0..8 {
        run(&mut room.client, "SELECT b FROM t /* mirrored */").await;
    }
    run(&mut room.client, "COMMIT").await;
    assert_eq!(room.count("shadow", "mirrored").await, 10);
    assert_eq!(room.count("shadow", "not_mirrored").await, 2);
    mirror.exec("SET GLOBAL general_log = OFF").await.unwrap();
}

/// A mirror that hangs or is not there costs nothing but copies.
#[tokio::test]
async fn a_mirror_that_hangs_delays_nobody() {
    let mut room = Room::new("hanging").await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap();
    room.rules(&format!(
        "[[rule]]\nname = 'shadow'\ntable = 't'\nmirror = '{address}'\n"
    ));
    let mut sent = 0;
    // The queue is bounded, so after some hundreds of reads copies are dropped.
    while room.count("shadow", "not_mirrored").await == 0 {
        for _ in 0..100 {
            run(&mut room.client, "SELECT b FROM t").await;
        }
        sent += 100;
        assert!(sent < 20_000, "the queue grows without bound");
    }
    let (mirrored, dropped) = (
        room.count("shadow", "mirrored").await,
        room.count("shadow", "not_mirrored").await,
    );
    assert_eq!(mirrored + dropped, sent);
    drop(hanging);
    room.rules(&format!(
        "[[rule]]\nname = 'gone'\ntable = 't'\nmirror = '{address}'\n"
    ));
    for _ in 0..20 {
        assert!(room.went("SELECT b FROM t").await.starts_with("replica"));
    }
}
