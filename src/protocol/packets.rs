//! OK, EOF and ERR packets: the ones that Highwater sends itself, and a view of a server's ERR.

use super::frame;
use super::reader::Reader;
use super::status::Status;
use super::writer::{put_lenenc, put_lenenc_bytes, put_u16};

/// What goes into an OK packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct OkPacket<'a> {
    /// Rows that the statement changed.
    pub affected_rows: u64,
    /// The first AUTO_INCREMENT value that it made.
    pub last_insert_id: u64,
    /// The session's status flags.
    pub status: Status,
    /// How many warnings it left.
    pub warnings: u16,
    /// A message for humans.
    pub info: &'a [u8],
}

impl OkPacket<'_> {
    /// Appends it as a result of its own (0x00).
    pub fn put(&self, out: &mut Vec<u8>, seq: &mut u8) {
        self.put_as(0x00, out, seq);
    }

    /// Appends it as the end of a result set: an OK packet that begins with 0xFE, or an EOF packet for clients without DEPRECATE_EOF.
    pub fn put_result_end(&self, deprecate_eof: bool, out: &mut Vec<u8>, seq: &mut u8) {
        if deprecate_eof {
            self.put_as(0xFE, out, seq);
        } else {
            put_eof(self.status, self.warnings, out, seq);
        }
    }

    fn put_as(&self, header: u8, out: &mut Vec<u8>, seq: &mut u8) {
        frame::append_with(out, seq, |out| {
            out.push(header);
            put_lenenc(out, self.affected_rows);
            put_lenenc(out, self.last_insert_id);
            put_u16(out, self.status.0);
            put_u16(out, self.warnings);
            if !self.info.is_empty() {
                put_lenenc_bytes(out, self.info);
            }
        });
    }
}

/// Appends an EOF packet.
pub fn put_eof(status: Status, warnings: u16, out: &mut Vec<u8>, seq: &mut u8) {
    frame::append_with(out, seq, |out| {
        out.push(0xFE);
        put_u16(out, warnings);
        put_u16(out, status.0);
    });
}

/// Appends an ERR packet. `state` is the SQLSTATE.
pub fn put_err(code: u16, state: [u8; 5], message: &str, out: &mut Vec<u8>, seq: &mut u8) {
    frame::append_with(out, seq, |out| {
        out.push(0xFF);
        put_u16(out, code);
        out.push(b'#');
        out.extend_from_slice(&state);
        out.extend_from_slice(message.as_bytes());
    });
}

/// A view of an ERR packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrView<'a> {
    /// The server's error number.
    pub code: u16,
    /// The SQLSTATE; `HY000` if the packet has none, as one sent before the handshake.
    pub state: [u8; 5],
    /// The message, in the connection's character set.
    pub message: &'a [u8],
}

impl<'a> ErrView<'a> {
    /// Views a payload that begins with 0xFF.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != 0xFF {
            return None;
        }
        let code = reader.u16()?;
        let (state, message) = match reader.rest() {
            [b'#', rest @ ..] if rest.len() >= 5 => {
                let (state, message) = rest.split_first_chunk::<5>()?;
                (*state, message)
            }
            message => (*b"HY000", message),
        };
        Some(Self {
            code,
            state,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ok::OkView;
    use proptest::prelude::*;

    fn built(put: impl FnOnce(&mut Vec<u8>, &mut u8)) -> Vec<u8> {
        let (mut out, mut seq) = (Vec::new(), 3);
        put(&mut out, &mut seq);
        assert_eq!((out[3], seq), (3, 4));
        frame::payload(&out).unwrap().to_vec()
    }

    #[test]
    fn an_err_packet_reads_back() {
        let payload = built(|out, seq| put_err(1047, *b"08S01", "Unknown command", out, seq));
        let err = ErrView::parse(&payload).unwrap();
        assert_eq!((err.code, &err.state), (1047, b"08S01"));
        assert_eq!(err.message, b"Unknown command");
    }

    #[test]
    fn an_err_packet_without_sqlstate_is_read() {
        let err = ErrView::parse(b"\xFF\x10\x04Too many connections").unwrap();
        assert_eq!((err.code, &err.state), (1040, b"HY000"));
        assert_eq!(err.message, b"Too many connections");
        assert_eq!(ErrView::parse(b"\xFF\x10"), None);
    }

    proptest! {
        #[test]
        fn an_ok_packet_reads_back(rows: u64, id: u64, flags: u16, warnings: u16, info: Vec<u8>) {
            let status = Status(flags).without(Status::STATE_CHANGED);
            let ok = OkPacket { affected_rows: rows, last_insert_id: id, status, warnings, info: &info };
            let payload = built(|out, seq| ok.put(out, seq));
            let view = OkView::parse(&payload).unwrap();
            prop_assert_eq!((view.affected_rows, view.last_insert_id), (rows, id));
            prop_assert_eq!((view.status, view.warnings, view.info), (status, warnings, &*info));
            for deprecate_eof in [true, false] {
                let payload = built(|out, seq| ok.put_result_end(deprecate_eof, out, seq));
                let view = OkView::parse(&payload).unwrap();
                prop_assert_eq!((view.status, view.warnings), (status, warnings));
            }
        }
    }
}
