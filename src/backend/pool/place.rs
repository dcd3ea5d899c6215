//! A place under a pool's bound, which a living connection occupies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pool;
use crate::backend::lent::Lent;
use crate::backend::threads::Listed;
use crate::domain::ids::ServerThreadId;

/// A place in the bound; given back when dropped.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    leased: bool,
    counted: bool,
    /// For a connection that its session may be asked to give back between statements.
    lent: Option<Arc<Lent>>,
}

impl Place {
    /// Wraps a place that is counted as open already.
    pub(super) fn new(pool: Arc<Pool>, lent: Option<Arc<Lent>>) -> Self {
        pool.leased.fetch_add(1, Ordering::Relaxed);
        Self {
            pool,
            leased: true,
            counted: true,
            lent,
        }
    }

    /// `host:port` of the server.
    pub(in crate::backend) fn address(&self) -> &str {
        &self.pool.dialer.address
    }

    /// Enters a connection in the pool's list of threads.
    pub(in crate::backend) fn list(&self, thread: ServerThreadId) -> Listed {
        self.pool.threads.enter(thread)
    }

    /// Whether a session holds the connection (and not the pool, for its own work).
    pub(in crate::backend) fn set_leased(&mut self, leased: bool) {
        if self.leased != leased {
            self.leased = leased;
            if leased {
                self.pool.leased.fetch_add(1, Ordering::Relaxed);
            } else {
                self.pool.leased.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if !leased && let Some(lent) = self.lent.take() {
            self.pool.lock().not_lent(&lent);
        }
    }

    /// As [`super::super::ServerConn::offer`].
    pub(in crate::backend) fn offer(&self) -> bool {
        let Some(lent) = &self.lent else {
            return true;
        };
        lent.offer(self.pool.round.load(Ordering::Relaxed));
        self.pool.waiting() == 0
    }

    /// As [`super::super::ServerConn::claim`].
    pub(in crate::backend) fn claim(&self) -> bool {
        self.lent.as_ref().is_none_or(|lent| lent.claim())
    }

    /// As [`super::super::ServerConn::is_recalled`].
    pub(in crate::backend) fn is_recalled(&self) -> bool {
        self.lent.as_ref().is_some_and(|lent| lent.is_recalled())
    }

    /// The place goes on to count for an idle connection.
    pub(super) fn leave_to_idle(mut self) {
        self.counted = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set_leased(false);
        if self.counted {
            self.pool.free(1);
        }
    }
}
