//! The handle through which the rest of the house sees the servers.

use std::sync::Arc;
use std::time::Instant;

use super::{MonitorError, NotCovered, ProbeError, ServerFacts, Settings};
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::topology::{Generation, Topology};

/// What is known of the servers. Cheap to clone; works from any runtime.
#[derive(Clone)]
pub struct Watch {
    topology: Arc<arc_swap::ArcSwap<Topology>>,
}

impl Watch {
    pub(super) fn new(_settings: &Settings) -> Result<Self, MonitorError> {
        Ok(Self {
            topology: Arc::new(arc_swap::ArcSwap::from_pointee(Topology {
                epoch: 0,
                backends: Vec::new(),
            })),
        })
    }

    /// The servers as they were last seen. Costs a load.
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// Returns once the topology's epoch differs from `seen`.
    pub async fn changed(&self, seen: u64) -> Arc<Topology> {
        let _ = seen;
        self.topology()
    }

    /// Returns once every server has been probed, successfully or not.
    pub async fn settled(&self) -> Arc<Topology> {
        self.topology()
    }

    /// The number of the life that a fresh data connection reached, from the `@@server_uuid` and
    /// the start (now - Uptime, in seconds since the epoch by the server's clock) read on it.
    /// `None` while the monitor sees another life: nothing above `eventual` may use the connection;
    /// the monitor looks again at once, so the caller may ask again later.
    pub fn identify(
        &self,
        backend: BackendId,
        server_uuid: &str,
        started: u64,
    ) -> Option<Generation> {
        let _ = (backend, server_uuid, started);
        None
    }

    /// Whether a read that starts now on this life of the server is certain to see `position`.
    pub fn bound_covers(
        &self,
        backend: BackendId,
        generation: Generation,
        position: &Position,
    ) -> bool {
        let _ = (backend, generation, position);
        false
    }

    /// Takes the executed set that a reply of this life of the server carried (the text of the GTID
    /// tracker under `session_track_gtids=ALL_GTIDS`). Call it after the reply was read and before
    /// the next statement is sent on any connection that relies on it.
    pub fn note_executed(&self, backend: BackendId, generation: Generation, raw: &[u8]) {
        let _ = (backend, generation, raw);
    }

    /// Waits until the first of these servers is certain to show `position`, and says which.
    pub async fn wait_covered(
        &self,
        backends: &[(BackendId, Generation)],
        position: &Position,
        deadline: Instant,
    ) -> Result<BackendId, NotCovered> {
        let _ = (backends, position, deadline);
        Err(NotCovered::Lost)
    }

    /// At least everything that a read which ended on this server before `not_before` can have
    /// seen: what the server owns, then what it has executed. Requests that come before a probe is
    /// sent share its answer.
    pub async fn upper_bound(
        &self,
        backend: BackendId,
        not_before: Instant,
    ) -> Result<Position, ProbeError> {
        let _ = (backend, not_before);
        Err(ProbeError::Unsupported)
    }

    /// Fills the gaps of a requirement with transactions that the primary is known to have
    /// executed, so that a position gathered write by write stays compact.
    pub fn compact(&self, requirement: &mut Position) {
        let _ = requirement;
    }

    /// What a data connection must know of this server; `None` until the monitor has read it.
    pub fn facts(&self, backend: BackendId) -> Option<Arc<ServerFacts>> {
        let _ = backend;
        None
    }

    /// A data connection to this server broke: probe it at once.
    pub fn suspect(&self, backend: BackendId) {
        let _ = backend;
    }
}
