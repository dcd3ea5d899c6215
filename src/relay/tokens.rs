//! Positions as texts that an application carries from one session, or one proxy, to another.

use std::time::{Duration, Instant};

use super::freshness::seen;
use super::session::Relay;
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::frontend::ClientError;
use crate::monitor::ProbeError;

/// How long the primary may take to commit what it owned when a token was checked.
const COMMIT_GRACE: Duration = Duration::from_secs(1);
/// What a token looks like, for error messages.
const EXPECTED: &str = "expected a position as @@highwater_position gives it";

impl Relay {
    /// Reads a position that a client gives, and makes sure that the primary has it: reads that
    /// wait for it then wait for what will come.
    ///
    /// # Errors
    /// When it is no position, when the primary has neither executed nor owns what it names, or when
    /// nobody can say.
    pub(super) async fn position_of_token(&self, text: &str) -> Result<Position, ClientError> {
        let position =
            Position::parse(text.as_bytes()).map_err(|error| ClientError::WrongValue {
                name: "highwater_read_after".to_owned(),
                value: text.chars().take(80).collect(),
                expected: format!("{EXPECTED}; {error}"),
            })?;
        if !position.is_empty() {
            self.check_token(&position).await?;
        }
        Ok(position)
    }

    /// Takes note of a position that was found right. Where a primary's log runs ahead of its
    /// engines, what a replica showed may be known to the primary and not be visible there: reads on
    /// the primary wait for it then, as for what the session itself saw elsewhere.
    pub(super) fn note_token(&mut self, position: &Position) {
        let watch = &self.shared.watch;
        let topology = watch.topology();
        let primary = topology.get(BackendId::PRIMARY);
        let life = primary.and_then(|view| view.generation);
        let shows = |life| watch.bound_covers(BackendId::PRIMARY, life, position);
        if !position.is_empty() && !life.is_some_and(shows) {
            self.state.positions.on_unshown(Instant::now());
        }
    }

    async fn check_token(&self, position: &Position) -> Result<(), ClientError> {
        let watch = &self.shared.watch;
        let life = watch
            .topology()
            .get(BackendId::PRIMARY)
            .and_then(|view| view.generation);
        let Some(life) = life else {
            return Err(ClientError::NoPrimary);
        };
        if watch.bound_covers(BackendId::PRIMARY, life, position) {
            return Ok(());
        }
        let now = Instant::now();
        let executed = watch.executed(now).await.map_err(unanswered)?;
        if executed.position.covers(position) {
            return Ok(());
        }
        let upper = watch.upper_bound(BackendId::PRIMARY, now).await;
        if !upper.map_err(unanswered)?.covers(position) {
            return Err(ClientError::UnknownPosition);
        }
        // It is being committed: a replica that was asked to confirm it may show it already.
        let deadline = Instant::now() + COMMIT_GRACE;
        let there = watch
            .wait_covered(&[(BackendId::PRIMARY, life)], position, deadline)
            .await;
        there.map(drop).map_err(|_| ClientError::PrimaryBehind)
    }

    /// A position that covers all that this session wrote and read.
    ///
    /// # Errors
    /// When something it wrote has no position, or nobody can say how far its reads reach.
    pub(super) async fn token(&mut self) -> Result<Position, ClientError> {
        if self.state.positions.untracked_write() {
            return Err(ClientError::NoPosition);
        }
        let watch = &self.shared.watch;
        if let Some(since) = self.state.positions.unknown_since() {
            let sights = watch.sights(BackendId::PRIMARY, since).await;
            let sights = sights.map_err(unanswered)?;
            self.state.positions.on_primary_bound(&sights);
        }
        // As if the next read were to go elsewhere.
        let mut positions = self.state.positions.clone();
        if let Some(read) = positions.last_read() {
            let sights = seen(watch, read).await.map_err(unanswered)?;
            positions.on_seen_bound(&sights);
        }
        if positions.doubt().is_some() {
            // By now it is known of most of it whether it was ever committed.
            let sights = watch.sights(BackendId::PRIMARY, Instant::now()).await;
            positions.on_primary_said(&sights.map_err(unanswered)?);
        }
        if positions.untracked_write() {
            return Err(ClientError::NoPosition);
        }
        let mut token = positions.need_and_doubt();
        watch.compact(&mut token);
        Ok(token)
    }
}

fn unanswered(error: ProbeError) -> ClientError {
    match error {
        ProbeError::Unsupported => ClientError::Unsupported(
            "these servers tell no positions, so there is nothing that could be named".to_owned(),
        ),
        other => ClientError::Unreachable(format!("asking for positions: {other}")),
    }
}
