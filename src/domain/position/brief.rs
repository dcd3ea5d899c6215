//! A position in three numbers: enough to recognise it, and nothing to allocate.

use std::fmt;

use super::gtid::Uuid;
use super::{Position, PositionKind};

/// The most telling part of a position: its highest transaction, and whether there is more to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    kind: PositionKind,
    more: bool,
    /// Who numbered the transaction.
    source: u128,
    number: u64,
}

impl Position {
    /// The position in brief.
    pub fn brief(&self) -> Brief {
        let kind = self.kind();
        let (source, number, more) = match self {
            Self::Nothing => (0, 0, false),
            Self::Gtids(set) => set.highest().unwrap_or_default(),
            Self::MariaDb(gtids) => gtids.highest().unwrap_or_default(),
            Self::Lsn(number) => (0, *number, false),
            Self::Binlog(place) => (0, place.offset(), false),
        };
        Brief {
            kind,
            more,
            source,
            number,
        }
    }
}

impl Brief {
    /// As numbers, to be kept in atomics.
    pub const fn to_words(self) -> [u64; 4] {
        let kind = self.kind as u64 | (self.more as u64) << 8;
        let high = (self.source >> 64) as u64;
        let low = self.source as u64;
        [kind, high, low, self.number]
    }

    /// What [`Brief::to_words`] gave.
    pub fn of_words([kind, high, low, number]: [u64; 4]) -> Self {
        let place = usize::try_from(kind & 0xFF).unwrap_or_default();
        Self {
            kind: PositionKind::ALL.get(place).copied().unwrap_or_default(),
            more: kind >> 8 & 1 == 1,
            source: u128::from(high) << 64 | u128::from(low),
            number,
        }
    }

    /// Whether it is that of nothing.
    pub fn is_nothing(&self) -> bool {
        self.kind == PositionKind::Nothing
    }
}

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.kind {
            PositionKind::Nothing => f.write_str("nothing")?,
            PositionKind::Gtids => write!(f, "{}:{number}", Uuid(self.source))?,
            PositionKind::MariaDb => {
                let (domain, server) = (self.source >> 32, self.source & 0xFFFF_FFFF);
                write!(f, "{domain}-{server}-{number}")?;
            }
            PositionKind::Lsn => write!(f, "lsn:{number}")?,
            PositionKind::Binlog => write!(f, "binlog offset {number}")?,
        }
        match self.more {
            true => f.write_str(" and more"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn brief_says_the_highest_and_survives_as_words() {
        const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
        for (position, brief) in [
            (String::new(), "nothing".to_owned()),
            (format!("{A}:1-77"), format!("{A}:77")),
            (format!("{A}:1-5:9"), format!("{A}:9")),
            (format!("{A}:1-5,{B}:1-3"), format!("{A}:5 and more")),
            ("0-1-100".to_owned(), "0-1-100".to_owned()),
            ("0-1-100,2-3-400".to_owned(), "2-3-400 and more".to_owned()),
            ("lsn:4711".to_owned(), "lsn:4711".to_owned()),
        ] {
            let found = position.parse::<Position>().unwrap().brief();
            assert_eq!(found.to_string(), brief, "{position}");
            assert_eq!(Brief::of_words(found.to_words()), found, "{position}");
            assert_eq!(found.is_nothing(), position.is_empty());
        }
    }
}
