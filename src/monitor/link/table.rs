//! A small result set, held as text.

use mysql_async::{Column, Row, Value};

/// The rows that one statement gave.
#[derive(Clone, Debug, Default)]
pub(in crate::monitor) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>, rows: Vec<Row>) -> Self {
        let bytes = |value: Value| match value {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(bytes),
            other => Some(other.as_sql(true).into_bytes()),
        };
        Self {
            columns: columns
                .iter()
                .map(|column| column.name_str().into_owned())
                .collect(),
            rows: rows
                .into_iter()
                .map(|row| row.unwrap().into_iter().map(bytes).collect())
                .collect(),
        }
    }

    /// The first of several, or an empty one.
    pub(in crate::monitor) fn first(tables: &[Self]) -> &Self {
        static EMPTY: Table = Table {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        tables.first().unwrap_or(&EMPTY)
    }

    /// A cell of the first row as it came; `None` for NULL and for no cell.
    pub(in crate::monitor) fn bytes(&self, column: usize) -> Option<&[u8]> {
        self.rows.first()?.get(column)?.as_deref()
    }

    /// A cell of the first row as text.
    pub(in crate::monitor) fn text(&self, column: usize) -> Option<String> {
        self.bytes(column).map(lossy)
    }

    /// A cell of the first row as a number.
    pub(in crate::monitor) fn number(&self, column: usize) -> Option<u64> {
        self.text(column)?.parse().ok()
    }

    /// Whether a cell of the first row is on.
    pub(in crate::monitor) fn flag(&self, column: usize) -> bool {
        matches!(self.bytes(column), Some(b"1" | b"ON"))
    }

    /// Each row, for access by column name.
    pub(in crate::monitor) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.rows.iter().map(|cells| Record {
            columns: &self.columns,
            cells,
        })
    }

    /// The first two columns of each row, as text.
    pub(in crate::monitor) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.rows.iter().filter_map(|row| {
            let name = row.first()?.as_deref().map(lossy)?;
            Some((name, row.get(1)?.as_deref().map(lossy).unwrap_or_default()))
        })
    }
}

/// One row, its cells by name.
pub(in crate::monitor) struct Record<'a> {
    columns: &'a [String],
    cells: &'a [Option<Vec<u8>>],
}

impl Record<'_> {
    /// The cell of the first of these columns that exists; `None` for NULL.
    pub(in crate::monitor) fn any(&self, names: &[&str]) -> Option<String> {
        let place = |name: &&str| self.columns.iter().position(|it| it == name);
        let place = names.iter().find_map(place)?;
        self.cells.get(place)?.as_deref().map(lossy)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
