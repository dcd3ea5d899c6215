//! Text result sets for statements that Highwater answers itself.

use super::frame::{self, FrameHeader, HEADER};
use super::packets::{OkPacket, put_eof};
use super::reader::Reader;
use super::status::Status;
use super::writer::{put_lenenc, put_lenenc_bytes, put_u16, put_u32};

/// utf8mb4_general_ci, which every client of either engine knows.
const UTF8MB4: u16 = 45;
const VAR_STRING: u8 = 253;
/// The display length that servers give for text of unknown length.
const COLUMN_LENGTH: u32 = 1024;
/// NULL in a row of text.
const NULL: u8 = 0xFB;
/// Not a number: no meaningful decimals.
const DECIMALS: u8 = 31;

/// What a column is.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type (MYSQL_TYPE_*).
    pub kind: u8,
    /// The id of its collation.
    pub charset: u16,
    /// Its display length in bytes.
    pub length: u32,
    /// Its flags (*_FLAG).
    pub flags: u16,
    /// Its decimals.
    pub decimals: u8,
}

impl<'a> Column<'a> {
    /// A string of unknown length in utf8mb4.
    pub const fn text(name: &'a str) -> Self {
        Self {
            name,
            kind: VAR_STRING,
            charset: UTF8MB4,
            length: COLUMN_LENGTH,
            flags: 0,
            decimals: DECIMALS,
        }
    }
}

/// Appends a text result set whose columns are all strings in utf8mb4. `None` in a row is NULL.
pub fn text_resultset<'r>(
    out: &mut Vec<u8>,
    seq: &mut u8,
    columns: &[&str],
    rows: impl IntoIterator<Item = &'r [Option<&'r [u8]>]>,
    status: Status,
    deprecate_eof: bool,
) {
    let columns: Vec<_> = columns.iter().map(|name| Column::text(name)).collect();
    typed_resultset(out, seq, &columns, rows, status, deprecate_eof);
}

/// The same with columns of any type.
pub fn typed_resultset<'r>(
    out: &mut Vec<u8>,
    seq: &mut u8,
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = &'r [Option<&'r [u8]>]>,
    status: Status,
    deprecate_eof: bool,
) {
    put_columns(out, seq, columns, status, deprecate_eof);
    for row in rows {
        frame::append_with(out, seq, |out| put_text_row(out, row));
    }
    put_end(out, seq, status, deprecate_eof);
}

/// A value in the binary form in which the rows of prepared statements travel.
#[derive(Clone, Debug, PartialEq)]
pub enum BinaryValue {
    /// NULL.
    Null,
    /// Of a column of type MYSQL_TYPE_LONGLONG.
    Long(u64),
    /// Of a column of type MYSQL_TYPE_DOUBLE.
    Double(f64),
    /// Of a column of any string type.
    Text(String),
}

/// Appends a result set of a prepared statement.
pub fn binary_resultset(
    out: &mut Vec<u8>,
    seq: &mut u8,
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = Vec<BinaryValue>>,
    status: Status,
    deprecate_eof: bool,
) {
    put_columns(out, seq, columns, status, deprecate_eof);
    for row in rows {
        frame::append_with(out, seq, |out| put_binary_row(out, &row));
    }
    put_end(out, seq, status, deprecate_eof);
}

/// Appends the reply to COM_FIELD_LIST: column definitions with a default value (NULL), and an end.
pub fn field_list(
    out: &mut Vec<u8>,
    seq: &mut u8,
    columns: &[Column<'_>],
    status: Status,
    deprecate_eof: bool,
) {
    for column in columns {
        frame::append_with(out, seq, |out| {
            put_column(out, column);
            out.push(NULL);
        });
    }
    put_end(out, seq, status, deprecate_eof);
}

fn put_columns(
    out: &mut Vec<u8>,
    seq: &mut u8,
    columns: &[Column<'_>],
    status: Status,
    deprecate_eof: bool,
) {
    frame::append_with(out, seq, |out| put_lenenc(out, columns.len() as u64));
    for column in columns {
        frame::append_with(out, seq, |out| put_column(out, column));
    }
    if !deprecate_eof {
        put_eof(status, 0, out, seq);
    }
}

fn put_end(out: &mut Vec<u8>, seq: &mut u8, status: Status, deprecate_eof: bool) {
    let end = OkPacket {
        status,
        ..OkPacket::default()
    };
    end.put_result_end(deprecate_eof, out, seq);
}

/// A text result set as a server sent it, in pieces: its rows can be changed.
#[derive(Debug)]
pub struct TextResult<'a> {
    head: &'a [u8],
    /// The sequence id of the first row, or of the end.
    seq: u8,
    /// The rows; `None` in one is NULL.
    pub rows: Vec<Vec<Option<&'a [u8]>>>,
    end: &'a [u8],
}

impl<'a> TextResult<'a> {
    /// Takes a whole reply apart. `None` for anything but one result set whose rows are shorter than a
    /// frame.
    pub fn parse(reply: &'a [u8], deprecate_eof: bool) -> Option<Self> {
        let mut at = 0;
        let mut next = || {
            let header = FrameHeader::parse(reply.get(at..)?)?;
            let frame = reply.get(at..at + header.frame_len())?;
            at += header.frame_len();
            (!header.continues()).then_some((at, header.seq, frame.get(HEADER..)?))
        };
        let (_, _, count) = next()?;
        if matches!(count.first()?, 0x00 | 0xFB | 0xFF) {
            return None;
        }
        let mut before = Reader::new(count).lenenc()?;
        before += u64::from(!deprecate_eof);
        let mut head = 0;
        for _ in 0..before {
            (head, _, _) = next()?;
        }
        let (mut rows, mut start, mut first) = (Vec::new(), head, None);
        loop {
            let (end, seq, payload) = next()?;
            first.get_or_insert(seq);
            // A row as long as a frame was refused above.
            if payload.first() == Some(&0xFE) {
                let whole = end == reply.len();
                return whole.then_some(Self {
                    head: reply.get(..head)?,
                    seq: first?,
                    rows,
                    end: reply.get(start + HEADER..)?,
                });
            }
            rows.push(read_text_row(payload)?);
            start = end;
        }
    }

    /// Appends the reply with these rows.
    pub fn put<'r>(
        &self,
        out: &mut Vec<u8>,
        rows: impl IntoIterator<Item = Vec<Option<&'r [u8]>>>,
    ) {
        out.extend_from_slice(self.head);
        let mut seq = self.seq;
        for row in rows {
            frame::append_with(out, &mut seq, |out| put_text_row(out, &row));
        }
        frame::append_packet(out, &mut seq, self.end);
    }
}

/// The values of a row of text; `None` if it is no such row.
fn read_text_row(payload: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let mut reader = Reader::new(payload);
    let mut row = Vec::new();
    while let Some(first) = reader.rest().first() {
        row.push(match first {
            0xFB => {
                reader.u8()?;
                None
            }
            _ => Some(reader.lenenc_bytes()?),
        });
    }
    Some(row)
}

/// Appends the reply to a COM_STMT_PREPARE of a statement without columns: 0x00, statement id, columns,
/// parameters, filler, warnings; then the parameters' definitions.
pub fn prepared_ok(
    out: &mut Vec<u8>,
    seq: &mut u8,
    stmt_id: u32,
    params: u16,
    status: Status,
    deprecate_eof: bool,
) {
    frame::append_with(out, seq, |out| {
        out.push(0);
        put_u32(out, stmt_id);
        put_u16(out, 0);
        put_u16(out, params);
        out.push(0);
        put_u16(out, 0);
    });
    for _ in 0..params {
        frame::append_with(out, seq, |out| put_column(out, &Column::text("?")));
    }
    if params > 0 && !deprecate_eof {
        put_eof(status, 0, out, seq);
    }
}

/// A column definition: catalog, schema, table, original table, name, original name, then fixed fields.
fn put_column(out: &mut Vec<u8>, column: &Column<'_>) {
    for part in ["def", "", "", "", column.name, ""] {
        put_lenenc_bytes(out, part.as_bytes());
    }
    put_lenenc(out, 12);
    put_u16(out, column.charset);
    put_u32(out, column.length);
    out.push(column.kind);
    put_u16(out, column.flags);
    out.push(column.decimals);
    put_u16(out, 0);
}

/// Appends the payload of a row of text. `None` is NULL.
fn put_text_row(out: &mut Vec<u8>, row: &[Option<&[u8]>]) {
    for value in row {
        match value {
            Some(text) => put_lenenc_bytes(out, text),
            None => out.push(NULL),
        }
    }
}

/// Appends the payload of a row in binary form: 0x00, a bitmap of the NULLs whose first two bits are not
/// used, and the values.
fn put_binary_row(out: &mut Vec<u8>, row: &[BinaryValue]) {
    out.push(0);
    let mut nulls = vec![0; (row.len() + 2).div_ceil(8)];
    for (at, _) in row
        .iter()
        .enumerate()
        .filter(|(_, value)| **value == BinaryValue::Null)
    {
        if let Some(byte) = nulls.get_mut((at + 2) / 8) {
            *byte |= 1 << ((at + 2) % 8);
        }
    }
    out.extend_from_slice(&nulls);
    for value in row {
        match value {
            BinaryValue::Null => {}
            BinaryValue::Long(number) => out.extend_from_slice(&number.to_le_bytes()),
            BinaryValue::Double(number) => out.extend_from_slice(&number.to_le_bytes()),
            BinaryValue::Text(text) => put_lenenc_bytes(out, text.as_bytes()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_result_are_changed() {
        let made = |deprecate_eof: bool, rows: &[[Option<&[u8]>; 2]]| {
            let (mut out, mut seq) = (Vec::new(), 1);
            let rows = rows.iter().map(|row| &row[..]);
            text_resultset(
                &mut out,
                &mut seq,
                &["a", "b"],
                rows,
                Status(2),
                deprecate_eof,
            );
            out
        };
        let long = vec![b'x'; 70_000];
        let old: [[Option<&[u8]>; 2]; 2] = [[Some(b"1"), None], [Some(b""), Some(&long)]];
        let new: [[Option<&[u8]>; 2]; 3] = [old[1], [None, None], [Some(b"3"), Some(b"new")]];
        for deprecate_eof in [true, false] {
            let reply = made(deprecate_eof, &old);
            let result = TextResult::parse(&reply, deprecate_eof).unwrap();
            assert_eq!(result.rows, old);
            for rows in [&old[..], &new[..], &[]] {
                let mut out = Vec::new();
                result.put(&mut out, rows.iter().map(|row| row.to_vec()));
                assert_eq!(out, made(deprecate_eof, rows));
            }
            for cut in [0, 3, 10, reply.len() - 1] {
                assert!(
                    TextResult::parse(&reply[..cut], deprecate_eof).is_none(),
                    "{cut}"
                );
            }
        }
        let mut ok = Vec::new();
        OkPacket::default().put(&mut ok, &mut 1);
        assert!(TextResult::parse(&ok, true).is_none());
    }
}
