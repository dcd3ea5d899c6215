//! Tables of the admin port: a name, columns with their type and one line of help, and rows of typed
//! cells. Each is defined once, as a struct; SHOW, SELECT, SHOW HELP, DESCRIBE and the documentation
//! follow from that.

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not known, or there is none.
    Null,
    /// Text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A number with decimals.
    Decimal(f64),
}

impl std::fmt::Display for Cell {
    /// As a text protocol shows it; `NULL` for none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Decimal(number) => write!(f, "{number:.3}"),
        }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Number,
    /// Numbers with decimals.
    Decimal,
}

impl Kind {
    /// The type as DESCRIBE names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "bigint unsigned",
            Self::Decimal => "double",
        }
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it tells, in one line.
    pub help: &'static str,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, as in `SHOW NAME` and `SELECT … FROM name`.
    pub name: &'static str,
    /// What it tells, in one line.
    pub about: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
}

impl Table {
    /// The place of the column of this name, in any case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// A row whose fields are the columns of a table.
pub trait Row {
    /// The table.
    const TABLE: Table;

    /// The values, in the order of the columns.
    fn cells(self) -> Vec<Cell>;
}

/// What can stand in a cell.
pub trait Value {
    /// What it is there.
    const KIND: Kind;

    /// The cell.
    fn cell(self) -> Cell;
}

impl Value for String {
    const KIND: Kind = Kind::Text;

    fn cell(self) -> Cell {
        Cell::Text(self)
    }
}

impl Value for &'static str {
    const KIND: Kind = Kind::Text;

    fn cell(self) -> Cell {
        Cell::Text(self.to_owned())
    }
}

impl Value for u64 {
    const KIND: Kind = Kind::Number;

    fn cell(self) -> Cell {
        Cell::Number(self)
    }
}

impl Value for f64 {
    const KIND: Kind = Kind::Decimal;

    fn cell(self) -> Cell {
        Cell::Decimal(self)
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;

    fn cell(self) -> Cell {
        self.map_or(Cell::Null, T::cell)
    }
}

/// Defines tables: the documentation of struct and fields is the help that users are shown.
macro_rules! tables {
    ($($(#[doc = $about:literal])+ $row:ident = $name:literal {
        $($(#[doc = $help:literal])+ $column:ident: $type:ty,)+
    })+) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug)]
            pub struct $row {
                $($(#[doc = $help])+ pub $column: $type,)+
            }

            impl $crate::admin::table::Row for $row {
                const TABLE: $crate::admin::table::Table = $crate::admin::table::Table {
                    name: $name,
                    about: concat!($($about),+).trim_ascii(),
                    columns: &[$($crate::admin::table::Column {
                        name: stringify!($column),
                        kind: <$type as $crate::admin::table::Value>::KIND,
                        help: concat!($($help),+).trim_ascii(),
                    },)+],
                };

                fn cells(self) -> Vec<$crate::admin::table::Cell> {
                    vec![$($crate::admin::table::Value::cell(self.$column),)+]
                }
            }
        )+

        /// Every table.
        pub static TABLES: &[$crate::admin::table::Table] =
            &[$(<$row as $crate::admin::table::Row>::TABLE,)+];
    };
}

pub(super) use tables;
