//! The client's answer to a greeting.

use super::super::caps::CapabilityFlags;
use super::super::frame;
use super::super::reader::Reader;
use super::super::writer::{put_lenenc_bytes, put_nul_bytes, put_u32};

/// Filler between the charset and the user.
const FILLER: usize = 23;
/// The payload of a request for TLS: the response up to the user.
const SSL_REQUEST_LEN: usize = 32;

/// Which kind of answer a client gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHello<'a> {
    /// A login.
    Response(HandshakeResponse<'a>),
    /// It wants to talk TLS before it says who it is.
    SslRequest,
    /// It speaks the protocol of before 4.1.
    TooOld,
}

/// A login as the client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// What the client says it can do, offered or not.
    pub caps: CapabilityFlags,
    /// The largest packet it will take.
    pub max_packet: u32,
    /// The low byte of its collation's id.
    pub charset: u8,
    /// The user's name.
    pub user: &'a [u8],
    /// The proof of the password.
    pub auth: &'a [u8],
    /// The default schema; empty for none.
    pub database: &'a [u8],
    /// The plugin that made the proof; empty if the client knows no plugins.
    pub plugin: &'a [u8],
    /// The connection attributes, undecoded and without their length.
    pub connect_attrs: &'a [u8],
}

/// Reads a client's first packet. `None` if it is malformed.
pub fn hello(payload: &[u8]) -> Option<ClientHello<'_>> {
    let mut reader = Reader::new(payload);
    let low_caps = Reader::new(payload).u16()?;
    if u32::from(low_caps) & CapabilityFlags::CLIENT_PROTOCOL_41.bits() == 0 {
        return Some(ClientHello::TooOld);
    }
    let caps = CapabilityFlags::from_bits_retain(reader.u32()?);
    let max_packet = reader.u32()?;
    let charset = reader.u8()?;
    reader.bytes(FILLER)?;
    if caps.contains(CapabilityFlags::CLIENT_SSL) && payload.len() == SSL_REQUEST_LEN {
        return Some(ClientHello::SslRequest);
    }
    let user = reader.nul_bytes()?;
    let auth = read_auth(&mut reader, caps)?;
    let has = |flag| caps.contains(flag);
    let with_db = has(CapabilityFlags::CLIENT_CONNECT_WITH_DB);
    let database = optional(&mut reader, with_db, Reader::nul_bytes)?;
    let with_plugin = has(CapabilityFlags::CLIENT_PLUGIN_AUTH);
    let plugin = optional(&mut reader, with_plugin, Reader::nul_bytes_or_rest)?;
    let with_attrs = has(CapabilityFlags::CLIENT_CONNECT_ATTRS);
    let connect_attrs = optional(&mut reader, with_attrs, Reader::lenenc_bytes)?;
    Some(ClientHello::Response(HandshakeResponse {
        caps,
        max_packet,
        charset,
        user,
        auth,
        database,
        plugin,
        connect_attrs,
    }))
}

/// The value of a connection attribute among undecoded ones; the last counts. `None` if there is no
/// such attribute, or what stands before it cannot be read.
pub fn connect_attribute<'a>(attributes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(attributes);
    let mut found = None;
    while !reader.is_empty() {
        let (Some(key), Some(value)) = (reader.lenenc_bytes(), reader.lenenc_bytes()) else {
            break;
        };
        if key == name {
            found = Some(value);
        }
    }
    found
}

fn read_auth<'a>(reader: &mut Reader<'a>, caps: CapabilityFlags) -> Option<&'a [u8]> {
    if caps.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.lenenc_bytes()
    } else if caps.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        reader.u8_bytes()
    } else {
        reader.nul_bytes()
    }
}

/// A field that a client with its capability sends, unless the packet ends before it.
fn optional<'a>(
    reader: &mut Reader<'a>,
    sent: bool,
    read: impl FnOnce(&mut Reader<'a>) -> Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    if sent && !reader.is_empty() {
        read(reader)
    } else {
        Some(&[])
    }
}

/// Appends a login to send. `connect_attrs` holds names and values; the database and the attributes go with it if `caps` says
/// so. PROTOCOL_41, PLUGIN_AUTH and PLUGIN_AUTH_LENENC have to be among `caps`.
pub fn put_response(response: &HandshakeResponse<'_>, out: &mut Vec<u8>, seq: &mut u8) {
    let has = |flag| response.caps.contains(flag);
    frame::append_with(out, seq, |out| {
        put_u32(out, response.caps.bits());
        put_u32(out, response.max_packet);
        out.push(response.charset);
        out.extend_from_slice(&[0; FILLER]);
        put_nul_bytes(out, response.user);
        put_lenenc_bytes(out, response.auth);
        if has(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
            put_nul_bytes(out, response.database);
        }
        put_nul_bytes(out, response.plugin);
        if has(CapabilityFlags::CLIENT_CONNECT_ATTRS) {
            put_lenenc_bytes(out, response.connect_attrs);
        }
    });
}
