//! What people are shown of the metrics without a scrape: a reading for the history, and what is said of
//! offloading and errors since the start.

use prometheus::core::Metric as _;

use super::Metrics;
use crate::domain::consistency::Level;
use crate::domain::routing::Reason;
use crate::telemetry::fault::{ErrorKind, Side};
use crate::telemetry::history::{BackendMoment, Buckets, Reading};
use crate::telemetry::label::{AccessLabel, Label, Target, Wrote};

/// Where the offloadable reads went since the start, and what kept them on the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloading {
    /// Reads that any server that is fresh enough could have answered, but for their transaction.
    pub reads: u64,
    /// Those that replicas answered.
    pub on_replicas: u64,
    /// Those that belonged to a read-write transaction.
    pub in_transaction: u64,
    /// Those that autocommit being off kept on the primary.
    pub autocommit_off: u64,
    /// Those of both kinds whose transaction had not written before them.
    pub before_write: u64,
}

impl Metrics {
    /// What the counters say now, with what is known of the servers.
    pub fn reading(&self, backends: Vec<BackendMoment>) -> Reading {
        let Offloading {
            reads, on_replicas, ..
        } = self.offloading();
        let mut statements = [0; Target::ALL.len()];
        for (target, count) in Target::ALL.iter().zip(&mut statements) {
            *count = self.statement_seconds[target.index()].get_sample_count();
        }
        let mut errors = [0; Side::ALL.len()];
        for (_, side, count) in self.error_counts() {
            errors[side.index()] += count;
        }
        Reading {
            statements,
            reads,
            replica_reads: on_replicas,
            errors,
            waits: Level::ALL.map(|level| self.waits(level)),
            backends,
        }
    }

    fn waits(&self, level: Level) -> Buckets {
        let metric = self.consistency_wait[level.index()].metric();
        let histogram = metric.get_histogram();
        let finite = histogram.get_bucket().iter();
        let finite = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let all = (f64::INFINITY, histogram.get_sample_count());
        Buckets(finite.chain([all]).collect())
    }

    /// Where the offloadable reads went.
    pub fn offloading(&self) -> Offloading {
        let mut found = Offloading {
            before_write: self.transaction_reads.at(Wrote::No).get(),
            ..Offloading::default()
        };
        self.statements.each(|access, target, reason, count| {
            if access != AccessLabel::Read {
                return;
            }
            found.reads += count;
            match (target, reason) {
                (Target::Replica, _) => found.on_replicas += count,
                (_, Reason::InTransaction) => found.in_transaction += count,
                (_, Reason::AutocommitOff) => found.autocommit_off += count,
                _ => {}
            }
        });
        found
    }

    /// Every kind of error that there was, whose fault it was, and how often.
    pub fn error_counts(&self) -> Vec<(ErrorKind, Side, u64)> {
        let mut found = Vec::new();
        self.errors.each(|kind, side, _, count| {
            if count > 0 {
                found.push((kind, side, count));
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::time::Duration;

    use super::*;
    use crate::domain::sql::Access;

    #[test]
    fn a_reading_is_what_was_counted() {
        let metrics = Metrics::new().unwrap();
        let took = Duration::from_micros(120);
        for (target, reason) in [
            (Target::Replica, Reason::Fresh),
            (Target::Replica, Reason::Waited),
            (Target::Primary, Reason::InTransaction),
            (Target::Primary, Reason::AutocommitOff),
            (Target::Primary, Reason::NoReplica),
        ] {
            metrics.statement(Access::Read, target, reason, took);
        }
        metrics.statement(Access::Write, Target::Primary, Reason::Write, took);
        metrics.transaction_read(Wrote::No);
        metrics.transaction_read(Wrote::Yes);
        metrics.waited(Level::Session, Duration::from_millis(7));
        metrics.waited(Level::Session, Duration::from_secs(70));
        metrics.error(ErrorKind::Auth, Side::Client);

        let offloading = Offloading {
            reads: 5,
            on_replicas: 2,
            in_transaction: 1,
            autocommit_off: 1,
            before_write: 1,
        };
        assert_eq!(metrics.offloading(), offloading);
        assert_eq!(metrics.error_counts(), [(ErrorKind::Auth, Side::Client, 1)]);
        let reading = metrics.reading(Vec::new());
        assert_eq!(reading.statements, [4, 2, 0]);
        assert_eq!((reading.reads, reading.replica_reads), (5, 2));
        assert_eq!(reading.errors, [1, 0, 0]);
        let waits = &reading.waits[Level::Session.index()].0;
        let up_to = |bound: f64| waits.iter().find(|(it, _)| *it >= bound).unwrap().1;
        assert_eq!((up_to(0.005), up_to(0.01), up_to(10.0)), (0, 1, 1));
        assert_eq!(*waits.last().unwrap(), (f64::INFINITY, 2));
        assert!(reading.waits[0].0.iter().all(|(_, count)| *count == 0));
    }
}
