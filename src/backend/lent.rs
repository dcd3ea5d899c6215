//! A connection that its session keeps while it waits for its client, and that the pool may call
//! back meanwhile.
//!
//! ```text
//! BUSY --offer, at a statement's end--> IDLE --recall, by the pool--> RECALLED
//!   ^---------claim, at the next---------+
//! ```
//! The session offers and claims with one atomic operation each. Only the task of the session ever
//! touches the connection: who calls one back wakes that task, which gives it back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use super::pool::PoolKey;

/// Wakes the task of one session, on whichever thread that runs.
#[derive(Debug, Default)]
pub struct Bell(Mutex<Option<Waker>>);

impl Bell {
    fn ring(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }
}

/// The session's end of its bell. A task has the same waker for as long as it lives, so the bell is
/// told only once.
#[derive(Debug, Default)]
pub struct Listener {
    bell: Arc<Bell>,
    hung: Option<Waker>,
}

impl Listener {
    /// The bell.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Has the bell wake this task. Look at what it announces after that.
    pub fn listen(&mut self, cx: &Context<'_>) {
        let hangs = self.hung.as_ref();
        if hangs.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        let mut place = self.bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(cx.waker().clone());
        self.hung = Some(cx.waker().clone());
    }
}

const BUSY: u64 = 0;
const IDLE: u64 = 1;
const RECALLED: u64 = 2;
/// The low bits say which of these it is; the others, for IDLE, since when.
const KIND_BITS: u32 = 2;
const KIND: u64 = (1 << KIND_BITS) - 1;

/// One lease of one connection, as its session and its pool both know it.
#[derive(Debug)]
pub(super) struct Lent {
    state: AtomicU64,
    bell: Arc<Bell>,
    key: PoolKey,
    /// Where it stands in the pool's list.
    pub(super) slot: AtomicUsize,
}

impl Lent {
    pub(super) fn new(key: PoolKey, bell: Arc<Bell>) -> Self {
        Self {
            state: AtomicU64::new(BUSY),
            bell,
            key,
            slot: AtomicUsize::new(usize::MAX),
        }
    }

    pub(super) fn key(&self) -> &PoolKey {
        &self.key
    }

    /// The session has no need of it for now. `round` is the pool's count of rounds.
    pub(super) fn offer(&self, round: u64) {
        // Total order with the count of those who wait: either they find the offer, or the session
        // sees that they wait.
        self.state
            .store(IDLE | (round << KIND_BITS), Ordering::SeqCst);
    }

    /// The session needs it again; `false` when it was called back.
    pub(super) fn claim(&self) -> bool {
        self.state.swap(BUSY, Ordering::SeqCst) & KIND != RECALLED
    }

    /// Whether it was called back.
    pub(super) fn is_recalled(&self) -> bool {
        self.state.load(Ordering::Acquire) & KIND == RECALLED
    }

    /// Since which round its session has had no need of it.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let state = self.state.load(Ordering::SeqCst);
        (state & KIND == IDLE).then_some(state >> KIND_BITS)
    }

    /// Calls it back if its session has no need of it. The session gives it back soon.
    pub(super) fn recall(&self) -> bool {
        let idle = |state: u64| (state & KIND == IDLE).then_some(RECALLED);
        let recalled = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, idle)
            .is_ok();
        if recalled {
            self.bell.ring();
        }
        recalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::caps::{CapabilityProfile, REQUIRED};

    fn lent() -> Lent {
        let key = PoolKey {
            user: "app".into(),
            profile: CapabilityProfile::new(REQUIRED),
        };
        Lent::new(key, Arc::default())
    }

    #[test]
    fn only_what_is_offered_can_be_called_back_and_only_once() {
        let lent = lent();
        assert!(!lent.recall(), "busy");
        assert_eq!(lent.idle_since(), None);
        lent.offer(7);
        assert_eq!(lent.idle_since(), Some(7));
        assert!(lent.claim(), "the session was quicker");
        assert!(!lent.recall());
        lent.offer(8);
        assert!(lent.recall());
        assert!(lent.is_recalled());
        assert!(!lent.recall(), "somebody else has called it back");
        assert_eq!(lent.idle_since(), None);
        assert!(!lent.claim(), "it has to be given back");
    }

    #[test]
    fn a_recall_wakes_the_task_that_listens() {
        struct Woken(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(false.into()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut listener = Listener::default();
        listener.listen(&Context::from_waker(&waker));
        let lent = Lent {
            bell: Arc::clone(listener.bell()),
            ..lent()
        };
        assert!(!lent.recall());
        assert!(!woken.0.load(Ordering::SeqCst));
        lent.offer(1);
        assert!(lent.recall());
        assert!(woken.0.load(Ordering::SeqCst));
    }
}
