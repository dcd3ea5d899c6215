//! What can go wrong while watching servers.

use std::time::Duration;

/// The settings cannot be used. The operator's fault; a retry cannot help.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitorError {
    /// An address is not `host:port`.
    #[error("`{0}` is not a server address of the form host:port")]
    Address(String),
    /// More servers than a backend id can count.
    #[error("more than {0} servers are configured")]
    TooMany(usize),
}

/// Why a server could not be asked. Asking changes nothing on a server, so a retry is always safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The server cannot be reached, or the connection broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server did not answer in time.
    #[error("the server did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server answered with an error.
    #[error("the server answered with error {code}: {message}")]
    Server {
        /// MySQL's error number.
        code: u16,
        /// MySQL's text.
        message: String,
    },
    /// The server's answer was not understood. A retry does not help.
    #[error("the server's answer was not understood: {0}")]
    Malformed(String),
    /// This kind of server, or one with its settings (gtid_mode=OFF), tells no positions. A retry
    /// does not help.
    #[error("the server tells no positions")]
    Unsupported,
    /// The connection reached another life of the server than the one the monitor knows. It will
    /// look again; a retry helps.
    #[error("another server, or another life of it, answered")]
    OtherLife,
    /// No such server is configured. The caller's fault.
    #[error("no such server is configured")]
    Unknown,
}

impl ProbeError {
    /// Whether a retry may have an answer.
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::OtherLife => true,
            Self::Server { .. } | Self::Malformed(_) | Self::Unsupported | Self::Unknown => false,
        }
    }
}

/// Why a wait for a position ended without one. The read has not been sent anywhere: it may go to
/// the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// The deadline passed first.
    #[error("no replica was there in time")]
    Timeout,
    /// None of the servers is left: each is unusable, began another life, or tells no positions.
    #[error("no replica is left that could get there")]
    Lost,
}
