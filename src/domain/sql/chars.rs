//! Bytes of raw SQL text: what class each has, and where strings, quoted names and comments end.
//! The rules are those of MySQL's own lexer (`sql_lex.cc`).

use memchr::{memchr, memchr2, memmem};

use super::mode::LexMode;

/// What a byte can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A space, tab, line end, vertical tab or form feed.
    Blank,
    /// A letter, `_`, `$` or a byte of a non-ASCII character.
    Word,
    /// A digit.
    Digit,
    /// `'` or `"`.
    Quote,
    /// `` ` ``.
    Backtick,
    /// A byte that may begin a comment: `-`, `#`, `/`.
    MaybeComment,
    /// `*`, which may end a versioned comment.
    Star,
    /// `@`.
    At,
    /// `.`.
    Dot,
    /// `,`.
    Comma,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `;`.
    Semicolon,
    /// Any other printable byte: an operator or a placeholder.
    Operator,
    /// NUL and the other control bytes: nothing that a statement holds outside of quotes.
    Control,
}

const fn class(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Blank,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..=0xff => Class::Word,
        b'0'..=b'9' => Class::Digit,
        b'\'' | b'"' => Class::Quote,
        b'`' => Class::Backtick,
        b'-' | b'#' | b'/' => Class::MaybeComment,
        b'*' => Class::Star,
        b'@' => Class::At,
        b'.' => Class::Dot,
        b',' => Class::Comma,
        b'(' => Class::Open,
        b')' => Class::Close,
        b';' => Class::Semicolon,
        0..=0x1f | 0x7f => Class::Control,
        _ => Class::Operator,
    }
}

static CLASSES: [Class; 256] = {
    let mut table = [Class::Control; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
};

/// The class of a byte.
#[inline]
pub(super) fn class_of(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Whether a byte may stand inside an unquoted name.
#[inline]
pub(super) fn is_word(byte: u8) -> bool {
    matches!(class_of(byte), Class::Word | Class::Digit)
}

/// Whether a byte is a blank.
#[inline]
pub(super) fn is_blank(byte: u8) -> bool {
    class_of(byte) == Class::Blank
}

/// The byte at `at`, or 0 after the end: MySQL's lexer sees its text that way too.
#[inline]
pub(super) fn peek(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The end of the run of word bytes that begins at `at`.
#[inline]
pub(super) fn word_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len())
}

/// The end of the run of digits that begins at `at`.
#[inline]
pub(super) fn digits_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(rest.len())
}

/// The end of the string whose opening quote is at `at`, past the closing one; `None` if it never
/// closes. A doubled quote stays inside, and so does an escaped one unless the mode says otherwise.
#[inline]
pub(super) fn string_end(text: &[u8], at: usize, mode: LexMode) -> Option<usize> {
    let quote = *text.get(at)?;
    if mode.no_backslash_escapes {
        return quoted_end(text, at);
    }
    let mut from = at + 1;
    loop {
        let rest = text.get(from..)?;
        from += memchr2(quote, b'\\', rest)?;
        if text[from] != b'\\' && peek(text, from + 1) != quote {
            return Some(from + 1);
        }
        from += 2;
    }
}

/// The end of the quoted name whose opening quote is at `at`: only doubling escapes.
#[inline]
pub(super) fn quoted_end(text: &[u8], at: usize) -> Option<usize> {
    let quote = *text.get(at)?;
    let mut from = at + 1;
    loop {
        from += memchr(quote, text.get(from..)?)? + 1;
        if peek(text, from) != quote {
            return Some(from);
        }
        from += 1;
    }
}

/// A comment that is no more than a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    /// No comment begins here.
    No,
    /// A comment, and the index after it.
    Plain(usize),
    /// `/*+ … */` and the index after it.
    Hint(usize),
    /// `/*!` or `/*M!`, and the index after that opening.
    Versioned(usize),
    /// A comment that never ends.
    Open,
}

/// What comment begins at `at`.
#[inline]
pub(super) fn comment_at(text: &[u8], at: usize) -> Comment {
    match (peek(text, at), peek(text, at + 1)) {
        (b'#', _) => Comment::Plain(line_end(text, at)),
        (b'-', b'-') => match peek(text, at + 2) {
            0..=0x20 | 0x7f => Comment::Plain(line_end(text, at)),
            _ => Comment::No,
        },
        (b'/', b'*') => match (peek(text, at + 2), peek(text, at + 3)) {
            (b'!', _) => Comment::Versioned(at + 3),
            (b'M' | b'm', b'!') => Comment::Versioned(at + 4),
            (b'+', _) => block_end(text, at).map_or(Comment::Open, Comment::Hint),
            _ => block_end(text, at).map_or(Comment::Open, Comment::Plain),
        },
        _ => Comment::No,
    }
}

/// The index of the line end that ends a comment.
fn line_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + memchr(b'\n', rest).unwrap_or(rest.len())
}

fn block_end(text: &[u8], at: usize) -> Option<usize> {
    let from = at + 2;
    memmem::find(text.get(from..)?, b"*/").map(|found| from + found + 2)
}

/// Skips blanks and plain comments (hints too) from `at`.
pub(super) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        if is_blank(text[at]) {
            at += 1;
            continue;
        }
        match comment_at(text, at) {
            Comment::Plain(end) | Comment::Hint(end) => at = end,
            Comment::No | Comment::Versioned(_) | Comment::Open => break,
        }
    }
    at
}

/// The end of the number that begins at `at` (a digit, or a dot before a digit), or `None` if the
/// run is a name that begins with digits, such as `1abc`.
#[inline]
pub(super) fn number_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'0')
        && let Some(end) = radix_end(text, at)
    {
        return Some(end);
    }
    let whole = digits_end(text, at);
    let next = peek(text, whole);
    if next == b'.' {
        let end = digits_end(text, whole + 1);
        return Some(exponent_end(text, end).unwrap_or(end));
    }
    if !is_word(next) {
        return Some(whole);
    }
    exponent_end(text, whole)
}

/// `0x1F` and `0b01`, unless a longer name begins so.
fn radix_end(text: &[u8], at: usize) -> Option<usize> {
    let is_digit: fn(&u8) -> bool = match peek(text, at + 1) {
        b'x' => u8::is_ascii_hexdigit,
        b'b' => |b| matches!(b, b'0' | b'1'),
        _ => return None,
    };
    let digits = text.get(at + 2..)?;
    let len = digits
        .iter()
        .position(|b| !is_digit(b))
        .unwrap_or(digits.len());
    let end = at + 2 + len;
    (len > 0 && !is_word(peek(text, end))).then_some(end)
}

/// The end of `e5`, `E-5` at `at`.
fn exponent_end(text: &[u8], at: usize) -> Option<usize> {
    if !matches!(peek(text, at), b'e' | b'E') {
        return None;
    }
    let signed = matches!(peek(text, at + 1), b'+' | b'-');
    let from = at + 1 + usize::from(signed);
    let end = digits_end(text, from);
    (end > from).then_some(end)
}
