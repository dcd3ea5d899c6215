//! The tokens of a normalised text, for classification. Not for raw text.

use super::chars;

/// One token of a normalised text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// An unquoted name or keyword, in lower case.
    Word(&'t [u8]),
    /// What stands between backticks, doubled ones as they are.
    Quoted(&'t [u8]),
    /// A string literal: what is left of it between its quotes.
    Str(&'t [u8]),
    /// A number, a placeholder, or a list of literals.
    Value,
    /// `@name`, or `@` before a quoted name.
    UserVariable,
    /// `@@name`: the name, empty before a quoted one.
    SystemVariable(&'t [u8]),
    /// `/*+ … */`.
    Hint,
    /// `/*!` or `/*M!`: the digits behind it, and whether it is MariaDB's.
    VersionedOpen { digits: &'t [u8], mariadb: bool },
    /// `*/`.
    VersionedClose,
    /// Any other byte.
    Op(u8),
}

impl<'t> Token<'t> {
    /// The word, if it is an unquoted one.
    pub(super) fn word(self) -> Option<&'t [u8]> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The name, quoted or not.
    pub(super) fn name(self) -> Option<&'t [u8]> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is(self, word: &str) -> bool {
        self.word() == Some(word.as_bytes())
    }

    pub(super) fn is_op(self, byte: u8) -> bool {
        self == Self::Op(byte)
    }
}

/// The tokens of a normalised text, in order. Copy it to look ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'t> {
    text: &'t [u8],
    at: usize,
    /// Whether hints and the marks of versioned comments are left out.
    plain: bool,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            plain: false,
        }
    }

    /// The same without hints and the marks of versioned comments.
    pub(super) fn plain(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            plain: true,
        }
    }

    /// Where the next token begins, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The text that is not read yet.
    pub(super) fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next token, without taking it.
    pub(super) fn peek(&self) -> Option<Token<'t>> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Takes the next token if it is this word.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.next().is_some_and(|t| t.is(word));
        if found {
            *self = ahead;
        }
        found
    }

    /// Takes the next token if it is one of these words, and says which.
    pub(super) fn eat_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.eat(word))
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
        let mut ahead = *self;
        let found = ahead.next().is_some_and(|t| t.is_op(byte));
        if found {
            *self = ahead;
        }
        found
    }

    pub(super) fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    fn slice(&mut self, from: usize, to: usize, end: usize) -> &'t [u8] {
        self.at = end;
        self.text.get(from..to).unwrap_or_default()
    }

    fn at_sign(&mut self, at: usize) -> Token<'t> {
        let system = chars::peek(self.text, at + 1) == b'@';
        let from = at + 1 + usize::from(system);
        let rest = self.text.get(from..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|&b| !(chars::is_word(b) || (b == b'.' && !system)))
            .unwrap_or(rest.len());
        let name = self.slice(from, from + len, from + len);
        if system {
            Token::SystemVariable(name)
        } else {
            Token::UserVariable
        }
    }

    /// `/*+`, `/*!`, `/*M!`, or a slash.
    fn slash(&mut self, at: usize) -> Token<'t> {
        match chars::comment_at(self.text, at) {
            chars::Comment::Hint(end) => {
                self.at = end;
                Token::Hint
            }
            chars::Comment::Versioned(from) => {
                let end = chars::digits_end(self.text, from);
                let mariadb = chars::peek(self.text, at + 2) != b'!';
                let digits = self.slice(from, end, end);
                Token::VersionedOpen { digits, mariadb }
            }
            _ => {
                self.at = at + 1;
                Token::Op(b'/')
            }
        }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let token = self.any()?;
            let mark = matches!(
                token,
                Token::Hint | Token::VersionedOpen { .. } | Token::VersionedClose
            );
            if !(mark && self.plain) {
                return Some(token);
            }
        }
    }
}

impl<'t> Tokens<'t> {
    fn any(&mut self) -> Option<Token<'t>> {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        let at = self.at;
        let byte = *self.text.get(at)?;
        if chars::is_word(byte) {
            let end = chars::word_end(self.text, at);
            return Some(Token::Word(self.slice(at, end, end)));
        }
        Some(match byte {
            b'`' | b'\'' => {
                let end = chars::quoted_end(self.text, at).unwrap_or(self.text.len());
                let inner = self.slice(at + 1, end.saturating_sub(1), end);
                if byte == b'`' {
                    Token::Quoted(inner)
                } else {
                    Token::Str(inner)
                }
            }
            b'@' => self.at_sign(at),
            b'/' => self.slash(at),
            b'*' if chars::peek(self.text, at + 1) == b'/' => {
                self.at = at + 2;
                Token::VersionedClose
            }
            _ => {
                self.at = at + 1;
                if byte == b'?' {
                    Token::Value
                } else {
                    Token::Op(byte)
                }
            }
        })
    }
}
