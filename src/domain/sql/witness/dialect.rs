//! From MySQL's grammar to the parser's: small changes of spelling that keep every name, every
//! call and every clause, for forms of everyday SQL that sqlparser does not know. What is left out is
//! plain: it holds no name, no call and no query.

mod omit;

use super::super::chars;
use super::super::mode::Dialect;
use super::super::token::{Token, Tokens};

/// The query as the parser can read it; `None` if it is not UTF-8.
pub(super) fn translate(query: &[u8], dialect: Dialect) -> Option<String> {
    let text = std::str::from_utf8(query).ok()?;
    let mut translator = Translator {
        text,
        dialect,
        tokens: Tokens::new(query),
        out: String::with_capacity(query.len() + 64),
        before: [None; 2],
        parentheses: Vec::new(),
    };
    while translator.step()? {}
    Some(translator.out)
}

struct Translator<'t> {
    text: &'t str,
    dialect: Dialect,
    tokens: Tokens<'t>,
    out: String,
    /// The token before the one at hand, and the one before that.
    before: [Option<Token<'t>>; 2],
    /// What each open parenthesis holds.
    parentheses: Vec<Group>,
}

/// What a parenthesis holds, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// A list of tables.
    Tables,
    /// The arguments of a function of dynamic columns, some `AS` a type.
    DynamicColumns,
    /// The arguments of JSON_TABLE.
    JsonTable,
    /// Anything else.
    Other,
}

impl Translator<'_> {
    /// Translates one token; false at the end.
    fn step(&mut self) -> Option<bool> {
        let from = self.tokens.position();
        let Some(token) = self.tokens.next() else {
            return Some(false);
        };
        let spelled = self.text.get(from..self.tokens.position())?;
        match token {
            // A placeholder is not allowed everywhere a number is.
            Token::Value => self.replace(spelled, "1"),
            Token::Op(b'!') if !self.next_is_op(b'=') => self.out.push_str(" not "),
            Token::Op(b'(') => {
                let group = self.begins_group();
                self.parentheses.push(group);
                self.out.push_str(spelled);
            }
            Token::Op(b')') => {
                self.parentheses.pop();
                self.out.push_str(spelled);
            }
            // `JOIN (a, b)` joins both.
            Token::Op(b',') if self.parentheses.last() == Some(&Group::Tables) => {
                self.out.push_str(" cross join ");
            }
            Token::Word(word) => self.word(word, spelled),
            // Two literals, which normalising made one.
            Token::Str(_)
                if self.parentheses.last() == Some(&Group::JsonTable)
                    && self.before[0].is_some_and(|t| t.is_op(b'(')) =>
            {
                self.out.push_str("'?','?'");
            }
            _ => self.out.push_str(spelled),
        }
        self.before = [Some(token), self.before[0]];
        Some(true)
    }

    fn word(&mut self, word: &[u8], spelled: &str) {
        let member = self.before[0].is_some_and(|t| t.is_op(b'.'));
        if member {
            self.out.push_str(spelled);
        } else if self.omitted(word) {
            // Nothing of it is written.
        } else if let Some(unit) = simple_unit(word) {
            self.replace(spelled, unit);
        } else if word == b"mod" && !self.next_is_op(b'(') && self.behind_operand() {
            self.replace(spelled, "%");
        } else if word == b"sounds"
            && self.behind_operand()
            && self.tokens.peek().is_some_and(|t| t.is("like"))
        {
            // The LIKE that follows is left.
        } else {
            self.out.push_str(spelled);
            if word == b"char" {
                self.skip_charset();
            }
        }
    }

    /// Writes `with` for a token, and the blank that stood before it.
    fn replace(&mut self, spelled: &str, with: &str) {
        if spelled.starts_with(' ') {
            self.out.push(' ');
        }
        self.out.push_str(with);
    }

    fn next_is_op(&self, byte: u8) -> bool {
        self.tokens.peek().is_some_and(|t| t.is_op(byte))
    }

    fn behind_operand(&self) -> bool {
        match self.before[0] {
            Some(Token::Word(word)) => word != b"select",
            Some(Token::Op(byte)) => byte == b')',
            Some(_) => true,
            None => false,
        }
    }

    /// What the parenthesis at hand opens.
    fn begins_group(&self) -> Group {
        match self.before[0].and_then(Token::word) {
            Some(b"json_table") => Group::JsonTable,
            Some(b"column_get" | b"column_create" | b"column_add") => Group::DynamicColumns,
            _ if self.begins_tables() => Group::Tables,
            _ => Group::Other,
        }
    }

    /// Leaves out a clause of MariaDB's that begins with this word, if it is one of those.
    fn omitted(&mut self, word: &[u8]) -> bool {
        if !self.dialect.is_mariadb() {
            return false;
        }
        let mut ahead = self.tokens;
        let omitted = match word {
            b"for" => omit::system_time(&mut ahead),
            b"sql_cache" => self.before[0].is_some_and(|t| t.is("select")),
            b"as" if self.parentheses.last() == Some(&Group::DynamicColumns) => {
                omit::type_name(&mut ahead)
            }
            b"limit" => {
                self.before[1].is_some_and(|t| t.is("separator")) && omit::limit(&mut ahead)
            }
            b"rows" => omit::examined(&mut ahead),
            _ => false,
        };
        if omitted {
            self.tokens = ahead;
            if word == b"rows" && self.before[0].is_some_and(|t| t.is("limit")) {
                self.out.push_str(" 1");
            }
        }
        omitted
    }

    /// Whether the parenthesis at hand opens a list of tables: it follows FROM or JOIN and is no
    /// subquery.
    fn begins_tables(&self) -> bool {
        let index_hint = self.before[1].is_some_and(|t| t.is("for"));
        let behind = self.before[0].is_some_and(|t| t.is("from") || t.is("join")) && !index_hint
            || (self.before[0].is_some_and(|t| t.is_op(b'('))
                && self.parentheses.last() == Some(&Group::Tables));
        let subquery = self.tokens.peek().is_some_and(|t| {
            ["select", "with", "values", "table"]
                .iter()
                .any(|verb| t.is(verb))
        });
        behind && !subquery && self.is_name_or_parenthesis()
    }

    /// `EXTRACT(YEAR FROM (x))` has an expression there: tables are a name with a comma or a join
    /// behind it, or another parenthesis.
    fn is_name_or_parenthesis(&self) -> bool {
        matches!(
            self.tokens.peek(),
            Some(Token::Word(_) | Token::Quoted(_) | Token::Op(b'('))
        )
    }

    /// Skips `CHARACTER SET x` and `CHARSET x` behind the type CHAR.
    fn skip_charset(&mut self) {
        let mut ahead = self.tokens;
        let found = (ahead.eat("charset") || ahead.eat_all(&["character", "set"]))
            && ahead
                .next()
                .and_then(Token::name)
                .is_some_and(|name| name.iter().all(|&b| chars::is_word(b)));
        if found {
            self.tokens = ahead;
        }
    }
}

/// The simple unit that stands in for one made of two.
fn simple_unit(word: &[u8]) -> Option<&'static str> {
    Some(match word {
        b"second_microsecond"
        | b"minute_microsecond"
        | b"hour_microsecond"
        | b"day_microsecond" => "second",
        b"minute_second" | b"hour_second" | b"day_second" => "minute",
        b"hour_minute" | b"day_minute" => "hour",
        b"day_hour" => "day",
        b"year_month" => "year",
        _ => return None,
    })
}
