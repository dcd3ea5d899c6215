//! Which capabilities are offered to clients, and which a server connection is opened with.
//!
//! Reply bytes are relayed as they are, so whatever changes a reply's shape must be equal on both hops: it
//! is part of the [`CapabilityProfile`], by which pooled connections are told apart.

pub use mysql_common::constants::CapabilityFlags;

/// What is supported towards clients. Not among it: TLS, compression, optional result-set metadata
/// and multi-factor authentication.
pub const OFFERED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_IGNORE_SIGPIPE)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_RESERVED)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS)
    .union(CapabilityFlags::CLIENT_SESSION_TRACK)
    .union(FOLLOWS_CLIENT);

/// What a server does differently for a client that has it: on the server connection exactly
/// when the client has it.
pub const FOLLOWS_CLIENT: CapabilityFlags = CapabilityFlags::CLIENT_FOUND_ROWS
    .union(CapabilityFlags::CLIENT_NO_SCHEMA)
    .union(CapabilityFlags::CLIENT_ODBC)
    .union(CapabilityFlags::CLIENT_LOCAL_FILES)
    .union(CapabilityFlags::CLIENT_IGNORE_SPACE)
    .union(CapabilityFlags::CLIENT_INTERACTIVE)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);

/// What every server connection has, whatever its client can do. Without session tracking there is
/// no position of a write and no mirror of the session's state.
pub const REQUIRED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_FLAG
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_SESSION_TRACK);

/// The capabilities of the greeting for clients of a primary that has `server_caps`.
///
/// LONG_PASSWORD is offered always: MariaDB uses its absence to announce its own extensions, which
/// are not relayed. CONNECT_ATTRS, PLUGIN_AUTH and the like concern this hop alone but every server
/// worth relaying has them.
pub fn greeting_caps(server_caps: CapabilityFlags) -> CapabilityFlags {
    (server_caps & OFFERED) | CapabilityFlags::CLIENT_LONG_PASSWORD
}

/// The profile of the server connections that a client with `client_caps` may use.
pub fn backend_caps(client_caps: CapabilityFlags) -> CapabilityProfile {
    CapabilityProfile((client_caps & FOLLOWS_CLIENT | REQUIRED).bits())
}

/// The capabilities of a server connection: equal profiles can share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapabilityProfile(u32);

impl CapabilityProfile {
    /// A profile of exactly these flags. [`backend_caps`] gives the one for a client.
    pub fn new(flags: CapabilityFlags) -> Self {
        Self(flags.bits())
    }

    /// The flags to log in with.
    pub fn flags(self) -> CapabilityFlags {
        CapabilityFlags::from_bits_retain(self.0)
    }

    /// The same as far as a server that lacks these can have it.
    #[must_use]
    pub fn without(self, lacking: CapabilityFlags) -> Self {
        Self((self.flags() - (lacking - REQUIRED)).bits())
    }

    /// Whether result sets end with an OK packet instead of EOF, and none follows the columns.
    pub fn deprecate_eof(self) -> bool {
        self.flags().contains(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    }

    /// Whether COM_QUERY and COM_STMT_EXECUTE carry query attributes.
    pub fn query_attributes(self) -> bool {
        self.flags()
            .contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unsupported_is_offered_even_by_a_server_that_has_all() {
        let unsupported = CapabilityFlags::CLIENT_SSL
            | CapabilityFlags::CLIENT_COMPRESS
            | CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM
            | CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA
            | CapabilityFlags::MULTI_FACTOR_AUTHENTICATION;
        assert!(!greeting_caps(CapabilityFlags::all()).intersects(unsupported));
    }

    #[test]
    fn the_profile_follows_what_shapes_replies_and_nothing_else() {
        let with = backend_caps(OFFERED);
        assert!(with.deprecate_eof() && with.query_attributes());
        assert!(
            !with
                .flags()
                .contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
        );
        let without = backend_caps(CapabilityFlags::CLIENT_PROTOCOL_41);
        assert!(!without.deprecate_eof() && !without.query_attributes());
        assert!(
            without
                .flags()
                .contains(CapabilityFlags::CLIENT_SESSION_TRACK)
        );
        assert_eq!(
            without,
            backend_caps(
                CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_LONG_PASSWORD
            )
        );
    }
}
