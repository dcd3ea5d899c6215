//! A timer that costs nothing where it does not go off.
//!
//! To set a timer wakes the runtime's driver: a write to its descriptor, and a poll that returns at
//! once. That is as much as half a statement, so a session does not set one for each of its waits: it
//! keeps one, lets it run on when a wait is over, and sets it anew once it went off too early.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// One wait after the other can use it.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once it is that late.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_goes_off_at_its_time_whatever_it_was_set_for_before() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut alarm = Alarm::default();
        let pending = |alarm: &mut Alarm, at| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            alarm.poll(&mut cx, at).is_pending()
        };
        assert!(pending(&mut alarm, at(600_000)), "a wait that is over soon");
        for millis in [30, 20, 60] {
            poll_fn(|cx| alarm.poll(cx, at(millis))).await;
            assert!(start.elapsed() >= Duration::from_millis(millis));
            assert!(pending(&mut alarm, at(600_000)));
        }
    }
}
