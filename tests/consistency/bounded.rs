//! Level `bounded`: an answer is at most as old as asked for, and no promise of `session` comes with it.

use std::time::{Duration, Instant};

use highwater::rig::{APP, Cluster};

use super::measure::{Held, reads_on};
use super::monotonic::counter;
use super::support::{Setup, run};

#[tokio::test]
async fn an_answer_is_at_most_as_old_as_asked_for() {
    const STALENESS: Duration = Duration::from_millis(300);
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(20);
        config.consistency.max_lag = Duration::from_secs(600);
        config.consistency.max_staleness = STALENESS;
    })
    .await;
    let mut writer = setup.cluster.primary().connect(&APP).await.unwrap();
    run(&mut writer, "CREATE TABLE counter (v BIGINT UNSIGNED)").await;
    run(&mut writer, "INSERT INTO counter VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();

    // While replicas keep up they answer.
    let mut bounded = setup.connect().await;
    run(&mut bounded, "SET highwater_read_consistency = 'bounded'").await;
    let mut value = 0;
    let mut acknowledged = Vec::new();
    for _ in 0..100 {
        value += 1;
        run(&mut writer, &format!("UPDATE counter SET v = {value}")).await;
        acknowledged.push((Instant::now(), value));
        let asked = Instant::now();
        let seen = counter(&mut bounded).await;
        let due = acknowledged
            .iter()
            .filter(|(at, _)| *at + STALENESS <= asked)
            .map(|(_, value)| *value)
            .max();
        assert!(Some(seen) >= due, "{seen} where {due:?} was due");
    }
    assert!(reads_on(&setup.proxy, "replica") > 0);

    // While they stand still: what is old enough is seen, on the primary; eventual never sees it.
    let held = [
        Held::hold(&setup.cluster.replicas()[0]).await,
        Held::hold(&setup.cluster.replicas()[1]).await,
    ];
    let mut eventual = setup.connect().await;
    run(&mut eventual, "SET highwater_read_consistency = 'eventual'").await;
    let old = counter(&mut eventual).await;
    run(&mut writer, "UPDATE counter SET v = 1000000").await;
    let due = Instant::now() + STALENESS;
    let mut session = setup.connect().await;
    assert!(
        counter(&mut session).await <= old,
        "session promises less here"
    );
    while Instant::now() < due {
        counter(&mut bounded).await;
    }
    let mut fresh = setup.connect().await;
    run(&mut fresh, "SET highwater_read_consistency = 'bounded'").await;
    for conn in [&mut bounded, &mut fresh] {
        assert_eq!(counter(conn).await, 1_000_000);
    }
    assert_eq!(counter(&mut eventual).await, old);
    // No sample is as young as nothing: the primary is asked, and what it has is seen.
    run(&mut fresh, "SET highwater_max_staleness = 0").await;
    run(&mut writer, "UPDATE counter SET v = 1000001").await;
    assert_eq!(counter(&mut fresh).await, 1_000_001);
    // What was seen at bounded counts at session.
    run(&mut fresh, "SET highwater_read_consistency = 'session'").await;
    assert_eq!(counter(&mut fresh).await, 1_000_001);
    for held in held {
        held.release().await;
    }
    setup.proxy.shut_down().await;
}
