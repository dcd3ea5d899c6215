//! Shadow mode: everything goes to the primary, nothing waits, and what the split would have done is
//! counted.
//!
//! A statement is classified and routed as ever. Where a replica could have answered, the same
//! [`Search`] that would have found one runs beside the session, once for each level, and what it
//! would have waited is measured; nothing waits for that, no connection is held, and only so many
//! reads are measured at a time. What the searches learn of the session's past is given back to it, as
//! in a real split.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fallback::reason_of;
use super::freshness::{self, Terms};
use super::session::Relay;
use super::shared::Shared;
use super::statement::Statement;
use crate::config::Mode;
use crate::domain::consistency::search::Situation;
use crate::domain::consistency::{GiveUp, Level, Search, Server, Servers, Settings, Step};
use crate::domain::routing::{Reason, Route};
use crate::domain::session::{LastRead, Positions, RanOn, Side, Sights};
use crate::domain::sql::Access;
use crate::telemetry::{AccessLabel, Foreseen, Outcome, Target};

/// Reads that are measured at the same time.
const AT_ONCE: usize = 32;
/// Time between two lines of the log.
const EVERY: Duration = Duration::from_secs(60);
/// The levels at which a read can wait.
const WAITING: [Level; 5] = [
    Level::Bounded,
    Level::Session,
    Level::Group,
    Level::Proxy,
    Level::Global,
];

/// What all sessions share in shadow mode.
#[derive(Debug)]
pub struct Shadow {
    permits: Arc<Semaphore>,
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

/// What shadow mode remembers of one session.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    /// The replica that the statement at hand would have read from.
    replica: Option<Server>,
    /// Whether the transaction that is open would be on a replica.
    transaction: bool,
    /// What the measurements learned of the session's past.
    learned: Arc<Mutex<Vec<Learned>>>,
}

/// An answer that a real search would have taken into the session's positions.
#[derive(Debug)]
enum Learned {
    /// What the primary had, asked because of something unknown since this time.
    Primary(Instant, Sights),
    /// What a read can have seen.
    Seen(LastRead, Sights),
}

impl Foresight {
    /// Where the statement at hand counts as having run.
    pub(super) fn ran_on(&mut self, on: RanOn) -> RanOn {
        match self.replica.take() {
            Some(server) if on.side == Side::Primary => RanOn {
                backend: server.backend,
                generation: server.generation,
                ..on
            },
            _ => on,
        }
    }

    /// Takes what was learned meanwhile into the positions, unless they moved on.
    fn take_in(&self, positions: &mut Positions) {
        for learned in lock(&self.learned).drain(..) {
            match learned {
                Learned::Primary(since, bound) if positions.unknown_since() == Some(since) => {
                    positions.on_primary_bound(&bound);
                }
                Learned::Seen(read, bound) if positions.last_read() == Some(read) => {
                    positions.on_seen_bound(&bound);
                }
                Learned::Primary(..) | Learned::Seen(..) => {}
            }
        }
    }
}

/// Every change is one push or one drain, so what a holder that panicked left is whole.
fn lock(learned: &Mutex<Vec<Learned>>) -> std::sync::MutexGuard<'_, Vec<Learned>> {
    learned.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// In shadow mode: counts where a statement would have gone, and sends it to the primary.
    pub(super) fn shadowed(
        &mut self,
        routed: Route,
        statement: &Statement,
        terms: &Terms,
    ) -> Route {
        if self.shared.mode != Mode::Shadow {
            return routed;
        }
        self.foresight.replica = None;
        self.foresight.take_in(&mut self.state.positions);
        if !self.state.transaction.is_open() {
            self.foresight.transaction = false;
        }
        let (target, reason) = match routed {
            Route::Own => return routed,
            Route::Primary(_) if self.foresight.transaction => {
                (Target::Replica, Reason::ReadOnlyTransaction)
            }
            Route::Primary(reason)
            | Route::HeldReplica(reason)
            | Route::EndReplicaTransaction(reason)
            | Route::MoveTransaction(reason) => (Target::Primary, reason),
            // The primary runs all of the transaction, so what follows counts as a part of it.
            Route::Defer(_) | Route::EndDeferred => (Target::Proxy, Reason::Deferred),
            Route::Replica { transaction } => self.foresee(statement, terms, transaction),
        };
        let access = AccessLabel::from(statement.profile.access);
        let metrics = &self.shared.metrics;
        metrics.shadow_statements.at3(access, target, reason).inc();
        match routed {
            Route::Primary(reason) => Route::Primary(reason),
            _ => Route::Primary(Reason::Shadow),
        }
    }

    /// What would have become of a statement for a replica, as far as it is known at once. The rest is
    /// measured beside the session.
    fn foresee(
        &mut self,
        statement: &Statement,
        terms: &Terms,
        transaction: bool,
    ) -> (Target, Reason) {
        let shared = Arc::clone(&self.shared);
        let settings = self.state.settings;
        let Some(mut search) = search(&shared, &settings, terms) else {
            return (Target::Primary, Reason::NoPositions);
        };
        let mut positions = self.state.positions.clone();
        let step = search.poll(&mut positions, &*shared, Instant::now());
        let (server, reason) = match step {
            Step::GiveUp(why) if why != GiveUp::Timeout => {
                return (Target::Primary, reason_of(why));
            }
            Step::Read(server) => (Some(server), Reason::Fresh),
            _ => (search.stale(&positions, &*shared), Reason::Waited),
        };
        self.foresight.transaction = transaction;
        let reason = match transaction {
            true => Reason::ReadOnlyTransaction,
            false => reason,
        };
        if statement.profile.access == Access::Read
            && let Some(replica) = server
        {
            self.foresight.replica = Some(replica);
            self.measure(terms, replica);
        }
        (Target::Replica, reason)
    }

    /// Measures what this read would have waited at each level, unless enough are being measured.
    fn measure(&self, terms: &Terms, replica: Server) {
        let permits = Arc::clone(&self.shared.shadow.permits);
        let Ok(permit) = permits.try_acquire_owned() else {
            self.shared.metrics.shadow_unmeasured.inc();
            return;
        };
        let measurement = Measurement {
            shared: Arc::clone(&self.shared),
            positions: self.state.positions.clone(),
            settings: self.state.settings,
            terms: terms.clone(),
            replica,
            learned: Arc::clone(&self.foresight.learned),
            _permit: permit,
        };
        tokio::spawn(measurement.run());
    }
}

/// One read that is measured.
struct Measurement {
    shared: Arc<Shared>,
    positions: Positions,
    settings: Settings,
    terms: Terms,
    replica: Server,
    learned: Arc<Mutex<Vec<Learned>>>,
    _permit: OwnedSemaphorePermit,
}

impl Measurement {
    async fn run(self) {
        let [bounded, session, group, proxy, global] = WAITING;
        tokio::join!(
            self.eventual(),
            self.level(bounded),
            self.level(session),
            self.level(group),
            self.level(proxy),
            self.level(global),
        );
    }

    /// Whether the replica lacked something that the session had to see. What is known of it at the
    /// arrival only proves that it did not; so it is asked, and what it still lacks then it lacked
    /// before.
    async fn eventual(&self) {
        let need = self.positions.need();
        let Server {
            backend,
            generation,
        } = self.replica;
        let answer = match self.shared.covers(self.replica, need) {
            true => Foreseen::Fresh,
            false => {
                let watch = &self.shared.watch;
                let bound = watch.upper_bound_of(backend, generation, Instant::now());
                match bound.await {
                    Ok(bound) if !bound.covers(need) => Foreseen::Stale,
                    _ => Foreseen::Unsure,
                }
            }
        };
        self.shared.metrics.shadow_eventual.at(answer).inc();
    }

    async fn level(&self, level: Level) {
        let terms = Terms {
            level,
            bounded: level == Level::Bounded,
            ..self.terms.clone()
        };
        let began = Instant::now();
        let Some(mut search) = search(&self.shared, &self.settings, &terms) else {
            return;
        };
        let found = self.drive(&terms, &mut search).await;
        let (outcome, wait) = match (found, search.waited()) {
            (Ok(_), false) => (Outcome::Fresh, began.elapsed()),
            (Ok(_), true) => (Outcome::Waited, began.elapsed()),
            (Err(_), _) => (Outcome::Primary, began.elapsed()),
        };
        self.shared.metrics.foresaw(level, outcome, wait);
    }

    /// Performs a search as a session does, without one.
    async fn drive(&self, terms: &Terms, search: &mut Search) -> Result<Server, GiveUp> {
        let shared = &*self.shared;
        let mut positions = self.positions.clone();
        loop {
            match search.poll(&mut positions, shared, Instant::now()) {
                Step::Read(server) => return Ok(server),
                Step::GiveUp(why) => return Err(why),
                Step::Wait {
                    servers,
                    position,
                    deadline,
                } => {
                    let servers: Vec<_> = servers
                        .iter()
                        .map(|it| (it.backend, it.generation))
                        .collect();
                    let there = shared.watch.wait_covered(&servers, &position, deadline);
                    search.on_wait(freshness::waited(there.await));
                }
                step => {
                    freshness::ask(shared, terms, search, &mut positions, &step).await;
                    if terms.level == Level::Session {
                        self.learn(&step, &positions);
                    }
                }
            }
        }
    }

    /// Gives back what an answer said, if the search took it in.
    fn learn(&self, step: &Step, positions: &Positions) {
        let sights = || positions.sights();
        let learned = match step {
            Step::AskPrimary { not_before } if positions.unknown_since().is_none() => {
                Learned::Primary(*not_before, sights())
            }
            Step::AskSeen(read) if positions.last_read().is_none() => {
                Learned::Seen(*read, sights())
            }
            _ => return,
        };
        lock(&self.learned).push(learned);
    }
}

/// The search of a read that waits for a replica as long as its session would; `None` when nothing
/// can have all it must see.
fn search(shared: &Shared, settings: &Settings, terms: &Terms) -> Option<Search> {
    let requirement = freshness::requirement(shared, terms).ok()?;
    let situation = Situation {
        replicas_configured: shared.has_replicas(),
        ..Situation::default()
    };
    let timeout = settings.catch_up_timeout;
    Some(Search::new(requirement, situation, terms.arrived, timeout))
}

impl Shared {
    /// Logs what was foreseen, now and then, for ever. Does nothing outside shadow mode.
    pub async fn report_shadow(self: Arc<Self>) {
        if self.mode != Mode::Shadow {
            return;
        }
        loop {
            tokio::time::sleep(EVERY).await;
            self.sum_shadow_up();
        }
    }

    /// Logs what was foreseen since the start. Does nothing outside shadow mode.
    pub fn sum_shadow_up(&self) {
        if self.mode != Mode::Shadow {
            return;
        }
        let metrics = &self.metrics;
        let reads = |on: Option<Target>| {
            metrics.shadow_statements.sum(|access, target, _| {
                access == AccessLabel::Read && on.is_none_or(|on| on == target)
            })
        };
        let (all, offloaded) = (reads(None), reads(Some(Target::Replica)));
        let eventual = |answer| metrics.shadow_eventual.at(answer).get();
        tracing::info!(
            reads = all,
            would_offload = offloaded,
            share_percent = share(offloaded, all),
            stale_at_eventual = eventual(Foreseen::Stale),
            perhaps_stale_at_eventual = eventual(Foreseen::Unsure),
            fresh_at_eventual = eventual(Foreseen::Fresh),
            "shadow mode: what the split would have done"
        );
        for level in WAITING {
            let (measured, seconds) = metrics.foreseen_waits(level);
            let outcome = |outcome| metrics.shadow_outcome.at2(level, outcome).get();
            tracing::info!(
                level = level.name(),
                measured,
                mean_wait_micros = mean_micros(measured, seconds),
                would_wait_percent = share(outcome(Outcome::Waited), measured),
                to_primary_percent = share(outcome(Outcome::Primary), measured),
                "shadow mode: what reads would have waited"
            );
        }
    }
}

fn share(part: u64, all: u64) -> u64 {
    part.saturating_mul(100).checked_div(all).unwrap_or(0)
}

fn mean_micros(count: u64, seconds: f64) -> u64 {
    let micros = Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_micros();
    u64::try_from(micros)
        .unwrap_or(u64::MAX)
        .checked_div(count)
        .unwrap_or(0)
}
