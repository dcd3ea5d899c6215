//! SET, SELECT and SHOW, token by token.

use super::super::super::known::Known;
use super::super::super::variables::{self, OwnVariable};
use super::super::lexeme::{Lexeme, Placed};
use super::template::Mention;
use super::{OwnItem, OwnSet, OwnSource, OwnStatement, OwnValue};

/// A place in the tokens of a statement.
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    text: &'t [u8],
    lexemes: &'t [Placed<'t>],
    at: usize,
}

impl<'t> Reader<'t> {
    /// Behind the verb.
    pub(super) fn new(text: &'t [u8], lexemes: &'t [Placed<'t>]) -> Self {
        Self::at(text, lexemes, 1)
    }

    pub(super) fn at(text: &'t [u8], lexemes: &'t [Placed<'t>], at: usize) -> Self {
        Self { text, lexemes, at }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<&'t Lexeme<'t>> {
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
    pub(super) fn spelled(&self, from: usize, to: usize) -> Option<&'t [u8]> {
        let start = self.lexemes.get(from)?.1.start;
        let end = self.lexemes.get(to.checked_sub(1)?)?.1.end;
        self.text.get(start..end)
    }

    /// Whether a SET assigns to an own variable.
    pub(super) fn sets_own(mut self) -> bool {
        loop {
            let start = self.at;
            if self.target().is_some() {
                return true;
            }
            self.at = start;
            self.skip_assignment();
            if !self.eat_op(b',') {
                return false;
            }
        }
    }

    /// Whether an own variable is named anywhere, as `@@name` or, in a SET, by its bare name.
    pub(super) fn names_own(self) -> bool {
        let set = self.lexemes.first().is_some_and(|(verb, _)| verb.is("set"));
        let bare = |(lexeme, _): &Placed<'_>| {
            let name = lexeme.name().and_then(OwnVariable::of_name);
            name.is_some()
        };
        (set && self.lexemes.iter().any(bare)) || self.mentions_own(0, self.lexemes.len())
    }

    /// Whether one of these tokens begins `@@name` of an own variable.
    fn mentions_own(self, from: usize, to: usize) -> bool {
        let begins = |at| Self { at, ..self }.system_variable().is_some();
        (from..to).any(begins)
    }

    pub(super) fn set(mut self) -> Option<OwnStatement> {
        let mut assignments = Vec::new();
        let mut rest: Vec<u8> = Vec::new();
        let mut own_placeholders = false;
        loop {
            let start = self.at;
            let target = self.target();
            if let Some(variable) = target {
                let source = self.source()?;
                own_placeholders |= matches!(source, OwnSource::Placeholder(_));
                assignments.push(OwnSet { variable, source });
            } else {
                self.at = start;
                self.skip_assignment();
                if self.mentions_own(start, self.at) {
                    return None;
                }
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
        if own_placeholders && !rest.is_empty() {
            return None;
        }
        let rest = (!rest.is_empty()).then_some(rest);
        Some(OwnStatement::Set {
            assignments,
            rest,
            placeholders: self.placeholders_before(self.lexemes.len()),
        })
    }

    fn placeholders_before(&self, end: usize) -> usize {
        let before = self.lexemes.iter().take(end);
        before
            .filter(|(lexeme, _)| *lexeme == Lexeme::Op(b'?'))
            .count()
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

    /// `@@x`, `@@session.x`, `@@local.x` of an own variable.
    pub(super) fn system_variable(&mut self) -> Option<OwnVariable> {
        self.variable_name().and_then(OwnVariable::of_name)
    }

    /// The name behind `@@`, `@@session.` or `@@local.`.
    fn variable_name(&mut self) -> Option<&'t [u8]> {
        if !self.eat_op(b'@') || !self.eat_op(b'@') {
            return None;
        }
        let first = self.next()?.name()?;
        if !self.eat_op(b'.') {
            return Some(first);
        }
        let scoped = first.eq_ignore_ascii_case(b"session") || first.eq_ignore_ascii_case(b"local");
        let name = self.next()?.name()?;
        scoped.then_some(name)
    }

    /// An own variable, or something that the session knows the value of, where it is read.
    pub(super) fn mention(&mut self) -> Option<Mention> {
        if self.peek() != Some(&Lexeme::Op(b'@')) {
            return self.known_call().map(Mention::Known);
        }
        let start = self.at;
        let name = self.variable_name()?;
        let own = OwnVariable::of_name(name).map(Mention::Own);
        let mention = own.or_else(|| Known::of_variable(name).map(Mention::Known))?;
        (!self.is_target(start)).then_some(mention)
    }

    /// `name()` of a function whose value the session knows.
    fn known_call(&mut self) -> Option<Known> {
        let before = self.at.checked_sub(1).and_then(|at| self.lexemes.get(at));
        let begins = before.is_none_or(|(lexeme, _)| begins_a_call(lexeme));
        let known = Known::of_function(self.next()?.name()?)?;
        let call = begins && self.eat_op(b'(') && self.eat_op(b')');
        call.then_some(known)
    }

    /// Whether the variable that was just read, from `start`, is what a SET gives a value to.
    fn is_target(&self, start: usize) -> bool {
        let verb = self.lexemes.first().is_some_and(|(verb, _)| verb.is("set"));
        let before = start.checked_sub(1).and_then(|at| self.lexemes.get(at));
        let first = before.is_some_and(|(l, _)| l.is("set") || *l == Lexeme::Op(b','));
        let mut behind = *self;
        behind.eat_op(b':');
        verb && first && behind.eat_op(b'=')
    }

    /// Whether a SET gives a value to something whose value the session knows.
    pub(super) fn sets_known(mut self) -> bool {
        loop {
            let start = self.at;
            if self.known_target() {
                return true;
            }
            self.at = start;
            self.skip_assignment();
            if !self.eat_op(b',') {
                return false;
            }
        }
    }

    fn known_target(&mut self) -> bool {
        let name = if self.peek() == Some(&Lexeme::Op(b'@')) {
            self.variable_name()
        } else {
            if !self.eat("session") {
                self.eat("local");
            }
            self.next().and_then(Lexeme::name)
        };
        self.eat_op(b':');
        self.eat_op(b'=') && name.and_then(Known::of_variable).is_some()
    }

    fn source(&mut self) -> Option<OwnSource> {
        let source = match self.peek()? {
            Lexeme::Op(b'@') => OwnSource::Of(self.system_variable()?),
            Lexeme::Op(b'?') => {
                let placeholder = OwnSource::Placeholder(self.placeholders_before(self.at));
                self.at += 1;
                placeholder
            }
            Lexeme::Op(b'-') => {
                // A number that no variable of ours takes; it is told what it takes instead.
                self.at += 1;
                let number = utf8(self.next()?.name()?)?;
                OwnSource::Value(OwnValue::Text(format!("-{number}")))
            }
            Lexeme::Op(_) => return None,
            word if word.is("default") => {
                self.at += 1;
                OwnSource::Value(OwnValue::Default)
            }
            Lexeme::Word(bytes) => {
                self.at += 1;
                OwnSource::Value(OwnValue::Text(utf8(bytes)?))
            }
            Lexeme::Str(bytes) | Lexeme::Quoted(bytes) => {
                self.at += 1;
                OwnSource::Value(OwnValue::Text(utf8(bytes)?))
            }
        };
        (self.at_end() || self.peek() == Some(&Lexeme::Op(b','))).then_some(source)
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

    pub(super) fn select(mut self) -> Option<OwnStatement> {
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

    /// `ROUTE [LAST n]` behind `SHOW HIGHWATER`.
    fn routes(mut self) -> Option<OwnStatement> {
        let known = self.eat("route");
        let most = match self.eat("last") {
            true => Some(utf8(self.next()?.name()?)?.parse().ok()?),
            false => None,
        };
        (known && self.at_end()).then_some(OwnStatement::Routes(most))
    }

    /// `SHOW [scope] VARIABLES LIKE 'pattern'`, and `WHERE Variable_name = 'name'`.
    pub(super) fn show(mut self) -> Option<OwnStatement> {
        if self.eat("highwater") {
            return self.routes();
        }
        let _scope = self.eat("global") || self.eat("session") || self.eat("local");
        if !self.eat("variables") {
            return None;
        }
        let exact = self.eat("where") && {
            let column = self.next()?.name()?;
            if !column.eq_ignore_ascii_case(b"variable_name") {
                return None;
            }
            self.eat_op(b'=')
        };
        if !exact && !self.eat("like") {
            return None;
        }
        let Lexeme::Str(pattern) = self.next()? else {
            return None;
        };
        let shown = if exact {
            OwnVariable::of_name(pattern).into_iter().collect()
        } else {
            variables::own_like(pattern)
        };
        (self.at_end() && !shown.is_empty()).then_some(OwnStatement::Show(shown))
    }
}

/// Whether a name with parentheses may be a call behind this token. Behind these words it is a table or
/// a procedure, and behind a dot a member of a schema.
fn begins_a_call(before: &Lexeme<'_>) -> bool {
    const NAMES: [&str; 8] = [
        "into",
        "insert",
        "replace",
        "ignore",
        "low_priority",
        "high_priority",
        "delayed",
        "call",
    ];
    !matches!(before, Lexeme::Op(b'.' | b'@')) && !NAMES.iter().any(|word| before.is(word))
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}
