//! Sets of MySQL global transaction ids, tagged ones included.
//!
//! A set is one flat list of runs, sorted by source and number. Nearly always it holds one source
//! with one run (`uuid:1-4711`), so that covering is one comparison and cloning one allocation.
//! The text form is MySQL's: `uuid:1-7:9:tag:1-3,uuid2:5` (any case, white space anywhere between
//! the parts).

mod owned;
mod parse;
mod runs;

use std::fmt;

pub use parse::GtidError;
use runs::Run;
pub use runs::{Source, Tag};

/// A set of MySQL global transaction ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    /// Sorted by (source, first); runs of one source neither overlap nor touch.
    runs: Vec<Run>,
}

impl GtidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// Reads the text form, as in `@@gtid_executed` and in the GTID tracker.
    pub fn parse(text: &[u8]) -> Result<Self, GtidError> {
        parse::executed(text)
    }

    /// Reads the form of `@@global.gtid_owned`, where thread ids follow the numbers:
    /// `uuid:5#12:6#13`, the next source right behind. The thread ids are dropped.
    pub fn parse_owned(text: &[u8]) -> Result<Self, GtidError> {
        owned::parse(text)
    }

    /// Whether the set has no element.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many transactions are in the set.
    pub fn count(&self) -> u64 {
        self.runs
            .iter()
            .fold(0, |sum: u64, run| sum.saturating_add(run.len()))
    }

    /// How many runs of consecutive numbers it takes to write the set down: its real size.
    pub fn fragments(&self) -> usize {
        self.runs.len()
    }

    /// Whether one transaction is in the set.
    pub fn contains(&self, source: &Source, number: u64) -> bool {
        runs::covering(&self.runs, source, number).is_some()
    }

    /// Whether every element of `other` is in `self`.
    pub fn covers(&self, other: &Self) -> bool {
        runs::covers(&self.runs, &other.runs)
    }

    /// Adds every element of `other`.
    pub fn join(&mut self, other: &Self) {
        if !self.covers(other) {
            runs::join(&mut self.runs, &other.runs);
        }
    }

    /// Removes every element of `other`.
    pub fn subtract(&mut self, other: &Self) {
        runs::subtract(&mut self.runs, &other.runs);
    }

    /// The elements whose source has this uuid, whatever the tag.
    #[must_use]
    pub fn of_server(&self, uuid: u128) -> Self {
        let own = |run: &&Run| run.source.uuid == uuid;
        Self {
            runs: self.runs.iter().filter(own).cloned().collect(),
        }
    }

    /// How far the set reaches ahead of `base`, in transactions of one source, if it continues the
    /// history that `base` has. `None` when it lies in a gap of `base` or names a source that
    /// `base` does not know: such transactions may never come.
    pub fn ahead_of(&self, base: &Self) -> Option<u64> {
        runs::ahead(&self.runs, &base.runs)
    }

    /// The transaction with the highest number: its source, the number, and whether other sources have
    /// some.
    pub(super) fn highest(&self) -> Option<(u128, u64, bool)> {
        let highest = self.runs.iter().max_by_key(|run| run.last)?;
        let more = self.runs.iter().any(|run| run.source != highest.source);
        Some((highest.source.uuid, highest.last, more))
    }

    /// Fills the gaps below the set's highest number of each source as far as `known` has them, so
    /// that a set gathered piece by piece stays one run a source. A demand may grow only to
    /// transactions that the primary is known to have executed: a gap elsewhere may never fill.
    pub fn fill_gaps(&mut self, known: &Self) {
        runs::fill_gaps(&mut self.runs, &known.runs);
    }
}

/// Reads a server uuid (`3e11fa47-71ca-11e1-9e33-c80aa9429562`, any case) as a number.
pub fn parse_uuid(text: &[u8]) -> Option<u128> {
    parse::uuid(text)
}

impl std::str::FromStr for GtidSet {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        Self::parse(text.as_bytes())
    }
}

/// MySQL's canonical form without its line breaks: lower case, sorted, each uuid named once.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous: Option<&Source> = None;
        for run in &self.runs {
            let source = &run.source;
            match previous {
                Some(last) if last.uuid == source.uuid => {}
                Some(_) => write!(f, ",{}", Uuid(source.uuid))?,
                None => write!(f, "{}", Uuid(source.uuid))?,
            }
            if previous != Some(source)
                && let Some(tag) = &source.tag
            {
                write!(f, ":{}", tag.as_str())?;
            }
            match run.first == run.last {
                true => write!(f, ":{}", run.first)?,
                false => write!(f, ":{}-{}", run.first, run.last)?,
            }
            previous = Some(source);
        }
        Ok(())
    }
}

pub(super) struct Uuid(pub(super) u128);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            n >> 96,
            (n >> 80) & 0xffff,
            (n >> 64) & 0xffff,
            (n >> 48) & 0xffff,
            n & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests;
