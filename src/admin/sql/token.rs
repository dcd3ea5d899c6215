//! The words of a command.

use super::AdminError;

/// The longest command that is read, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word, a name in backticks (`quoted`), or a variable with its `@@`.
    Word(String, bool),
    /// A string.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// One of `( ) , . * ; % = <> < > <= >= ? + -`.
    Sign(&'static str),
}

/// The tokens of a command, and a place among them.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    all: Vec<(Token, usize)>,
    at: usize,
}

const SIGNS: [&str; 19] = [
    "<=>", "<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", ".", "*", ";", "%", "?", "+", "-",
    ":",
];

impl<'t> Tokens<'t> {
    /// Reads a command. Comments are blanks.
    pub(super) fn read(text: &'t str) -> Result<Self, AdminError> {
        let mut all = Vec::new();
        let mut at = 0;
        loop {
            at = skip(text, at)?;
            let rest = text.get(at..).unwrap_or_default();
            let Some(first) = rest.chars().next() else {
                break;
            };
            let (token, len) = match first {
                '\'' | '"' => {
                    let (text, len) = quoted(rest, first)?;
                    (Token::Text(text), len)
                }
                '`' => {
                    let (name, len) = quoted(rest, '`')?;
                    (Token::Word(name, true), len)
                }
                '0'..='9' => {
                    let len = run(rest, |c| c.is_ascii_alphanumeric() || c == '.');
                    let number = rest.get(..len).unwrap_or_default();
                    (Token::Number(number.to_owned()), len)
                }
                '@' => {
                    let len = run(rest, |c| is_word(c) || "@.`".contains(c));
                    let name = rest.get(..len).unwrap_or_default().replace('`', "");
                    (Token::Word(name, false), len)
                }
                c if is_word(c) => {
                    let len = run(rest, is_word);
                    let word = rest.get(..len).unwrap_or_default();
                    (Token::Word(word.to_owned(), false), len)
                }
                _ => {
                    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                    let sign = sign.ok_or_else(|| AdminError::near(rest))?;
                    (Token::Sign(sign), sign.len())
                }
            };
            at += len;
            all.push((token, at));
        }
        while let Some((Token::Sign(";"), _)) = all.last() {
            all.pop();
        }
        Ok(Self { text, all, at: 0 })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.all.get(self.at).map(|(token, _)| token)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.all.len()
    }

    /// Whether the next token is this word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(it, false)) if it.eq_ignore_ascii_case(word))
    }

    /// Takes this word.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Takes these words, all or none.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let found = words.iter().all(|word| self.eat(word));
        if !found {
            self.at = start;
        }
        found
    }

    /// Takes this sign.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(found);
        found
    }

    /// A name, quoted or not.
    pub(super) fn name(&mut self, what: &str) -> Result<String, AdminError> {
        match self.peek() {
            Some(Token::Word(name, _)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, what: &str) -> Result<u64, AdminError> {
        let number = match self.peek() {
            Some(Token::Number(digits)) => digits.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.expected(what))?;
        self.at += 1;
        Ok(number)
    }

    /// A string.
    pub(super) fn string(&mut self, what: &str) -> Result<String, AdminError> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// The text behind the tokens that were taken, as it was written.
    pub(super) fn rest(&self) -> &'t str {
        let taken = self.at.checked_sub(1).and_then(|last| self.all.get(last));
        let from = taken.map_or(0, |(_, end)| *end);
        self.text.get(from..).unwrap_or_default().trim()
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), AdminError> {
        match self.at_end() {
            true => Ok(()),
            false => Err(self.expected("the end of the command")),
        }
    }

    /// Something else was expected here.
    pub(super) fn expected(&self, what: &str) -> AdminError {
        let found = match self.rest() {
            "" => "the end".to_owned(),
            rest => format!("'{}'", rest.chars().take(40).collect::<String>()),
        };
        AdminError::Syntax(format!("expected {what}, found {found}"))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// Behind blanks and comments.
fn skip(text: &str, mut at: usize) -> Result<usize, AdminError> {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let blank = run(rest, char::is_whitespace);
        let rest = rest.get(blank..).unwrap_or_default();
        at += blank;
        if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or_else(|| AdminError::near(rest))?;
            at += end + 2;
        } else if rest.starts_with("-- ") || rest.starts_with('#') {
            at += rest.find('\n').unwrap_or(rest.len());
        } else {
            return Ok(at);
        }
    }
}

/// A string or name in quotes, and how long it is with them. A doubled quote stands for one; in strings
/// a backslash takes the next character as it is, but for `\%` and `\_`, which keep it for LIKE.
fn quoted(text: &str, quote: char) -> Result<(String, usize), AdminError> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if !matches!(chars.peek(), Some((_, next)) if *next == quote) {
                return Ok((value, at + c.len_utf8()));
            }
            chars.next();
            value.push(quote);
        } else if c == '\\' && quote != '`' {
            match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, kept @ ('%' | '_'))) => value.extend(['\\', kept]),
                Some((_, next)) => value.push(next),
                None => break,
            }
        } else {
            value.push(c);
        }
    }
    Err(AdminError::near(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn words_strings_numbers_and_signs() {
        let read = |text| -> Vec<Token> {
            let all = Tokens::read(text).unwrap().all;
            all.into_iter().map(|(token, _)| token).collect()
        };
        let word = |word: &str| Token::Word(word.into(), false);
        let text = |text: &str| Token::Text(text.into());
        assert_eq!(
            read("show /* c */ POOLS -- x\n # y\n;;"),
            [word("show"), word("POOLS")]
        );
        assert_eq!(
            read("'it''s' \"a\\\"b\" '10\\%' `a``b`"),
            [
                text("it's"),
                text("a\"b"),
                text("10\\%"),
                Token::Word("a`b".into(), true)
            ]
        );
        assert_eq!(
            read("a<=1.5 @@session.`x`"),
            [
                word("a"),
                Token::Sign("<="),
                Token::Number("1.5".into()),
                word("@@session.x")
            ]
        );
        for broken in ["'a", "\"a\\", "/* a", "a ~ b", "`"] {
            assert!(Tokens::read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_rest_is_as_it_was_written() {
        let mut tokens = Tokens::read("explain route  SELECT 'a' ; ").unwrap();
        assert!(tokens.eat_all(&["EXPLAIN", "ROUTE"]));
        assert_eq!(tokens.rest(), "SELECT 'a' ;");
        assert!(!tokens.eat_all(&["SELECT", "b"]) && tokens.eat("select"));
    }
}
