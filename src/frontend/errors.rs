//! The errors that Highwater itself gives to clients: a fitting MySQL code and SQLSTATE, and a
//! message that says whose fault it is and whether a retry is safe.

use std::time::Duration;

use crate::protocol::packets::put_err;
use crate::telemetry::{ErrorKind, Side};

/// An error that a client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The packet is no command.
    #[error("malformed packet")]
    Malformed,
    /// A command that Highwater does not speak.
    #[error("Unknown command")]
    UnknownCommand,
    /// KILL of an id that no client was given.
    #[error("Unknown thread id: {id}")]
    NoSuchThread {
        /// The id.
        id: u64,
    },
    /// KILL of somebody else's session without the right to.
    #[error("You are not owner of thread {id}")]
    NotOwner {
        /// The id.
        id: u64,
    },
    /// GET DIAGNOSTICS about a statement whose connection is gone, or asked for what no reply tells.
    #[error(
        "GET DIAGNOSTICS asks for what is no longer known of the statement before, which ran on another connection; use SHOW WARNINGS, or run both in a transaction"
    )]
    DiagnosticsElsewhere,
    /// A statement id that was never given out, or was closed. The words are the server's.
    #[error("Unknown prepared statement handler ({id}) given to {given_to}")]
    UnknownStatement {
        /// The id.
        id: u32,
        /// What the server calls whom it was given to.
        given_to: &'static str,
    },
    /// One more prepared statement than a session may have. The words are the server's.
    #[error("Can't create more than max_prepared_stmt_count statements (current value: {limit})")]
    TooManyStatements {
        /// The most there may be.
        limit: usize,
    },
    /// COM_STMT_FETCH without an open cursor. The words are the server's.
    #[error("The statement ({id}) has no open cursor{}", if *.mariadb { "" } else { "." })]
    NoCursor {
        /// The id.
        id: u32,
        /// Whether the servers are MariaDB, which end the sentence otherwise.
        mariadb: bool,
    },
    /// A variable of Highwater's own that this version does not have.
    #[error("unknown system variable '{name}'")]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// A packet that is longer than any server takes.
    #[error("a packet is longer than 1 GiB, the most that any max_allowed_packet allows")]
    PacketTooLong,
    /// Unknown user or wrong password; the client cannot tell which. The words are the server's,
    /// which tools look for.
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
    #[error("bad handshake: {0}")]
    BadHandshake(&'static str),
    /// The client asked for TLS, which the greeting did not offer.
    #[error("TLS is not offered on this address; connect without it")]
    TlsNotOffered,
    /// The client speaks the protocol of before 4.1.
    #[error(
        "this client does not support the authentication protocol of MySQL 4.1 and later; upgrade it"
    )]
    ClientTooOld,
    /// A packet came out of its turn.
    #[error("got packets out of order")]
    PacketsOutOfOrder,
    /// A packet of a login is above the limit.
    #[error("got a packet bigger than {limit} bytes")]
    PacketTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// KILL hit a read that waited for a replica, or the session that sent it. The words are the
    /// server's.
    #[error("Query execution was interrupted")]
    Interrupted,
    /// The client was silent for longer than the `wait_timeout` that it set. The words are the server's.
    #[error(
        "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior."
    )]
    Inactive,
    /// The proxy is about to stop.
    #[error("shutting down; nothing was done, connect again")]
    ShuttingDown,
    /// All session places are taken.
    #[error("{limit} sessions are connected, which is [limits] max_sessions; retry later")]
    TooManySessions {
        /// The limit.
        limit: usize,
    },
    /// The primary was never reached, so clients cannot be greeted.
    #[error("no primary is reachable; nothing was done, retry later")]
    NoPrimary,
    /// A server cannot be reached, or the login there failed.
    #[error("{0}; nothing was done, a retry is safe")]
    Unreachable(String),
    /// A server refused a connection to this account: its own error, whose words are the server's.
    #[error("{message}")]
    Refused {
        /// The error number.
        code: u16,
        /// The SQLSTATE.
        state: [u8; 5],
        /// The server's words.
        message: String,
    },
    /// Two servers were lost while they ran the statement.
    #[error(
        "{lost} servers were lost one after the other while they ran this statement, which may be what ended them; it was not tried on another one, and a retry may cost more servers"
    )]
    ServersLost {
        /// How many.
        lost: usize,
    },
    /// No connection came free in time.
    #[error("{0}; nothing was done, a retry is safe")]
    PoolExhausted(String),
    /// The primary was lost while a statement ran.
    #[error(
        "the connection to the primary was lost while the statement ran; whether it took effect is not known, so do not retry a write blindly"
    )]
    PrimaryLost,
    /// The primary's connection died between two statements, and state of the session with it.
    #[error(
        "the connection to the primary was lost, and the session's transaction or state with it; this statement was not run; reconnect and start over"
    )]
    PrimaryLostIdle,
    /// The replica of a READ ONLY transaction was lost.
    #[error(
        "the replica of this READ ONLY transaction was lost; the transaction is over, starting it again is safe"
    )]
    ReadOnlyTransactionLost,
    /// The primary refused what the session's state needs.
    #[error(
        "the session's state could not be restored on the primary's connection; the statement was not run"
    )]
    NotRestored,
    /// The primary had not yet committed what a replica already showed.
    #[error(
        "the primary has not yet committed what this session read on a replica; nothing was done, a retry is safe"
    )]
    PrimaryBehind,
    /// Nobody could say what a session saw on a replica, so that the primary may lack it.
    #[error(
        "neither the replica nor the primary could be asked how far this session's reads reach, so the primary may not show yet what the session read on a replica; nothing was done, a retry is safe"
    )]
    SightsUnknown,
    /// No replica caught up in time, and the session asked for an error then.
    #[error(
        "no replica caught up within {waited:?} with what this read must see at the level {level}; nothing was done, a retry is safe; a longer highwater_catch_up_timeout, highwater_on_timeout = 'primary' or a weaker highwater_read_consistency avoids this"
    )]
    CatchUpTimeout {
        /// The read's level.
        level: &'static str,
        /// How long it waited.
        waited: Duration,
    },
    /// No replica can answer, and the session asked for an error then.
    #[error(
        "{why}, and highwater_on_timeout is 'error'; nothing was done, a retry is safe, and 'primary' lets the primary answer"
    )]
    NoFreshReplica {
        /// Why none can.
        why: &'static str,
    },
    /// Too many reads fell back to the primary already.
    #[error(
        "no replica can answer this read now, and the reads that fell back to the primary use up its primary_budget; nothing was done, a retry later is safe"
    )]
    OverBudget,
    /// Settings of the primary under which nobody can hold the level.
    #[error(
        "the level {level} cannot hold, because the primary {setting}; nothing was done; highwater doctor says what mends it, and highwater_read_consistency = 'eventual' reads without the promise"
    )]
    LevelBroken {
        /// The level that was asked for.
        level: &'static str,
        /// What the primary has, in words.
        setting: &'static str,
    },
    /// A position that a read is to see, which the primary has never had.
    #[error(
        "the position names transactions that the primary has neither executed nor owns: it belongs to another cluster, or to a history that was lost"
    )]
    UnknownPosition,
    /// A position was asked for that would have to name what has none.
    #[error(
        "this session wrote something that is in no binary log, so no position covers it; reset the session to go on without it"
    )]
    NoPosition,
    /// An assignment to a variable of Highwater's own that only tells.
    #[error("variable '{name}' is a read only variable")]
    ReadOnlyVariable {
        /// The variable.
        name: String,
    },
    /// A value that a variable of Highwater's own cannot take.
    #[error("variable '{name}' can't be set to the value of '{value}': {expected}")]
    WrongValue {
        /// The variable.
        name: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A hint in a comment or a query attribute that is not understood.
    #[error("hint: '{word}' is not understood: {expected}; the statement was not run")]
    WrongHint {
        /// The word.
        word: String,
        /// What would be right.
        expected: String,
    },
    /// No replica caught up for a read whose hint asks for one.
    #[error(
        "no replica caught up in time, and a hint or a rule asks for one; nothing was done, a retry is safe"
    )]
    ReplicasBehind,
    /// A rule of the configuration refuses the statement, in the operator's words.
    #[error("{message} (rule {rule}); the statement was not run")]
    Denied {
        /// The rule.
        rule: String,
        /// Its message.
        message: String,
    },
    /// More statements of a rule than it allows.
    #[error(
        "the rule {rule} allows {what} of statements like this one, and as many run already; nothing was done, a retry later is safe"
    )]
    OverLimit {
        /// The rule.
        rule: String,
        /// What it allows.
        what: String,
    },
    /// A statement took longer than its rule allows, and was stopped.
    #[error(
        "the rule {rule} gives statements like this one {limit:?}, which is over; it was stopped as KILL QUERY stops it"
    )]
    StatementTimeout {
        /// The rule.
        rule: String,
        /// The limit.
        limit: Duration,
    },
    /// Highwater's own variables among others, where they cannot be answered.
    #[error("{0}")]
    Unsupported(String),
    /// A server did not answer in time.
    #[error("no answer within {0:?}; whether the statement took effect is not known")]
    TimedOut(Duration),
}

impl ClientError {
    /// The MySQL error number.
    pub fn code(&self) -> u16 {
        self.code_and_state().0
    }

    /// The SQLSTATE.
    pub fn state(&self) -> [u8; 5] {
        self.code_and_state().1
    }

    fn code_and_state(&self) -> (u16, [u8; 5]) {
        match self {
            Self::Malformed => (1835, *b"HY000"),
            Self::UnknownCommand => (1047, *b"08S01"),
            Self::NoSuchThread { .. } => (1094, *b"HY000"),
            Self::NotOwner { .. } => (1095, *b"HY000"),
            Self::DiagnosticsElsewhere | Self::Unsupported(_) => (1235, *b"42000"),
            Self::UnknownStatement { .. } => (1243, *b"HY000"),
            Self::NoCursor { .. } => (1421, *b"HY000"),
            Self::TooManyStatements { .. } => (1461, *b"42000"),
            Self::UnknownVariable { .. } => (1193, *b"HY000"),
            Self::PacketTooLong | Self::PacketTooLarge { .. } => (1153, *b"08S01"),
            Self::AccessDenied { .. } => (1045, *b"28000"),
            Self::Inactive => (4031, *b"HY000"),
            Self::BadHandshake(_) | Self::TlsNotOffered => (1043, *b"08S01"),
            Self::ClientTooOld => (1251, *b"08004"),
            Self::PacketsOutOfOrder => (1156, *b"08S01"),
            Self::Interrupted => (1317, *b"70100"),
            Self::Denied { .. } => (1227, *b"42000"),
            Self::OverLimit { .. } => (1226, *b"42000"),
            Self::StatementTimeout { .. } => (3024, *b"HY000"),
            Self::ShuttingDown => (1053, *b"08S01"),
            Self::TooManySessions { .. } | Self::PoolExhausted(_) => (1040, *b"08004"),
            Self::NoPrimary | Self::Unreachable(_) => (2003, *b"HY000"),
            Self::Refused { code, state, .. } => (*code, *state),
            Self::PrimaryLost
            | Self::PrimaryLostIdle
            | Self::ReadOnlyTransactionLost
            | Self::ServersLost { .. }
            | Self::TimedOut(_) => (2013, *b"HY000"),
            Self::NotRestored => (1105, *b"HY000"),
            Self::PrimaryBehind
            | Self::SightsUnknown
            | Self::ReplicasBehind
            | Self::CatchUpTimeout { .. }
            | Self::NoFreshReplica { .. }
            | Self::OverBudget => (1205, *b"HY000"),
            Self::LevelBroken { .. } => (1235, *b"42000"),
            Self::UnknownPosition => (1231, *b"42000"),
            Self::NoPosition => (1105, *b"HY000"),
            Self::ReadOnlyVariable { .. } => (1238, *b"HY000"),
            Self::WrongValue { .. } | Self::WrongHint { .. } => (1231, *b"42000"),
        }
    }

    /// What went wrong, for the metrics.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed
            | Self::BadHandshake(_)
            | Self::PacketsOutOfOrder
            | Self::PacketTooLarge { .. } => ErrorKind::Protocol,
            Self::UnknownCommand
            | Self::TlsNotOffered
            | Self::ClientTooOld
            | Self::DiagnosticsElsewhere
            | Self::PacketTooLong
            | Self::LevelBroken { .. }
            | Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::NoSuchThread { .. }
            | Self::NotOwner { .. }
            | Self::UnknownStatement { .. }
            | Self::NoCursor { .. }
            | Self::UnknownVariable { .. }
            | Self::Interrupted
            | Self::Denied { .. }
            | Self::UnknownPosition
            | Self::NoPosition
            | Self::ReadOnlyVariable { .. }
            | Self::WrongValue { .. }
            | Self::WrongHint { .. } => ErrorKind::Statement,
            Self::AccessDenied { .. } | Self::Refused { .. } => ErrorKind::Auth,
            Self::TooManySessions { .. }
            | Self::ShuttingDown
            | Self::PoolExhausted(_)
            | Self::TooManyStatements { .. }
            | Self::Inactive
            | Self::OverLimit { .. }
            | Self::OverBudget => ErrorKind::Limit,
            Self::NoPrimary => ErrorKind::NoServer,
            Self::Unreachable(_) | Self::SightsUnknown => ErrorKind::Unreachable,
            Self::PrimaryLost
            | Self::PrimaryLostIdle
            | Self::ReadOnlyTransactionLost
            | Self::ServersLost { .. } => ErrorKind::Disconnected,
            Self::NotRestored => ErrorKind::Statement,
            Self::PrimaryBehind
            | Self::ReplicasBehind
            | Self::CatchUpTimeout { .. }
            | Self::NoFreshReplica { .. }
            | Self::StatementTimeout { .. }
            | Self::TimedOut(_) => ErrorKind::Timeout,
        }
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Malformed
            | Self::BadHandshake(_)
            | Self::TlsNotOffered
            | Self::ClientTooOld
            | Self::PacketsOutOfOrder
            | Self::PacketTooLarge { .. }
            | Self::UnknownCommand
            | Self::NoSuchThread { .. }
            | Self::NotOwner { .. }
            | Self::DiagnosticsElsewhere
            | Self::UnknownStatement { .. }
            | Self::TooManyStatements { .. }
            | Self::NoCursor { .. }
            | Self::UnknownVariable { .. }
            | Self::PacketTooLong
            | Self::AccessDenied { .. }
            | Self::Inactive
            | Self::WrongValue { .. }
            | Self::WrongHint { .. }
            | Self::Interrupted
            | Self::Denied { .. }
            | Self::UnknownPosition
            | Self::NoPosition
            | Self::ReadOnlyVariable { .. }
            | Self::Unsupported(_) => Side::Client,
            Self::TooManySessions { .. }
            | Self::ShuttingDown
            | Self::PoolExhausted(_)
            | Self::OverLimit { .. }
            | Self::StatementTimeout { .. }
            | Self::OverBudget => Side::Proxy,
            Self::NoPrimary
            | Self::Unreachable(_)
            | Self::Refused { .. }
            | Self::ServersLost { .. }
            | Self::PrimaryLost
            | Self::PrimaryLostIdle
            | Self::ReadOnlyTransactionLost
            | Self::NotRestored
            | Self::PrimaryBehind
            | Self::SightsUnknown
            | Self::LevelBroken { .. }
            | Self::CatchUpTimeout { .. }
            | Self::NoFreshReplica { .. }
            | Self::ReplicasBehind
            | Self::TimedOut(_) => Side::Backend,
        }
    }

    /// Appends the ERR packet.
    pub fn put(&self, out: &mut Vec<u8>, seq: &mut u8) {
        let (code, state) = self.code_and_state();
        let text = match self {
            // The server's own words.
            Self::AccessDenied { .. }
            | Self::Refused { .. }
            | Self::NoSuchThread { .. }
            | Self::NotOwner { .. }
            | Self::UnknownCommand
            | Self::UnknownStatement { .. }
            | Self::NoCursor { .. }
            | Self::Inactive
            | Self::Interrupted => self.to_string(),
            _ => format!("Highwater: {self}"),
        };
        put_err(code, state, &text, out, seq);
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
                ClientError::UnknownCommand,
                1047,
                "08S01",
                "Unknown command",
            ),
            (
                ClientError::NoSuchThread { id: 7 },
                1094,
                "HY000",
                "Unknown thread id: 7",
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
}
