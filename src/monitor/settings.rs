//! What the monitor must be told.

use std::time::Duration;

use super::MonitorError;
use crate::config::Account;

/// The primary is not sampled more often than this: a smaller staleness asks for each read.
const CLOSEST_SAMPLES: Duration = Duration::from_millis(10);

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
    /// The accounts that may see the definitions of stored programs: the clients', and the monitor's.
    pub accounts: Vec<Account>,
    /// Time between two probes of one server.
    pub interval: Duration,
    /// A server that takes longer than this to answer is down.
    pub timeout: Duration,
    /// A replica that is further behind takes no reads.
    pub max_lag: Duration,
    /// The smallest staleness that `bounded` reads are configured to allow: the primary is sampled
    /// four times as often.
    pub max_staleness: Duration,
    /// Where nobody tells positions: how long after a write reads stay on the primary.
    pub sticky_after_write: Duration,
    /// Whether Aurora's readers see to the consistency of their reads themselves.
    pub delegate: bool,
}

impl Settings {
    /// Settings with the defaults of the reference configuration and no account.
    pub fn new(primary: impl Into<String>, replicas: Vec<String>) -> Self {
        Self {
            primary: primary.into(),
            replicas,
            user: String::new(),
            password: String::new(),
            accounts: Vec::new(),
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(1),
            max_lag: Duration::from_secs(30),
            max_staleness: Duration::from_millis(500),
            sticky_after_write: Duration::from_secs(2),
            delegate: false,
        }
    }

    /// Time between two probes of the primary.
    pub(super) fn sampling(&self) -> Duration {
        let often = (self.max_staleness / 4).max(CLOSEST_SAMPLES);
        self.interval.min(often)
    }

    /// The addresses in the order of their backend ids.
    pub(super) fn addresses(&self) -> Result<Vec<Address>, MonitorError> {
        let most = usize::from(u16::MAX);
        if self.replicas.len() >= most {
            return Err(MonitorError::TooMany(most));
        }
        std::iter::once(&self.primary)
            .chain(&self.replicas)
            .map(|text| Address::parse(text))
            .collect()
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
            .field("max_staleness", &self.max_staleness)
            .finish_non_exhaustive()
    }
}

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, MonitorError> {
        let wrong = || MonitorError::Address(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        // An IPv6 address is written in brackets.
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        if host.is_empty() || (inner.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["db1:3306", "10.0.0.1:1", "[::1]:3306"] {
            let address = Address::parse(good).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(good));
        }
        for bad in [
            "",
            "db1",
            ":3306",
            "db1:",
            "db1:x",
            "db1:70000",
            "::1:3306",
            "[]:1",
        ] {
            let expected = Err(MonitorError::Address(bad.to_owned()));
            assert_eq!(Address::parse(bad), expected);
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut settings = Settings::new("a:1", Vec::new());
        settings.password = "hunter2".to_owned();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
