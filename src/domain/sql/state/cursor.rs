//! A place in the tokens of one statement.

use super::super::control::lexeme::{Lexeme, Placed};
use super::TableName;

/// A place in the tokens of one statement. Copy it to look ahead.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    lexemes: &'t [Placed<'t>],
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t [u8], lexemes: &'t [Placed<'t>]) -> Self {
        Self {
            text,
            lexemes,
            at: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<&'t Lexeme<'t>> {
        self.lexemes.get(self.at).map(|(lexeme, _)| lexeme)
    }

    pub(super) fn next(&mut self) -> Option<&'t Lexeme<'t>> {
        let lexeme = self.peek();
        self.at += 1;
        lexeme
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.lexemes.len()
    }

    /// Takes the next token if it is this word.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|it| it.is(word));
        self.at += usize::from(found);
        found
    }

    /// Takes the next token if it is one of these words.
    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    /// Takes the next tokens if they are these words.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let mut ahead = *self;
        let found = words.iter().all(|word| ahead.eat(word));
        if found {
            *self = ahead;
        }
        found
    }

    /// Takes the next token if it is this byte.
    pub(super) fn eat_op(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(&Lexeme::Op(byte));
        self.at += usize::from(found);
        found
    }

    /// `=` or `:=`.
    pub(super) fn eat_assignment(&mut self) -> bool {
        let mut ahead = *self;
        ahead.eat_op(b':');
        let found = ahead.eat_op(b'=');
        if found {
            *self = ahead;
        }
        found
    }

    /// The next token if it is an unquoted word, in lower case.
    pub(super) fn word(&mut self) -> Option<Vec<u8>> {
        let Some(Lexeme::Word(word)) = self.peek() else {
            return None;
        };
        self.at += 1;
        Some(word.to_ascii_lowercase())
    }

    /// A name, quoted or not, as it is spelled.
    pub(super) fn name(&mut self) -> Option<Box<[u8]>> {
        let name = self.peek()?.name()?.into();
        self.at += 1;
        Some(name)
    }

    /// A name in lower case.
    pub(super) fn lower_name(&mut self) -> Option<Box<[u8]>> {
        Some(self.name()?.to_ascii_lowercase().into())
    }

    /// `t`, `s.t` or `.t`.
    pub(super) fn table(&mut self) -> Option<TableName> {
        self.eat_op(b'.');
        let first = self.name()?;
        if !self.eat_op(b'.') {
            return Some(TableName {
                schema: None,
                table: first,
            });
        }
        Some(TableName {
            schema: Some(first),
            table: self.name()?,
        })
    }

    /// `@name`, in lower case. Nothing is taken if something else stands here; the name of an account
    /// (`'u'@'h'`) looks like one and counts as one.
    pub(super) fn user_variable(&mut self) -> Option<Box<[u8]>> {
        let mut ahead = *self;
        if !ahead.eat_op(b'@') || ahead.peek() == Some(&Lexeme::Op(b'@')) || !ahead.is_adjacent() {
            return None;
        }
        let name = match ahead.next()? {
            Lexeme::Quoted(name) | Lexeme::Str(name) => name.to_ascii_lowercase(),
            Lexeme::Word(_) | Lexeme::Op(b'.') => {
                ahead.at -= 1;
                ahead.dotted()
            }
            Lexeme::Op(_) => return None,
        };
        *self = ahead;
        Some(name.into())
    }

    /// Words and dots without blanks between them, in lower case.
    fn dotted(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        loop {
            match self.peek() {
                Some(Lexeme::Word(word)) => name.extend(word.to_ascii_lowercase()),
                Some(Lexeme::Op(b'.')) => name.push(b'.'),
                _ => return name,
            }
            self.at += 1;
            if !self.is_adjacent() {
                return name;
            }
        }
    }

    /// Whether the next token stands right behind the one before it.
    pub(super) fn is_adjacent(&self) -> bool {
        let end = |at: usize| Some(self.lexemes.get(at)?.1.end);
        let before = self.at.checked_sub(1).and_then(end);
        before.is_some() && before == self.lexemes.get(self.at).map(|(_, place)| place.start)
    }

    /// What stands from here to the next comma outside of parentheses, which is taken too.
    pub(super) fn value(&mut self) -> Cursor<'t> {
        let start = self.at;
        let mut depth = 0usize;
        let mut end = self.lexemes.len();
        for (at, (lexeme, _)) in self.lexemes.iter().enumerate().skip(start) {
            match lexeme {
                Lexeme::Op(b'(') => depth += 1,
                Lexeme::Op(b')') => depth = depth.saturating_sub(1),
                Lexeme::Op(b',') if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        self.at = end + 1;
        Self {
            text: self.text,
            lexemes: self.lexemes.get(start..end).unwrap_or_default(),
            at: 0,
        }
    }

    /// What stands from here to the end, as it is spelled.
    pub(super) fn spelled(&self) -> &'t [u8] {
        let place = |at: usize| self.lexemes.get(at).map(|(_, place)| place);
        let start = place(self.at).map(|place| place.start);
        let end = self.lexemes.last().map(|(_, place)| place.end);
        match (start, end) {
            (Some(start), Some(end)) => self.text.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The tokens that are left.
    pub(super) fn rest(&self) -> &'t [Placed<'t>] {
        self.lexemes.get(self.at..).unwrap_or_default()
    }

    /// Whether this word stands anywhere from here on.
    pub(super) fn has(&self, word: &str) -> bool {
        self.rest().iter().any(|(lexeme, _)| lexeme.is(word))
    }
}
