//! What the sessions of this process were told is committed: raised before each OK is forwarded.

use std::time::{Duration, Instant};

use super::groups::{GroupKey, Groups, compact};
use super::watermark::Watermark;
use crate::domain::position::Position;

/// The marks of the proxy and of its groups.
#[derive(Debug)]
pub struct Acknowledged {
    proxy: Watermark,
    groups: Groups,
}

impl Acknowledged {
    /// Nothing is known of what was acknowledged before `now`. At most `max_groups` groups are
    /// kept, each for `group_idle` after its last use.
    pub fn new(max_groups: usize, group_idle: Duration, now: Instant) -> Self {
        Self {
            proxy: Watermark::starting(now),
            groups: Groups::new(max_groups, group_idle, now),
        }
    }

    /// Other bounds hold from now on.
    pub fn bound(&mut self, max_groups: usize, group_idle: Duration) {
        self.groups.bound(max_groups, group_idle);
    }

    /// Positions are of another history from `now` on: what was acknowledged before is not known any more.
    pub fn on_other_history(&mut self, now: Instant) {
        self.proxy = Watermark::starting(now);
        self.groups.on_other_history(now);
    }

    /// A write at this position is about to be acknowledged to a session of this group.
    pub fn raise(&mut self, group: &GroupKey, told: &Position, now: Instant) {
        self.proxy.raise(told, now);
        self.groups.raise(group, told, now);
    }

    /// Something is about to be acknowledged to a session of this group whose position is not told.
    pub fn on_unknown(&mut self, group: &GroupKey, now: Instant) {
        self.proxy.on_unknown(now);
        self.groups.on_unknown(group, now);
    }

    /// What every read at `proxy` must see.
    pub fn proxy(&self) -> &Watermark {
        &self.proxy
    }

    /// What a read of this group must see.
    pub fn group(&mut self, group: &GroupKey, now: Instant) -> &Watermark {
        self.groups.mark(group, now)
    }

    /// The primary had executed this when a probe was sent at `sent`; a read of this group asked.
    pub fn on_executed(
        &mut self,
        group: &GroupKey,
        executed: &Position,
        sent: Instant,
        now: Instant,
    ) {
        self.proxy.on_executed(executed, sent, now);
        self.groups.on_executed(group, executed, sent, now);
    }

    /// Makes positions that became scattered compact by means of `make`.
    pub fn compact(&mut self, group: &GroupKey, make: impl Fn(&mut Position)) {
        compact(&mut self.proxy, &make);
        self.groups.compact(group, make);
    }

    /// Forgets the groups that nobody used for long.
    pub fn tend(&mut self, now: Instant) {
        self.groups.tend(now);
    }
}
