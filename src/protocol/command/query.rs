//! COM_QUERY: where its text begins, and the query attributes before it.
//!
//! The attributes are: how many, how many sets (always 1), then if there are any a NULL bitmap, a 1, types
//! with names, and values.

use super::CommandCode;
use super::params::{Layout, Parameter, bitmap_len, read_values, skip_types};
use crate::protocol::reader::Reader;
use std::ops::Range;

/// The range of the SQL text in a COM_QUERY's payload, after the query attributes if they are in force on
/// the connection (CLIENT_QUERY_ATTRIBUTES). `None` if the payload is no well-formed COM_QUERY.
pub fn query_text(payload: &[u8], query_attributes: bool) -> Option<Range<usize>> {
    read(payload, query_attributes, |_| {})
}

/// The query attributes of a COM_QUERY's payload; nothing is allocated when there are none. `None` if the
/// payload is no well-formed COM_QUERY.
pub fn query_attributes(payload: &[u8], query_attributes: bool) -> Option<Vec<Parameter<'_>>> {
    let mut found = Vec::new();
    read(payload, query_attributes, |attribute| found.push(attribute))?;
    Some(found)
}

fn read<'a>(
    payload: &'a [u8],
    query_attributes: bool,
    take: impl FnMut(Parameter<'a>),
) -> Option<Range<usize>> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != CommandCode::Query as u8 {
        return None;
    }
    if query_attributes {
        read_attributes(&mut reader, payload, take)?;
    }
    Some(reader.pos()..payload.len())
}

fn read_attributes<'a>(
    reader: &mut Reader<'a>,
    payload: &'a [u8],
    take: impl FnMut(Parameter<'a>),
) -> Option<()> {
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
    let layout = Layout {
        count,
        bitmap,
        types,
        named: true,
        sent_ahead: &[],
    };
    read_values(reader, layout, take)
}
