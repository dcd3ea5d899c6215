//! The text form of a GTID set, read as MySQL reads it.

use super::GtidSet;
use super::runs::{Run, Source, Tag, normalise};

/// The highest transaction number MySQL gives out (2^63 - 2).
const LAST_NUMBER: u64 = i64::MAX as u64 - 1;

/// No set is read from more text than this. A server with 100 sources and 1,000 gaps each stays
/// under it.
pub(super) const MAX_TEXT: usize = 4 << 20;

/// No set has more runs than this, so that a short hostile text cannot take much memory.
const MAX_RUNS: usize = 1 << 17;

/// Why a text is not a GTID set. The fault is with whoever wrote the text; a retry cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GtidError {
    /// A server uuid was expected at this byte.
    #[error("expected a server uuid at byte {0}")]
    Uuid(usize),
    /// A number, a range of numbers or a tag was expected at this byte.
    #[error("expected a transaction number or a tag at byte {0}")]
    Number(usize),
    /// A number is 0 or over 2^63 - 2.
    #[error("transaction number out of range at byte {0}")]
    Range(usize),
    /// A tag is longer than 32 characters.
    #[error("tag longer than 32 characters at byte {0}")]
    Tag(usize),
    /// Something follows that belongs to no set.
    #[error("unexpected character at byte {0}")]
    Trailing(usize),
    /// More text or more runs than is reasonable.
    #[error("the set is too large")]
    TooLarge,
}

/// Reads `uuid:1-7:tag:1:3-5,uuid2:…`.
pub(super) fn executed(text: &[u8]) -> Result<GtidSet, GtidError> {
    read(text, |cursor| cursor.range())
}

/// Reads a set whose numbers are read by `numbers`: a run, or `None` for an empty one.
pub(super) fn read(
    text: &[u8],
    numbers: impl Fn(&mut Cursor<'_>) -> Result<Option<(u64, u64)>, GtidError>,
) -> Result<GtidSet, GtidError> {
    if text.len() > MAX_TEXT {
        return Err(GtidError::TooLarge);
    }
    let mut cursor = Cursor { text, at: 0 };
    let mut runs = Vec::new();
    loop {
        // Stray commas are allowed, as MySQL does.
        while cursor.eat(b',') {}
        if cursor.at_end() {
            break;
        }
        let mut source = Source {
            uuid: cursor.uuid()?,
            tag: None,
        };
        while cursor.eat(b':') {
            if let Some(tag) = cursor.tag()? {
                source.tag = Some(tag);
            } else if let Some((first, last)) = numbers(&mut cursor)? {
                push(&mut runs, &source, first, last)?;
            }
        }
        if !cursor.at_end() && !cursor.eat(b',') {
            return Err(GtidError::Trailing(cursor.at));
        }
    }
    if !runs.is_sorted_by(in_order) {
        normalise(&mut runs);
    }
    Ok(GtidSet { runs })
}

/// Whether two neighbours are already as a set has them, which a server's own text always is.
fn in_order(left: &Run, right: &Run) -> bool {
    match left.source == right.source {
        true => left.last.saturating_add(1) < right.first,
        false => left.source < right.source,
    }
}

fn push(runs: &mut Vec<Run>, source: &Source, first: u64, last: u64) -> Result<(), GtidError> {
    if runs.len() >= MAX_RUNS {
        return Err(GtidError::TooLarge);
    }
    let source = source.clone();
    runs.push(Run {
        source,
        first,
        last,
    });
    Ok(())
}

/// Reads 8-4-4-4-12 hexadecimal digits.
pub(super) fn uuid(text: &[u8]) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut value = 0u128;
    for (place, byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        value = value << 4 | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(value)
}

/// A place in the text. Every step skips the white space after it.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.at >= self.text.len()
    }

    /// Takes this byte if it comes next.
    pub(super) fn eat(&mut self, wanted: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(wanted);
        if found {
            self.at += 1;
            self.skip_space();
        }
        found
    }

    fn uuid(&mut self) -> Result<u128, GtidError> {
        let wrong = GtidError::Uuid(self.at);
        let end = self.at.checked_add(36).ok_or(wrong)?;
        let value = self.text.get(self.at..end).and_then(uuid).ok_or(wrong)?;
        self.at = end;
        Ok(value)
    }

    /// A tag, if one comes next: it starts with a letter or `_`.
    fn tag(&mut self) -> Result<Option<Tag>, GtidError> {
        let start = self.at;
        let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        if !self.peek().is_some_and(begins) {
            return Ok(None);
        }
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let mut name = String::new();
        while let Some(byte) = self.peek().filter(goes_on) {
            if name.len() == 32 {
                return Err(GtidError::Tag(start));
            }
            name.push(char::from(byte.to_ascii_lowercase()));
            self.at += 1;
        }
        Ok(Some(Tag::new(&name)))
    }

    /// `7` or `3-5`; a range that ends before it starts is empty, as for MySQL.
    fn range(&mut self) -> Result<Option<(u64, u64)>, GtidError> {
        let first = self.number()?;
        let last = match self.eat(b'-') {
            true => self.number()?,
            false => first,
        };
        Ok((first <= last).then_some((first, last)))
    }

    /// One transaction number.
    pub(super) fn number(&mut self) -> Result<u64, GtidError> {
        let start = self.at;
        match self.digits()? {
            0 => Err(GtidError::Range(start)),
            number if number > LAST_NUMBER => Err(GtidError::Range(start)),
            number => Ok(number),
        }
    }

    /// Any number that fits.
    pub(super) fn digits(&mut self) -> Result<u64, GtidError> {
        let start = self.at;
        let mut value = 0u64;
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(byte - b'0')))
                .ok_or(GtidError::Range(start))?;
            self.at += 1;
        }
        if self.at == start {
            return Err(GtidError::Number(start));
        }
        Ok(value)
    }
}
