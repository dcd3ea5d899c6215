//! Watches every server: whether it may be used, which life it is in, how far it has applied, and
//! what a data connection there must know. [`Monitor`] runs the probes, [`Watch`] is the handle
//! that everybody else reads.
//!
//! The probes run on the runtime on which [`Monitor::start`] was called; a [`Watch`] works from any
//! runtime. Nothing here sits in the way of a statement: the calls on the hot path
//! ([`Watch::topology`], [`Watch::bound_covers`], [`Watch::note_executed`]) never wait for a server.
//!
//! Each server has five tasks with a connection each, so that none waits for another: the regular
//! probe, upper bounds, the two lanes of the hub of waiting reads, and the facts (which opens its
//! connection only now and then).

mod board;
mod errant;
mod error;
mod facts;
mod hub;
mod life;
mod link;
mod probe;
mod settings;
mod shared;
mod source;
mod upper;
mod watch;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use error::{MonitorError, NotCovered, ProbeError};
pub use facts::ServerFacts;
use hub::Lane;
use hub::lane;
pub use settings::Settings;
use shared::Shared;
pub use watch::{Counters, Probed, Watch};

/// The running probes. They stop when this is dropped.
pub struct Monitor {
    watch: Watch,
    _tasks: JoinSet<()>,
}

impl Monitor {
    /// Starts watching. Must be called on a tokio runtime, which then runs the probes.
    ///
    /// # Errors
    /// When an address is not `host:port`, or there are too many of them.
    pub fn start(settings: Settings) -> Result<Self, MonitorError> {
        let shared = Arc::new(Shared::new(settings)?);
        let mut tasks = JoinSet::new();
        for id in shared.backends.iter().map(|backend| backend.id) {
            tasks.spawn(probe::run(Arc::clone(&shared), id));
            tasks.spawn(upper::run(Arc::clone(&shared), id));
            tasks.spawn(lane::run(Arc::clone(&shared), id, Lane::First));
            tasks.spawn(lane::run(Arc::clone(&shared), id, Lane::Second));
            tasks.spawn(facts::run(Arc::clone(&shared), id));
        }
        Ok(Self {
            watch: Watch::new(shared),
            _tasks: tasks,
        })
    }

    /// The handle for everybody else.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }
}
