//! The errors that Highwater itself sends to clients.
//!
//! Each says whose fault it is and whether the statement may be sent again. SQLSTATE class 08 makes drivers
//! give up the connection, so only errors after which it is closed, or of no use, have it.

use crate::protocol::packets::put_err;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client did what it may not or cannot do.
    Client,
    /// A database server failed.
    Backend,
    /// Highwater is at a limit, or wrong.
    Proxy,
}

/// An error of Highwater's own. Its text is what the client gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Unknown user or wrong password; the client cannot tell which. The words are the server's, which tools look for.
    #[error("Access denied for user '{user}'@'{host}' (using password: {})", if *.using_password { "YES" } else { "NO" })]
    AccessDenied {
        /// The name that the client gave.
        user: String,
        /// Where it comes from.
        host: String,
        /// Whether it sent a proof at all.
        using_password: bool,
    },
    /// The login's packets make no sense.
    #[error("Highwater: bad handshake: {0}")]
    BadHandshake(&'static str),
    /// The client asked for TLS, which the greeting did not offer.
    #[error("Highwater: TLS is not offered on this address; connect without it")]
    TlsNotOffered,
    /// The client speaks the protocol of before 4.1.
    #[error(
        "Highwater: this client does not support the authentication protocol of MySQL 4.1 and later; upgrade it"
    )]
    ClientTooOld,
    /// The limit of client connections is reached.
    #[error("Highwater: too many connections")]
    TooManyConnections,
    /// The proxy is about to stop.
    #[error("Highwater: shutting down; connect again")]
    ShuttingDown,
    /// The client sent nothing for too long.
    #[error("Highwater: the connection was closed because it was idle for too long")]
    IdleTimeout,
    /// A command that does not exist or that is not relayed.
    #[error("Highwater: unknown command {0:#04x}")]
    UnknownCommand(u8),
    /// A known feature that is not there yet.
    #[error("Highwater: {0} is not supported yet")]
    NotSupported(String),
    /// A setting of Highwater's own was given a value that it cannot have.
    #[error("Highwater: variable '{name}' can't be set to the value of '{value}'")]
    WrongValue {
        /// The variable.
        name: String,
        /// The value.
        value: String,
    },
    /// A command's payload cannot be read.
    #[error("Highwater: malformed communication packet")]
    MalformedPacket,
    /// A packet came out of its turn.
    #[error("Highwater: got packets out of order")]
    PacketsOutOfOrder,
    /// A packet is above the limit.
    #[error("Highwater: got a packet bigger than {limit} bytes")]
    PacketTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// KILL of a connection that no client of this proxy has.
    #[error("Highwater: unknown thread id: {0}")]
    UnknownThread(u64),
    /// The statement is of no prepared statement of this session.
    #[error("Highwater: unknown prepared statement handler ({0})")]
    UnknownStatement(u32),
    /// The statement or the session was killed by another client.
    #[error("Highwater: query execution was interrupted")]
    Interrupted,
    /// No primary can be reached; nothing was sent.
    #[error(
        "Highwater: no primary is reachable; the statement was not sent, it is safe to try again"
    )]
    NoPrimary,
    /// No server at all can take the read; nothing was sent.
    #[error(
        "Highwater: no server is reachable for this read; it was not sent, it is safe to try again"
    )]
    NoServer,
    /// All connections to the server are in use; nothing was sent.
    #[error(
        "Highwater: no free connection to the server within {millis} ms; the statement was not sent, it is safe to try again"
    )]
    PoolTimeout {
        /// How long the statement waited, in milliseconds.
        millis: u64,
    },
    /// No replica reached the position that the read needs, and the primary may not serve it.
    #[error(
        "Highwater: no replica caught up within {millis} ms; the read was not sent, it is safe to try again"
    )]
    CatchUpTimeout {
        /// How long the read waited, in milliseconds.
        millis: u64,
    },
    /// A server's connection broke after the statement was sent: whether it was run is not known.
    #[error(
        "Highwater: lost connection to the server during the statement; whether it took effect is unknown"
    )]
    LostDuringStatement,
    /// A server's connection broke while it held state of the session, such as an open transaction, that is gone now.
    #[error(
        "Highwater: lost the server connection that held this session's state; the statement was not sent"
    )]
    LostSession,
    /// A server sent what cannot be a reply.
    #[error("Highwater: the server sent a malformed reply")]
    MalformedReply,
    /// A server refused Highwater's login.
    #[error("Highwater: cannot log in to the server: {0}")]
    BackendLogin(String),
    /// The session's state could not be made equal on another server; the statement was not sent.
    #[error("Highwater: cannot restore the session on the server: {0}")]
    RestoreFailed(String),
    /// A fault in Highwater.
    #[error("Highwater: internal error: {0}")]
    Internal(&'static str),
}

impl ClientError {
    /// The error number and SQLSTATE.
    pub fn code(&self) -> (u16, [u8; 5]) {
        match self {
            Self::AccessDenied { .. } => (1045, *b"28000"),
            Self::BadHandshake(_) | Self::TlsNotOffered => (1043, *b"08S01"),
            Self::ClientTooOld => (1251, *b"08004"),
            Self::TooManyConnections => (1040, *b"08004"),
            Self::ShuttingDown => (1053, *b"08S01"),
            Self::IdleTimeout => (4031, *b"HY000"),
            Self::UnknownCommand(_) => (1047, *b"08S01"),
            Self::NotSupported(_) => (1235, *b"42000"),
            Self::WrongValue { .. } => (1231, *b"42000"),
            Self::MalformedPacket => (1835, *b"HY000"),
            Self::PacketsOutOfOrder => (1156, *b"08S01"),
            Self::PacketTooLarge { .. } => (1153, *b"08S01"),
            Self::UnknownThread(_) => (1094, *b"HY000"),
            Self::UnknownStatement(_) => (1243, *b"HY000"),
            Self::Interrupted => (1317, *b"70100"),
            Self::NoPrimary | Self::NoServer => (2003, *b"HY000"),
            Self::PoolTimeout { .. } => (1203, *b"42000"),
            Self::CatchUpTimeout { .. } => (3024, *b"HY000"),
            Self::LostDuringStatement | Self::LostSession => (2013, *b"08S01"),
            Self::MalformedReply => (2027, *b"HY000"),
            Self::BackendLogin(_) | Self::RestoreFailed(_) | Self::Internal(_) => (1105, *b"HY000"),
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::AccessDenied { .. }
            | Self::BadHandshake(_)
            | Self::TlsNotOffered
            | Self::ClientTooOld
            | Self::IdleTimeout
            | Self::UnknownCommand(_)
            | Self::NotSupported(_)
            | Self::WrongValue { .. }
            | Self::MalformedPacket
            | Self::PacketsOutOfOrder
            | Self::PacketTooLarge { .. }
            | Self::UnknownThread(_)
            | Self::UnknownStatement(_)
            | Self::Interrupted => Fault::Client,
            Self::NoPrimary
            | Self::NoServer
            | Self::CatchUpTimeout { .. }
            | Self::LostDuringStatement
            | Self::LostSession
            | Self::MalformedReply
            | Self::BackendLogin(_)
            | Self::RestoreFailed(_) => Fault::Backend,
            Self::TooManyConnections
            | Self::ShuttingDown
            | Self::PoolTimeout { .. }
            | Self::Internal(_) => Fault::Proxy,
        }
    }

    /// Whether the same may be sent again without the danger that it takes effect twice.
    pub fn retry_is_safe(&self) -> bool {
        matches!(
            self,
            Self::TooManyConnections
                | Self::ShuttingDown
                | Self::NoPrimary
                | Self::NoServer
                | Self::PoolTimeout { .. }
                | Self::CatchUpTimeout { .. }
                | Self::RestoreFailed(_)
        )
    }

    /// Appends the ERR packet.
    pub fn put(&self, out: &mut Vec<u8>, seq: &mut u8) {
        let (code, state) = self.code();
        put_err(code, state, &self.to_string(), out, seq);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::protocol::{frame, packets::ErrView};

    #[test]
    fn packets_carry_code_state_and_text() {
        let denied = |using_password| ClientError::AccessDenied {
            user: "bob".into(),
            host: "10.0.0.9".into(),
            using_password,
        };
        let cases = [
            (
                denied(true),
                1045,
                "28000",
                "Access denied for user 'bob'@'10.0.0.9' (using password: YES)",
            ),
            (
                denied(false),
                1045,
                "28000",
                "Access denied for user 'bob'@'10.0.0.9' (using password: NO)",
            ),
            (
                ClientError::UnknownCommand(0xEE),
                1047,
                "08S01",
                "Highwater: unknown command 0xee",
            ),
            (
                ClientError::UnknownThread(7),
                1094,
                "HY000",
                "Highwater: unknown thread id: 7",
            ),
            (
                ClientError::TooManyConnections,
                1040,
                "08004",
                "Highwater: too many connections",
            ),
        ];
        for (error, code, state, text) in cases {
            let (mut out, mut seq) = (Vec::new(), 1);
            error.put(&mut out, &mut seq);
            let view = ErrView::parse(frame::payload(&out).unwrap()).unwrap();
            assert_eq!((view.code, &view.state[..]), (code, state.as_bytes()));
            assert_eq!(view.message, text.as_bytes());
        }
    }

    #[test]
    fn what_may_have_been_sent_is_never_safe_to_retry() {
        assert!(!ClientError::LostDuringStatement.retry_is_safe());
        assert!(!ClientError::MalformedReply.retry_is_safe());
        assert!(ClientError::NoPrimary.retry_is_safe());
        assert_eq!(ClientError::NoPrimary.fault(), Fault::Backend);
    }
}
