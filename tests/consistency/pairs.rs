//! Write-then-read pairs: each session writes a growing number and reads it back at once.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::measure::{reads_on, wait_quantile};
use super::support::{Setup, cell, run};

/// How many sessions write and read at the same time.
pub(crate) const SESSIONS: u32 = 16;

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pairs: u32,
    pub(crate) stale: u32,
    pub(crate) took: Duration,
}

/// Makes the tables that [`run_pairs`] uses.
pub(crate) async fn make_tables(setup: &Setup) {
    let mut conn = setup.connect().await;
    run(
        &mut conn,
        "CREATE TABLE counters (id INT PRIMARY KEY, v INT NOT NULL)",
    )
    .await;
    run(
        &mut conn,
        "CREATE TABLE entries (id INT, v INT, PRIMARY KEY (id, v))",
    )
    .await;
    for id in 0..SESSIONS {
        run(&mut conn, &format!("INSERT INTO counters VALUES ({id}, 0)")).await;
    }
    setup.cluster.wait_all_caught_up().await.unwrap();
}

/// Runs so many pairs at a level, spread over the sessions, numbered from `first` on.
pub(crate) async fn run_pairs(setup: &Setup, level: &str, first: u32, pairs: u32) -> Tally {
    let started = Instant::now();
    let mut sessions = JoinSet::new();
    for id in 0..SESSIONS {
        let mut conn = setup.connect().await;
        run(
            &mut conn,
            &format!("SET highwater_read_consistency = '{level}'"),
        )
        .await;
        sessions.spawn(async move {
            let mut stale = 0;
            for value in first..first + pairs / SESSIONS {
                let (write, read) = match value % 2 {
                    0 => (
                        format!("UPDATE counters SET v = {value} WHERE id = {id}"),
                        format!("SELECT v FROM counters WHERE id = {id}"),
                    ),
                    _ => (
                        format!("INSERT INTO entries VALUES ({id}, {value})"),
                        format!("SELECT MAX(v) FROM entries WHERE id = {id}"),
                    ),
                };
                run(&mut conn, &write).await;
                let seen = cell(&mut conn, &read)
                    .await
                    .and_then(|seen| seen.parse().ok());
                stale += u32::from(seen.is_none_or(|seen: u32| seen < value));
            }
            stale
        });
    }
    let mut tally = Tally {
        pairs: pairs / SESSIONS * SESSIONS,
        ..Tally::default()
    };
    while let Some(stale) = sessions.join_next().await {
        tally.stale += stale.unwrap();
    }
    tally.took = started.elapsed();
    tally
}

/// Prints what a run was like.
pub(crate) fn tell(setup: &Setup, what: &str, tally: &Tally) {
    let (replica, primary) = (
        reads_on(&setup.proxy, "replica"),
        reads_on(&setup.proxy, "primary"),
    );
    println!(
        "{what}: {} pairs, {} stale, {:.0} pairs/s; so far waits p50 <= {:?} p99 <= {:?}, reads on \
         replicas {replica}, on the primary {primary}",
        tally.pairs,
        tally.stale,
        f64::from(tally.pairs) / tally.took.as_secs_f64(),
        wait_quantile(&setup.proxy, "session", 0.5),
        wait_quantile(&setup.proxy, "session", 0.99),
    );
}
