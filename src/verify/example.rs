//! One violation, told as what happened in the order in which it happened.

use std::time::Duration;

use super::check::Case;
use super::claim::Kind;
use super::history::{Action, History, Operation};

/// A violation that people can follow: who did what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// One line an event, in the order of time. Times are milliseconds since the run began.
    pub lines: Vec<String>,
}

impl Example {
    pub(super) fn of(history: &History, kind: Kind, case: Case) -> Self {
        let get = |index: Option<usize>| history.operations.get(index?);
        let wrong = get(case.wrong);
        let mut events: Vec<(Duration, String)> = Vec::new();
        for (index, operation) in [case.missed, case.through].map(|index| (index, get(index))) {
            // A read stands in where the write that it showed is not known.
            if let Some(operation) = operation
                && index != case.earlier
            {
                events.extend(written(history, operation));
            }
        }
        if let Some(earlier) = get(case.earlier) {
            events.push((earlier.returned, read(earlier, "reads")));
        }
        if let Some(wrong) = wrong {
            let session = wrong.session;
            let begins = format!("session {session} begins to read {}", wrong.key);
            events.push((wrong.invoked, begins));
            events.push((wrong.returned, read(wrong, "is answered")));
        }
        events.sort_by_key(|(at, _)| *at);
        let mut lines: Vec<_> = events
            .iter()
            .map(|(at, what)| format!("{:>11.3} ms  {what}", millis(*at)))
            .collect();
        lines.push(format!(
            "{:>14}  so {}",
            "",
            moral(kind, get(case.missed), wrong)
        ));
        Self { lines }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Beginning and end of a write.
fn written(history: &History, write: &Operation) -> [(Duration, String); 2] {
    let session = write.session;
    let past = if history.actor(session).past {
        ", past the endpoint"
    } else {
        ""
    };
    let (what, acknowledged) = match write.action {
        Action::Write {
            version,
            acknowledged,
        } => (format!("to write {version} to"), acknowledged),
        Action::Append {
            element,
            acknowledged,
        } => (format!("to append {element} to"), acknowledged),
        Action::Read { .. } | Action::ReadList { .. } => ("to read".to_owned(), true),
    };
    let end = if acknowledged {
        "is told that it is done"
    } else {
        "is not told what became of it"
    };
    [
        (
            write.invoked,
            format!("session {session} begins {what} {}{past}", write.key),
        ),
        (write.returned, format!("session {session} {end}")),
    ]
}

fn read(read: &Operation, verb: &str) -> String {
    let (session, key) = (read.session, read.key);
    let what = match &read.action {
        Action::Read { version: 0 } => "nothing".to_owned(),
        Action::Read { version } => version.to_string(),
        Action::ReadList { elements } => match elements.as_ref() {
            [] => "no elements".to_owned(),
            [only] => format!("one element, {only}"),
            [.., last] => format!("{} elements, the last one {last}", elements.len()),
        },
        Action::Write { .. } | Action::Append { .. } => "something".to_owned(),
    };
    format!("session {session} {verb} {what} in {key}")
}

/// What is wrong about it.
fn moral(kind: Kind, missed: Option<&Operation>, wrong: Option<&Operation>) -> String {
    let age = match (missed, wrong) {
        (Some(missed), Some(wrong)) if kind != Kind::Monotonic => {
            let age = wrong.invoked.saturating_sub(missed.returned);
            format!(", acknowledged {:.3} ms before it began", millis(age))
        }
        _ => String::new(),
    };
    format!("the read {}{age}", kind.text())
}
