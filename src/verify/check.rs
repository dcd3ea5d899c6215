//! The rules. Pure: a history in, violations out.
//!
//! Every rule is about **states**: servers apply the primary's commits in its order, so a state that
//! has a write also has everything that was acknowledged before that write began. A read is held to
//! what its session must have in its state, on every key, not only on the key of the write. What is
//! concurrent with a read may be seen or not: only writes whose acknowledgement was there before the
//! read began are demanded of it, and only acknowledged ones.

mod facts;
mod integrity;
#[cfg(test)]
mod laws;
mod recency;
mod scope;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::claim::{Claim, Kind};
use super::example::Example;
use super::history::{Action, History};
use super::percentile::Percentiles;
use facts::Facts;

/// How often a kind of violation was looked for, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reads of which this kind demanded something; for the kinds that are not about recency, what
    /// was compared.
    pub checked: u64,
    /// Violations.
    pub violations: u64,
    /// One of them.
    pub example: Option<Example>,
}

/// What a history shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Reads that were answered.
    pub reads: u64,
    /// Writes, acknowledged or not.
    pub writes: u64,
    /// Writes of which nobody knows whether they happened.
    pub unknown: u64,
    /// From a read's request to its answer.
    pub read_latency: Percentiles,
    /// From a write's request to its acknowledgement.
    pub write_latency: Percentiles,
    /// Of the reads that missed anything acknowledged: for how long it had been acknowledged when the
    /// read began.
    pub staleness: Percentiles,
    tallies: [Tally; Kind::ALL.len()],
}

impl Findings {
    /// What was found of a kind.
    pub fn tally(&self, kind: Kind) -> &Tally {
        &self.tallies[kind.index()]
    }

    /// Whether nothing in the history contradicts the claim.
    pub fn holds(&self, claim: Claim) -> bool {
        let excluded = |kind: &&Kind| claim.excludes(**kind);
        Kind::ALL
            .iter()
            .filter(excluded)
            .all(|kind| self.tally(*kind).violations == 0)
    }

    /// Whether there was any read of which the claim demands more than weaker ones do.
    pub fn tried(&self, claim: Claim) -> bool {
        let own = claim.own_kind();
        own.is_none_or(|kind| self.tally(kind).checked > 0)
    }

    /// Every claim that was tried and that nothing contradicts.
    pub fn consistent_with(&self) -> Vec<Claim> {
        let mut claims = Claim::ALL.to_vec();
        claims.retain(|claim| self.holds(*claim) && self.tried(*claim));
        claims
    }
}

/// Checks a history. `max_staleness` is the bound of [`Kind::Bounded`].
pub fn check(history: &History, max_staleness: Duration) -> Findings {
    let facts = Facts::of(history);
    let mut notes = Notes::new(history);
    integrity::check(history, &facts, &mut notes);
    let staleness = recency::check(history, &facts, max_staleness, &mut notes);
    let acknowledged = facts.writes.iter().filter_map(|write| {
        let returned = write.returned?;
        Some(returned.saturating_sub(write.invoked))
    });
    let reads = history.operations.iter().filter_map(|operation| {
        let is_read = matches!(
            operation.action,
            Action::Read { .. } | Action::ReadList { .. }
        );
        is_read.then(|| operation.returned.saturating_sub(operation.invoked))
    });
    Findings {
        reads: count(facts.reads.len()),
        writes: count(history.operations.len() - facts.reads.len()),
        unknown: count(facts.unknown),
        read_latency: Percentiles::of(reads.collect()),
        write_latency: Percentiles::of(acknowledged.collect()),
        staleness: Percentiles::of(staleness),
        tallies: notes.tallies,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A violation, by the indices of its operations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Case {
    /// What should have been seen.
    pub(super) missed: Option<usize>,
    /// A later write, which the state of the read must have had.
    pub(super) through: Option<usize>,
    /// An earlier read, which showed that.
    pub(super) earlier: Option<usize>,
    /// The operation that is wrong.
    pub(super) wrong: Option<usize>,
}

/// Takes down what the rules find.
struct Notes<'a> {
    history: &'a History,
    tallies: [Tally; Kind::ALL.len()],
    /// Whether the example of a kind is about one key only, which is the easiest to follow.
    direct: [bool; Kind::ALL.len()],
}

impl<'a> Notes<'a> {
    fn new(history: &'a History) -> Self {
        Self {
            history,
            tallies: Default::default(),
            direct: Default::default(),
        }
    }

    fn checked(&mut self, kind: Kind) {
        self.tallies[kind.index()].checked += 1;
    }

    fn violated(&mut self, kind: Kind, case: Case) {
        let tally = &mut self.tallies[kind.index()];
        tally.violations += 1;
        let direct = case.through.is_none();
        if tally.example.is_none() || direct && !self.direct[kind.index()] {
            tally.example = Some(Example::of(self.history, kind, case));
            self.direct[kind.index()] = direct;
        }
    }
}
