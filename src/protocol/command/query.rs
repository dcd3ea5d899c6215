//! Where the text of a COM_QUERY begins.

use super::CommandCode;
use super::params::{bitmap_len, skip_types, skip_values};
use crate::protocol::reader::Reader;
use std::ops::Range;

/// The range of the SQL text in a COM_QUERY's payload, after the query attributes if they are in force on
/// the connection (CLIENT_QUERY_ATTRIBUTES). `None` if the payload is no well-formed COM_QUERY.
///
/// The attributes are: how many, how many sets (always 1), then if there are any a NULL bitmap, a 1, types
/// with names, and values.
pub fn query_text(payload: &[u8], query_attributes: bool) -> Option<Range<usize>> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != CommandCode::Query as u8 {
        return None;
    }
    if query_attributes {
        skip_attributes(&mut reader, payload)?;
    }
    Some(reader.pos()..payload.len())
}

fn skip_attributes(reader: &mut Reader<'_>, payload: &[u8]) -> Option<()> {
    let count = usize::try_from(reader.lenenc()?).ok()?;
    if reader.lenenc()? != 1 {
        return None;
    }
    if count == 0 {
        return Some(());
    }
    let bitmap = reader.bytes(bitmap_len(count))?;
    if reader.u8()? != 1 {
        return None;
    }
    let types_at = reader.pos();
    skip_types(reader, count, true)?;
    let types = payload.get(types_at..reader.pos())?;
    skip_values(reader, count, bitmap, types, true)
}
