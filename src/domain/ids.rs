//! Newtypes that keep the many small numbers of a proxy apart.

/// The connection id that a client was given in its greeting. Clients name it in KILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

impl SessionId {
    /// The first id that clients are given. A server's own ids begin at 1 and are far from here, so that
    /// the two kinds never mix.
    pub const FIRST: u32 = 1 << 30;
    /// No id from here on is given: a driver that reads a signed number gets the same one.
    pub const END: u32 = 1 << 31;

    /// The id at this place of an endless round through all of them.
    pub const fn at(turn: u32) -> Self {
        Self(Self::FIRST | (turn & (Self::END - Self::FIRST - 1)))
    }

    /// The session of this number in a KILL; `None` for a number that no client was given.
    pub fn of_number(number: u64) -> Option<Self> {
        let id = u32::try_from(number).ok()?;
        (Self::FIRST..Self::END).contains(&id).then_some(Self(id))
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A configured server. 0 is the primary, 1.. are the replicas in the order of the configuration, then
/// those that a reload brought. No number is ever given to another server.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerThreadId(pub u64);

/// A prepared statement's id as a client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientStmtId(pub u32);

/// A prepared statement's id as one server connection knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerStmtId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_stay_in_their_range() {
        for (turn, id) in [
            (0, 1_073_741_824),
            (1, 1_073_741_825),
            ((1 << 30) - 1, 2_147_483_647),
            (1 << 30, 1_073_741_824),
            (u32::MAX, 2_147_483_647),
        ] {
            assert_eq!(SessionId::at(turn), SessionId(id), "{turn}");
            assert_eq!(SessionId::of_number(id.into()), Some(SessionId(id)));
        }
        for stranger in [0, 1, (1 << 30) - 1, 1 << 31, u64::MAX] {
            assert_eq!(SessionId::of_number(stranger), None, "{stranger}");
        }
    }
}
