//! Histories of a cluster whose replicas are late, each in a way of its own.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared with what runs long, which uses another part; a test fails by panicking"
)]

use std::convert::Infallible;
use std::time::Duration;

use highwater::rig::{APP, Cluster, ROOT, Server};
use highwater::verify::{self, Claim, Findings, Kind, Made, Plan, Stop};
use mysql_async::Opts;
use tokio::sync::watch;
use tokio::time::Interval;

use super::measure::Held;

/// For how long a replica stands still, and goes on.
const TURN: Duration = Duration::from_millis(120);

/// After so many turns the monitor has noticed what became of a server.
const NOTICED: u32 = 10;

async fn ticks(pace: &mut Interval, count: u32) {
    for _ in 0..count {
        pace.tick().await;
    }
}

/// How replicas are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// As they are by nature, under the load of the history itself.
    Natural,
    /// The last one applies everything a second late.
    Delayed,
    /// They are healthy and stand still by turns: one, the other one, both, none.
    ByTurns,
    /// The applier of the first one is stopped and started.
    Stopped,
    /// One stands still, then the other one leaves: whoever moves there without asking goes back in
    /// time.
    Leaving,
    /// The last one is killed and started again.
    Killed,
}

impl Lag {
    pub const ALL: [Self; 6] = [
        Self::Natural,
        Self::Delayed,
        Self::ByTurns,
        Self::Stopped,
        Self::Leaving,
        Self::Killed,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Delayed => "one replica 1 s behind",
            Self::ByTurns => "replicas stand still by turns",
            Self::Stopped => "an applier stopped and started",
            Self::Leaving => "one stands still, the other leaves",
            Self::Killed => "one is killed and comes back",
        }
    }

    /// Makes the replicas late until dropped; [`Lag::end`] must follow.
    pub async fn make(self, cluster: &Cluster) -> Infallible {
        let mut pace = tokio::time::interval(TURN);
        match self {
            Self::Natural => std::future::pending().await,
            Self::Delayed => {
                let replica = cluster.replicas().last().unwrap();
                replica.delay(1).await.unwrap();
                std::future::pending().await
            }
            Self::ByTurns => by_turns(cluster, &mut pace).await,
            Self::Stopped => loop {
                cluster.replica(0).stop_applier().await.unwrap();
                pace.tick().await;
                cluster.replica(0).start_applier().await.unwrap();
                pace.tick().await;
            },
            Self::Killed => loop {
                ticks(&mut pace, NOTICED).await;
                let replica = cluster.replicas().last().unwrap();
                replica.restart().await.unwrap();
                replica.wait_replicating().await.unwrap();
            },
            Self::Leaving => loop {
                for (still, leaves) in [(0, 1), (1, 0)] {
                    let held = Held::hold(cluster.replica(still)).await;
                    pace.tick().await;
                    cluster.replica(leaves).stop_applier().await.unwrap();
                    ticks(&mut pace, NOTICED).await;
                    held.release().await;
                    cluster.replica(leaves).start_applier().await.unwrap();
                    ticks(&mut pace, NOTICED).await;
                }
            },
        }
    }

    /// Undoes what [`Lag::make`] left.
    pub async fn end(self, cluster: &Cluster) {
        match self {
            Self::Natural | Self::ByTurns => {}
            Self::Delayed => cluster.replicas().last().unwrap().delay(0).await.unwrap(),
            Self::Killed => {
                let replica = cluster.replicas().last().unwrap();
                // Not killed once more while it drops the history's tables: MariaDB's recovery would end that
                // with a transaction of its own, and the replica follows no more.
                if replica.connect(&ROOT).await.is_err() {
                    replica.restart().await.unwrap();
                }
                replica.wait_replicating().await.unwrap();
            }
            Self::Stopped | Self::Leaving => {
                for replica in cluster.replicas() {
                    replica.start_applier().await.unwrap();
                }
            }
        }
        cluster.wait_all_caught_up().await.unwrap();
    }
}

async fn by_turns(cluster: &Cluster, pace: &mut Interval) -> Infallible {
    let replicas = cluster.replicas();
    loop {
        for held in [&replicas[..1], &replicas[1..], replicas, &[]] {
            let mut holds = Vec::new();
            for replica in held {
                holds.extend(Held::attempt(replica).await);
            }
            pace.tick().await;
            for hold in holds {
                hold.release().await;
            }
        }
    }
}

/// A plan for an endpoint: so many reads, at this level.
pub fn plan(endpoint: impl Into<Opts>, level: Option<Claim>, reads: u64) -> Plan {
    Plan {
        endpoint: endpoint.into(),
        writes: None,
        past: None,
        sessions: 8,
        keys: 6,
        stop: Stop {
            after: Duration::from_secs(300),
            reads,
        },
        level,
        // Less than a replica may be late, so that the bound matters.
        max_staleness: Duration::from_millis(40),
        group_key: "test".to_owned(),
        resets: true,
        seed: 7,
    }
}

/// Straight to a server.
pub fn direct(server: &Server) -> Opts {
    server.opts(&APP)
}

/// Makes the history while replicas are late, and checks it.
pub async fn history(cluster: &Cluster, plan: &Plan, lag: Lag) -> (Made, Findings) {
    let (_keep, interrupted) = watch::channel(false);
    let made = tokio::select! {
        made = verify::run(plan, interrupted, |_| ()) => made.unwrap(),
        never = lag.make(cluster) => match never {},
    };
    lag.end(cluster).await;
    let findings = verify::check(&made.history, plan.max_staleness);
    assert_eq!(made.left_behind, None);
    assert!(made.history.last.is_some(), "{:?}", made.errors);
    (made, findings)
}

/// Fails with the worked example if a kind that the claim excludes was found.
#[track_caller]
pub fn assert_holds(claim: Claim, made: &Made, findings: &Findings) {
    for kind in Kind::ALL.into_iter().filter(|kind| claim.excludes(*kind)) {
        let tally = findings.tally(kind);
        let name = claim.name();
        assert_eq!(
            tally.violations, 0,
            "{kind:?} at {name}: {:#?}",
            tally.example
        );
    }
    assert!(findings.tried(claim), "{}: {findings:?}", claim.name());
    assert!(made.errors.is_empty(), "{:?}", made.errors);
    assert_eq!(made.flagged, 0);
}

/// Fails unless a kind was found.
#[track_caller]
pub fn assert_found(kind: Kind, findings: &Findings) {
    let tally = findings.tally(kind);
    println!("{}: {} of {}", kind.name(), tally.violations, tally.checked);
    assert!(tally.violations > 0, "{kind:?} was not found: {findings:?}");
    assert!(tally.example.is_some());
}
