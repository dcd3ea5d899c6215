//! Parameters in the binary protocol: query attributes, and those of prepared statements.

use super::super::reader::Reader;

/// One parameter, or one query attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// An attribute's name; empty for a parameter of the statement.
    pub name: &'a [u8],
    /// Its value.
    pub value: ParameterValue<'a>,
}

/// A parameter's value, as far as Highwater has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterValue<'a> {
    /// NULL.
    Null,
    /// A string of any type.
    Text(&'a [u8]),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// Another type, or sent ahead in parts.
    Other,
}

/// Bytes of the NULL bitmap of so many parameters.
pub(super) fn bitmap_len(count: usize) -> usize {
    count.div_ceil(8)
}

fn is_null(bitmap: &[u8], index: usize) -> bool {
    bitmap
        .get(index / 8)
        .is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

/// Reads the types of `count` parameters: two bytes each, and a name if `named`.
pub(super) fn skip_types(reader: &mut Reader<'_>, count: usize, named: bool) -> Option<()> {
    for _ in 0..count {
        reader.u16()?;
        if named {
            reader.lenenc_bytes()?;
        }
    }
    Some(())
}

/// How the values of a command are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) count: usize,
    pub(super) bitmap: &'a [u8],
    /// Two bytes each, and a name if `named`.
    pub(super) types: &'a [u8],
    pub(super) named: bool,
    /// Those that were sent ahead in parts: they have no value here.
    pub(super) sent_ahead: &'a [u16],
}

/// Reads the values of parameters and gives each to `take`.
pub(super) fn read_values<'a>(
    reader: &mut Reader<'a>,
    layout: Layout<'a>,
    mut take: impl FnMut(Parameter<'a>),
) -> Option<()> {
    let mut types = Reader::new(layout.types);
    for index in 0..layout.count {
        let [kind, flags] = types.u16()?.to_le_bytes();
        let name = if layout.named {
            types.lenenc_bytes()?
        } else {
            &[]
        };
        let ahead = layout.sent_ahead.iter().any(|&i| usize::from(i) == index);
        let value = if is_null(layout.bitmap, index) {
            ParameterValue::Null
        } else if ahead {
            ParameterValue::Other
        } else {
            read_value(reader, kind, flags & UNSIGNED != 0)?
        };
        take(Parameter { name, value });
    }
    Some(())
}

/// Reads one value of the type `kind` (`enum_field_types`).
fn read_value<'a>(reader: &mut Reader<'a>, kind: u8, unsigned: bool) -> Option<ParameterValue<'a>> {
    let (len, is_integer) = match kind {
        NULL => return Some(ParameterValue::Null),
        TINY | BOOL => (1, true),
        SHORT | YEAR => (2, true),
        LONG | INT24 => (4, true),
        LONGLONG => (8, true),
        FLOAT => (4, false),
        DOUBLE => (8, false),
        TIMESTAMP | DATE | TIME | DATETIME => {
            reader.u8_bytes()?;
            return Some(ParameterValue::Other);
        }
        DECIMAL | VARCHAR | BIT | VECTOR.. => {
            return reader.lenenc_bytes().map(ParameterValue::Text);
        }
        _ => return None,
    };
    let bytes = reader.bytes(len)?;
    Some(match (is_integer, unsigned) {
        (false, _) => ParameterValue::Other,
        (true, true) => ParameterValue::UInt(u64::from_le_bytes(widened(bytes, 0))),
        (true, false) => {
            let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let fill = if negative { 0xFF } else { 0 };
            ParameterValue::Int(i64::from_le_bytes(widened(bytes, fill)))
        }
    })
}

fn widened(bytes: &[u8], fill: u8) -> [u8; 8] {
    let mut wide = [fill; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    wide
}

/// The flag behind a type.
const UNSIGNED: u8 = 0x80;

const DECIMAL: u8 = 0;
const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const NULL: u8 = 6;
const TIMESTAMP: u8 = 7;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const YEAR: u8 = 13;
const VARCHAR: u8 = 15;
const BIT: u8 = 16;
const BOOL: u8 = 244;
/// From here on all types are strings: VECTOR (242), JSON, NEWDECIMAL, ENUM, SET, the BLOBs, VAR_STRING, STRING, GEOMETRY.
const VECTOR: u8 = 242;
