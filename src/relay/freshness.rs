//! Which server is fresh enough for a session's read, and waiting for one.
//!
//! Reads stay on the replica of the last read. To read elsewhere, an upper bound of what was seen
//! is asked for first, and the new server must cover it. A read that waits holds no connection that
//! others could use.

use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::domain::consistency::Level;
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::routing::{Candidate, Reason, pick};
use crate::domain::session::{LastRead, Session};
use crate::domain::topology::Generation;
use crate::monitor::{ProbeError, Watch};
use crate::telemetry::{Outcome, SessionGauge, SessionState};

/// How long a read on the primary waits at least for commits that a replica already showed.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// A replica that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) backend: BackendId,
    /// The life that was found fresh; a connection to another life does not count. `None` at
    /// `eventual`, where any life will do.
    pub(super) generation: Option<Generation>,
    pub(super) waited: bool,
}

/// The primary cannot yet show what the session saw on a replica.
#[derive(Debug)]
pub(super) struct PrimaryBehind;

/// Finds a replica for the session's next read. `held` is the replica it already has a connection
/// to; `lost` are those that just failed it.
///
/// # Errors
/// The reason for which the primary must answer instead.
pub(super) async fn settle(
    shared: &Shared,
    session: &mut Session,
    held: Option<(BackendId, Option<Generation>)>,
    lost: &[BackendId],
    gauge: &mut SessionGauge,
) -> Result<Settled, Reason> {
    if session.read_level() == Level::Session
        && let Some((backend, Some(generation))) = held
        && still_there(shared, session, backend, generation)
    {
        return Ok(Settled {
            backend,
            generation: Some(generation),
            waited: false,
        });
    }
    let topology = shared.watch.topology();
    let usable: Vec<_> = topology
        .usable_replicas()
        .filter(|view| !lost.contains(&view.id))
        .filter_map(|view| Some((view.id, view.generation?)))
        .collect();
    if usable.is_empty() {
        return Err(Reason::NoReplica);
    }
    match session.read_level() {
        Level::Eventual => Ok(any(shared, session, held, &usable)),
        Level::Session => {
            Search {
                shared,
                session,
                held,
                usable,
                gauge,
            }
            .run()
            .await
        }
    }
}

/// The common case: the session's replica lives, is healthy, was the last one read from (or
/// nothing was read), and has all that is needed.
fn still_there(
    shared: &Shared,
    session: &Session,
    backend: BackendId,
    generation: Generation,
) -> bool {
    let positions = &session.positions;
    positions.unknown_since().is_none()
        && positions
            .last_read()
            .is_none_or(|read| read.backend == backend && read.generation == generation)
        && shared
            .watch
            .topology()
            .get(backend)
            .is_some_and(|view| view.usable() && view.generation == Some(generation))
        && shared
            .watch
            .bound_covers(backend, generation, positions.need())
}

/// Any healthy replica, the held one first.
fn any(
    shared: &Shared,
    session: &mut Session,
    held: Option<(BackendId, Option<Generation>)>,
    usable: &[(BackendId, Generation)],
) -> Settled {
    let held = held
        .map(|(backend, _)| backend)
        .filter(|id| usable.iter().any(|(known, _)| known == id));
    let backend = held.unwrap_or_else(|| least_loaded(shared, usable));
    let stays =
        |read: LastRead| read.backend == backend && usable.contains(&(backend, read.generation));
    if session
        .positions
        .last_read()
        .is_some_and(|read| !stays(read))
    {
        session.positions.on_left_unasked(Instant::now());
    }
    Settled {
        backend,
        generation: None,
        waited: false,
    }
}

fn least_loaded(shared: &Shared, servers: &[(BackendId, Generation)]) -> BackendId {
    let candidates: Vec<_> = servers
        .iter()
        .map(|(backend, _)| Candidate {
            backend: *backend,
            leased: shared
                .pool(*backend)
                .map_or(usize::MAX, |pool| pool.leased()),
        })
        .collect();
    pick(&candidates, shared.next_turn()).unwrap_or(BackendId::PRIMARY)
}

/// The way to a replica that covers what a session needs.
struct Search<'a> {
    shared: &'a Shared,
    session: &'a mut Session,
    held: Option<(BackendId, Option<Generation>)>,
    usable: Vec<(BackendId, Generation)>,
    gauge: &'a mut SessionGauge,
}

impl Search<'_> {
    async fn run(mut self) -> Result<Settled, Reason> {
        let started = Instant::now();
        let deadline = started + self.session.catch_up_timeout;
        self.resolve_unknown().await?;
        self.shared.watch.compact(self.session.positions.need_mut());
        let mut waited = false;
        loop {
            let covering = self.covering();
            let chosen = if covering.is_empty() {
                waited = true;
                self.wait(deadline).await?
            } else {
                self.prefer(&covering)
            };
            if self.may_read_at(chosen) {
                if waited {
                    self.shared
                        .metrics
                        .waited(self.session.read_level(), started.elapsed());
                }
                let (backend, generation) = chosen;
                return Ok(Settled {
                    backend,
                    generation: Some(generation),
                    waited,
                });
            }
            self.leave_last_server().await?;
        }
    }

    /// Something may have been committed of which no GTID is known: ask the primary.
    async fn resolve_unknown(&mut self) -> Result<(), Reason> {
        if let Some(since) = self.session.positions.unknown_since() {
            let bound = self
                .shared
                .watch
                .upper_bound(BackendId::PRIMARY, since)
                .await;
            self.session
                .positions
                .on_primary_bound(&bound.map_err(no_positions)?);
        }
        Ok(())
    }

    fn covering(&self) -> Vec<(BackendId, Generation)> {
        let need = self.session.positions.need();
        let covers = |server: &&(BackendId, Generation)| {
            self.shared.watch.bound_covers(server.0, server.1, need)
        };
        self.usable.iter().filter(covers).copied().collect()
    }

    async fn wait(&mut self, deadline: Instant) -> Result<(BackendId, Generation), Reason> {
        let need = self.session.positions.need();
        self.gauge.set(SessionState::CatchingUp);
        let there = self
            .shared
            .watch
            .wait_covered(&self.usable, need, deadline)
            .await;
        self.gauge.set(SessionState::Active);
        let backend = there.map_err(|_| Reason::CatchUpTimeout)?;
        let server = self.usable.iter().find(|(id, _)| *id == backend);
        server.copied().ok_or(Reason::CatchUpTimeout)
    }

    /// The server of the last read first, then the one a connection is held to, then by load.
    fn prefer(&self, covering: &[(BackendId, Generation)]) -> (BackendId, Generation) {
        let last = self.session.positions.last_read().map(|read| read.backend);
        let held = self.held.map(|(backend, _)| backend);
        let at = |wanted: Option<BackendId>| {
            covering
                .iter()
                .find(|(backend, _)| Some(*backend) == wanted)
                .copied()
        };
        at(last).or_else(|| at(held)).unwrap_or_else(|| {
            let backend = least_loaded(self.shared, covering);
            at(Some(backend)).unwrap_or((backend, Generation(0)))
        })
    }

    /// Whether nothing that was seen elsewhere stands between the session and this server.
    fn may_read_at(&self, (backend, generation): (BackendId, Generation)) -> bool {
        self.session
            .positions
            .last_read()
            .is_none_or(|read| read.backend == backend && read.generation == generation)
    }

    /// Finds out what can have been seen on the server of the last read.
    async fn leave_last_server(&mut self) -> Result<(), Reason> {
        let Some(read) = self.session.positions.last_read() else {
            return Ok(());
        };
        let bound = seen_bound(&self.shared.watch, read).await;
        self.session
            .positions
            .on_seen_bound(&bound.map_err(no_positions)?);
        Ok(())
    }
}

/// What can have been seen by a read: from its server if that still lives the same life, else from
/// the primary, where all of it came from. The primary's answer says more, since it also names what
/// somebody may own for long before it is committed.
async fn seen_bound(watch: &Watch, read: LastRead) -> Result<Position, ProbeError> {
    let topology = watch.topology();
    let alive = topology.get(read.backend).is_some_and(|view| view.usable());
    if alive
        && let Ok(bound) = watch
            .upper_bound_of(read.backend, read.generation, read.ended)
            .await
    {
        return Ok(bound);
    }
    watch.upper_bound(BackendId::PRIMARY, read.ended).await
}

fn no_positions(_: ProbeError) -> Reason {
    Reason::NoPositions
}

/// Before a read on the primary: it can be behind a replica for a moment, so it must have committed
/// all that can have been seen by the session's last read on a replica.
///
/// # Errors
/// When it does not get there within the session's timeout.
pub(super) async fn primary_ready(
    shared: &Shared,
    session: &mut Session,
) -> Result<(), PrimaryBehind> {
    let from_replica = session
        .positions
        .last_read()
        .filter(|read| !read.backend.is_primary());
    let (Level::Session, Some(read)) = (session.read_level(), from_replica) else {
        return Ok(());
    };
    let watch = &shared.watch;
    // Commits take moments, so even a session that does not wait for replicas waits for this.
    let deadline = Instant::now() + session.catch_up_timeout.max(COMMIT_GRACE);
    let bound = match seen_bound(watch, read).await {
        Ok(bound) => bound,
        Err(ProbeError::Unsupported) => return Ok(()),
        Err(error) => {
            tracing::debug!(%error, "nobody says what was seen on a replica");
            return Err(PrimaryBehind);
        }
    };
    let generation = watch
        .topology()
        .get(BackendId::PRIMARY)
        .and_then(|view| view.generation);
    if let Some(generation) = generation
        && !watch.bound_covers(BackendId::PRIMARY, generation, &bound)
    {
        let primary = [(BackendId::PRIMARY, generation)];
        let there = watch.wait_covered(&primary, &bound, deadline).await;
        there.map_err(|error| {
            tracing::debug!(?error, %bound, "the primary is behind what was seen on a replica");
            PrimaryBehind
        })?;
    }
    session.positions.on_seen_bound(&bound);
    Ok(())
}

/// How a read got what its level promises, for the metrics.
pub(super) fn outcome(reason: Reason) -> Outcome {
    match reason {
        Reason::Fresh => Outcome::Fresh,
        Reason::Waited => Outcome::Waited,
        _ => Outcome::Primary,
    }
}
