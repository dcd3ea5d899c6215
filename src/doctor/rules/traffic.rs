//! What a running proxy could not send to replicas, and the setting that would free it.

use crate::doctor::facts::Facts;
use crate::doctor::finding::{Finding, Severity};
use crate::domain::routing::Reason;

/// A share of the reads over which something should be done, in per cent.
const MUCH: u64 = 10;

/// How many reads went to the primary because they stood in a transaction?
pub(super) fn lost(facts: &Facts) -> Vec<Finding> {
    let Some(traffic) = &facts.traffic else {
        return Vec::new();
    };
    let by_primary: u64 = traffic.by_primary.values().sum();
    let all = by_primary.saturating_add(traffic.by_replicas);
    let of = |reason: Reason| traffic.by_primary.get(reason.name()).copied().unwrap_or(0);
    let open = of(Reason::InTransaction);
    let implicit = of(Reason::AutocommitOff);
    let share = |part: u64| part.saturating_mul(100).checked_div(all).unwrap_or(0);
    let lost = open.saturating_add(implicit);
    let seen = format!(
        "of {all} reads that {} counted, {} % went to the primary because of transactions \
         ({} % stood in an open one, {} % opened one because autocommit is off), {} % before the \
         transaction had written anything",
        traffic.page,
        share(lost),
        share(open),
        share(implicit),
        share(traffic.before_writes),
    );
    if lost == 0 {
        return vec![Finding::ok(seen)];
    }
    let severity = match share(traffic.before_writes) >= MUCH {
        true => Severity::Warning,
        false => Severity::Note,
    };
    vec![
        Finding::new(severity, seen)
            .why("those before a transaction's first write could be served by replicas")
            .configure("[consistency] transaction_reads = \"replica_until_write\"")
            .advice("it needs READ COMMITTED and weakens snapshots; or let the application read with autocommit on"),
    ]
}
