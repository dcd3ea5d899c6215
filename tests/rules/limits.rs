//! Limits of rate and concurrency.

use super::{Room, error};
use crate::support::stage::until;
use crate::support::{cell, run};

const SLOW: &str = "UPDATE t SET b = b + 1 /*job='sum'*/";

#[tokio::test]
async fn so_many_at_a_time_and_the_next_waits_or_fails() {
    let mut room = Room::new("concurrency").await;
    for (wait, refused) in [("", true), ("limit_wait = '1h'\n", false)] {
        room.rules(&format!(
            "[[rule]]\nname = 'few'\ntag = 'job=sum'\nlimit_concurrency = 1\n{wait}"
        ));
        let limited = room.count("few", "limited").await;
        let mut holder = room.another().await;
        run(&mut holder, "BEGIN").await;
        run(&mut holder, "UPDATE t SET b = 0").await;
        let mut first = room.another().await;
        let hits = room.count("few", "hits").await;
        let running = tokio::spawn(async move { run(&mut first, SLOW).await });
        until("the first one runs", async || {
            room.count("few", "hits").await == hits + 1
        })
        .await;
        let mut second = room.another().await;
        if refused {
            let (code, state, message) = error(&mut second, SLOW).await;
            assert_eq!((code, &*state), (1226, "42000"), "{message}");
            assert!(message.contains("rule few allows 1 at a time"), "{message}");
            assert_eq!(room.count("few", "limited").await, limited + 1);
            run(&mut holder, "COMMIT").await;
        } else {
            let waiting = tokio::spawn(async move { run(&mut second, SLOW).await });
            until("the second one waits", async || {
                room.count("few", "hits").await == hits + 2
            })
            .await;
            run(&mut holder, "COMMIT").await;
            waiting.await.unwrap();
            assert_eq!(room.count("few", "delayed").await, 1);
        }
        running.await.unwrap();
        // Its place is free again.
        run(&mut room.client, SLOW).await;
    }
    let sum = cell(&mut room.client, "SELECT b FROM t").await;
    assert_eq!(
        sum.as_deref(),
        Some("3"),
        "the holder's 0, and three after it"
    );
}

/// One that waits for its turn can be killed, and leaves its turn to others.
#[tokio::test]
async fn a_wait_for_a_turn_is_ended_by_a_kill() {
    let mut room = Room::new("turns").await;
    room.rules(
        "[[rule]]\nname = 'few'\ntag = 'job=sum'\nlimit_concurrency = 1\nlimit_wait = '1h'\n",
    );
    let mut holder = room.another().await;
    run(&mut holder, "BEGIN").await;
    run(&mut holder, "UPDATE t SET b = 0").await;
    let mut first = room.another().await;
    let running = tokio::spawn(async move { run(&mut first, SLOW).await });
    until("the first one runs", async || {
        room.count("few", "hits").await == 1
    })
    .await;
    let mut second = room.another().await;
    let id = second.id();
    let mut waiting = tokio::spawn(async move { error(&mut second, SLOW).await });
    until("the second one waits", async || {
        room.count("few", "hits").await == 2
    })
    .await;
    let killed = loop {
        run(&mut room.client, &format!("KILL QUERY {id}")).await;
        let ended = tokio::time::timeout(std::time::Duration::from_millis(50), &mut waiting);
        if let Ok(ended) = ended.await {
            break ended.unwrap();
        }
    };
    assert_eq!(killed.0, 1317);
    run(&mut holder, "COMMIT").await;
    running.await.unwrap();
}

#[tokio::test]
async fn so_many_a_second() {
    let mut room = Room::new("rate").await;
    let read = "SELECT b FROM t";
    // A second long only one may begin: the twenty would have to take twenty seconds for all to pass.
    room.rules("[[rule]]\nname = 'slow'\ntable = 't'\nlimit_rate = 1\n");
    let mut refused = 0;
    for _ in 0..20 {
        match room.went(read).await.as_str() {
            "1226" => refused += 1,
            went => assert!(went.starts_with("replica"), "{went}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(room.count("slow", "limited").await, refused);
    room.rules("[[rule]]\nname = 'patient'\ntable = 't'\nlimit_rate = 3\nlimit_wait = '1h'\n");
    let began = std::time::Instant::now();
    for _ in 0..9 {
        assert!(room.went(read).await.starts_with("replica"));
    }
    // Three at once, and six at their pace.
    assert!(began.elapsed() >= std::time::Duration::from_millis(1990));
    assert_eq!(room.count("patient", "limited").await, 0);
}
