//! The form of `@@global.gtid_owned`: the transactions that threads are committing right now, each
//! number followed by `#` and the thread's id.

use super::GtidSet;
use super::parse::{GtidError, read};

/// Reads `uuid:5#12:6#13,uuid2:tag:7#14`. One number may have several threads (`5#12#13`).
pub(super) fn parse(text: &[u8]) -> Result<GtidSet, GtidError> {
    read(text, |cursor| {
        let number = cursor.number()?;
        while cursor.eat(b'#') {
            cursor.digits()?;
        }
        Ok(Some((number, number)))
    })
}
