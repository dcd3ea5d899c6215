//! The server status flags that end packets carry (SERVER_STATUS_* of the protocol's documentation).

use std::ops::BitOr;

/// A set of status flags. Bits that have no name here are kept and passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// A read-write or read-only transaction is open.
    pub const IN_TRANS: Self = Self(0x0001);
    /// autocommit is on.
    pub const AUTOCOMMIT: Self = Self(0x0002);
    /// Another result follows the packet.
    pub const MORE_RESULTS: Self = Self(0x0008);
    /// A statement's cursor is open: rows come by COM_STMT_FETCH.
    pub const CURSOR_EXISTS: Self = Self(0x0040);
    /// COM_STMT_FETCH has sent the last row.
    pub const LAST_ROW_SENT: Self = Self(0x0080);
    /// A schema was dropped.
    pub const DB_DROPPED: Self = Self(0x0100);
    /// sql_mode has NO_BACKSLASH_ESCAPES: `\` is an ordinary character in strings.
    pub const NO_BACKSLASH_ESCAPES: Self = Self(0x0200);
    /// A result set's metadata differs from what the prepare said.
    pub const METADATA_CHANGED: Self = Self(0x0400);
    /// This result holds the OUT parameters of a CALL.
    pub const PS_OUT_PARAMS: Self = Self(0x1000);
    /// The open transaction is read only.
    pub const IN_TRANS_READONLY: Self = Self(0x2000);
    /// The OK packet carries a session-state block.
    pub const STATE_CHANGED: Self = Self(0x4000);

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Status {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
