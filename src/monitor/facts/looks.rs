//! When a server's facts are read: now and then, when something speaks for it, and at once when its defaults
//! were changed, which those who begin then wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How often the servers' defaults are read again: SET GLOBAL may change them.
const EVERY: Duration = Duration::from_secs(10);

/// Who begins waits no longer than this for the defaults that were just set.
const PATIENCE: Duration = Duration::from_secs(1);

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

    /// A look is over that began with this.
    pub(super) fn looked(&self, wanted: u64) {
        self.looked.send_replace(wanted);
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
        let under_way = looks.wanted();
        looks.changed();
        let mut settled = pin!(looks.settled());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(settled.as_mut().poll(&mut context), Poll::Pending);
        looks.looked(under_way);
        assert_eq!(settled.as_mut().poll(&mut context), Poll::Pending);
        looks.looked(looks.wanted());
        settled.await;
        looks.settled().await;
    }
}
