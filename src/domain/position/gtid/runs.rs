//! Runs of consecutive transaction numbers, and set algebra on sorted lists of them.
//!
//! Every list here is sorted by (source, first), and the runs of one source neither overlap nor
//! touch; every function keeps it so.

use std::cmp::Ordering;
use std::sync::Arc;

/// The tag of a GTID: 1 to 32 characters of `a-z`, `0-9` and `_`, lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag from its lower-case text. The caller has checked the characters.
    pub(super) fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who numbered a transaction: a server's uuid, and the tag if there is one. Untagged comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The server's uuid.
    pub uuid: u128,
    /// The tag, if any.
    pub tag: Option<Tag>,
}

/// The transactions `first..=last` of one source; `1 <= first <= last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) source: Source,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Run {
    pub(super) fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    fn order(&self, other: &Self) -> Ordering {
        (&self.source, self.first).cmp(&(&other.source, other.first))
    }

    /// Whether `next`, which sorts after `self`, continues or overlaps it.
    fn reaches(&self, next: &Self) -> bool {
        self.source == next.source && next.first <= self.last.saturating_add(1)
    }
}

/// The run that holds this transaction.
pub(super) fn covering<'a>(runs: &'a [Run], source: &Source, number: u64) -> Option<&'a Run> {
    let after = runs.partition_point(|run| (&run.source, run.first) <= (source, number));
    let run = runs.get(after.checked_sub(1)?)?;
    (run.source == *source && run.last >= number).then_some(run)
}

/// Whether every element of `part` is in `whole`.
pub(super) fn covers(whole: &[Run], part: &[Run]) -> bool {
    let mut candidates = whole.iter().peekable();
    part.iter().all(|run| {
        let behind = |other: &&Run| (&other.source, other.last) < (&run.source, run.last);
        while candidates.next_if(behind).is_some() {}
        candidates
            .peek()
            .is_some_and(|other| other.source == run.source && other.first <= run.first)
    })
}

/// Adds every element of `more`.
pub(super) fn join(runs: &mut Vec<Run>, more: &[Run]) {
    runs.extend_from_slice(more);
    normalise(runs);
}

/// Sorts, and merges what overlaps or touches.
pub(super) fn normalise(runs: &mut Vec<Run>) {
    runs.sort_by(Run::order);
    runs.dedup_by(|next, kept| {
        let merged = kept.reaches(next);
        if merged {
            kept.last = kept.last.max(next.last);
        }
        merged
    });
}

/// Removes every element of `less`.
pub(super) fn subtract(runs: &mut Vec<Run>, less: &[Run]) {
    if runs.is_empty() || less.is_empty() {
        return;
    }
    let mut kept = Vec::with_capacity(runs.len());
    let mut cuts = less.iter().peekable();
    for mut run in runs.drain(..) {
        let before = |cut: &&Run| (&cut.source, cut.last) < (&run.source, run.first);
        while cuts.next_if(before).is_some() {}
        // A cut may reach into the next run as well, so the cuts are looked at, not consumed.
        let touching = cuts
            .clone()
            .take_while(|cut| cut.source == run.source && cut.first <= run.last);
        let mut rest = Some(run.first);
        for cut in touching {
            let Some(first) = rest else { break };
            if cut.first > first {
                let mut left = run.clone();
                (left.first, left.last) = (first, cut.first - 1);
                kept.push(left);
            }
            rest = (cut.last < run.last).then(|| cut.last + 1);
        }
        if let Some(first) = rest {
            run.first = first;
            kept.push(run);
        }
    }
    *runs = kept;
}

/// Grows each run into the gap right below it, as far as `known` holds that gap.
pub(super) fn fill_gaps(runs: &mut Vec<Run>, known: &[Run]) {
    for run in runs.iter_mut() {
        if let Some(gap) = covering(known, &run.source, run.first - 1) {
            run.first = gap.first;
        }
    }
    normalise(runs);
}

/// How many numbers `runs` reach beyond the last of `base`, if each of their sources is known to
/// `base` and all of their numbers come after its.
pub(super) fn ahead(runs: &[Run], base: &[Run]) -> Option<u64> {
    runs.iter().try_fold(0, |farthest: u64, run| {
        let after = base.partition_point(|other| other.source <= run.source);
        let last = base.get(after.checked_sub(1)?)?;
        let next = last.source == run.source && last.last < run.first;
        next.then(|| farthest.max(run.last - last.last))
    })
}
