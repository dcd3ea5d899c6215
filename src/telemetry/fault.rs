//! The words for errors: what went wrong, whose fault it is, and whether to try again.

use super::label::Label;

/// What went wrong. A fixed set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A login was refused: unknown user, wrong password, unknown authentication plugin.
    Auth,
    /// Bytes that are not the MySQL protocol, or not allowed where they came.
    Protocol,
    /// The other end closed the connection.
    Disconnected,
    /// A server could not be reached.
    Unreachable,
    /// Something took longer than its limit.
    Timeout,
    /// A configured limit was met: sessions, connections, sizes.
    Limit,
    /// No server may take the statement.
    NoServer,
    /// A server answered a statement with an error packet.
    Statement,
    /// The client asked for something that this version does not do.
    Unsupported,
    /// A mistake of Highwater itself.
    Internal,
}

impl Label for ErrorKind {
    const ALL: &'static [Self] = &[
        Self::Auth,
        Self::Protocol,
        Self::Disconnected,
        Self::Unreachable,
        Self::Timeout,
        Self::Limit,
        Self::NoServer,
        Self::Statement,
        Self::Unsupported,
        Self::Internal,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Protocol => "protocol",
            Self::Disconnected => "disconnected",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::NoServer => "no_server",
            Self::Statement => "statement",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The application or its driver.
    Client,
    /// A database server, or the way to it.
    Backend,
    /// Highwater, its configuration or its machine.
    Proxy,
}

impl Label for Side {
    const ALL: &'static [Self] = &[Self::Client, Self::Backend, Self::Proxy];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Proxy => "proxy",
        }
    }
}

/// Whether what failed may be tried again without doing something twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing happened on any server: the same again is safe, also elsewhere.
    Safe,
    /// Something may have happened: a write must not be sent again.
    Unsafe,
    /// It would fail again in the same way.
    Useless,
}

impl Label for Retry {
    const ALL: &'static [Self] = &[Self::Safe, Self::Unsafe, Self::Useless];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
            Self::Useless => "useless",
        }
    }
}
