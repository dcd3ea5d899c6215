//! One pass over a statement: erases literals, canonicalises spelling, and hashes the result.
//!
//! The normalised text is all that classification looks at, so two statements with the same one
//! have the same profile by construction, and a cache keyed by it is sound. It has lower-case
//! words, one blank where two tokens would otherwise run together and none elsewhere, `?` for a
//! number, `'?'` for a string, a single `?` for a list of literals, one row for rows that look
//! alike, and no comment but hints and versioned ones. Names in double quotes (ANSI_QUOTES) are
//! written in backticks, so the text means the same whatever the mode it was read in.
//!
//! Knows nothing of what statements mean, but for one thing: the pattern of SHOW VARIABLES LIKE
//! stays if it names a variable of Highwater's own, since the class depends on it.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::chars::{self, Class, Comment};
use super::control;
use super::mode::{Charset, LexMode};
use super::profile::{Access, Doubt, StatementProfile};
use super::variables;

/// The longest text that is read, in bytes; longer ones go to the primary unread.
pub const MAX_TEXT: usize = 1 << 20;

/// A scratch buffer above this many bytes is given back when the next statement is small.
const KEEP_CAPACITY: usize = 64 << 10;

/// Groups nested deeper than this are not collapsed.
const MAX_TRACKED_DEPTH: usize = 32;

/// A place in the normalised text that is none.
const NOWHERE: usize = usize::MAX;

/// The secret of this process that makes fingerprints unpredictable. Collisions remain possible:
/// compare the normalised text on a cache hit.
#[derive(Clone, Copy, Debug)]
pub struct Seed(RapidSecrets);

impl Seed {
    /// Derives the hash's secrets from random bits that the caller draws once per process.
    pub const fn new(entropy: u64) -> Self {
        Self(RapidSecrets::seed(entropy))
    }
}

/// A reusable buffer for the normalised text. One per session.
#[derive(Debug, Default)]
pub struct Scratch {
    out: Vec<u8>,
    /// The open groups: the statement itself at 0, then one for each parenthesis.
    groups: [Group; MAX_TRACKED_DEPTH],
}

impl Scratch {
    /// The memory it holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.out.capacity()
    }
}

/// A statement that was read: its normalised text and the hash of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalised<'a> {
    /// The normalised text; not always UTF-8.
    pub text: &'a [u8],
    /// Its hash; never 0.
    pub fingerprint: u64,
}

/// What [`scan`] made of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// It was read to its end.
    Read(Normalised<'a>),
    /// It cannot be read, and this is what to do with it.
    Unread(StatementProfile),
}

/// Reads a statement once and normalises it into `scratch`.
///
/// Allocates only while the scratch buffer grows to the longest statement seen.
pub fn scan<'a>(text: &[u8], mode: LexMode, seed: &Seed, scratch: &'a mut Scratch) -> Scan<'a> {
    let doubt = if text.len() > MAX_TEXT {
        Doubt::TooLarge
    } else if mode.charset == Charset::Unsafe {
        Doubt::NotUnderstood
    } else if normalise(text, mode, scratch).is_some() {
        let fingerprint = rapidhash_v3_seeded(&scratch.out, &seed.0).max(1);
        return Scan::Read(Normalised {
            text: &scratch.out,
            fingerprint,
        });
    } else {
        Doubt::NotUnderstood
    };
    let mut profile = StatementProfile::unread(doubt);
    if control::begins_with_kill(text) {
        profile.access = Access::Kill;
    }
    Scan::Unread(profile)
}

/// Fills the scratch buffer; `None` if the text cannot be read.
fn normalise(text: &[u8], mode: LexMode, scratch: &mut Scratch) -> Option<()> {
    let Scratch { out, groups } = scratch;
    groups[0].child = (NOWHERE, NOWHERE);
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
        depth: 0,
        groups,
    };
    while pass.at < text.len() {
        pass.step()?;
    }
    (pass.versioned == 0).then_some(())
}

/// What the last token written was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
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

/// A parenthesised group that is open, and its last closed child.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    start: usize,
    child: (usize, usize),
}

struct Pass<'t, 'o> {
    text: &'t [u8],
    mode: LexMode,
    at: usize,
    out: &'o mut Vec<u8>,
    previous: Previous,
    /// Whether a blank or a comment stood since the last token.
    gap: bool,
    /// Whether the last literal is an element of a list: a parenthesis or a comma came before it.
    in_list: bool,
    /// Whether a `;` waits to be written if more text follows.
    semicolon: bool,
    /// Versioned comments that are open.
    versioned: usize,
    depth: usize,
    groups: &'o mut [Group; MAX_TRACKED_DEPTH],
}

impl Pass<'_, '_> {
    /// Reads one token.
    #[inline]
    fn step(&mut self) -> Option<()> {
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
    fn begin_token(&mut self) {
        if self.semicolon {
            self.semicolon = false;
            self.out.push(b';');
            self.previous = Previous::Operator;
        }
    }

    /// Writes the blank that keeps a word-like token apart from the one before.
    #[inline]
    fn space_before_word(&mut self) {
        use Previous::{Close, Dot, Number, Quoted, String, Word};
        match self.previous {
            Word | Quoted | Number | String | Close => self.out.push(b' '),
            Dot if self.gap => self.out.push(b' '),
            _ => {}
        }
    }

    #[inline]
    fn token(&mut self, token: Previous) {
        self.previous = token;
        self.gap = false;
    }

    fn word(&mut self) -> Option<()> {
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

    /// After a name: a dot with a name right behind it goes on with a name, even one that begins
    /// with a digit.
    fn qualified_name(&mut self) {
        if chars::peek(self.text, self.at) != b'.' {
            return;
        }
        let start = self.at + 1;
        if chars::class_of(chars::peek(self.text, start)) != Class::Digit {
            return;
        }
        let end = chars::word_end(self.text, start);
        self.out.push(b'.');
        self.out.extend_from_slice(&self.text[start..end]);
        self.at = end;
        self.previous = Previous::Word;
        self.qualified_name();
    }

    /// `x'4D'`, `b'01'`, `n'text'`, `_utf8mb4'text'`: the end of such a literal, after writing it.
    /// The inner `None` is a literal that never ends.
    fn prefixed_literal(&mut self, word: &[u8], end: usize) -> Option<Option<usize>> {
        let first = word.first()?;
        if word.len() == 1 && matches!(first, b'x' | b'X' | b'b' | b'B' | b'n' | b'N') {
            if chars::peek(self.text, end) != b'\'' {
                return None;
            }
            let close = chars::string_end(self.text, end, self.mode);
            let kind = if matches!(first, b'n' | b'N') {
                Previous::String
            } else {
                Previous::Number
            };
            if close.is_some() {
                self.literal(kind);
            }
            return Some(close);
        }
        if *first != b'_' {
            return None;
        }
        // A character set introducer is dropped, the literal behind it is read next.
        let next = chars::skip_blanks(self.text, end);
        let behind = chars::peek(self.text, next);
        let introduces = match behind {
            b'\'' | b'?' | b'0'..=b'9' => true,
            b'"' => !self.mode.ansi_quotes,
            b'x' | b'X' | b'b' | b'B' => chars::peek(self.text, next + 1) == b'\'',
            _ => false,
        };
        introduces.then_some(Some(next))
    }

    /// NULL, TRUE, FALSE and DEFAULT as an element of a list.
    fn is_literal_word(&self, word: &[u8], end: usize) -> bool {
        use Previous::{Comma, LiteralComma, Open};
        if !matches!(self.previous, Open | Comma | LiteralComma) || self.semicolon {
            return false;
        }
        let known = match word.len() {
            4 => word.eq_ignore_ascii_case(b"null") || word.eq_ignore_ascii_case(b"true"),
            5 => word.eq_ignore_ascii_case(b"false"),
            7 => word.eq_ignore_ascii_case(b"default"),
            _ => false,
        };
        known && {
            let next = chars::skip_blanks(self.text, end);
            matches!(chars::peek(self.text, next), b',' | b')')
        }
    }

    fn number_or_name(&mut self) -> Option<()> {
        match chars::number_end(self.text, self.at) {
            Some(end) => {
                self.at = end;
                self.literal(Previous::Number);
                Some(())
            }
            None => self.word(),
        }
    }

    fn quote(&mut self, quote: u8) -> Option<()> {
        let start = self.at;
        if quote == b'"' && self.mode.ansi_quotes {
            let end = chars::quoted_end(self.text, start)?;
            self.at = end;
            self.quoted_name(start + 1, end - 1, b'"');
            return Some(());
        }
        let end = chars::string_end(self.text, start, self.mode)?;
        self.at = end;
        if self.keeps_pattern()
            && let Some(own) = variables::own_of_pattern(&self.text[start + 1..end - 1])
        {
            self.begin_token();
            self.out.extend_from_slice(b" '");
            self.out.extend_from_slice(own.name().as_bytes());
            self.out.push(b'\'');
            self.token(Previous::String);
            return Some(());
        }
        if self.previous == Previous::String && !self.semicolon {
            // Strings side by side are one string.
            self.gap = false;
            return Some(());
        }
        self.literal(Previous::String);
        Some(())
    }

    /// Whether the text so far is SHOW VARIABLES LIKE.
    fn keeps_pattern(&self) -> bool {
        self.previous == Previous::Word
            && self.out.starts_with(b"show ")
            && self.out.ends_with(b"variables like")
    }

    fn backtick(&mut self) -> Option<()> {
        let start = self.at;
        let end = chars::quoted_end(self.text, start)?;
        self.at = end;
        self.quoted_name(start + 1, end - 1, b'`');
        Some(())
    }

    /// Writes the name between `start` and `end` in backticks.
    fn quoted_name(&mut self, start: usize, end: usize, quote: u8) {
        self.begin_token();
        self.space_before_word();
        self.out.push(b'`');
        let name = &self.text[start..end];
        if quote == b'`' {
            self.out.extend_from_slice(name);
        } else {
            let mut doubled = false;
            for &byte in name {
                match byte {
                    b'"' if doubled => doubled = false,
                    b'"' => {
                        doubled = true;
                        self.out.push(byte);
                    }
                    b'`' => self.out.extend_from_slice(b"``"),
                    _ => self.out.push(byte),
                }
            }
        }
        self.out.push(b'`');
        self.token(Previous::Quoted);
        self.qualified_name();
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

    /// Whether the `-` here belongs to the number behind it: it follows no operand.
    fn is_sign(&self) -> bool {
        use Previous::{Comma, LiteralComma, Open, Operator};
        matches!(self.previous, Open | Comma | LiteralComma | Operator)
            && !self.semicolon
            && chars::peek(self.text, self.at + 1).is_ascii_digit()
            && chars::number_end(self.text, self.at + 1).is_some()
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

    fn comma(&mut self) {
        self.begin_token();
        self.at += 1;
        self.out.push(b',');
        let literal = matches!(self.previous, Previous::Number | Previous::String);
        let list = literal && self.in_list;
        self.token(if list {
            Previous::LiteralComma
        } else {
            Previous::Comma
        });
    }

    fn open(&mut self) {
        self.begin_token();
        self.at += 1;
        self.depth += 1;
        if let Some(group) = self.groups.get_mut(self.depth) {
            *group = Group {
                start: self.out.len(),
                child: (NOWHERE, NOWHERE),
            };
        }
        self.out.push(b'(');
        self.token(Previous::Open);
    }

    fn close(&mut self) {
        self.begin_token();
        self.at += 1;
        self.out.push(b')');
        self.token(Previous::Close);
        if let Some(parent) = self.depth.checked_sub(1) {
            self.collapse_group(parent);
            self.depth = parent;
        }
    }

    /// Drops the group that just closed if it repeats its sibling: `(?,?),(?,?)` is `(?,?)`.
    fn collapse_group(&mut self, parent: usize) {
        let Some(&Group { start, .. }) = self.groups.get(self.depth) else {
            return;
        };
        let end = self.out.len();
        let (first, last) = self.groups[parent].child;
        let repeats = last.checked_add(1) == Some(start)
            && self.out.get(last) == Some(&b',')
            && self.out.get(first..last) == self.out.get(start..end);
        if repeats {
            self.out.truncate(last);
        } else {
            self.groups[parent].child = (start, end);
        }
    }

    /// Writes a literal, or leaves it out as one more of a list.
    #[inline]
    fn literal(&mut self, kind: Previous) {
        self.begin_token();
        if self.previous == Previous::LiteralComma {
            self.out.pop();
            // The list goes on as what its first element was.
            let string = self.out.last() == Some(&b'\'');
            self.token(if string {
                Previous::String
            } else {
                Previous::Number
            });
            return;
        }
        self.in_list = matches!(self.previous, Previous::Open | Previous::Comma);
        let alias = self.previous == Previous::Word && self.out.ends_with(b" as");
        self.space_before_word();
        self.out.extend_from_slice(if kind == Previous::String {
            b"'?'"
        } else {
            b"?"
        });
        self.token(if alias { Previous::Quoted } else { kind });
    }

    #[inline]
    fn operator(&mut self, byte: u8) {
        self.begin_token();
        if self.gap && self.previous == Previous::Operator {
            self.out.push(b' ');
        }
        self.out.push(byte);
        self.at += 1;
        self.token(Previous::Operator);
    }
}
