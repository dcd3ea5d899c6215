//! The form of `@@global.gtid_owned`: the transactions that threads are committing right now, each
//! number followed by `#` and the thread's id.
//!
//! MySQL 9.7 writes nothing between the sources, so that a thread's id and the next uuid run
//! together: `…9562:2#38:11#343e11fa47-71ca-11e1-9e33-c80aa9429562:tag:5#31`. A uuid is told by its
//! dashes, which stand nowhere else.

use super::GtidSet;
use super::parse::{GtidError, MAX_TEXT, read};

/// Bytes of a uuid, and those before its first dash.
const UUID: usize = 36;
const BEFORE_DASH: usize = 8;

/// Reads `uuid:5#12:6#13`, followed by further sources with or without a comma. One number may have
/// several threads (`5#12#13`).
pub(super) fn parse(text: &[u8]) -> Result<GtidSet, GtidError> {
    read(&separated(text)?, |cursor| {
        let number = cursor.number()?;
        while cursor.eat(b'#') {
            cursor.digits()?;
        }
        Ok(Some((number, number)))
    })
}

/// The same text with a comma before each uuid. Error offsets then count these commas too.
fn separated(text: &[u8]) -> Result<Vec<u8>, GtidError> {
    if text.len() > MAX_TEXT {
        return Err(GtidError::TooLarge);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(dash) = rest.iter().position(|byte| *byte == b'-') {
        let at = out.len();
        let start = dash.checked_sub(BEFORE_DASH).ok_or(GtidError::Uuid(at))?;
        let (before, uuid) = rest.split_at(start);
        let (uuid, after) = uuid.split_at_checked(UUID).ok_or(GtidError::Uuid(at))?;
        out.extend_from_slice(before);
        out.push(b',');
        out.extend_from_slice(uuid);
        rest = after;
    }
    out.extend_from_slice(rest);
    Ok(out)
}
