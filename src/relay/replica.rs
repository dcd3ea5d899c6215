//! A session's connection to the replica that was chosen for its read.

use super::fallback::Fell;
use super::freshness::{Seeker, Settled, Terms};
use super::session::{End, Relay};
use super::statement::{Next, Progress, Statement};
use crate::backend::BackendError;
use crate::domain::consistency::{GiveUp, Level};
use crate::domain::ids::BackendId;
use crate::domain::routing::{Reason, Route};
use crate::domain::session::{Outcome, Side};
use crate::domain::sql::Access;
use crate::domain::topology::{Generation, Topology};
use crate::frontend::ClientError;
use crate::telemetry::SessionState;

/// Whether a connection is held now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    /// The server cannot be reached, or lives another life.
    No,
    /// The server is well, but does not let the account in: perhaps it does not know it yet.
    Refused,
    /// Others have all connections to it.
    Exhausted,
}

impl Relay {
    /// Before a read in a READ ONLY transaction on a replica: where no snapshot is kept that would
    /// hide it, the replica must show what the read asks for. What comes instead, if it does not.
    pub(super) async fn fresh_in_transaction(
        &mut self,
        statement: &Statement,
        terms: &Terms,
        progress: &mut Progress,
    ) -> Result<Option<Next>, End> {
        let has_read = self.state.transaction.has_read();
        let open = self.state.transaction.open_on() == Some(Side::Replica);
        if !open || statement.profile.access != Access::Read || has_read && !self.reads_anew() {
            return Ok(None);
        }
        let Self {
            shared,
            state,
            links,
            gauge,
            registered,
            ..
        } = self;
        if links.get(Side::Replica).is_none() {
            return Ok(None);
        }
        let mut seeker = Seeker {
            shared,
            session: state,
            links,
            registered,
            gauge,
            in_transaction: true,
        };
        let settled = tokio::select! {
            biased;
            settled = seeker.settle(terms, &[]) => settled,
            () = registered.interrupted() => {
                gauge.set(SessionState::Active);
                self.refuse(ClientError::Interrupted).await?;
                return Ok(Some(Next::Answered(Side::Replica, Reason::Waited, Outcome::Failed)));
            }
        };
        let Err(failed) = settled else {
            return Ok(None);
        };
        if failed.why == GiveUp::NoReplica && self.links.died_idle(Side::Replica).await {
            // The transaction is gone, and its connection says so best. One that still works to a
            // server that may not be used, such as one that lags too much, promises nothing.
            return Ok(None);
        }
        match self.fall_back(failed, terms, true).await {
            Fell::Primary(reason, permit) if !has_read => {
                progress.permit = permit;
                Ok(Some(Next::Again(Route::MoveTransaction(reason))))
            }
            Fell::Refused(reason, error) => {
                self.refuse(error).await?;
                Ok(Some(Next::Refused(reason)))
            }
            // What it has read already ties it to this server.
            Fell::Primary(..) | Fell::Stale(_) => {
                let waited = terms.arrived.elapsed();
                let level = terms.level.name();
                let error = ClientError::CatchUpTimeout { level, waited };
                self.refuse(error).await?;
                Ok(Some(Next::Refused(Reason::NotFresh)))
            }
        }
    }

    /// Whether each statement of a transaction sees what was committed before it: the isolation
    /// level keeps no snapshot.
    fn reads_anew(&self) -> bool {
        let mirror = &self.state.mirror;
        // The second is MariaDB's word before 11.1.
        let level = match mirror.value("transaction_isolation") {
            b"" => mirror.value("tx_isolation"),
            level => level,
        };
        level.eq_ignore_ascii_case(b"READ-COMMITTED")
            || level.eq_ignore_ascii_case(b"READ-UNCOMMITTED")
    }

    /// How old the answer of a replica may be: as far as it is known to be behind now.
    pub(super) fn observe_staleness(&self, level: Level, backend: BackendId) {
        let lag = |servers: &Topology| servers.get(backend)?.lag;
        if let Some(lag) = self.shared.watch.look(lag) {
            self.shared.metrics.staleness(level, lag);
        }
    }

    /// Holds a connection to the chosen replica, to the very life of it that was found fresh.
    pub(super) async fn hold_replica(&mut self, settled: Settled) -> Held {
        let Self {
            links,
            state,
            registered,
            shared,
            ..
        } = self;
        let right_life = |generation: Option<Generation>| {
            settled.generation.is_none() || settled.generation == generation
        };
        for _ in 0..2 {
            let held = tokio::select! {
                biased;
                held = links.hold(Side::Replica, settled.backend, &state.mirror, registered) => match held {
                    Ok(()) => Held::Yes,
                    Err(BackendError::PoolExhausted { .. }) => return Held::Exhausted,
                    Err(error) if !error.blames_server() => {
                        tracing::debug!(%error, "a replica refused the account; another server may not");
                        return Held::Refused;
                    }
                    Err(_) => Held::No,
                },
                // A server that hangs does not refuse a connection either.
                () = shared.watch.down(settled.backend, settled.generation) => Held::No,
            };
            if held == Held::No {
                shared.watch.suspect(settled.backend);
                return held;
            }
            let generation = links
                .get(Side::Replica)
                .and_then(|link| link.identity.generation);
            if right_life(generation) {
                return held;
            }
            // A leftover of an earlier life, or one opened before the monitor knew this life.
            links.discard(Side::Replica, registered);
        }
        Held::No
    }

    /// Asks the connection that the charset was set on for the collation that came with it.
    pub(super) async fn learn_collation(&mut self, side: Side) -> bool {
        if !self.save_aftermath(side).await {
            return false;
        }
        let Some(link) = self.links.get_mut(side) else {
            return false;
        };
        match link.ask("SELECT @@session.collation_connection").await {
            Ok(row) => {
                let collation = row.into_iter().next().unwrap_or_default();
                link.applied.on_collation(&collation);
                self.state.mirror.on_collation(&collation);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "asking for the session's collation");
                false
            }
        }
    }
}
