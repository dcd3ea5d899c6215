//! Parameters in the binary protocol: how long each value is, without decoding it.

use super::super::reader::Reader;

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

/// Reads the values of `count` parameters whose types are in `types`.
pub(super) fn skip_values(
    reader: &mut Reader<'_>,
    count: usize,
    bitmap: &[u8],
    types: &[u8],
    named: bool,
) -> Option<()> {
    let mut types = Reader::new(types);
    for index in 0..count {
        let [kind, _unsigned] = types.u16()?.to_le_bytes();
        if named {
            types.lenenc_bytes()?;
        }
        if !is_null(bitmap, index) {
            skip_value(reader, kind)?;
        }
    }
    Some(())
}

/// Reads one value of the type `kind` (`enum_field_types`).
fn skip_value(reader: &mut Reader<'_>, kind: u8) -> Option<()> {
    match kind {
        NULL => Some(()),
        TINY | BOOL => reader.bytes(1).map(drop),
        SHORT | YEAR => reader.bytes(2).map(drop),
        LONG | INT24 | FLOAT => reader.bytes(4).map(drop),
        LONGLONG | DOUBLE => reader.bytes(8).map(drop),
        TIMESTAMP | DATE | TIME | DATETIME => reader.u8_bytes().map(drop),
        DECIMAL | VARCHAR | BIT | VECTOR.. => reader.lenenc_bytes().map(drop),
        _ => None,
    }
}

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
