//! A session's connection to the replica that was chosen for its read.

use super::freshness::Settled;
use super::session::Relay;
use crate::backend::BackendError;
use crate::domain::consistency::Level;
use crate::domain::ids::BackendId;
use crate::domain::session::Side;
use crate::domain::topology::Generation;

/// Whether a connection is held now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Yes,
    /// The server cannot be reached, or lives another life.
    No,
    /// Others have all connections to it.
    Exhausted,
}

impl Relay {
    /// How old the answer of a replica may be: as far as it is known to be behind now.
    pub(super) fn observe_staleness(&self, level: Level, backend: BackendId) {
        let topology = self.shared.watch.topology();
        if let Some(lag) = topology.get(backend).and_then(|view| view.lag) {
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
        let has_schema = state.mirror.schema().is_some();
        for _ in 0..2 {
            let held = tokio::select! {
                biased;
                held = links.hold(Side::Replica, settled.backend, has_schema, registered) => match held {
                    Ok(()) => Held::Yes,
                    Err(BackendError::PoolExhausted { .. }) => return Held::Exhausted,
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
    pub(super) async fn learn_collation(&mut self) -> bool {
        let Some(link) = self.links.get_mut(Side::Primary) else {
            return false;
        };
        match link.ask("SELECT @@session.collation_connection").await {
            Ok(row) => {
                let collation = row.into_iter().next().unwrap_or_default();
                link.applied.set(b"collation_connection", &collation);
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
