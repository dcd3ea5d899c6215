//! The packets of a login, for both sides.
//!
//! mysql_common has these packets too, but cuts capabilities that it has no name for and takes the connection
//! attributes apart; here both stay as the peer sent them.

mod greeting;
mod response;

pub use greeting::{Greeting, ServerGreeting};
pub use response::{ClientHello, HandshakeResponse, connect_attribute, hello, put_response};

use super::auth::{NONCE_LEN, Nonce};
use super::frame;
use super::reader::Reader;
use super::writer::put_nul_bytes;

/// Asks for the other side's public key in caching_sha2_password's full exchange.
pub const REQUEST_PUBLIC_KEY: u8 = 2;

/// The first bytes of packets in a login after the response.
const MORE_DATA: u8 = 0x01;
const AUTH_SWITCH: u8 = 0xFE;
const FAST_AUTH_OK: u8 = 3;
const FULL_AUTH: u8 = 4;

/// What a server says in a login after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthReply<'a> {
    /// The login succeeded; the payload is an OK packet.
    Ok(&'a [u8]),
    /// It failed; the payload is an ERR packet.
    Err(&'a [u8]),
    /// Begin again with this plugin and nonce.
    Switch {
        /// The plugin's name.
        plugin: &'a [u8],
        /// Its data: a nonce without the NUL that ends it.
        data: &'a [u8],
    },
    /// The scramble was right; OK follows.
    FastAuthOk,
    /// The server wants the password itself, sealed.
    FullAuth,
    /// Data of the plugin, such as a public key.
    Data(&'a [u8]),
}

impl<'a> AuthReply<'a> {
    /// Views a payload. `None` if it is none of these; a switch without a plugin is from before 4.1.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        match payload {
            [0x00, ..] => Some(Self::Ok(payload)),
            [0xFF, ..] => Some(Self::Err(payload)),
            [MORE_DATA, FAST_AUTH_OK] => Some(Self::FastAuthOk),
            [MORE_DATA, FULL_AUTH] => Some(Self::FullAuth),
            [MORE_DATA, data @ ..] => Some(Self::Data(data)),
            [AUTH_SWITCH, rest @ ..] => {
                let mut reader = Reader::new(rest);
                let plugin = reader.nul_bytes()?;
                let data = match reader.rest() {
                    [data @ .., 0] | data => data,
                };
                Some(Self::Switch { plugin, data })
            }
            _ => None,
        }
    }
}

/// Appends the request to log in by another plugin, against a fresh nonce.
pub fn put_auth_switch(plugin: &str, nonce: &Nonce, out: &mut Vec<u8>, seq: &mut u8) {
    frame::append_with(out, seq, |out| {
        out.push(AUTH_SWITCH);
        put_nul_bytes(out, plugin.as_bytes());
        put_nul_bytes(out, nonce);
    });
}

/// Appends caching_sha2_password's word that the scramble was right.
pub fn put_fast_auth_ok(out: &mut Vec<u8>, seq: &mut u8) {
    frame::append_packet(out, seq, &[MORE_DATA, FAST_AUTH_OK]);
}

/// A nonce from what a server sent; `None` if it has not the right length.
pub fn nonce_of(data: &[u8]) -> Option<Nonce> {
    data.get(..NONCE_LEN)?.try_into().ok()
}

#[cfg(test)]
#[path = "handshake/tests.rs"]
mod tests;
