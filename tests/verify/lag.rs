//! Histories of a cluster whose replicas are healthy and late by turns.

use std::time::Duration;

use highwater::rig::{APP, Cluster, Server};
use highwater::verify::{self, Claim, Findings, Kind, Made, Plan, Stop};
use mysql_async::Opts;
use tokio::sync::watch;

use super::measure::Held;

/// Reads of one history; the figure.
pub(crate) const READS: u64 = 2_000;
/// For how long a replica stands still, and goes on.
const TURN: Duration = Duration::from_millis(120);
/// The bound of `bounded`: less than a replica may be late.
pub(crate) const BOUND: Duration = Duration::from_millis(40);

/// A plan for an endpoint. What it asks for is in the level; the rest is usual.
pub(crate) fn plan(endpoint: impl Into<Opts>, level: Option<Claim>) -> Plan {
    Plan {
        endpoint: endpoint.into(),
        writes: None,
        past: None,
        sessions: 8,
        keys: 6,
        stop: Stop {
            after: Duration::from_secs(300),
            reads: READS,
        },
        level,
        max_staleness: BOUND,
        group_key: "test".to_owned(),
        seed: 7,
    }
}

/// Straight to a server.
pub(crate) fn direct(server: &Server) -> Opts {
    server.opts(&APP)
}

/// Makes the history while replicas stand still by turns, and checks it.
pub(crate) async fn history(cluster: &Cluster, plan: &Plan) -> (Made, Findings) {
    let (_keep, interrupted) = watch::channel(false);
    let made = tokio::select! {
        made = verify::run(plan, interrupted, |_| ()) => made.unwrap(),
        never = late_by_turns(cluster) => match never {},
    };
    let findings = verify::check(&made.history, plan.max_staleness);
    assert!(findings.reads >= plan.stop.reads, "{findings:?}");
    assert_eq!(made.left_behind, None);
    assert!(made.history.last.is_some(), "{:?}", made.errors);
    (made, findings)
}

/// One replica stands still while the other one moves, then neither does, then both move.
async fn late_by_turns(cluster: &Cluster) -> std::convert::Infallible {
    let replicas = cluster.replicas();
    let mut pace = tokio::time::interval(TURN);
    loop {
        for held in [&replicas[..1], &replicas[1..], replicas, &[]] {
            let mut holds = Vec::new();
            for replica in held {
                holds.push(Held::hold(replica).await);
            }
            pace.tick().await;
            for hold in holds {
                hold.release().await;
            }
        }
    }
}

/// Fails with the worked example if a kind that the claim excludes was found.
#[track_caller]
pub(crate) fn assert_holds(claim: Claim, made: &Made, findings: &Findings) {
    for kind in Kind::ALL.into_iter().filter(|kind| claim.excludes(*kind)) {
        let tally = findings.tally(kind);
        assert_eq!(
            tally.violations,
            0,
            "{kind:?} at {}: {:#?}",
            claim.name(),
            tally.example
        );
    }
    assert!(made.errors.is_empty(), "{:?}", made.errors);
}

/// Fails unless a kind was found.
#[track_caller]
pub(crate) fn assert_found(kind: Kind, findings: &Findings) {
    let tally = findings.tally(kind);
    println!("{}: {} of {}", kind.name(), tally.violations, tally.checked);
    assert!(tally.violations > 0, "{kind:?} was not found: {findings:?}");
    assert!(tally.example.is_some());
}
