//! The first packet of a connection: what the server is and the nonce to answer.

use super::super::auth::{NONCE_LEN, Nonce};
use super::super::caps::CapabilityFlags;
use super::super::frame;
use super::super::reader::Reader;
use super::super::status::Status;
use super::super::writer::{put_nul_bytes, put_u16, put_u32};

const PROTOCOL_VERSION: u8 = 10;
/// The part of the nonce that stands before the capabilities.
const NONCE_HEAD: usize = 8;

/// A greeting to send.
#[derive(Clone, Debug)]
pub struct Greeting<'a> {
    /// The version to show, such as that of the primary.
    pub version: &'a [u8],
    /// The connection id, by which clients ask for KILL.
    pub connection_id: u32,
    /// The capabilities offered.
    pub caps: CapabilityFlags,
    /// The low byte of the default collation's id.
    pub charset: u8,
    /// The status flags of a new session.
    pub status: Status,
    /// What clients answer.
    pub nonce: Nonce,
    /// The plugin that clients should begin with.
    pub plugin: &'a str,
}

impl Greeting<'_> {
    /// Appends the packet.
    pub fn put(&self, out: &mut Vec<u8>, seq: &mut u8) {
        let [caps @ .., caps_2, caps_3] = self.caps.bits().to_le_bytes();
        let (head, tail) = self.nonce.split_at(NONCE_HEAD);
        frame::append_with(out, seq, |out| {
            out.push(PROTOCOL_VERSION);
            put_nul_bytes(out, self.version);
            put_u32(out, self.connection_id);
            put_nul_bytes(out, head);
            out.extend_from_slice(&caps);
            out.push(self.charset);
            put_u16(out, self.status.0);
            out.extend_from_slice(&[caps_2, caps_3, 21]);
            out.extend_from_slice(&[0; 10]);
            put_nul_bytes(out, tail);
            put_nul_bytes(out, self.plugin.as_bytes());
        });
    }
}

/// A greeting that a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerGreeting {
    /// The server's version as it gives it; MariaDB puts `5.5.5-` before its own.
    pub version: Vec<u8>,
    /// The connection's id there (the low 32 bits).
    pub connection_id: u32,
    /// What the server can do.
    pub caps: CapabilityFlags,
    /// The low byte of its default collation's id.
    pub charset: u8,
    /// The status flags of a new session.
    pub status: Status,
    /// What to answer.
    pub nonce: Nonce,
    /// The plugin that it begins with.
    pub plugin: Vec<u8>,
}

impl ServerGreeting {
    /// Reads a greeting. `None` if it is none of protocol 10 with a nonce of 20 bytes (4.1 and later).
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != PROTOCOL_VERSION {
            return None;
        }
        let version = reader.nul_bytes()?.to_vec();
        let connection_id = reader.u32()?;
        let nonce_head = reader.bytes(NONCE_HEAD)?;
        reader.u8()?;
        let caps_low = reader.u16()?;
        let charset = reader.u8()?;
        let status = Status(reader.u16()?);
        let caps_high = reader.u16()?;
        reader.bytes(11)?;
        let nonce_tail = reader.bytes(NONCE_LEN - NONCE_HEAD)?;
        let _nul = reader.u8();
        let plugin = match reader.rest() {
            [plugin @ .., 0] | plugin => plugin.to_vec(),
        };
        let caps = u32::from(caps_low) | u32::from(caps_high) << 16;
        Some(Self {
            version,
            connection_id,
            caps: CapabilityFlags::from_bits_retain(caps),
            charset,
            status,
            nonce: [nonce_head, nonce_tail].concat().try_into().ok()?,
            plugin,
        })
    }
}
