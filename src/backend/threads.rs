//! Which of a server's threads are a pool's own: what a list of the server's threads is told apart by.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::ServerThreadId;

/// The server's ids of all connections of one pool, leased and idle.
#[derive(Debug, Default)]
pub struct Threads(Mutex<HashSet<ServerThreadId>>);

/// A connection's entry; gone when dropped.
#[derive(Debug)]
pub(super) struct Listed {
    threads: Arc<Threads>,
    thread: ServerThreadId,
}

impl Threads {
    /// Whether this thread is a connection of the pool.
    pub fn contains(&self, thread: ServerThreadId) -> bool {
        self.lock().contains(&thread)
    }

    /// Enters a connection for as long as the entry lives.
    pub(super) fn enter(self: &Arc<Self>, thread: ServerThreadId) -> Listed {
        self.lock().insert(thread);
        Listed {
            threads: Arc::clone(self),
            thread,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<ServerThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.threads.lock().remove(&self.thread);
    }
}
