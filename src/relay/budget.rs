//! The part of the primary's connections that reads may use which were meant for a replica.
//!
//! A lag spike must not send every read to the primary at once. A read that falls back holds a permit
//! while it runs; the permit comes free when it is dropped, whatever became of the read.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::config::Config;

/// So many reads may run on the primary at a time.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    size: usize,
}

/// The right to run one read on the primary; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    /// What a configuration gives such reads.
    pub(super) fn of(config: &Config) -> Self {
        let share = config.consistency.primary_budget;
        let size = share.of(config.pool.max_connections);
        Self {
            free: Arc::new(Semaphore::new(size.min(Semaphore::MAX_PERMITS))),
            size,
        }
    }

    /// How many reads it is for.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A permit, if one is free.
    pub(super) fn take(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(Permit)
    }

    /// The next permit that comes free, unless none does by the deadline.
    pub(super) async fn take_by(&self, deadline: Instant) -> Option<Permit> {
        if let Some(permit) = self.take() {
            return Some(permit);
        }
        let next = Arc::clone(&self.free).acquire_owned();
        let permit = timeout_at(deadline.into(), next).await.ok()?;
        permit.ok().map(Permit)
    }
}
