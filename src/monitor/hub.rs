//! Reads that wait for a server to get somewhere, and the lanes that find out when it does.
//!
//! Each server has two lanes, each with one connection. A lane waits on the server for what *one*
//! of the waiting reads lacks, for some milliseconds at most, then reads the server's executed set
//! and checks *every* waiting read against it. So hundreds of waiting reads cost what one does, and
//! a position that never comes delays nobody else. While nobody waits no query runs.
//!
//! Transactions of one source come nearly always in the order of their numbers. The first lane
//! takes what continues the server's history, nearest first. The second takes turns among all: it
//! is the one that may sit on a gap that never fills, or on numbers that nobody has given out yet.

pub(super) mod lane;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};

use super::NotCovered;
use super::life::{Bound, Life};
use super::shared::{Backend, lock};
use crate::domain::ids::BackendId;
use crate::domain::position::{Position, PositionKind};
use crate::domain::topology::Generation;

/// How often the first lane waits in vain for what the primary is not known to have.
const DOUBT: u32 = 2;

/// Who wakes first with which server, or why nobody.
pub(super) type Arrival = Result<BackendId, NotCovered>;

/// One waiting read. It stands in the hub of each server that may answer it.
pub(super) struct Wait {
    position: Position,
    answer: Mutex<Option<oneshot::Sender<Arrival>>>,
    /// Hubs that may still answer, and one for whoever is still entering it into hubs.
    left: AtomicUsize,
}

impl Wait {
    pub(super) fn new(position: Position) -> (Arc<Self>, oneshot::Receiver<Arrival>) {
        let (sender, receiver) = oneshot::channel();
        let wait = Self {
            position,
            answer: Mutex::new(Some(sender)),
            left: AtomicUsize::new(1),
        };
        (Arc::new(wait), receiver)
    }

    /// One hub less may answer. With the last one the wait is over.
    pub(super) fn give_up(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish(Err(NotCovered::Lost));
        }
    }

    fn finish(&self, arrival: Arrival) {
        if let Some(sender) = lock(&self.answer).take() {
            // Nobody may be listening any more: its deadline passed.
            let _ = sender.send(arrival);
        }
    }

    fn is_over(&self) -> bool {
        lock(&self.answer)
            .as_ref()
            .is_none_or(oneshot::Sender::is_closed)
    }
}

/// The reads that wait for one server.
#[derive(Default)]
pub(super) struct Hub {
    entries: Mutex<Vec<Entry>>,
    first: Notify,
    second: Notify,
    /// Waiting queries sent so far.
    pub(super) queries: AtomicU64,
}

struct Entry {
    wait: Arc<Wait>,
    generation: Generation,
    /// How often a lane waited for it in vain.
    tried: u32,
    /// Whether a lane is at it.
    taken: bool,
}

/// What a lane is to wait for.
pub(super) struct Job {
    wait: Arc<Wait>,
    pub(super) missing: Position,
}

/// The two lanes of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Takes what continues the server's history.
    First,
    /// Takes turns among all.
    Second,
}

impl Hub {
    /// Adds a read that waits for this life of the server. Whether that can help.
    pub(super) fn enter(&self, backend: &Backend, life: &Life, wait: &Arc<Wait>) -> bool {
        let mut entries = lock(&self.entries);
        // Asked under the lock: `dismiss` comes after the change that this sees.
        let current = backend.life(life.generation).is_some();
        let tells = backend.source().kind != PositionKind::Nothing;
        if !current || !tells || !backend.usable.load(Ordering::Acquire) {
            return false;
        }
        wait.left.fetch_add(1, Ordering::AcqRel);
        entries.push(Entry {
            wait: Arc::clone(wait),
            generation: life.generation,
            tried: 0,
            taken: false,
        });
        drop(entries);
        self.wake();
        true
    }

    /// Makes the lanes look.
    pub(super) fn wake(&self) {
        self.first.notify_one();
        self.second.notify_one();
    }

    pub(super) fn bell(&self, lane: Lane) -> &Notify {
        match lane {
            Lane::First => &self.first,
            Lane::Second => &self.second,
        }
    }

    /// Lets go of the reads that this server cannot answer any more.
    pub(super) fn dismiss(&self, backend: &Backend) {
        let usable = backend.usable.load(Ordering::Acquire);
        let generation = backend.life.load().as_ref().map(|life| life.generation);
        lock(&self.entries).retain(|entry| {
            let stays = usable && Some(entry.generation) == generation;
            if !stays {
                entry.wait.give_up();
            }
            stays
        });
    }

    /// Lets go of the reads that nobody waits for any more: a lane that cannot work would keep them.
    pub(super) fn forget_over(&self) {
        lock(&self.entries).retain(|entry| !entry.wait.is_over());
    }

    /// Answers every read that the server's bound covers now.
    pub(super) fn settle(&self, backend: &Backend, life: &Life) {
        lock(&self.entries).retain(|entry| {
            if entry.wait.is_over() {
                return false;
            }
            let there =
                entry.generation == life.generation && backend.shows(life, &entry.wait.position);
            if there {
                entry.wait.finish(Ok(backend.id));
            }
            !there
        });
    }

    /// What this lane should wait for next. `primary` is the bound of the primary.
    pub(super) fn pick(&self, lane: Lane, life: &Life, primary: Option<&Bound>) -> Option<Job> {
        let bound = life.bound.position().unwrap_or_default();
        let mut entries = lock(&self.entries);
        entries.retain(|entry| !entry.wait.is_over());
        let free = entries
            .iter_mut()
            .filter(|entry| !entry.taken && entry.generation == life.generation);
        let candidates = free.filter_map(|entry| {
            let missing = entry.wait.position.missing_from(&bound);
            let ahead = missing.ahead_of(&bound);
            let coming = || primary.is_some_and(|bound| bound.covers(&entry.wait.position));
            let rank = match lane {
                // The primary's bound is a little old, so what is new gets the benefit of doubt.
                Lane::First if entry.tried < DOUBT || coming() => (0, ahead?),
                Lane::First => return None,
                Lane::Second => (entry.tried, ahead.unwrap_or(u64::MAX)),
            };
            Some((rank, entry, missing))
        });
        let (_, entry, missing) = candidates.min_by_key(|(rank, ..)| *rank)?;
        entry.taken = true;
        Some(Job {
            wait: Arc::clone(&entry.wait),
            missing,
        })
    }

    /// A lane is done with this one, in vain if it is still here. The other lane looks at it then:
    /// it may have gone to sleep because this one had it.
    pub(super) fn put_back(&self, lane: Lane, job: &Job) {
        for entry in lock(&self.entries).iter_mut() {
            if Arc::ptr_eq(&entry.wait, &job.wait) {
                entry.taken = false;
                entry.tried = entry.tried.saturating_add(1);
            }
        }
        match lane {
            Lane::First => self.second.notify_one(),
            Lane::Second => self.first.notify_one(),
        }
    }
}
