//! Watches every server: whether it may be used, which life it is in, how far it has applied, and
//! what a data connection there must know. [`Monitor`] runs the probes, [`Watch`] is the handle
//! that everybody else reads.
//!
//! The probes run on the runtime on which [`Monitor::start`] was called; a [`Watch`] works from any
//! runtime. Nothing here sits in the way of a statement: the calls on the hot path
//! ([`Watch::topology`], [`Watch::bound_covers`], [`Watch::note_executed`]) never wait for a server.

mod error;
mod facts;
mod settings;
mod watch;

pub use error::{MonitorError, NotCovered, ProbeError};
pub use facts::ServerFacts;
pub use settings::Settings;
pub use watch::Watch;

/// The running probes. They stop when this is dropped.
pub struct Monitor {
    watch: Watch,
}

impl Monitor {
    /// Starts watching. Must be called on a tokio runtime, which then runs the probes.
    pub fn start(settings: Settings) -> Result<Self, MonitorError> {
        Ok(Self {
            watch: Watch::new(&settings)?,
        })
    }

    /// The handle for everybody else.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }
}
