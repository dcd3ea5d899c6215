//! Constants that a user variable is given.

use super::super::chars;
use super::super::control::lexeme::Lexeme;
use super::cursor::Cursor;

/// A constant, in such a form that a variable given it elsewhere has the same type, charset and
/// collation (tried on MySQL 9.7 and MariaDB 10.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// NULL, which leaves a variable the type that it had.
    Null,
    /// A number, hexadecimal or bit value, TRUE or FALSE, as it is spelled.
    Literal(Box<[u8]>),
    /// A string.
    Text {
        /// The charset that it names itself; else it has that of the connection.
        charset: Option<Box<[u8]>>,
        /// The value, in the client's charset.
        value: Box<[u8]>,
        /// The collation that it names itself.
        collation: Option<Box<[u8]>>,
    },
}

/// Reads a value that is one constant and nothing else.
pub(super) fn read(mut value: Cursor<'_>) -> Option<Constant> {
    if let Some(literal) = literal(value) {
        return Some(literal);
    }
    let charset = introducer(&mut value);
    let (Some(Lexeme::Str(text)), named) = (value.next(), charset.is_some()) else {
        return None;
    };
    let collation = match value.eat("collate") {
        true => Some(value.lower_name()?),
        false => None,
    };
    // Which collation a charset has by default differs by version and setting, but for this one.
    let binary = charset.as_deref() == Some(b"binary");
    if !value.at_end() || (named && collation.is_none() && !binary) {
        return None;
    }
    Some(Constant::Text {
        charset,
        value: text.as_ref().into(),
        collation,
    })
}

/// `_utf8mb4`, `_latin1`, …
fn introducer(value: &mut Cursor<'_>) -> Option<Box<[u8]>> {
    let mut ahead = *value;
    let word = ahead.word()?;
    let name = word.strip_prefix(b"_")?;
    *value = ahead;
    Some(name.into())
}

fn literal(value: Cursor<'_>) -> Option<Constant> {
    let spelled = value.spelled();
    let mut ahead = value;
    let constant = Some(Constant::Literal(spelled.into()));
    if ahead.eat("null") {
        return ahead.at_end().then_some(Constant::Null);
    }
    if ahead.eat("true") || ahead.eat("false") {
        return ahead.at_end().then_some(constant)?;
    }
    if (ahead.eat("x") || ahead.eat("b")) && ahead.is_adjacent() {
        let digits = matches!(ahead.next(), Some(Lexeme::Str(_)));
        return (digits && ahead.at_end()).then_some(constant)?;
    }
    let digits = spelled.strip_prefix(b"-").unwrap_or(spelled);
    is_number(digits).then_some(constant)?
}

fn is_number(digits: &[u8]) -> bool {
    let begins = match digits {
        [b'.', digit, ..] | [digit, ..] => digit.is_ascii_digit(),
        [] => false,
    };
    begins && chars::number_end(digits, 0) == Some(digits.len())
}
