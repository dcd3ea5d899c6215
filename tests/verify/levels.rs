//! Each level holds through Highwater, and the check of the next stronger one fails there.

use std::convert::Infallible;
use std::time::Duration;

use highwater::domain::consistency::OnTimeout;
use highwater::rig::{APP, Cluster, Engine, ROOT, Server};
use highwater::verify::{self, Claim, Kind, Plan, Told};
use mysql_async::prelude::Queryable;
use tokio::sync::{Semaphore, watch};

use super::lag::{Lag, assert_found, assert_holds, direct, history, plan};
use super::support::Setup;

/// Reads of one history; the figure.
const READS: u64 = 2_000;

/// Histories that are made at most to find an anomaly.
const TRIES: u32 = 10;

/// Histories want processors: not more of them at one time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A level, whether others write past the proxy, and what is not promised and must be found.
const LEVELS: &[(Claim, bool, &[Kind])] = &[
    (
        Claim::Eventual,
        false,
        &[Kind::OwnWrites, Kind::Bounded, Kind::Group],
    ),
    (Claim::Bounded, false, &[Kind::OwnWrites, Kind::Group]),
    // The other connection of its pair.
    (Claim::Session, false, &[Kind::Group, Kind::Proxy]),
    (Claim::Group, false, &[Kind::Proxy]),
    (Claim::Proxy, true, &[Kind::Global]),
    (Claim::Global, true, &[]),
];

#[tokio::test]
async fn each_level_holds_and_the_next_stronger_one_is_found_wanting() {
    on_engine(Engine::MySql).await;
}

async fn on_engine(engine: Engine) {
    let _turn = TURNS.acquire().await.unwrap();
    let setup = Setup::with(Cluster::builder().engine(engine), |config| {
        config.consistency.catch_up_timeout = Duration::from_secs(30);
    })
    .await;
    for (claim, past, wanting) in LEVELS {
        let mut plan = plan(setup.opts(), Some(*claim), READS);
        plan.past = past.then(|| direct(setup.cluster.primary()));
        holds_and_lacks(&setup, &plan, *claim, Lag::ByTurns, wanting).await;
    }
    // Sessions whose replica leaves.
    for (claim, lag, wanting) in [
        (Claim::Session, Lag::Leaving, &[][..]),
        (Claim::Eventual, Lag::Leaving, &[Kind::Monotonic]),
        (Claim::Session, Lag::Killed, &[]),
        (Claim::Global, Lag::Killed, &[]),
    ] {
        let mut plan = plan(setup.opts(), Some(claim), u64::MAX);
        plan.stop.after = Duration::from_secs(6);
        holds_and_lacks(&setup, &plan, claim, lag, wanting).await;
    }
    setup.proxy.shut_down().await;
}

/// Makes histories until one or another has shown each anomaly that the level does not exclude: a slow
/// machine makes few reads while a replica is late. All of them hold the level.
async fn holds_and_lacks(setup: &Setup, plan: &Plan, claim: Claim, lag: Lag, wanting: &[Kind]) {
    let mut missing = wanting.to_vec();
    for left in (0..TRIES).rev() {
        let (made, findings) = history(&setup.cluster, plan, lag).await;
        assert_eq!(made.told, Told::Highwater);
        println!("{}, {}: {} reads", claim.name(), lag.name(), findings.reads);
        assert_holds(claim, &made, &findings);
        missing.retain(|kind| {
            let tally = findings.tally(*kind);
            println!("{}: {} of {}", kind.name(), tally.violations, tally.checked);
            tally.violations == 0
        });
        if missing.is_empty() {
            break;
        }
        assert!(left > 0, "{missing:?} never found, at last {findings:?}");
    }
}

#[tokio::test]
async fn a_naive_split_and_a_single_server_are_told_apart() {
    let _turn = TURNS.acquire().await.unwrap();
    let cluster = Cluster::builder().start().await.unwrap();
    // The application writes to the primary and reads from one replica.
    let mut split = plan(direct(cluster.replica(0)), Some(Claim::Session), READS);
    split.writes = Some(direct(cluster.primary()));
    let (made, findings) = history(&cluster, &split, Lag::ByTurns).await;
    assert_eq!(made.told, Told::Unknown);
    for kind in [Kind::OwnWrites, Kind::Bounded, Kind::Group, Kind::Global] {
        assert_found(kind, &findings);
    }
    // It is one server: nobody goes back in time.
    assert_eq!(findings.tally(Kind::Monotonic).violations, 0);
    assert_holds(Claim::Eventual, &made, &findings);

    let mut single = plan(direct(cluster.primary()), None, READS);
    single.past = Some(direct(cluster.primary()));
    // Some writes are longer ago than this.
    single.max_staleness = Duration::from_millis(1);
    let (made, findings) = history(&cluster, &single, Lag::ByTurns).await;
    assert_eq!(made.told, Told::Nothing);
    for claim in Claim::ALL {
        assert_holds(claim, &made, &findings);
    }
    let mut past = made.history.actors.iter().filter(|actor| actor.past);
    assert!(past.next().is_some());
}

/// An answer that says of itself that it may be old breaks no promise.
#[tokio::test]
async fn answers_with_a_warning_are_counted_apart() {
    let _turn = TURNS.acquire().await.unwrap();
    let setup = Setup::with(Cluster::builder(), |config| {
        config.consistency.catch_up_timeout = Duration::from_millis(5);
        config.consistency.on_timeout = OnTimeout::Stale;
    })
    .await;
    let plan = plan(setup.opts(), Some(Claim::Global), READS);
    let (made, findings) = history(&setup.cluster, &plan, Lag::ByTurns).await;
    println!(
        "{} of {} answers came with a warning",
        made.flagged, findings.reads
    );
    assert!(findings.holds(Claim::Global), "{findings:?}");
    assert!(made.flagged > 0);
    setup.proxy.shut_down().await;
}

/// What was cut off may have happened or not, and a new connection is a new session.
#[tokio::test]
async fn lost_connections_are_counted_and_blame_nobody() {
    let _turn = TURNS.acquire().await.unwrap();
    let cluster = Cluster::builder().replicas(0).start().await.unwrap();
    let server = cluster.primary();
    let plan = plan(direct(server), Some(Claim::Global), READS);
    let (_keep, interrupted) = watch::channel(false);
    let made = tokio::select! {
        made = verify::run(&plan, interrupted, |_| ()) => made.unwrap(),
        never = kill_by_turns(server, 8) => match never {},
    };
    let findings = verify::check(&made.history, plan.max_staleness);
    assert!(findings.reads >= READS);
    for claim in Claim::ALL {
        assert!(findings.holds(claim), "{findings:?}");
    }
    let lost: u64 = made.errors.iter().map(|(_, count)| count).sum();
    let sessions = u64::from(plan.sessions);
    println!(
        "{lost} errors, {} writes of unknown outcome",
        findings.unknown
    );
    assert!(lost >= sessions, "{:?}", made.errors);
    assert!(
        made.history.actors.len() as u64 > sessions,
        "nobody came back"
    );
    assert_eq!(made.left_behind, None);
}

/// Ends all sessions, again and again. There are fewer connections before the sessions begin and after
/// they end.
async fn kill_by_turns(server: &Server, sessions: usize) -> Infallible {
    let mut conn = server.connect(&ROOT).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let sql = format!(
        "SELECT id FROM information_schema.processlist WHERE user = '{}'",
        APP.user
    );
    loop {
        pace.tick().await;
        let open: Vec<u64> = conn.query(&sql).await.unwrap();
        if open.len() < sessions {
            continue;
        }
        for id in open {
            // It may have ended by itself.
            conn.query_drop(format!("KILL {id}")).await.ok();
        }
    }
}

#[tokio::test]
async fn each_level_holds_on_mariadb_too() {
    on_engine(Engine::MariaDb).await;
}
