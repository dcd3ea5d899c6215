//! Changes to accounts: a server reads an account's rights when a connection logs in, so one that logged
//! in before a change must not be handed to a session that begins after it.
//!
//! What one server does is the measure: a session that is open while its rights change goes on with those
//! that its connection has; who logs in later has the new ones. Replicas apply a change later than the
//! primary, so a connection to one is current only if that replica was known to have the change before it
//! logged in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::servers::PerServer;

/// What is known of the changes to accounts, on all servers.
#[derive(Debug)]
pub struct Accounts {
    /// Grows with each change that a session of this proxy made, or may have made.
    epoch: AtomicU64,
    /// Grows for each server with the changes that were noticed there.
    noticed: PerServer<AtomicU64>,
    shown: Mutex<HashMap<BackendId, Shown>>,
    last: Mutex<Option<Change>>,
    bounds: ArcSwap<Bounds>,
    /// Counts the logins.
    logins: AtomicU32,
}

/// What a server tells of itself now and then, by which changes are noticed that nobody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How many statements about accounts it has run.
    pub account_statements: u64,
    /// A hash of the values that its sessions start with.
    pub start: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// After so long every replica in use has applied a change.
    patience: Duration,
    /// Nobody is handed a connection that is older; `None` for no bound.
    max_lifetime: Option<Duration>,
}

/// What a session has to see that begins now, to have the rights that its account has now.
#[derive(Clone, Debug)]
pub struct Change {
    /// What whoever made the changes had committed by then.
    pub position: Position,
    /// When a change was last made whose position nobody told.
    pub untold_since: Option<Instant>,
    at: Instant,
}

/// What accounts a connection's login has seen.
#[derive(Clone, Debug)]
pub struct Stamp {
    accounts: Arc<Accounts>,
    backend: BackendId,
    epoch: u64,
    noticed: u64,
    /// Whether its server had the changes of this epoch.
    shows: bool,
    born: Instant,
    /// By how many hundred-and-sixtieths of the bound it goes sooner.
    sooner: u32,
}

/// A statement runs that may change accounts. One of whose end nobody tells counts as done.
#[derive(Debug)]
pub struct Changing {
    accounts: Arc<Accounts>,
    told: bool,
}

impl Accounts {
    /// Replicas in use lag at most `max_lag`.
    pub fn new(max_lag: Duration, max_lifetime: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            epoch: AtomicU64::new(0),
            noticed: PerServer::default(),
            shown: Mutex::default(),
            last: Mutex::new(None),
            bounds: ArcSwap::from_pointee(Bounds {
                patience: max_lag,
                max_lifetime,
            }),
            logins: AtomicU32::new(0),
        })
    }

    /// Other bounds hold from now on, also for connections that are open.
    pub fn change(&self, max_lag: Duration, max_lifetime: Option<Duration>) {
        self.bounds.store(Arc::new(Bounds {
            patience: max_lag,
            max_lifetime,
        }));
    }

    fn patience(&self) -> Duration {
        self.bounds.load().patience
    }

    /// Accounts were changed, or may have been. Whoever covers `position` has the change, unless it is
    /// `untold`; `compact` makes a position compact.
    pub fn changed(&self, position: &Position, untold: bool, compact: impl FnOnce(&mut Position)) {
        let now = Instant::now();
        let mut last = self.last();
        let change = last.get_or_insert_with(|| Change {
            position: Position::Nothing,
            untold_since: None,
            at: now,
        });
        if change.position.join(position).is_err() {
            // Of another history: what the old one says is over.
            change.position = position.clone();
        }
        compact(&mut change.position);
        change.at = now;
        if untold {
            change.untold_since = Some(now);
        }
        // Under the lock, so that who reads both reads what belongs together.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Positions are of another history from `now` on: only the primary tells what shows the last change.
    pub fn on_other_history(&self, now: Instant) {
        if let Some(change) = self.last().as_mut() {
            change.position = Position::Nothing;
            change.untold_since = Some(now);
        }
    }

    /// A server shows this now. If it showed something else before, its accounts or what its sessions start with
    /// were changed, by whomever.
    pub fn shows(&self, backend: BackendId, now: Shown) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown
            .insert(backend, now)
            .is_some_and(|before| before != now)
        {
            self.noticed(backend);
        }
    }

    fn noticed(&self, backend: BackendId) {
        let noticed = || AtomicU64::new(0);
        if let Some(noticed) = self.noticed.get_or_init(backend, noticed) {
            noticed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What a session has to see that begins now; `None` where nothing changed that a server in use
    /// could lack.
    pub fn last_change(&self) -> Option<Change> {
        if self.epoch.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let change = self.last().clone();
        change.filter(|change| change.at.elapsed() < self.patience())
    }

    /// A statement begins that may change accounts.
    pub fn changing(self: &Arc<Self>) -> Changing {
        Changing {
            accounts: Arc::clone(self),
            told: false,
        }
    }

    /// For a connection that is about to log in. `covers` says whether the server is certain to have a
    /// position now.
    pub(super) fn stamp(
        self: &Arc<Self>,
        backend: BackendId,
        covers: impl FnOnce(&Position) -> bool,
    ) -> Stamp {
        let (epoch, change) = {
            let last = self.last();
            (self.epoch.load(Ordering::SeqCst), last.clone())
        };
        let patience = self.patience();
        let shows = |change: &Change| {
            let told = change
                .untold_since
                .is_none_or(|since| since.elapsed() >= patience);
            change.at.elapsed() >= patience || told && covers(&change.position)
        };
        Stamp {
            backend,
            epoch,
            noticed: self.noticed_at(backend),
            shows: backend.is_primary() || change.as_ref().is_none_or(shows),
            born: Instant::now(),
            sooner: self.logins.fetch_add(1, Ordering::Relaxed) % 16,
            accounts: Arc::clone(self),
        }
    }

    /// Up to a tenth less than the most, so that connections that were opened at one time are not
    /// opened anew at one time.
    fn lifetime(&self, sooner: u32) -> Option<Duration> {
        let most = self.bounds.load().max_lifetime?;
        Some(most - most / 160 * sooner)
    }

    fn noticed_at(&self, backend: BackendId) -> u64 {
        let noticed = self.noticed.get(backend);
        noticed.map_or(0, |noticed| noticed.load(Ordering::SeqCst))
    }

    fn last(&self) -> MutexGuard<'_, Option<Change>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    /// Whether a session may be handed the connection: who logs in now would have the same rights on
    /// it, and it is not too old.
    pub(super) fn is_current(&self) -> bool {
        let accounts = &self.accounts;
        self.shows
            && self.epoch == accounts.epoch.load(Ordering::SeqCst)
            && self.noticed == accounts.noticed_at(self.backend)
            && accounts
                .lifetime(self.sooner)
                .is_none_or(|most| self.born.elapsed() < most)
    }
}

impl Changing {
    /// It was told how the statement ended, and whether it changed something is known.
    pub fn told(mut self) {
        self.told = true;
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        if !self.told {
            self.accounts.changed(&Position::Nothing, true, |_| {});
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const REPLICA: BackendId = BackendId(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn accounts(max_lag: Duration, max_lifetime: Option<Duration>) -> Arc<Accounts> {
        Accounts::new(max_lag, max_lifetime)
    }

    fn shown(account_statements: u64, start: u64) -> Shown {
        Shown {
            account_statements,
            start,
        }
    }

    fn change(accounts: &Accounts, untold: bool) {
        accounts.changed(&Position::Lsn(7), untold, |_| {});
    }

    #[test]
    fn a_login_before_a_change_is_not_current_after_it() {
        let accounts = accounts(HOUR, Some(HOUR));
        let before = accounts.stamp(BackendId::PRIMARY, |_| true);
        assert!(before.is_current());
        assert!(accounts.last_change().is_none());
        change(&accounts, false);
        assert!(!before.is_current());
        assert!(accounts.stamp(BackendId::PRIMARY, |_| false).is_current());
        assert_eq!(accounts.last_change().unwrap().position, Position::Lsn(7));
    }

    #[test]
    fn a_login_at_a_replica_that_lacks_the_change_is_for_one_session() {
        let accounts = accounts(HOUR, None);
        assert!(accounts.stamp(REPLICA, |_| false).is_current());
        change(&accounts, false);
        assert!(!accounts.stamp(REPLICA, |_| false).is_current());
        let covers = |position: &Position| *position == Position::Lsn(7);
        assert!(accounts.stamp(REPLICA, covers).is_current());
        change(&accounts, true);
        assert!(
            !accounts.stamp(REPLICA, covers).is_current(),
            "nobody told a position"
        );
    }

    #[test]
    fn in_time_every_replica_in_use_has_it() {
        let accounts = accounts(Duration::ZERO, None);
        change(&accounts, true);
        assert!(accounts.stamp(REPLICA, |_| false).is_current());
        assert!(accounts.last_change().is_none());
    }

    #[test]
    fn what_one_server_shows_concerns_its_connections_alone() {
        let accounts = accounts(HOUR, None);
        let here = accounts.stamp(BackendId::PRIMARY, |_| true);
        let there = accounts.stamp(REPLICA, |_| true);
        for (statements, start) in [(1, 7), (1, 7)] {
            accounts.shows(REPLICA, shown(statements, start));
        }
        assert!(
            there.is_current(),
            "the first look and one that is the same"
        );
        for (statements, start) in [(2, 7), (2, 8)] {
            let there = accounts.stamp(REPLICA, |_| true);
            accounts.shows(REPLICA, shown(statements, start));
            assert!(here.is_current() && !there.is_current());
        }
    }

    #[test]
    fn an_old_login_is_not_current() {
        let young = accounts(HOUR, Some(HOUR)).stamp(REPLICA, |_| true);
        let old = accounts(HOUR, Some(Duration::ZERO)).stamp(REPLICA, |_| true);
        assert!(young.is_current() && !old.is_current());
    }

    #[test]
    fn other_bounds_hold_for_what_is_open() {
        let accounts = accounts(HOUR, None);
        let stamp = accounts.stamp(REPLICA, |_| true);
        accounts.change(HOUR, Some(Duration::ZERO));
        assert!(!stamp.is_current());
        accounts.change(HOUR, Some(HOUR));
        assert!(stamp.is_current());
    }

    #[test]
    fn a_statement_of_whose_end_nobody_tells_counts_as_done() {
        let accounts = accounts(HOUR, None);
        let stamp = accounts.stamp(BackendId::PRIMARY, |_| true);
        accounts.changing().told();
        assert!(stamp.is_current());
        drop(accounts.changing());
        assert!(!stamp.is_current());
    }
}
