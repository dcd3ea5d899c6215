//! What is wrong at every level: lost, doubled, reordered and invented data.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::facts::Facts;
use super::{Case, Notes};
use crate::verify::claim::Kind;
use crate::verify::history::{Action, History, Key};

pub(super) fn check(history: &History, facts: &Facts, notes: &mut Notes<'_>) {
    lost(history, facts, notes);
    let written = written(history);
    let mut repeated = BTreeSet::new();
    for (at, operation) in history.operations.iter().enumerate() {
        let wrong = Case {
            wrong: Some(at),
            ..Case::default()
        };
        let written = written.get(&operation.key);
        let known = |number: &u64| written.is_some_and(|written| written.contains(number));
        match &operation.action {
            Action::Read { version } => {
                notes.checked(Kind::Invented);
                if *version != 0 && !known(version) {
                    notes.violated(Kind::Invented, wrong);
                }
            }
            Action::ReadList { elements } => {
                for kind in [Kind::Invented, Kind::Duplicated, Kind::Diverged] {
                    notes.checked(kind);
                }
                if !elements.iter().all(known) {
                    notes.violated(Kind::Invented, wrong);
                }
                let unique: HashSet<_> = elements.iter().collect();
                if unique.len() < elements.len() && repeated.insert(operation.key) {
                    notes.violated(Kind::Duplicated, wrong);
                }
                let order = facts.orders.get(&operation.key);
                if order.is_some_and(|order| order.common(elements) < elements.len()) {
                    notes.violated(Kind::Diverged, wrong);
                }
            }
            Action::Write { .. } | Action::Append { .. } => {}
        }
    }
    // Nobody may have read a list between the second copy and the end.
    for (key, order) in &facts.orders {
        if order.repeats() && repeated.insert(*key) {
            notes.violated(Kind::Duplicated, Case::default());
        }
    }
}

/// Acknowledged writes that are not there at the end.
fn lost(history: &History, facts: &Facts, notes: &mut Notes<'_>) {
    let Some(last) = &history.last else {
        return;
    };
    for (at, operation) in history.operations.iter().enumerate() {
        let there = match &operation.action {
            Action::Write {
                version,
                acknowledged: true,
            } => {
                let last = last.get(&operation.key).and_then(|last| last.first());
                last.is_some_and(|last| last >= version)
            }
            Action::Append {
                element,
                acknowledged: true,
            } => {
                let order = facts.orders.get(&operation.key);
                order.is_some_and(|order| order.version(*element).is_some())
            }
            _ => continue,
        };
        notes.checked(Kind::Lost);
        if !there {
            let case = Case {
                missed: Some(at),
                ..Case::default()
            };
            notes.violated(Kind::Lost, case);
        }
    }
}

/// Everything that anybody tried to write.
fn written(history: &History) -> HashMap<Key, HashSet<u64>> {
    let mut written: HashMap<Key, HashSet<u64>> = HashMap::new();
    for operation in &history.operations {
        if let Action::Write {
            version: number, ..
        }
        | Action::Append {
            element: number, ..
        } = operation.action
        {
            written.entry(operation.key).or_default().insert(number);
        }
    }
    written
}
