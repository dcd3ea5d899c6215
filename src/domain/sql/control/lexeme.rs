//! The tokens of a raw text, with their literals and places.

use std::borrow::Cow;
use std::ops::Range;

use super::super::chars::{self, Class};
use super::super::mode::LexMode;

/// A token and where it stands.
pub(in crate::domain::sql) type Placed<'t> = (Lexeme<'t>, Range<usize>);

/// One token of a raw text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::sql) enum Lexeme<'t> {
    /// An unquoted name, keyword or number, as it is spelled.
    Word(&'t [u8]),
    /// A quoted name, without its quotes.
    Quoted(Cow<'t, [u8]>),
    /// A string's value.
    Str(Cow<'t, [u8]>),
    /// Any other byte.
    Op(u8),
}

impl Lexeme<'_> {
    pub(in crate::domain::sql) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(w) if w.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The name, quoted or not.
    pub(in crate::domain::sql) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Word(name) => Some(name),
            Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The tokens of a raw text and where each stands; `None` if it holds a versioned comment or
/// cannot be read to its end. A `;` that ends the text is left out.
pub(in crate::domain::sql) fn read(text: &[u8], mode: LexMode) -> Option<Vec<Placed<'_>>> {
    let mut lexemes = Vec::new();
    let mut at = chars::skip_blanks(text, 0);
    while let Some(&byte) = text.get(at) {
        let (lexeme, end) = one(text, at, byte, mode)?;
        lexemes.push((lexeme, at..end));
        at = chars::skip_blanks(text, end);
    }
    while lexemes.last().is_some_and(|(l, _)| *l == Lexeme::Op(b';')) {
        lexemes.pop();
    }
    Some(lexemes)
}

fn one(text: &[u8], at: usize, byte: u8, mode: LexMode) -> Option<(Lexeme<'_>, usize)> {
    let inner = |end: usize| text.get(at + 1..end - 1).unwrap_or_default();
    Some(match chars::class_of(byte) {
        Class::Word | Class::Digit => {
            let end = chars::word_end(text, at);
            (Lexeme::Word(text.get(at..end)?), end)
        }
        Class::Quote if byte == b'"' && mode.ansi_quotes => {
            let end = chars::quoted_end(text, at)?;
            (Lexeme::Quoted(unquote(inner(end), byte, false)), end)
        }
        Class::Quote => {
            let end = chars::string_end(text, at, mode)?;
            let escapes = !mode.no_backslash_escapes;
            (Lexeme::Str(unquote(inner(end), byte, escapes)), end)
        }
        Class::Backtick => {
            let end = chars::quoted_end(text, at)?;
            (Lexeme::Quoted(unquote(inner(end), byte, false)), end)
        }
        Class::MaybeComment if !matches!(chars::comment_at(text, at), chars::Comment::No) => {
            return None;
        }
        Class::Control => return None,
        _ => (Lexeme::Op(byte), at + 1),
    })
}

/// The value between quotes. Escapes are those of the manual's "String Literals".
fn unquote(inner: &[u8], quote: u8, escapes: bool) -> Cow<'_, [u8]> {
    if !inner.iter().any(|&b| b == quote || (escapes && b == b'\\')) {
        return Cow::Borrowed(inner);
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == quote {
            bytes.next();
            value.push(quote);
        } else if escapes && byte == b'\\' {
            match bytes.next() {
                Some(b'n') => value.push(b'\n'),
                Some(b't') => value.push(b'\t'),
                Some(b'r') => value.push(b'\r'),
                Some(b'0') => value.push(0),
                Some(b'b') => value.push(8),
                Some(b'Z') => value.push(26),
                Some(kept @ (b'%' | b'_')) => value.extend([b'\\', kept]),
                Some(other) => value.push(other),
                None => {}
            }
        } else {
            value.push(byte);
        }
    }
    Cow::Owned(value)
}
