//! Registers and lists on one footing: every write made a version of its key, every read saw one.
//!
//! A list's order at the end gives each element its number, and a read of its first *n* elements saw
//! version *n*.

use std::collections::HashMap;
use std::time::Duration;

use crate::verify::history::{Action, History, Key};

/// A write that made a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// Its index in the history.
    pub(super) operation: usize,
    pub(super) session: u32,
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) invoked: Duration,
    /// When it was acknowledged, if it was.
    pub(super) returned: Option<Duration>,
}

/// A read that saw a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// Its index in the history.
    pub(super) operation: usize,
    pub(super) session: u32,
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) invoked: Duration,
}

/// All of them.
pub(super) struct Facts {
    pub(super) writes: Vec<Write>,
    /// In the order in which they began.
    pub(super) reads: Vec<Read>,
    /// Writes without an acknowledgement.
    pub(super) unknown: usize,
    /// The order of each list.
    pub(super) orders: HashMap<Key, Order>,
}

/// The order of a list's elements.
#[derive(Debug, Default)]
pub(super) struct Order {
    elements: Vec<u64>,
    versions: HashMap<u64, u64>,
}

impl Order {
    fn of(elements: &[u64]) -> Self {
        let mut order = Self::default();
        for (version, element) in (1..).zip(elements) {
            order.elements.push(*element);
            order.versions.entry(*element).or_insert(version);
        }
        order
    }

    /// The number of an element, from 1; `None` if it is not there.
    pub(super) fn version(&self, element: u64) -> Option<u64> {
        self.versions.get(&element).copied()
    }

    /// How many of these elements are the first ones of the list, in its order.
    pub(super) fn common(&self, elements: &[u64]) -> usize {
        let pairs = self.elements.iter().zip(elements);
        pairs.take_while(|(ours, theirs)| ours == theirs).count()
    }

    /// Whether some element is there twice.
    pub(super) fn repeats(&self) -> bool {
        self.versions.len() < self.elements.len()
    }
}

impl Facts {
    pub(super) fn of(history: &History) -> Self {
        let orders = orders(history);
        let (mut writes, mut reads, mut unknown) = (Vec::new(), Vec::new(), 0);
        for (operation, done) in history.operations.iter().enumerate() {
            let (session, key, invoked) = (done.session, done.key, done.invoked);
            let write = |version, acknowledged: bool| Write {
                operation,
                session,
                key,
                version,
                invoked,
                returned: acknowledged.then_some(done.returned),
            };
            let read = |version| Read {
                operation,
                session,
                key,
                version,
                invoked,
            };
            let order = orders.get(&key);
            match &done.action {
                Action::Write {
                    version,
                    acknowledged,
                } => {
                    unknown += usize::from(!acknowledged);
                    writes.push(write(*version, *acknowledged));
                }
                Action::Append {
                    element,
                    acknowledged,
                } => {
                    unknown += usize::from(!acknowledged);
                    // What is not in the list either never happened or was lost.
                    if let Some(version) = order.and_then(|order| order.version(*element)) {
                        writes.push(write(version, *acknowledged));
                    }
                }
                Action::Read { version } => reads.push(read(*version)),
                Action::ReadList { elements } => {
                    let common = order.map_or(0, |order| order.common(elements));
                    reads.push(read(super::count(common)));
                }
            }
        }
        reads.sort_by_key(|read| read.invoked);
        Self {
            writes,
            reads,
            unknown,
            orders,
        }
    }
}

/// The order of every list: as it was at the end, or else as the longest read showed it.
fn orders(history: &History) -> HashMap<Key, Order> {
    let mut longest: HashMap<Key, &[u64]> = HashMap::new();
    for operation in &history.operations {
        if let Action::ReadList { elements } = &operation.action {
            let known = longest.entry(operation.key).or_default();
            if elements.len() > known.len() {
                *known = elements;
            }
        }
    }
    let last = history.last.iter().flatten();
    longest.extend(last.map(|(key, elements)| (*key, &**elements)));
    longest
        .into_iter()
        .filter(|(key, _)| matches!(key, Key::List(_)))
        .map(|(key, elements)| (key, Order::of(elements)))
        .collect()
}
