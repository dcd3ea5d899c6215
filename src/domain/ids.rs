//! Newtypes that keep the many small numbers of a proxy apart.

/// The connection id that a client was given in its greeting. Clients name it in KILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A configured server. 0 is the primary, 1.. are the replicas in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub u16);

impl BackendId {
    /// The configured primary.
    pub const PRIMARY: Self = Self(0);

    /// Whether this is the configured primary.
    pub fn is_primary(self) -> bool {
        self == Self::PRIMARY
    }

    /// The place of this server in tables that hold one entry per server.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A server's own id of one of its connections (what KILL on that server takes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerThreadId(pub u64);

/// A prepared statement's id as a client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientStmtId(pub u32);

/// A prepared statement's id as one server connection knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerStmtId(pub u32);
