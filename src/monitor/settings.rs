//! What the monitor must be told.

use std::time::Duration;

/// Which servers to watch, and how.
#[derive(Clone)]
pub struct Settings {
    /// `host:port` of the primary.
    pub primary: String,
    /// `host:port` of each replica.
    pub replicas: Vec<String>,
    /// The monitor's account. It needs REPLICATION CLIENT.
    pub user: String,
    /// Its password; never shown.
    pub password: String,
    /// Time between two probes of one server.
    pub interval: Duration,
    /// A server that takes longer than this to answer is down.
    pub timeout: Duration,
    /// A replica that is further behind takes no reads.
    pub max_lag: Duration,
}

impl Settings {
    /// Settings with the defaults of the reference configuration.
    pub fn new(primary: impl Into<String>, replicas: Vec<String>) -> Self {
        Self {
            primary: primary.into(),
            replicas,
            user: String::new(),
            password: String::new(),
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(1),
            max_lag: Duration::from_secs(30),
        }
    }

    /// The addresses in the order of their backend ids.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.primary)
            .chain(&self.replicas)
            .map(String::as_str)
    }
}

/// Without the password.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("primary", &self.primary)
            .field("replicas", &self.replicas)
            .field("user", &self.user)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("max_lag", &self.max_lag)
            .finish_non_exhaustive()
    }
}
