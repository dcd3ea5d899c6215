//! The pass itself: which token begins at a byte, and how tokens are kept apart.

use super::super::chars::{self, Class, Comment};
use super::super::mode::{Charset, LexMode};
use super::group::Groups;

/// A scratch buffer above this many bytes is given back when the next statement is small.
const KEEP_CAPACITY: usize = 64 << 10;

/// Fills `out` with the normalised text; `None` if the text cannot be read.
pub(super) fn normalise(
    text: &[u8],
    mode: LexMode,
    out: &mut Vec<u8>,
    groups: &mut Groups,
) -> Option<()> {
    groups.begin();
    out.clear();
    if out.capacity() > KEEP_CAPACITY && text.len() < KEEP_CAPACITY / 4 {
        out.shrink_to(KEEP_CAPACITY);
    }
    out.reserve(text.len() + 16);
    let mut pass = Pass {
        text,
        mode,
        at: 0,
        out,
        previous: Previous::Nothing,
        gap: false,
        in_list: false,
        semicolon: false,
        versioned: 0,
        groups,
    };
    while pass.at < text.len() {
        pass.step()?;
    }
    (pass.versioned == 0).then_some(())
}

/// What the last token written was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    Nothing,
    /// An unquoted name or keyword, or `@name`.
    Word,
    /// A name in backticks.
    Quoted,
    Number,
    String,
    Open,
    Close,
    Comma,
    /// A comma right after a literal.
    LiteralComma,
    Dot,
    Operator,
}

/// The state of a pass over a text.
pub(super) struct Pass<'t, 'o> {
    pub(super) text: &'t [u8],
    pub(super) mode: LexMode,
    pub(super) at: usize,
    pub(super) out: &'o mut Vec<u8>,
    pub(super) previous: Previous,
    /// Whether a blank or a comment stood since the last token.
    pub(super) gap: bool,
    /// Whether the last literal is an element of a list: a parenthesis or a comma came before it.
    pub(super) in_list: bool,
    /// Whether a `;` waits to be written if more text follows.
    pub(super) semicolon: bool,
    /// Versioned comments that are open.
    pub(super) versioned: usize,
    pub(super) groups: &'o mut Groups,
}

impl Pass<'_, '_> {
    /// Reads one token.
    #[inline]
    pub(super) fn step(&mut self) -> Option<()> {
        let byte = self.text[self.at];
        match chars::class_of(byte) {
            Class::Blank => {
                self.at += 1;
                self.gap = true;
            }
            Class::Word => self.word()?,
            Class::Digit => self.number_or_name()?,
            Class::Quote => self.quote(byte)?,
            Class::Backtick => self.backtick()?,
            Class::MaybeComment => self.comment_or_operator(byte)?,
            Class::Star => self.star(),
            Class::At => self.at_sign()?,
            Class::Dot => self.dot(),
            Class::Comma => self.comma(),
            Class::Open => self.open(),
            Class::Close => self.close(),
            Class::Semicolon => {
                self.at += 1;
                self.semicolon = !self.out.is_empty();
                self.gap = true;
            }
            Class::Operator if byte == b'?' => {
                self.at += 1;
                self.literal(Previous::Number);
            }
            Class::Operator => self.operator(byte),
            Class::Control => return None,
        }
        Some(())
    }

    /// Writes a waiting `;`: call it before any token.
    #[inline]
    pub(super) fn begin_token(&mut self) {
        if self.semicolon {
            self.semicolon = false;
            self.out.push(b';');
            self.previous = Previous::Operator;
        }
    }

    /// Writes the blank that keeps a word-like token apart from the one before.
    #[inline]
    pub(super) fn space_before_word(&mut self) {
        use Previous::{Close, Dot, Number, Quoted, String, Word};
        match self.previous {
            Word | Quoted | Number | String | Close => self.out.push(b' '),
            Dot if self.gap => self.out.push(b' '),
            _ => {}
        }
    }

    #[inline]
    pub(super) fn token(&mut self, token: Previous) {
        self.previous = token;
        self.gap = false;
    }

    pub(super) fn word(&mut self) -> Option<()> {
        let start = self.at;
        let end = chars::word_end(self.text, start);
        let word = &self.text[start..end];
        if self.previous != Previous::Dot
            && let Some(end) = self.prefixed_literal(word, end)
        {
            self.at = end?;
            return Some(());
        }
        if self.is_literal_word(word, end) {
            self.at = end;
            self.literal(Previous::Number);
            return Some(());
        }
        self.begin_token();
        self.space_before_word();
        self.write_lower(start, end)?;
        self.token(Previous::Word);
        self.qualified_name();
        Some(())
    }

    /// Copies an unquoted name in lower case and goes on behind it.
    #[inline]
    fn write_lower(&mut self, start: usize, end: usize) -> Option<()> {
        let word = &self.text[start..end];
        if self.mode.charset == Charset::SingleByte && word.contains(&0xa0) {
            // A blank in latin1 and others.
            return None;
        }
        let from = self.out.len();
        self.out.extend_from_slice(word);
        self.out[from..].make_ascii_lowercase();
        self.at = end;
        Some(())
    }

    fn comment_or_operator(&mut self, byte: u8) -> Option<()> {
        match chars::comment_at(self.text, self.at) {
            Comment::Plain(end) => {
                self.at = end;
                self.gap = true;
            }
            Comment::Hint(end) => self.hint(end)?,
            Comment::Versioned(end) => self.versioned(end),
            Comment::Open => return None,
            Comment::No if byte == b'-' && self.is_sign() => {
                self.at = chars::number_end(self.text, self.at + 1)?;
                self.literal(Previous::Number);
            }
            Comment::No => self.operator(byte),
        }
        Some(())
    }

    fn hint(&mut self, end: usize) -> Option<()> {
        let hint = &self.text[self.at..end];
        if hint.iter().any(|b| matches!(b, b'`' | b'"' | b'\'')) {
            // A quoted name in a hint may hold the comment's end.
            return None;
        }
        self.begin_token();
        self.out.extend_from_slice(hint);
        self.at = end;
        self.token(Previous::Operator);
        Some(())
    }

    fn versioned(&mut self, end: usize) {
        self.begin_token();
        self.out.extend_from_slice(&self.text[self.at..end]);
        let digits = chars::digits_end(self.text, end);
        self.out.extend_from_slice(&self.text[end..digits]);
        self.out.push(b' ');
        self.at = digits;
        self.versioned += 1;
        self.token(Previous::Operator);
    }

    fn star(&mut self) {
        if self.versioned > 0 && chars::peek(self.text, self.at + 1) == b'/' {
            self.begin_token();
            self.versioned -= 1;
            self.out.extend_from_slice(b"*/");
            self.at += 2;
            self.token(Previous::Operator);
        } else {
            self.operator(b'*');
        }
    }

    /// `@name`, `@@name`, or a lone `@` before a quote.
    fn at_sign(&mut self) -> Option<()> {
        self.begin_token();
        self.space_before_word();
        if self.gap && self.out.last() == Some(&b'@') {
            self.out.push(b' ');
        }
        let start = self.at;
        let system = chars::peek(self.text, start + 1) == b'@';
        let name = start + 1 + usize::from(system);
        let rest = &self.text[name..];
        let len = rest
            .iter()
            .position(|&b| !(chars::is_word(b) || (b == b'.' && !system)))
            .unwrap_or(rest.len());
        let end = name + len;
        self.write_lower(start, end)?;
        // A quoted name must follow without a blank of ours between.
        self.token(if len == 0 {
            Previous::Operator
        } else {
            Previous::Word
        });
        Some(())
    }

    fn dot(&mut self) {
        let next = chars::class_of(chars::peek(self.text, self.at + 1));
        if next == Class::Digit
            && let Some(end) = chars::number_end(self.text, self.at)
        {
            self.at = end;
            self.literal(Previous::Number);
            return;
        }
        self.begin_token();
        self.out.push(b'.');
        self.at += 1;
        self.token(Previous::Dot);
    }

    #[inline]
    pub(super) fn operator(&mut self, byte: u8) {
        self.begin_token();
        if self.gap && self.previous == Previous::Operator {
            self.out.push(b' ');
        }
        self.out.push(byte);
        self.at += 1;
        self.token(Previous::Operator);
    }
}
