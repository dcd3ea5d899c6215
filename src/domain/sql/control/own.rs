//! Statements that read or set a variable of Highwater's own.

pub(super) mod columns;
mod reader;
pub(super) mod template;

use super::super::mode::LexMode;
use super::super::variables::OwnVariable;
use super::lexeme::{self, Lexeme, Placed};
use reader::Reader;
pub use template::{Literal, Mention, Template};

/// What stands in a packet for a SET that is Highwater's: it does nothing, and is answered with OK.
const NOTHING: &[u8] = b"DO 0;";

/// A statement about variables of Highwater's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnStatement {
    /// SET of at least one of them.
    Set {
        /// The assignments that are Highwater's, in their order.
        assignments: Vec<OwnSet>,
        /// The statement without them, for the server; `None` if nothing is left.
        rest: Option<Vec<u8>>,
        /// How many placeholders it has. None of them is Highwater's if something is left.
        placeholders: usize,
    },
    /// SELECT of nothing but them.
    Select(Vec<OwnItem>),
    /// SHOW VARIABLES of these.
    Show(Vec<OwnVariable>),
    /// SHOW HIGHWATER ROUTE: so many of the session's last statements at most.
    Routes(Option<usize>),
    /// Any other statement that mentions them as `@@name`: their values go into it as literals, and
    /// so does whatever else the session knows.
    Mentions(Template),
    /// Several statements in one packet, the first of which are SETs of nothing but them.
    Packet {
        /// What these set.
        assignments: Vec<OwnSet>,
        /// How many these are.
        sets: usize,
        /// The packet for the server: as many statements, but those that were Highwater's do nothing.
        rest: Vec<u8>,
    },
}

/// One assignment of a SET, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSet {
    /// The variable.
    pub variable: OwnVariable,
    /// Where its value comes from.
    pub source: OwnSource,
}

/// The right side of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnSource {
    /// What is written there.
    Value(OwnValue),
    /// What another of these variables has.
    Of(OwnVariable),
    /// A placeholder: which of the statement's, from 0.
    Placeholder(usize),
}

/// One assignment whose value is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAssignment {
    /// The variable.
    pub variable: OwnVariable,
    /// What it is set to.
    pub value: OwnValue,
}

/// A value for a variable.
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

/// Reads a statement about own variables. `None` if they stand where they cannot be answered for: a
/// value that is an expression, a versioned comment, behind another statement of the packet. The
/// caller answers with an error, for no server knows them.
pub fn parse_own(text: &[u8], mode: LexMode) -> Option<OwnStatement> {
    let lexemes = lexeme::read(text, mode)?;
    let statements: Vec<_> = lexemes
        .split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
        .filter(|statement| !statement.is_empty())
        .collect();
    match *statements {
        [] => None,
        [statement] => one(text, statement),
        _ => packet(text, &statements),
    }
}

/// A statement that is prepared to be run again and again: as a template where [`parse_own`] gives
/// values to be answered at once.
pub fn parse_own_prepared(text: &[u8], mode: LexMode) -> Option<OwnStatement> {
    match parse_own(text, mode)? {
        OwnStatement::Select(_) => {
            let lexemes = lexeme::read(text, mode)?;
            Template::of(text, &lexemes).map(OwnStatement::Mentions)
        }
        OwnStatement::Show(variables) => {
            Some(OwnStatement::Mentions(Template::of_show(&variables)))
        }
        OwnStatement::Packet { .. } => None,
        statement => Some(statement),
    }
}

/// Finds what the session knows in a packet of one or more statements. `None` if there is nothing, or
/// where it cannot be told apart: in a versioned comment, in a text that is kept (a view, a routine).
/// The server's own answer has to do then.
pub fn parse_known(text: &[u8], mode: LexMode) -> Option<Template> {
    Template::of_packet(text, &lexeme::read(text, mode)?)
}

/// Whether a statement gives another value to something that the session knows: from then on the
/// server's own answer is the right one.
pub fn sets_known(text: &[u8], mode: LexMode) -> bool {
    let Some(lexemes) = lexeme::read(text, mode) else {
        return true;
    };
    lexemes
        .split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'))
        .filter(|statement| statement.first().is_some_and(|(verb, _)| verb.is("set")))
        .any(|statement| Reader::new(text, statement).sets_known())
}

fn one(text: &[u8], lexemes: &[Placed<'_>]) -> Option<OwnStatement> {
    let reader = Reader::new(text, lexemes);
    let (verb, _) = lexemes.first()?;
    if verb.is("set") && reader.sets_own() {
        return reader.set();
    }
    if verb.is("show") {
        return reader.show();
    }
    let select = verb.is("select").then(|| reader.select()).flatten();
    select.or_else(|| Template::of(text, lexemes).map(OwnStatement::Mentions))
}

/// Several statements: what Highwater sets must come first, since nobody knows whether a statement in
/// the middle is reached.
fn packet(text: &[u8], statements: &[&[Placed<'_>]]) -> Option<OwnStatement> {
    let mut all = Vec::new();
    let mut sets = 0;
    for statement in statements {
        let own = match one(text, statement) {
            Some(OwnStatement::Set {
                assignments,
                rest: None,
                placeholders: 0,
            }) => assignments,
            _ => break,
        };
        all.extend(own);
        sets += 1;
    }
    let others = statements.get(sets..)?;
    let mentioned = |statement: &&[Placed<'_>]| Reader::new(text, statement).names_own();
    if sets == 0 || others.iter().any(mentioned) {
        return None;
    }
    let mut rest = NOTHING.repeat(sets);
    if let Some((_, place)) = others.first().and_then(|statement| statement.first()) {
        rest.extend_from_slice(text.get(place.start..)?);
    }
    Some(OwnStatement::Packet {
        assignments: all,
        sets,
        rest,
    })
}

#[cfg(test)]
mod tests;
