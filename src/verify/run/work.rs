//! What the sessions of a run share: who writes next, what is counted, and when it is over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::Error;
use tokio::sync::{mpsc, watch};

use super::{Plan, Stop};
use crate::verify::history::{Actor, Key};

/// More operations are not remembered: a run that gets there ends.
const LONGEST_HISTORY: u64 = 4_000_000;
/// A list is full with this many elements; the next one takes its place.
const FULL: u64 = 48;
/// What a session has not yet heard.
const MAILBOX: usize = 4;

/// What a writer tells another session, right after its acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) key: Key,
    /// The version or element.
    pub(super) number: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the sessions began.
    pub elapsed: Duration,
    /// Reads that were answered.
    pub reads: u64,
    /// Writes that were sent.
    pub writes: u64,
    /// Statements and connections that failed.
    pub errors: u64,
    /// Re-reads that did not show the write they came after; the check at the end looks closer.
    pub old: u64,
}

/// Shared by all sessions of a run.
#[derive(Debug)]
pub(super) struct Work {
    begun: Instant,
    stop: Stop,
    interrupted: watch::Receiver<bool>,
    cut_short: AtomicBool,
    /// The last version of each register; whoever holds the lock writes the next one.
    registers: Vec<tokio::sync::Mutex<u64>>,
    /// How many elements were appended in the place of each list.
    lists: Vec<AtomicU64>,
    elements: AtomicU64,
    mailboxes: Vec<mpsc::Sender<News>>,
    actors: Mutex<Vec<Actor>>,
    reads: AtomicU64,
    writes: AtomicU64,
    failed: AtomicU64,
    old: AtomicU64,
    flagged: AtomicU64,
    errors: Mutex<BTreeMap<String, (String, u64)>>,
}

impl Work {
    /// Also gives a mailbox for each session and for each writer past the endpoint.
    pub(super) fn new(
        plan: &Plan,
        interrupted: watch::Receiver<bool>,
    ) -> (Self, Vec<mpsc::Receiver<News>>) {
        let past = match plan.past {
            Some(_) => (plan.sessions / 4).max(1),
            None => 0,
        };
        let channels = (0..plan.sessions + past).map(|_| mpsc::channel(MAILBOX));
        let (mut mailboxes, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        // Writers past the endpoint read nothing, so there is no use in telling them.
        mailboxes.truncate(plan.sessions.try_into().unwrap_or(usize::MAX));
        let work = Self {
            begun: Instant::now(),
            stop: plan.stop,
            interrupted,
            cut_short: AtomicBool::new(false),
            registers: (0..plan.keys).map(|_| 0.into()).collect(),
            lists: (0..plan.keys).map(|_| 0.into()).collect(),
            elements: AtomicU64::new(0),
            mailboxes,
            actors: Mutex::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            old: AtomicU64::new(0),
            flagged: AtomicU64::new(0),
            errors: Mutex::default(),
        };
        (work, receivers)
    }

    /// The time of this moment in the history.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether sessions should end.
    pub(super) fn is_over(&self) -> bool {
        let (reads, writes) = (get(&self.reads), get(&self.writes));
        if reads >= self.stop.reads || self.begun.elapsed() >= self.stop.after {
            return true;
        }
        if reads + writes >= LONGEST_HISTORY || *self.interrupted.borrow() {
            self.cut_short.store(true, Ordering::Relaxed);
            return true;
        }
        false
    }

    /// The flag that ends even a session that waits for an answer.
    pub(super) fn interrupted(&self) -> watch::Receiver<bool> {
        self.interrupted.clone()
    }

    /// Whether the run was ended before its time.
    pub(super) fn cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }

    /// How many registers there are, and as many lists.
    pub(super) fn keys(&self) -> u32 {
        u32::try_from(self.registers.len()).unwrap_or(u32::MAX)
    }

    /// The right to write a register; `None` while another session writes it.
    pub(super) fn claim(&self, register: u32) -> Option<tokio::sync::MutexGuard<'_, u64>> {
        self.registers.get(index(register))?.try_lock().ok()
    }

    /// The list in a place at the moment.
    pub(super) fn list(&self, place: u32) -> Key {
        let appended = self.lists.get(index(place)).map_or(0, get);
        self.list_after(place, appended)
    }

    /// The list that the next element of a place goes to.
    pub(super) fn next_list(&self, place: u32) -> Key {
        let list = self.lists.get(index(place));
        let appended = list.map_or(0, |list| list.fetch_add(1, Ordering::Relaxed));
        self.list_after(place, appended)
    }

    fn list_after(&self, place: u32, appended: u64) -> Key {
        let generation = u32::try_from(appended / FULL).unwrap_or(u32::MAX);
        Key::List(generation.saturating_mul(self.keys()).saturating_add(place))
    }

    /// An element that no list has.
    pub(super) fn new_element(&self) -> u64 {
        self.elements.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes a new session in; gives its number.
    pub(super) fn enter(&self, actor: Actor) -> u32 {
        let mut actors = lock(&self.actors);
        actors.push(actor);
        u32::try_from(actors.len() - 1).unwrap_or(u32::MAX)
    }

    /// All sessions that there were.
    pub(super) fn actors(&self) -> Vec<Actor> {
        lock(&self.actors).clone()
    }

    /// Tells a session, if it can take more.
    pub(super) fn tell(&self, session: u32, news: News) {
        if let Some(mailbox) = self.mailboxes.get(index(session)) {
            mailbox.try_send(news).ok();
        }
    }

    /// How many sessions can be told something.
    pub(super) fn listeners(&self) -> u32 {
        u32::try_from(self.mailboxes.len()).unwrap_or(u32::MAX)
    }

    /// Counts a read; `old` if it did not show the write that it came after.
    pub(super) fn count_read(&self, old: bool) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.old.fetch_add(u64::from(old), Ordering::Relaxed);
    }

    /// Counts a read whose answer came with a warning.
    pub(super) fn count_flagged(&self) {
        self.flagged.fetch_add(1, Ordering::Relaxed);
    }

    /// How many reads came with a warning.
    pub(super) fn flagged(&self) -> u64 {
        get(&self.flagged)
    }

    /// Counts a write.
    pub(super) fn count_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what failed, by the server's code or the driver's kind of error.
    pub(super) fn count_error(&self, error: &Error) {
        let class = match error {
            Error::Server(error) => error.code.to_string(),
            other => other.to_string(),
        };
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut errors = lock(&self.errors);
        let entry = errors
            .entry(class)
            .or_insert_with(|| (error.to_string(), 0));
        entry.1 += 1;
    }

    /// What failed: its first text, and how often.
    pub(super) fn errors(&self) -> Vec<(String, u64)> {
        lock(&self.errors).values().cloned().collect()
    }

    /// Some error that occurred.
    pub(super) fn last_error(&self) -> String {
        let errors = lock(&self.errors);
        let text = errors.values().next_back().map(|(text, _)| text.clone());
        text.unwrap_or_else(|| "it was over at once".to_owned())
    }

    /// How far the run is.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            elapsed: self.now(),
            reads: get(&self.reads),
            writes: get(&self.writes),
            errors: get(&self.failed),
            old: get(&self.old),
        }
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
