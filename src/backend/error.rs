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
        /// The SQLSTATE.
        state: [u8; 5],
        /// The server's message.
        message: String,
    },
    /// The thread that was to be killed belonged to an earlier life of the server.
    #[error("{address} has been restarted since thread {thread} was there")]
    ThreadGone {
        /// `host:port`.
        address: String,
        /// The thread.
        thread: u64,
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
    #[error(
        "all {limit} connections to {address} are in use{}; none came free within {waited:?}",
        if *.by_share { ", which is [pool] primary_max_connections_pct of its max_connections" } else { "" }
    )]
    PoolExhausted {
        /// `host:port`.
        address: String,
        /// The pool's bound.
        limit: usize,
        /// Whether that is the server's share, which is less than what the configuration says.
        by_share: bool,
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

/// An account that may not have what its connection needs to be set up: its password expired, or its
/// resources are used up.
const ABOUT_ACCOUNT: [u16; 2] = [MUST_CHANGE_PASSWORD, 1226];

/// ER_MUST_CHANGE_PASSWORD: the server takes nothing but a new password.
pub(super) const MUST_CHANGE_PASSWORD: u16 = 1820;

/// ER_MUST_CHANGE_PASSWORD_LOGIN: the same, of a client that did not say that it can do so.
const MUST_CHANGE_PASSWORD_LOGIN: u16 = 1862;

/// What a server said to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its error number.
    pub code: u16,
    /// The SQLSTATE.
    pub state: [u8; 5],
    /// Its words.
    pub message: String,
}

impl Refusal {
    /// Whether the account has as many connections as it may have, by `max_user_connections` (1203) or
    /// by its own limits (1226).
    pub fn is_crowded(&self) -> bool {
        matches!(self.code, 1203 | 1226)
    }
}

/// What a server says that starts or stops.
const NOT_WELL: [u16; 2] = [1053, 3168];

impl BackendError {
    /// Whether the account's password expired, which its client may be able to renew.
    pub fn is_expired(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.code == MUST_CHANGE_PASSWORD_LOGIN)
    }

    /// Whether something is wrong with the server, and not with the account or the pool.
    pub fn blames_server(&self) -> bool {
        match self.refusal() {
            Some(refusal) => NOT_WELL.contains(&refusal.code),
            None => !matches!(self, Self::PoolExhausted { .. } | Self::UnknownUser { .. }),
        }
    }

    /// The server's own words, where it refused a login or what an account needs: a client is told the
    /// same.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Login {
                source:
                    ConnectError::Refused {
                        code,
                        state,
                        message,
                        ..
                    },
                ..
            } => Some(Refusal {
                code: *code,
                state: state.as_bytes().try_into().unwrap_or(*b"HY000"),
                message: message.clone(),
            }),
            Self::Setup {
                code,
                state,
                message,
                ..
            } if ABOUT_ACCOUNT.contains(code) => Some(Refusal {
                code: *code,
                state: *state,
                message: message.clone(),
            }),
            _ => None,
        }
    }

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
