//! What a MySQL takes the parameters of a prepared statement for.
//!
//! Where the text leaves a parameter's type open (`SELECT ?`, `SET @a = ?`), a MySQL 9.7 takes the first value's that is
//! no text, and keeps it: a text that is bound afterwards is read as a number. So what a copy ran before shows in
//! what it does next, and not every copy of an equal text will do. The transitions below are as measured.
//! A MariaDB takes each execution by itself.

use std::sync::Arc;

/// What one parameter is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Signed,
    Unsigned,
    Decimal,
    Double,
    DateTime,
    Date,
    Time,
}

/// UNSIGNED in the second byte of a parameter's type.
const UNSIGNED: u8 = 0x80;

impl Kind {
    /// What the type of a value says (MYSQL_TYPE_*).
    fn of([code, flags]: [u8; 2]) -> Self {
        match code {
            1 | 2 | 3 | 8 | 9 | 13 if flags & UNSIGNED != 0 => Self::Unsigned,
            1 | 2 | 3 | 8 | 9 | 13 => Self::Signed,
            0 | 246 => Self::Decimal,
            4 | 5 => Self::Double,
            7 | 12 => Self::DateTime,
            10 => Self::Date,
            11 => Self::Time,
            _ => Self::Text,
        }
    }

    /// What it is taken for when such a value was bound.
    fn after(self, value: Self) -> Self {
        match (self, value) {
            (kept, Self::Text) => kept,
            (Self::Text | Self::Signed | Self::Unsigned, value) => value,
            (Self::Decimal, Self::Signed | Self::Unsigned) => Self::Decimal,
            (Self::Decimal, value) => value,
            (Self::Double, value @ (Self::DateTime | Self::Date | Self::Time)) => value,
            (Self::Double, _) => Self::Double,
            (Self::Date, Self::DateTime) => Self::DateTime,
            (Self::Time, Self::Date) => Self::Date,
            (kept @ (Self::DateTime | Self::Date | Self::Time), _) => kept,
        }
    }
}

/// What all parameters of a statement are taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(Option<Arc<[Kind]>>);

impl Kinds {
    /// Whether all are as after PREPARE.
    pub fn are_fresh(&self) -> bool {
        self.0.is_none()
    }

    /// What they are taken for in an execution with values of these types, and from then on. NULL, which is
    /// `None` here, changes nothing. Allocates only where something changes.
    #[must_use]
    pub fn after(&self, types: impl Iterator<Item = Option<[u8; 2]>> + Clone) -> Self {
        let now = |at: usize| {
            let kinds = self.0.as_deref().unwrap_or_default();
            kinds.get(at).copied().unwrap_or_default()
        };
        let next = types.enumerate().map(|(at, bound)| match bound {
            Some(bound) => now(at).after(Kind::of(bound)),
            None => now(at),
        });
        let same = |(at, next): (usize, Kind)| now(at) == next;
        match next.clone().enumerate().all(same) {
            true => self.clone(),
            false => Self(Some(next.collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bound_first_lasts() {
        const NULL: Option<[u8; 2]> = None;
        const TEXT: Option<[u8; 2]> = Some([253, 0]);
        const INT: Option<[u8; 2]> = Some([3, 0]);
        const LONG: Option<[u8; 2]> = Some([8, 0]);
        const UNSIGNED: Option<[u8; 2]> = Some([8, 0x80]);
        const DECIMAL: Option<[u8; 2]> = Some([246, 0]);
        const DOUBLE: Option<[u8; 2]> = Some([5, 0]);
        const DATE: Option<[u8; 2]> = Some([10, 0]);
        const MOMENT: Option<[u8; 2]> = Some([12, 0]);
        const TIME: Option<[u8; 2]> = Some([11, 0]);
        // What leads to the same as what.
        type Path<'a> = &'a [Option<[u8; 2]>];
        let cases: [(Path<'_>, Path<'_>); 13] = [
            (&[NULL, TEXT], &[]),
            (&[INT, TEXT], &[LONG]),
            (&[LONG, NULL], &[LONG]),
            (&[TEXT, INT], &[INT]),
            (&[INT, UNSIGNED], &[UNSIGNED]),
            (&[UNSIGNED, INT], &[INT]),
            (&[INT, DECIMAL, INT], &[DECIMAL]),
            (&[DECIMAL, DOUBLE, DECIMAL], &[DOUBLE]),
            (&[DOUBLE, TIME], &[TIME]),
            (&[DATE, TIME, MOMENT, DATE], &[MOMENT]),
            (&[MOMENT, INT], &[MOMENT]),
            (&[TIME, MOMENT], &[TIME]),
            (&[TIME, DATE], &[DATE]),
        ];
        let path = |path: Path<'_>| {
            let start = Kinds::default();
            path.iter()
                .fold(start, |kinds, bound| kinds.after([*bound].into_iter()))
        };
        for (one, other) in cases {
            assert_eq!(path(one), path(other), "{one:?}");
        }
        for (one, other) in [(INT, TEXT), (INT, UNSIGNED), (DATE, TIME), (INT, DOUBLE)] {
            assert_ne!(path(&[one]), path(&[other]), "{one:?}");
        }
        let two = Kinds::default().after([NULL, INT].into_iter());
        assert!(!two.are_fresh());
        assert_eq!(two.after([TEXT, TEXT].into_iter()), two);
        assert_ne!(two.after([INT, TEXT].into_iter()), two);
    }
}
