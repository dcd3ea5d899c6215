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
//! connection only now and then). The primary has one more, for its stored programs.

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

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::domain::ids::BackendId;
pub use error::{MonitorError, NotCovered, ProbeError};
pub use facts::ServerFacts;
use hub::Lane;
use hub::lane;
use settings::Address;
pub use settings::Settings;
use shared::{Shared, lock};
pub use watch::{Counters, Probed, Watch};

/// The running probes. They stop when this is dropped.
pub struct Monitor {
    shared: Arc<Shared>,
    runtime: Handle,
    tasks: Mutex<HashMap<BackendId, JoinSet<()>>>,
}

impl Monitor {
    /// Starts watching. Must be called on a tokio runtime, which then runs the probes.
    ///
    /// # Errors
    /// When an address is not `host:port`, or there are too many of them.
    pub fn start(settings: Settings) -> Result<Self, MonitorError> {
        let monitor = Self {
            shared: Arc::new(Shared::new(settings)?),
            runtime: Handle::current(),
            tasks: Mutex::default(),
        };
        for backend in monitor.shared.backends.iter() {
            monitor.begin(backend.id);
        }
        Ok(monitor)
    }

    /// The handle for everybody else.
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.shared))
    }

    /// One more replica, at `host:port`. It has a number that no other server ever had.
    ///
    /// # Errors
    /// When the address is none, or this process has seen too many servers.
    pub fn add(&self, address: &str) -> Result<BackendId, MonitorError> {
        let too_many = MonitorError::TooMany(usize::from(u16::MAX));
        let id = self.shared.add(Address::parse(address)?).ok_or(too_many)?;
        self.begin(id);
        Ok(id)
    }

    /// A replica is none any more: its probes end, it is in the topology no longer, and whoever waits for
    /// it is told so. The primary stays.
    pub fn remove(&self, id: BackendId) {
        if id.is_primary() {
            return;
        }
        self.shared.remove(id);
        lock(&self.tasks).remove(&id);
    }

    /// Watches with another account, at another pace or with other bounds from now on. Connections that
    /// are open stay. Servers are not taken from here.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.shared.settings.load());
        change(&mut settings);
        self.shared.change(settings);
    }

    fn begin(&self, id: BackendId) {
        let shared = || Arc::clone(&self.shared);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(probe::run(shared(), id), &self.runtime);
        tasks.spawn_on(upper::run(shared(), id), &self.runtime);
        tasks.spawn_on(lane::run(shared(), id, Lane::First), &self.runtime);
        tasks.spawn_on(lane::run(shared(), id, Lane::Second), &self.runtime);
        tasks.spawn_on(facts::run(shared(), id), &self.runtime);
        if id.is_primary() {
            tasks.spawn_on(facts::programs::run(shared()), &self.runtime);
        }
        lock(&self.tasks).insert(id, tasks);
    }
}
