//! Where a walk over a statement's tokens stands in its list of columns: what is put in the place of a
//! whole column must be given the name that the column had.

use super::lexeme::{Lexeme, Placed};

/// Words that end a list of columns.
const BEHIND_COLUMNS: [&str; 12] = [
    "from",
    "into",
    "where",
    "group",
    "having",
    "window",
    "union",
    "except",
    "intersect",
    "order",
    "limit",
    "for",
];

/// Statements whose expressions are evaluated when they are run. What others mention they would
/// keep (a view, a procedure, the text of a PREPARE), and a literal in its place would be wrong.
const EVALUATED: [&str; 15] = [
    "select", "with", "values", "table", "insert", "replace", "update", "delete", "do", "call",
    "set", "explain", "describe", "desc", "analyze",
];

/// Whether the statement evaluates its expressions when it is run.
pub(super) fn is_evaluated(lexemes: &[Placed<'_>]) -> bool {
    let mut verbs = lexemes.iter().map(|(lexeme, _)| lexeme);
    let verb = verbs.find(|lexeme| **lexeme != Lexeme::Op(b'('));
    verb.is_some_and(|verb| EVALUATED.iter().any(|word| verb.is(word)))
}

/// Appends ` AS` and a column's name.
pub(super) fn put_alias(out: &mut Vec<u8>, label: &[u8]) {
    out.extend_from_slice(b" AS `");
    for &byte in label {
        if byte == b'`' {
            out.push(b'`');
        }
        out.push(byte);
    }
    out.push(b'`');
}

/// A place in a statement's list of columns.
pub(super) struct Columns<'t> {
    lexemes: &'t [Placed<'t>],
    /// Whether the list is not yet over.
    inside: bool,
    depth: usize,
}

impl<'t> Columns<'t> {
    pub(super) fn new(lexemes: &'t [Placed<'t>]) -> Self {
        let select = lexemes.first().is_some_and(|(verb, _)| verb.is("select"));
        Self {
            lexemes,
            inside: select,
            depth: 0,
        }
    }

    pub(super) fn pass(&mut self, at: usize) {
        match self.lexemes.get(at) {
            Some((Lexeme::Op(b'('), _)) => self.depth += 1,
            Some((Lexeme::Op(b')'), _)) => self.depth = self.depth.saturating_sub(1),
            Some((lexeme, _)) if self.depth == 0 && ends_columns(lexeme) => self.inside = false,
            _ => {}
        }
    }

    /// Whether these tokens are a whole column that has no name of its own.
    pub(super) fn is_whole(&self, from: usize, to: usize) -> bool {
        let before = from.checked_sub(1).and_then(|at| self.lexemes.get(at));
        let begins = before.is_some_and(|(lexeme, _)| {
            *lexeme == Lexeme::Op(b',')
                || ["select", "distinct", "all", "distinctrow"]
                    .iter()
                    .any(|word| lexeme.is(word))
        });
        let ends = match self.lexemes.get(to) {
            None => true,
            Some((lexeme, _)) => *lexeme == Lexeme::Op(b',') || ends_columns(lexeme),
        };
        self.inside && self.depth == 0 && begins && ends
    }
}

fn ends_columns(lexeme: &Lexeme<'_>) -> bool {
    BEHIND_COLUMNS.iter().any(|word| lexeme.is(word))
}
