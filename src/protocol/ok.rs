//! What an OK or EOF packet says: counts, status flags, and the session state that the server tracks.
//!
//! With CLIENT_SESSION_TRACK the layout is the same after 0x00 and after the 0xFE that ends rows; a payload of five bytes
//! that begins with 0xFE is the EOF of clients without DEPRECATE_EOF.

mod rewrite;
mod track;

use super::reader::Reader;
use super::status::Status;
pub use rewrite::{add_warning, change_status, rewrite_ok, set_warnings, strip_ok_in_place};
pub use track::{SessionTrack, TrackEntry};

/// An EOF packet: 0xFE, warnings, status.
const EOF_LEN: usize = 5;

/// A view of an OK or EOF packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkView<'a> {
    /// 0 in an EOF packet.
    pub affected_rows: u64,
    /// 0 if the statement made none.
    pub last_insert_id: u64,
    /// The server's status flags.
    pub status: Status,
    /// How many warnings the statement left.
    pub warnings: u16,
    /// The message for humans; often empty.
    pub info: &'a [u8],
    /// The session-state block without its length; empty if nothing changed.
    pub state: &'a [u8],
    /// Where the status flags stand in the payload.
    status_at: usize,
    /// Where the info ends in the payload.
    info_end: usize,
}

impl<'a> OkView<'a> {
    /// Views a payload that begins with 0x00 or 0xFE. `None` if it is not whole: a state block that cannot be read
    /// may have held a position, so it is not taken for an empty one.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        match (reader.u8()?, payload.len()) {
            (0xFE, EOF_LEN) => Self::parse_eof(reader),
            (0x00 | 0xFE, _) => Self::parse_ok(reader),
            _ => None,
        }
    }

    fn parse_eof(mut reader: Reader<'a>) -> Option<Self> {
        let warnings = reader.u16()?;
        let status_at = reader.pos();
        Some(Self {
            info_end: EOF_LEN,
            affected_rows: 0,
            last_insert_id: 0,
            status: Status(reader.u16()?),
            warnings,
            info: &[],
            state: &[],
            status_at,
        })
    }

    fn parse_ok(mut reader: Reader<'a>) -> Option<Self> {
        let affected_rows = reader.lenenc()?;
        let last_insert_id = reader.lenenc()?;
        let status_at = reader.pos();
        let status = Status(reader.u16()?);
        let warnings = reader.u16()?;
        let mut info = reader.lenenc_bytes();
        let info_end = reader.pos();
        let mut state = &[][..];
        if status.contains(Status::STATE_CHANGED) {
            info = Some(info?);
            state = reader.lenenc_bytes()?;
        }
        Some(Self {
            affected_rows,
            last_insert_id,
            status,
            warnings,
            info: info.unwrap_or_else(|| reader.rest()),
            state,
            status_at,
            info_end,
        })
    }

    /// What the server says about the session.
    pub fn session_track(&self) -> SessionTrack<'a> {
        SessionTrack::new(self.state)
    }

    /// Whether it is an EOF packet, where the status comes last.
    fn is_eof(&self) -> bool {
        self.status_at + 2 == self.info_end
    }

    /// Where the warnings stand in the payload: before an EOF's status, after an OK's.
    fn warnings_at(&self) -> usize {
        match self.is_eof() {
            true => 1,
            false => self.status_at + 2,
        }
    }

    /// Where the info begins in the payload of an OK packet: after status and warnings.
    fn info_at(&self) -> usize {
        self.status_at + 4
    }
}

#[cfg(test)]
#[path = "ok/tests.rs"]
mod tests;
