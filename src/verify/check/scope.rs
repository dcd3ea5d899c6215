//! What the writes of some sessions demand of a read that began at some time.

use std::collections::HashMap;
use std::time::Duration;

use super::facts::Write;
use crate::verify::history::Key;

/// The largest value so far, over time.
#[derive(Debug)]
struct Steps<T>(Vec<Step<T>>);

/// From `at` on, the largest value is `value`, of this operation.
#[derive(Clone, Copy, Debug)]
struct Step<T> {
    at: Duration,
    value: T,
    operation: usize,
}

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Steps<T> {
    fn push(&mut self, at: Duration, value: T, operation: usize) {
        self.0.push(Step {
            at,
            value,
            operation,
        });
    }

    /// Puts the values in the order of time, each with the largest so far.
    fn settle(&mut self) {
        self.0.sort_by_key(|step| step.at);
        let mut largest: Option<Step<T>> = None;
        for step in &mut self.0 {
            match largest {
                Some(before) if before.value >= step.value => {
                    step.value = before.value;
                    step.operation = before.operation;
                }
                _ => largest = Some(*step),
            }
        }
    }

    /// The largest value before `time`.
    fn before(&self, time: Duration) -> Option<(T, usize)> {
        let after = self.0.partition_point(|step| step.at < time);
        let step = self.0.get(after.checked_sub(1)?)?;
        Some((step.value, step.operation))
    }
}

/// The acknowledged writes of some sessions.
#[derive(Debug, Default)]
pub(super) struct Scope {
    keys: HashMap<Key, Steps<u64>>,
    /// When the latest begun of them began.
    horizon: Steps<Duration>,
}

/// A version that a read must not be older than.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) version: u64,
    /// The write that made it.
    pub(super) write: usize,
    /// The later write on another key from which the demand follows.
    pub(super) through: Option<usize>,
}

impl Scope {
    pub(super) fn of<'a>(writes: impl Iterator<Item = &'a Write>) -> Self {
        let mut scope = Self::default();
        for write in writes {
            scope.add(write);
        }
        scope.settle();
        scope
    }

    /// Adds a write; [`Scope::settle`] must follow the last one.
    pub(super) fn add(&mut self, write: &Write) {
        if let Some(returned) = write.returned {
            let steps = self.keys.entry(write.key).or_default();
            steps.push(returned, write.version, write.operation);
            self.horizon.push(returned, write.invoked, write.operation);
        }
    }

    pub(super) fn settle(&mut self) {
        self.keys.values_mut().for_each(Steps::settle);
        self.horizon.settle();
    }

    /// The version of `key` that was acknowledged before `time`.
    pub(super) fn version(&self, key: Key, time: Duration) -> Option<Demand> {
        let (version, write) = self.keys.get(&key)?.before(time)?;
        Some(Demand {
            version,
            write,
            through: None,
        })
    }

    /// What a state that has all writes of this scope has of `key` besides, given the scope of all
    /// writes.
    pub(super) fn beyond(&self, all: &Self, key: Key, time: Duration) -> Option<Demand> {
        let (begun, through) = self.horizon.before(time)?;
        let demand = all.version(key, begun)?;
        Some(Demand {
            through: Some(through),
            ..demand
        })
    }
}

/// The writes of one key, by version.
#[derive(Debug, Default)]
pub(super) struct Line {
    versions: Vec<Version>,
}

#[derive(Clone, Copy, Debug)]
struct Version {
    number: u64,
    operation: usize,
    /// When the latest begun of this and all older ones began.
    begun: Duration,
    begun_by: usize,
    /// When the first of this and all newer ones was acknowledged.
    acknowledged: Option<(Duration, usize)>,
}

impl Line {
    /// The lines of all keys.
    pub(super) fn all(writes: &[Write]) -> HashMap<Key, Self> {
        let mut lines: HashMap<Key, Self> = HashMap::new();
        for write in writes {
            lines.entry(write.key).or_default().versions.push(Version {
                number: write.version,
                operation: write.operation,
                begun: write.invoked,
                begun_by: write.operation,
                acknowledged: write.returned.map(|at| (at, write.operation)),
            });
        }
        lines.values_mut().for_each(Self::settle);
        lines
    }

    fn settle(&mut self) {
        self.versions.sort_by_key(|version| version.number);
        let mut latest = (Duration::ZERO, None);
        for version in &mut self.versions {
            match latest {
                (begun, Some(by)) if begun > version.begun => {
                    (version.begun, version.begun_by) = (begun, by);
                }
                _ => latest = (version.begun, Some(version.operation)),
            }
        }
        let mut first: Option<(Duration, usize)> = None;
        for version in self.versions.iter_mut().rev() {
            first = match (first, version.acknowledged) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            version.acknowledged = first;
        }
    }

    /// When the latest begun of the writes that a state of this version has began, and which it is.
    pub(super) fn begun(&self, version: u64) -> Option<(Duration, usize)> {
        let after = self.versions.partition_point(|v| v.number <= version);
        let version = self.versions.get(after.checked_sub(1)?)?;
        Some((version.begun, version.begun_by))
    }

    /// The first acknowledgement of anything newer than `version`.
    pub(super) fn first_newer(&self, version: u64) -> Option<(Duration, usize)> {
        let after = self.versions.partition_point(|v| v.number <= version);
        self.versions.get(after)?.acknowledged
    }

    /// The write that made a version.
    pub(super) fn write(&self, version: u64) -> Option<usize> {
        let at = self.versions.binary_search_by_key(&version, |v| v.number);
        self.versions.get(at.ok()?).map(|v| v.operation)
    }
}
