//! Statements that read or set a variable of Highwater's own.

use std::ops::Range;

use super::super::mode::LexMode;
use super::super::variables::{self, OwnVariable};
use super::lexeme::{self, Lexeme};

/// A statement about variables of Highwater's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnStatement {
    /// SET of at least one of them.
    Set {
        /// The assignments that are Highwater's, in their order.
        assignments: Vec<OwnAssignment>,
        /// The statement without them, for the server; `None` if nothing is left.
        rest: Option<Vec<u8>>,
    },
    /// SELECT of nothing but them.
    Select(Vec<OwnItem>),
    /// SHOW VARIABLES LIKE one of them.
    ShowVariable(OwnVariable),
}

/// One assignment of a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAssignment {
    /// The variable.
    pub variable: OwnVariable,
    /// What it is set to.
    pub value: OwnValue,
}

/// The right side of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnValue {
    /// The word DEFAULT: back to what the configuration says.
    Default,
    /// A string, a number or a bare word, as it is spelled.
    Text(String),
}

/// One column of a SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnItem {
    /// The variable.
    pub variable: OwnVariable,
    /// The column's label: the alias, or the expression as it was spelled.
    pub label: String,
}

/// Reads a statement about own variables. `None` if it does more than that (own variables mixed
/// with other expressions in a SELECT, a value that is an expression): the caller answers with an
/// error, for no server knows them.
pub fn parse_own(text: &[u8], mode: LexMode) -> Option<OwnStatement> {
    let lexemes = lexeme::read(text, mode)?;
    let reader = Reader {
        text,
        lexemes: &lexemes,
        at: 1,
    };
    let (verb, _) = lexemes.first()?;
    if verb.is("set") {
        reader.set()
    } else if verb.is("select") {
        reader.select()
    } else if verb.is("show") {
        reader.show()
    } else {
        None
    }
}

/// A place in the tokens of a statement.
struct Reader<'t> {
    text: &'t [u8],
    lexemes: &'t [(Lexeme<'t>, Range<usize>)],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t Lexeme<'t>> {
        self.lexemes.get(self.at).map(|(lexeme, _)| lexeme)
    }

    fn next(&mut self) -> Option<&'t Lexeme<'t>> {
        let lexeme = self.peek();
        self.at += 1;
        lexeme
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|l| l.is(word));
        self.at += usize::from(found);
        found
    }

    fn eat_op(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(&Lexeme::Op(byte));
        self.at += usize::from(found);
        found
    }

    fn at_end(&self) -> bool {
        self.at >= self.lexemes.len()
    }

    /// The bytes of the tokens from `from` up to, not with, `to`.
    fn spelled(&self, from: usize, to: usize) -> Option<&'t [u8]> {
        let start = self.lexemes.get(from)?.1.start;
        let end = self.lexemes.get(to.checked_sub(1)?)?.1.end;
        self.text.get(start..end)
    }

    fn set(mut self) -> Option<OwnStatement> {
        let mut assignments = Vec::new();
        let mut rest: Vec<u8> = Vec::new();
        loop {
            let start = self.at;
            let target = self.target();
            if let Some(variable) = target {
                let value = self.value()?;
                assignments.push(OwnAssignment { variable, value });
            } else {
                self.at = start;
                self.skip_assignment();
                rest.extend_from_slice(if rest.is_empty() { b"SET " } else { b", " });
                rest.extend_from_slice(self.spelled(start, self.at)?);
            }
            if self.at_end() {
                break;
            }
            if !self.eat_op(b',') {
                return None;
            }
        }
        if assignments.is_empty() {
            return None;
        }
        let rest = (!rest.is_empty()).then_some(rest);
        Some(OwnStatement::Set { assignments, rest })
    }

    /// The own variable that an assignment begins with, up to and with its `=`.
    fn target(&mut self) -> Option<OwnVariable> {
        let variable = if self.peek() == Some(&Lexeme::Op(b'@')) {
            self.system_variable()?
        } else {
            if !self.eat("session") {
                self.eat("local");
            }
            OwnVariable::of_name(self.next()?.name()?)?
        };
        self.eat_op(b':');
        self.eat_op(b'=').then_some(variable)
    }

    /// `@@x`, `@@session.x`, `@@local.x`.
    fn system_variable(&mut self) -> Option<OwnVariable> {
        if !self.eat_op(b'@') || !self.eat_op(b'@') {
            return None;
        }
        let first = self.next()?;
        if !self.eat_op(b'.') {
            return OwnVariable::of_name(first.name()?);
        }
        let scoped = first.is("session") || first.is("local");
        let name = self.next()?.name()?;
        if scoped {
            OwnVariable::of_name(name)
        } else {
            None
        }
    }

    fn value(&mut self) -> Option<OwnValue> {
        let value = match self.next()? {
            word if word.is("default") => OwnValue::Default,
            Lexeme::Word(bytes) => OwnValue::Text(utf8(bytes)?),
            Lexeme::Str(bytes) | Lexeme::Quoted(bytes) => OwnValue::Text(utf8(bytes)?),
            Lexeme::Op(_) => return None,
        };
        (self.at_end() || self.peek() == Some(&Lexeme::Op(b','))).then_some(value)
    }

    /// Goes behind an assignment that is not Highwater's.
    fn skip_assignment(&mut self) {
        let mut depth = 0usize;
        while let Some(lexeme) = self.peek() {
            match lexeme {
                Lexeme::Op(b'(') => depth += 1,
                Lexeme::Op(b')') => depth = depth.saturating_sub(1),
                Lexeme::Op(b',') if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn select(mut self) -> Option<OwnStatement> {
        let mut items = Vec::new();
        loop {
            let start = self.at;
            let variable = self.system_variable()?;
            let spelled = self.spelled(start, self.at)?;
            let label = self.alias(spelled)?;
            items.push(OwnItem { variable, label });
            if !self.eat_op(b',') {
                break;
            }
        }
        self.at_end().then_some(OwnStatement::Select(items))
    }

    fn alias(&mut self, spelled: &[u8]) -> Option<String> {
        let explicit = self.eat("as");
        match self.peek() {
            Some(Lexeme::Word(name)) => {
                self.at += 1;
                utf8(name)
            }
            Some(Lexeme::Quoted(name) | Lexeme::Str(name)) => {
                self.at += 1;
                utf8(name)
            }
            _ if explicit => None,
            _ => utf8(spelled),
        }
    }

    fn show(mut self) -> Option<OwnStatement> {
        let _scope = self.eat("global") || self.eat("session") || self.eat("local");
        if !(self.eat("variables") && self.eat("like")) {
            return None;
        }
        let Lexeme::Str(pattern) = self.next()? else {
            return None;
        };
        let variable = variables::own_of_pattern(pattern)?;
        self.at_end()
            .then_some(OwnStatement::ShowVariable(variable))
    }
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<OwnStatement> {
        parse_own(text.as_bytes(), LexMode::default())
    }

    fn set(pairs: &[(OwnVariable, &str)], rest: Option<&str>) -> Option<OwnStatement> {
        let assignments = pairs
            .iter()
            .map(|&(variable, value)| OwnAssignment {
                variable,
                value: OwnValue::Text(value.to_owned()),
            })
            .collect();
        Some(OwnStatement::Set {
            assignments,
            rest: rest.map(|r| r.as_bytes().to_vec()),
        })
    }

    #[test]
    fn set_in_every_spelling() {
        let aurora = OwnVariable::AuroraReplicaReadConsistency;
        for text in [
            "SET aurora_replica_read_consistency = 'session'",
            "set SESSION Aurora_Replica_Read_Consistency=session;",
            "SET LOCAL aurora_replica_read_consistency := \"session\"",
            "SET @@aurora_replica_read_consistency = 'session'",
            "SET @@session.aurora_replica_read_consistency = 'session' -- really",
            "SET @@local.`aurora_replica_read_consistency` = `session`",
        ] {
            assert_eq!(read(text), set(&[(aurora, "session")], None), "{text}");
        }
    }

    #[test]
    fn set_within_a_list() {
        let timeout = OwnVariable::CatchUpTimeout;
        let level = OwnVariable::ReadConsistency;
        assert_eq!(
            read(
                "SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), highwater_catch_up_timeout = 250, \
                 @x = 'a,b', SESSION highwater_read_consistency='global', NAMES utf8mb4"
            ),
            set(
                &[(timeout, "250"), (level, "global")],
                Some("SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), @x = 'a,b', NAMES utf8mb4")
            )
        );
    }

    #[test]
    fn set_to_the_default() {
        assert_eq!(
            read("SET highwater_on_timeout = DEFAULT"),
            Some(OwnStatement::Set {
                assignments: vec![OwnAssignment {
                    variable: OwnVariable::OnTimeout,
                    value: OwnValue::Default,
                }],
                rest: None,
            })
        );
    }

    #[test]
    fn values_that_are_no_plain_value() {
        for text in [
            "SET highwater_on_timeout = CONCAT('a', 'b')",
            "SET highwater_on_timeout = @x",
            "SET highwater_on_timeout =",
            "SET highwater_on_timeout",
            "SET GLOBAL highwater_on_timeout = 'error'",
            "SET sql_mode = ''",
            "SET /*!50000 highwater_on_timeout = 'error' */",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn select_with_labels() {
        assert_eq!(
            read(
                "SELECT @@highwater_position, @@session . highwater_on_timeout AS 't', @@Highwater_read_consistency lvl;"
            ),
            Some(OwnStatement::Select(vec![
                OwnItem {
                    variable: OwnVariable::Position,
                    label: "@@highwater_position".into()
                },
                OwnItem {
                    variable: OwnVariable::OnTimeout,
                    label: "t".into()
                },
                OwnItem {
                    variable: OwnVariable::ReadConsistency,
                    label: "lvl".into()
                },
            ]))
        );
        assert_eq!(read("SELECT @@highwater_position, 1"), None);
        assert_eq!(read("SELECT @@highwater_position FROM t"), None);
        assert_eq!(read("SELECT @@global.highwater_position"), None);
    }

    #[test]
    fn show_variables() {
        let show = Some(OwnStatement::ShowVariable(
            OwnVariable::AuroraReplicaReadConsistency,
        ));
        assert_eq!(
            read("SHOW VARIABLES LIKE 'aurora_replica_read_consistency'"),
            show
        );
        assert_eq!(
            read("show session variables like 'AURORA\\_replica\\_read\\_consistency';"),
            show
        );
        assert_eq!(read("SHOW VARIABLES LIKE 'aurora%'"), None);
        assert_eq!(read("SHOW VARIABLES"), None);
    }
}
