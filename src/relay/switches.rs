//! What operators switch at run time. Read at each statement, so nothing here is ever locked.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::domain::ids::{BackendId, SessionId};
use crate::domain::routing::takes_part;
use crate::domain::servers::PerServer;

/// Switched by DRAIN BACKEND.
const DRAINED: u8 = 1;
/// No longer in the configuration: gone as soon as what is open there has ended.
const LEAVING: u8 = 2;

/// The switches of one proxy. A new configuration leaves them as they are.
#[derive(Debug)]
pub struct Switches {
    offload: AtomicU8,
    /// Why a server gets no new reads.
    drained: PerServer<AtomicU8>,
}

impl Default for Switches {
    /// Everything on.
    fn default() -> Self {
        Self {
            offload: AtomicU8::new(100),
            drained: PerServer::default(),
        }
    }
}

impl Switches {
    /// How many percent of the sessions may read from replicas.
    pub fn offload(&self) -> u8 {
        self.offload.load(Ordering::Relaxed)
    }

    /// Lets so many percent of the sessions read from replicas, from their next statement on.
    pub fn set_offload(&self, percent: u8) {
        self.offload.store(percent.min(100), Ordering::Relaxed);
    }

    /// Whether the reads of this session may go to replicas.
    pub fn offloads(&self, session: SessionId) -> bool {
        takes_part(session, self.offload())
    }

    /// Gives a server no new reads, or gives it reads again.
    pub fn drain(&self, backend: BackendId, drained: bool) {
        self.switch(backend, DRAINED, drained);
    }

    /// Gives a server no new reads since it is to go, or lets it stay.
    pub fn leave(&self, backend: BackendId, leaves: bool) {
        self.switch(backend, LEAVING, leaves);
    }

    /// Whether the server gets no new reads.
    pub fn is_drained(&self, backend: BackendId) -> bool {
        self.why(backend) != 0
    }

    /// Whether the server is to go.
    pub fn is_leaving(&self, backend: BackendId) -> bool {
        self.why(backend) & LEAVING != 0
    }

    fn why(&self, backend: BackendId) -> u8 {
        let switch = self.drained.get(backend);
        switch.map_or(0, |switch| switch.load(Ordering::Relaxed))
    }

    fn switch(&self, backend: BackendId, bit: u8, on: bool) {
        if let Some(switch) = self.drained.get_or_init(backend, || AtomicU8::new(0)) {
            match on {
                true => switch.fetch_or(bit, Ordering::Relaxed),
                false => switch.fetch_and(!bit, Ordering::Relaxed),
            };
        }
    }
}
