//! What operators switch at run time. Read at each statement, so nothing here is ever locked.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::domain::ids::{BackendId, SessionId};
use crate::domain::routing::takes_part;

/// The switches of one proxy. A new configuration leaves them as they are.
#[derive(Debug)]
pub struct Switches {
    offload: AtomicU8,
    drained: Box<[AtomicBool]>,
}

impl Switches {
    /// Everything on, for so many servers.
    pub fn new(backends: usize) -> Self {
        Self {
            offload: AtomicU8::new(100),
            drained: (0..backends).map(|_| AtomicBool::new(false)).collect(),
        }
    }

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
        if let Some(switch) = self.drained.get(backend.index()) {
            switch.store(drained, Ordering::Relaxed);
        }
    }

    /// Whether the server gets no new reads.
    pub fn is_drained(&self, backend: BackendId) -> bool {
        let switch = self.drained.get(backend.index());
        switch.is_some_and(|switch| switch.load(Ordering::Relaxed))
    }
}
