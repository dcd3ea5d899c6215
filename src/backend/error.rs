//! What goes wrong between the proxy and a server.

use std::io;
use std::time::Duration;

use super::login::ConnectError;
use crate::protocol::caps::CapabilityFlags;

/// An error of the server side.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The server cannot be reached.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server did not answer the login in time.
    #[error("{address} did not answer within {limit:?}")]
    TimedOut {
        /// `host:port`.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The login failed.
    #[error("login at {address} failed: {source}")]
    Login {
        /// `host:port`.
        address: String,
        /// Why.
        source: ConnectError,
    },
    /// The server refused to set a connection up as Highwater needs it.
    #[error("{address} refused to set up a connection: error {code}: {message}")]
    Setup {
        /// `host:port`.
        address: String,
        /// The server's error number.
        code: u16,
        /// The server's message.
        message: String,
    },
    /// An established connection broke.
    #[error("connection to {address} lost: {source}")]
    Lost {
        /// `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server sent something that is no MySQL protocol.
    #[error("{address} sent a malformed packet")]
    Malformed {
        /// `host:port`.
        address: String,
    },
    /// All places of the pool are taken.
    #[error("all {limit} connections to {address} are in use; none came free within {waited:?}")]
    PoolExhausted {
        /// `host:port`.
        address: String,
        /// The pool's bound.
        limit: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// The monitor has not seen the server yet, so connections to it cannot be set up.
    #[error("{address} has not been seen yet")]
    NotKnown {
        /// `host:port`.
        address: String,
    },
    /// No such server is configured.
    #[error("no such server is configured")]
    NotConfigured,
    /// A user that no `[[user]]` names.
    #[error("no password is configured for user {user}")]
    UnknownUser {
        /// The account.
        user: String,
    },
}

impl BackendError {
    /// What the server lacks of the capabilities that were asked for.
    pub fn lacking(&self) -> Option<CapabilityFlags> {
        match self {
            Self::Login {
                source: ConnectError::MissingCapabilities { missing, .. },
                ..
            } => Some(*missing),
            _ => None,
        }
    }
}
