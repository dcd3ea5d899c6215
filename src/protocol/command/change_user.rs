//! COM_CHANGE_USER: a login inside a connection.

use super::CommandCode;
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::reader::Reader;

/// A view of a COM_CHANGE_USER's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// The new user.
    pub user: &'a [u8],
    /// The answer to the greeting's nonce, by `plugin`.
    pub auth: &'a [u8],
    /// The new default schema; empty for none.
    pub database: &'a [u8],
    /// The collation id; `None` from clients that leave it out.
    pub charset: Option<u16>,
    /// The authentication plugin; empty if the client has none.
    pub plugin: &'a [u8],
    /// The connection attributes, undecoded and without their length.
    pub connect_attrs: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Views a payload of a client with these capabilities (SECURE_CONNECTION is required).
    pub fn parse(payload: &'a [u8], caps: CapabilityFlags) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != CommandCode::ChangeUser as u8 {
            return None;
        }
        let user = reader.nul_bytes()?;
        let auth = reader.u8_bytes()?;
        let database = reader.nul_bytes()?;
        let charset = match reader.is_empty() {
            true => None,
            false => Some(reader.u16()?),
        };
        let mut plugin = &[][..];
        if caps.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) && !reader.is_empty() {
            plugin = reader.nul_bytes_or_rest()?;
        }
        let mut connect_attrs = &[][..];
        if caps.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) && !reader.is_empty() {
            connect_attrs = reader.lenenc_bytes()?;
        }
        Some(Self {
            user,
            auth,
            database,
            charset,
            plugin,
            connect_attrs,
        })
    }
}
