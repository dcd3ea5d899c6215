//! Text result sets for statements that Highwater answers itself.

use super::frame;
use super::packets::{OkPacket, put_eof};
use super::status::Status;
use super::writer::{put_lenenc, put_lenenc_bytes, put_u16, put_u32};

/// utf8mb4_general_ci, which every client of either engine knows.
const UTF8MB4: u16 = 45;
const VAR_STRING: u8 = 253;
/// The display length that servers give for text of unknown length.
const COLUMN_LENGTH: u32 = 1024;
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
    frame::append_with(out, seq, |out| put_lenenc(out, columns.len() as u64));
    for column in columns {
        frame::append_with(out, seq, |out| put_column(out, column));
    }
    if !deprecate_eof {
        put_eof(status, 0, out, seq);
    }
    for row in rows {
        frame::append_with(out, seq, |out| put_text_row(out, row));
    }
    let end = OkPacket {
        status,
        ..OkPacket::default()
    };
    end.put_result_end(deprecate_eof, out, seq);
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
            None => out.push(0xFB),
        }
    }
}
