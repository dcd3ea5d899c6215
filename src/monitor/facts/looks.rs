//! When a server's facts are read: now and then, when something speaks for it, and at once when its defaults
//! were changed, which those who begin then wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How often the servers' defaults are read again: SET GLOBAL may change them.
const EVERY: Duration = Duration::from_secs(10);

/// Who begins waits no longer than this for the defaults that were just set: a look is over sooner, well or not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A look that somebody waits for is tried so often.
pub(super) const TRIES: u32 = 3;

/// The looks at one server.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Looks {
    wake: Notify,
    /// Counts the changes that were told.
    wanted: AtomicU64,
    /// Up to which of them the looks have come that are over.
    looked: watch::Sender<u64>,
}

impl Looks {
    /// The facts may be others now.
    pub(in crate::monitor) fn wake(&self) {
        self.wake.notify_one();
    }

    /// The defaults are others now.
    pub(in crate::monitor) fn changed(&self) {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Whether a look is over that began after the last change that was told.
    pub(in crate::monitor) fn are_settled(&self) -> bool {
        *self.looked.borrow() >= self.wanted()
    }

    /// Returns once a look is over that began after the last change that was told, or will not be had soon.
    pub(in crate::monitor) async fn settled(&self) {
        let wanted = self.wanted();
        if *self.looked.borrow() < wanted {
            let mut looked = self.looked.subscribe();
            let _ = timeout(PATIENCE, looked.wait_for(|looked| *looked >= wanted)).await;
        }
    }

    /// For a look that begins now.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::SeqCst)
    }

    /// A look went well that began with this.
    pub(super) fn looked(&self, wanted: u64) {
        self.looked.send_replace(wanted);
    }

    /// Whether a look is due at once, after so many in a row: somebody waits for one, and the last failed or began
    /// too early. In the end they go on with what is known: the next look comes soon.
    pub(super) fn is_due(&self, tries: u32) -> bool {
        if tries >= TRIES {
            self.looked(self.wanted());
        }
        !self.are_settled()
    }

    /// Until something speaks for a look.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Until the next look.
    pub(super) async fn pause(&self) {
        let _ = timeout(EVERY, self.wake.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn who_begins_after_a_change_waits_for_a_look_that_began_after_it() {
        let looks = Looks::default();
        looks.settled().await;
        let early = looks.wanted();
        looks.changed();
        let mut settled = pin!(looks.settled());
        let mut context = Context::from_waker(Waker::noop());
        looks.looked(early);
        assert!(looks.is_due(1));
        assert_eq!(settled.as_mut().poll(&mut context), Poll::Pending);
        looks.looked(looks.wanted());
        assert!(!looks.is_due(2));
        settled.await;
        looks.settled().await;
    }

    #[tokio::test]
    async fn nobody_waits_for_a_look_that_fails_and_fails() {
        let looks = Looks::default();
        looks.changed();
        let mut context = Context::from_waker(Waker::noop());
        let mut settled = pin!(looks.settled());
        assert_eq!(settled.as_mut().poll(&mut context), Poll::Pending);
        assert!(looks.is_due(1) && looks.is_due(TRIES - 1) && !looks.is_due(TRIES));
        settled.await;
    }
}
