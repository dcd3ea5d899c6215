//! The columns of SELECTs, wherever in a statement these stand.

use std::ops::Range;

use super::super::lexeme::{Lexeme, Placed};

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

/// Words between SELECT and its first column.
const BEFORE_COLUMNS: [&str; 9] = [
    "distinct",
    "all",
    "distinctrow",
    "high_priority",
    "straight_join",
    "sql_small_result",
    "sql_big_result",
    "sql_buffer_result",
    "sql_calc_found_rows",
];

/// The columns, as ranges of tokens, that have no name of their own for certain.
pub(in crate::domain::sql::control) fn unnamed(lexemes: &[Placed<'_>]) -> Vec<Range<usize>> {
    let mut walk = Walk {
        lexemes,
        open: vec![None],
        found: Vec::new(),
    };
    for at in 0..lexemes.len() {
        walk.pass(at);
    }
    while !walk.open.is_empty() {
        walk.close(lexemes.len());
        walk.open.pop();
    }
    walk.found
}

struct Walk<'t> {
    lexemes: &'t [Placed<'t>],
    /// For each open parenthesis, and for none: where the column at hand begins.
    open: Vec<Option<usize>>,
    found: Vec<Range<usize>>,
}

impl<'t> Walk<'t> {
    fn lexeme(&self, at: usize) -> Option<&'t Lexeme<'t>> {
        self.lexemes.get(at).map(|(lexeme, _)| lexeme)
    }

    fn pass(&mut self, at: usize) {
        let Some(lexeme) = self.lexeme(at) else {
            return;
        };
        match lexeme {
            Lexeme::Op(b'(') => self.open.push(None),
            Lexeme::Op(b')') => {
                self.close(at);
                if self.open.len() > 1 {
                    self.open.pop();
                }
            }
            Lexeme::Op(b',') if self.close(at) => self.begin(at + 1),
            Lexeme::Word(_) if self.is_member(at) => {}
            word if word.is("select") => self.begin(at + 1),
            word if self.begins_at(at) && is_one_of(word, &BEFORE_COLUMNS) => self.begin(at + 1),
            word if is_one_of(word, &BEHIND_COLUMNS) => {
                self.close(at);
            }
            _ => {}
        }
    }

    fn begin(&mut self, at: usize) {
        if let Some(top) = self.open.last_mut() {
            *top = Some(at);
        }
    }

    fn begins_at(&self, at: usize) -> bool {
        self.open.last() == Some(&Some(at))
    }

    /// Ends the column at hand; whether there was one.
    fn close(&mut self, end: usize) -> bool {
        let Some(start) = self.open.last_mut().and_then(Option::take) else {
            return false;
        };
        if start < end && self.is_unnamed(end) {
            self.found.push(start..end);
        }
        true
    }

    /// Whether a name stands behind a dot: never a keyword.
    fn is_member(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.lexeme(at));
        before == Some(&Lexeme::Op(b'.'))
    }

    /// Whether what ends here surely ends with no alias.
    fn is_unnamed(&self, end: usize) -> bool {
        let back = |by: usize| end.checked_sub(by).and_then(|at| self.lexeme(at));
        match (back(2), back(1)) {
            (_, Some(Lexeme::Op(b')'))) => true,
            (_, Some(Lexeme::Op(_)) | None) => false,
            (_, Some(word)) if is_number(word) => true,
            (Some(Lexeme::Op(b'.')), _) => !back(3).is_some_and(is_number),
            (Some(Lexeme::Op(op)), _) => b"+-*/%=<>!|&^~@".contains(op),
            _ => false,
        }
    }
}

fn is_one_of(lexeme: &Lexeme<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| lexeme.is(word))
}

fn is_number(lexeme: &Lexeme<'_>) -> bool {
    matches!(lexeme, Lexeme::Word(word) if word.iter().all(u8::is_ascii_digit))
}
