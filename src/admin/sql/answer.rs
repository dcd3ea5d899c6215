//! What a command is answered with, and how that travels: as text, or in the binary form of prepared
//! statements.

use super::AdminError;
use crate::admin::table::{Cell, Column, Kind, Table};
use crate::protocol::packets::{OkPacket, put_err};
use crate::protocol::resultset::{
    BinaryValue, Column as Definition, binary_resultset, field_list, typed_resultset,
};
use crate::protocol::status::Status;

/// MYSQL_TYPE_LONGLONG.
const LONGLONG: u8 = 8;
/// MYSQL_TYPE_DOUBLE.
const DOUBLE: u8 = 5;
/// The collation of numbers.
const BINARY: u16 = 63;
/// NUM_FLAG, BINARY_FLAG, UNSIGNED_FLAG.
const NUMBER: u16 = 0x8000 | 0x80 | 0x20;
/// The status of every admin session.
pub(super) const STATUS: Status = Status::AUTOCOMMIT;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Head {
    pub(super) fn text(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Text,
        }
    }
}

/// What a command is answered with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// It is done; a sentence for people.
    Done(String),
    /// Rows.
    Rows(Vec<Head>, Vec<Vec<Cell>>),
}

impl Answer {
    /// Nothing to say.
    pub(super) fn ok() -> Self {
        Self::Done(String::new())
    }

    /// Rows of texts.
    pub(super) fn texts<const N: usize>(
        names: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let rows = rows.into_iter();
        Self::Rows(
            names.map(Head::text).to_vec(),
            rows.map(|row| row.map(Cell::Text).to_vec()).collect(),
        )
    }
}

/// How the client reads answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) deprecate_eof: bool,
    /// Whether it asked with COM_STMT_EXECUTE.
    pub(super) binary: bool,
}

/// Appends the reply to a command.
pub(super) fn put(answer: &Result<Answer, AdminError>, form: Form, out: &mut Vec<u8>) {
    let mut seq = 1;
    match answer {
        Ok(Answer::Done(info)) => OkPacket {
            status: STATUS,
            info: info.as_bytes(),
            ..OkPacket::default()
        }
        .put(out, &mut seq),
        Ok(Answer::Rows(heads, rows)) => {
            let columns: Vec<_> = heads.iter().map(definition).collect();
            match form.binary {
                true => put_binary(&columns, rows, form, out, &mut seq),
                false => put_text(&columns, rows, form, out, &mut seq),
            }
        }
        Err(error) => {
            let (code, state) = error.code();
            put_err(code, state, &format!("Highwater: {error}"), out, &mut seq);
        }
    }
}

/// Appends the reply to COM_FIELD_LIST.
pub(super) fn put_fields(table: &Table, form: Form, out: &mut Vec<u8>) {
    let heads: Vec<_> = table.columns.iter().map(head).collect();
    let columns: Vec<_> = heads.iter().map(definition).collect();
    field_list(out, &mut 1, &columns, STATUS, form.deprecate_eof);
}

/// The head of a table's column.
pub(super) fn head(column: &Column) -> Head {
    Head {
        name: column.name.to_owned(),
        kind: column.kind,
    }
}

fn definition(head: &Head) -> Definition<'_> {
    let text = Definition::text(&head.name);
    let number = |kind, length, decimals, flags| Definition {
        kind,
        charset: BINARY,
        length,
        flags,
        decimals,
        ..text
    };
    match head.kind {
        Kind::Text => text,
        Kind::Number => number(LONGLONG, 20, 0, NUMBER),
        Kind::Decimal => number(DOUBLE, 22, 3, NUMBER & !0x20),
    }
}

fn put_text(
    columns: &[Definition<'_>],
    rows: &[Vec<Cell>],
    form: Form,
    out: &mut Vec<u8>,
    seq: &mut u8,
) {
    let text = |cell: &Cell| (*cell != Cell::Null).then(|| cell.to_string());
    let texts: Vec<Vec<Option<String>>> = rows
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect();
    let bytes: Vec<Vec<Option<&[u8]>>> = texts
        .iter()
        .map(|row| {
            row.iter()
                .map(|it| it.as_deref().map(str::as_bytes))
                .collect()
        })
        .collect();
    let rows = bytes.iter().map(Vec::as_slice);
    typed_resultset(out, seq, columns, rows, STATUS, form.deprecate_eof);
}

fn put_binary(
    columns: &[Definition<'_>],
    rows: &[Vec<Cell>],
    form: Form,
    out: &mut Vec<u8>,
    seq: &mut u8,
) {
    let value = |(cell, column): (&'_ Cell, &Definition<'_>)| match (cell, column.kind) {
        (Cell::Null, _) => BinaryValue::Null,
        (Cell::Number(number), LONGLONG) => BinaryValue::Long(*number),
        (Cell::Number(number), DOUBLE) => BinaryValue::Double(*number as f64),
        (Cell::Decimal(number), DOUBLE) => BinaryValue::Double(*number),
        (cell, _) => BinaryValue::Text(cell.to_string()),
    };
    let rows = rows
        .iter()
        .map(|row| row.iter().zip(columns).map(value).collect());
    binary_resultset(out, seq, columns, rows, STATUS, form.deprecate_eof);
}
