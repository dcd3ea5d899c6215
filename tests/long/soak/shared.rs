//! What all sessions of the soak have in common: whether it is over, what was counted, what was wrong.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use highwater::rig::APP;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Accounts that sessions have in turn.
pub(crate) const USERS: [(&str, &str); 2] = [(APP.user, APP.password), ("soak", "soak-pw")];

/// Groups of sessions, each with a mark that all of them raise.
pub(crate) const GROUPS: usize = 50;

/// Examples of what was wrong that are kept.
const EXAMPLES: usize = 20;

pub(crate) struct Shared {
    /// Where Highwater listens.
    pub(crate) port: u16,
    over: AtomicBool,
    statements: AtomicU64,
    looks: AtomicU64,
    logins: AtomicU64,
    /// As many sessions as this has permits may be bound to a connection at a time.
    bound: Semaphore,
    /// The highest mark of each group that was acknowledged.
    marks: [AtomicU64; GROUPS],
    wrong: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(port: u16, bound: usize) -> Self {
        Self {
            port,
            over: AtomicBool::new(false),
            statements: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            bound: Semaphore::new(bound),
            marks: [const { AtomicU64::new(0) }; GROUPS],
            wrong: Mutex::default(),
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn ran(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn came(&self) {
        self.logins.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Answers that were compared with what they must be.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    pub(crate) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// The right to be bound to a connection for a while.
    pub(crate) async fn bound(&self) -> SemaphorePermit<'_> {
        self.bound.acquire().await.unwrap()
    }

    /// The mark of a group that was acknowledged to somebody.
    pub(crate) fn mark(&self, group: usize) -> u64 {
        self.marks[group].load(Ordering::SeqCst)
    }

    pub(crate) fn raised(&self, group: usize, mark: u64) {
        self.marks[group].fetch_max(mark, Ordering::SeqCst);
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    /// Something was wrong: the soak is over. What sessions say that are torn away then is no finding.
    pub(crate) fn found(&self, line: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < EXAMPLES {
            eprintln!("{line}");
            wrong.push(line);
        }
        self.end();
    }
}
