//! What an acknowledgement promises is in force before its first byte is with the client.

use std::time::Duration;

use highwater::protocol::caps::CapabilityFlags;
use highwater::rig::Cluster;

use super::support::{Setup, run};
use super::wire::{Raw, only_cell};

/// Rounds of a write, and a read of two other sessions as soon as the write is acknowledged.
const ROUNDS: u32 = 2_000;

/// Writer and readers are on different threads of the proxy, and the replica needs longer for a write
/// than a reader for its question: a mark that is raised after the OK was sent shows as an old value.
#[tokio::test]
async fn no_session_is_ahead_of_what_was_acknowledged() {
    let setup = Setup::with(Cluster::builder().replicas(1), |config| {
        config.proxy.workers = 2;
        config.consistency.catch_up_timeout = Duration::ZERO;
    })
    .await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE t (v INT)").await;
    run(&mut conn, "INSERT INTO t VALUES (0)").await;
    setup.cluster.wait_all_caught_up().await.unwrap();
    // Sessions take turns on the threads: the connection above, a reader, the writer, a reader.
    let kind = CapabilityFlags::CLIENT_DEPRECATE_EOF;
    let mut readers = Vec::new();
    let mut first = Raw::connect(&setup, kind).await;
    let mut writer = Raw::connect(&setup, kind).await;
    first
        .query("SET highwater_read_consistency = 'proxy', highwater_on_timeout = 'error'")
        .await
        .unwrap();
    readers.push(first);
    let mut second = Raw::connect(&setup, kind).await;
    second
        .query("SET highwater_read_consistency = 'group', highwater_on_timeout = 'error'")
        .await
        .unwrap();
    readers.push(second);
    let mut patient = Raw::connect(&setup, kind).await;
    patient
        .query("SET highwater_read_consistency = 'proxy', highwater_catch_up_timeout = 60000")
        .await
        .unwrap();
    let (mut fresh, mut refused) = (0, 0);
    for round in 1..=ROUNDS {
        // All that was written so far is on the replica, and known to be.
        patient.query("SELECT v FROM t").await.unwrap();
        writer
            .query(&format!("UPDATE t SET v = {round}"))
            .await
            .unwrap();
        let at = usize::try_from(round).unwrap() % readers.len();
        match readers[at].query("SELECT v FROM t").await {
            Ok(rows) => {
                assert_eq!(only_cell(&rows), round.to_string());
                fresh += 1;
            }
            Err(code) => {
                assert_eq!(code, 1205);
                refused += 1;
            }
        }
    }
    println!("{ROUNDS} rounds: {fresh} reads were fresh, {refused} were refused");
    assert!(
        refused > ROUNDS / 10,
        "the replica is too fast to show anything"
    );
    setup.proxy.shut_down().await;
}
