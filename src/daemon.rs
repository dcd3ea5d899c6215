//! The composition root.

use crate::config::Config;

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// This build has no daemon.
    #[error("this build has no daemon")]
    Missing,
}

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// [`DaemonError`] when it cannot start or go on.
pub fn run(_config: Config) -> Result<(), DaemonError> {
    Err(DaemonError::Missing)
}
