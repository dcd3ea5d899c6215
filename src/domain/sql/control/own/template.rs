//! A text with places for values that the session knows: own variables, and what a server would answer
//! for one of its connections.

use std::ops::Range;

use super::super::super::known::Known;
use super::super::super::variables::OwnVariable;
use super::super::lexeme::{Lexeme, Placed};
use super::columns;
use super::reader::Reader;

/// Something in a text that the session has the value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// A variable of Highwater's own.
    Own(OwnVariable),
    /// What a server would answer for a connection.
    Known(Known),
}

/// A value as it goes into a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A string.
    Text(String),
    /// A BIGINT UNSIGNED.
    Unsigned(u64),
    /// A BIGINT.
    Signed(i64),
}

/// A text that mentions values of the session. A server is sent them as literals; a column of a SELECT
/// keeps the name that its text would have given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Value {
        mention: Mention,
        spelled: Box<[u8]>,
    },
    Alias(Box<[u8]>),
}

/// What stands in place of these bytes of the text.
struct Edit {
    place: Range<usize>,
    part: Part,
}

/// Statements whose expressions are evaluated when they are run. What others mention they would
/// keep (a view, a procedure, the text of a PREPARE), and a literal in its place would be wrong.
const EVALUATED: [&str; 15] = [
    "select", "with", "values", "table", "insert", "replace", "update", "delete", "do", "call",
    "set", "explain", "describe", "desc", "analyze",
];

/// Statements that mention nothing and hold no others, so that what follows them in a packet is a
/// statement of its own.
const PASSED: [&str; 11] = [
    "commit",
    "rollback",
    "start",
    "savepoint",
    "release",
    "use",
    "show",
    "drop",
    "truncate",
    "lock",
    "unlock",
];

/// The longest column name that is given as an alias, in bytes: a server takes no longer alias.
pub(in crate::domain::sql::control) const MAX_ALIAS: usize = 255;

impl Template {
    /// Finds the mentions in a statement; `None` if there are none, or none that can be filled.
    pub(super) fn of(text: &[u8], lexemes: &[Placed<'_>]) -> Option<Self> {
        let mut edits = Vec::new();
        find(text, lexemes, |_| true, &mut edits)?;
        let end = lexemes.last()?.1.end;
        Self::put_together(text, lexemes.first()?.1.start..end, edits)
    }

    /// Finds what the session knows in a packet of one or more statements.
    pub(super) fn of_packet(text: &[u8], lexemes: &[Placed<'_>]) -> Option<Self> {
        let mut edits = Vec::new();
        let statements = lexemes.split(|(lexeme, _)| *lexeme == Lexeme::Op(b';'));
        for (index, statement) in statements.filter(|s| !s.is_empty()).enumerate() {
            let known = |mention: Mention| match mention {
                Mention::Own(_) => false,
                Mention::Known(known) => index == 0 || known.is_lasting(),
            };
            if find(text, statement, known, &mut edits).is_none() && !is_passed(statement) {
                // It may hold statements itself, and end anywhere.
                break;
            }
        }
        Self::put_together(text, 0..text.len(), edits)
    }

    /// What SHOW VARIABLES answers about these.
    pub(super) fn of_show(variables: &[OwnVariable]) -> Self {
        let mut parts = Vec::new();
        for variable in variables {
            let union = if parts.is_empty() { "" } else { " UNION ALL " };
            let name = variable.name();
            let text = format!("{union}SELECT '{name}' AS `Variable_name`, ");
            parts.push(Part::Text(text.into_bytes().into()));
            parts.push(Part::Value {
                mention: Mention::Own(*variable),
                spelled: format!("@@{name}").into_bytes().into(),
            });
            parts.push(Part::Alias(b"Value".as_slice().into()));
        }
        Self { parts }
    }

    fn put_together(text: &[u8], whole: Range<usize>, mut edits: Vec<Edit>) -> Option<Self> {
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|edit| (edit.place.start, edit.place.end));
        let mut parts = Vec::new();
        let mut from = whole.start;
        for Edit { place, part } in edits {
            parts.push(Part::Text(text.get(from..place.start)?.into()));
            parts.push(part);
            from = place.end;
        }
        parts.push(Part::Text(text.get(from..whole.end)?.into()));
        Some(Self { parts })
    }

    /// What it needs the values of, in their order.
    pub fn mentions(&self) -> impl Iterator<Item = Mention> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { mention, .. } => Some(*mention),
            Part::Text(_) | Part::Alias(_) => None,
        })
    }

    /// The text with the values of [`Self::mentions`]. What has none is left as it is spelled.
    pub fn fill(&self, values: impl IntoIterator<Item = Option<Literal>>) -> Vec<u8> {
        let mut values = values.into_iter();
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.extend_from_slice(part),
                Part::Value { spelled, .. } => match values.next().flatten() {
                    Some(value) => put_value(&mut text, &value),
                    None => text.extend_from_slice(spelled),
                },
                Part::Alias(label) => put_alias(&mut text, label),
            }
        }
        text
    }
}

/// Finds the wanted mentions in a statement, and the columns that need a name for them. `None` if it is
/// no statement whose mentions are filled.
fn find(
    text: &[u8],
    lexemes: &[Placed<'_>],
    wanted: impl Fn(Mention) -> bool,
    edits: &mut Vec<Edit>,
) -> Option<()> {
    if !is_evaluated(lexemes) {
        return None;
    }
    let wanted = |mention: &Mention| {
        wanted(*mention)
            && (*mention != Mention::Known(Known::ConnectionId) || !names_threads(lexemes))
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < lexemes.len() {
        let mut reader = Reader::at(text, lexemes, at);
        let Some(mention) = reader.mention().filter(&wanted) else {
            at += 1;
            continue;
        };
        let end = reader.position();
        let place = bytes_of(lexemes, &(at..end))?;
        let spelled = text.get(place.clone())?.into();
        edits.push(Edit {
            place,
            part: Part::Value { mention, spelled },
        });
        found.push(at);
        at = end;
    }
    if found.is_empty() {
        return Some(());
    }
    for column in columns::unnamed(lexemes) {
        let place = bytes_of(lexemes, &column)?;
        if found.iter().any(|at| column.contains(at)) && place.len() <= MAX_ALIAS {
            edits.push(Edit {
                place: place.end..place.end,
                part: Part::Alias(text.get(place)?.into()),
            });
        }
    }
    Some(())
}

/// Whether the statement evaluates its expressions when it is run.
pub(in crate::domain::sql::control) fn is_evaluated(lexemes: &[Placed<'_>]) -> bool {
    let mut verbs = lexemes.iter().map(|(lexeme, _)| lexeme);
    let verb = verbs.find(|lexeme| **lexeme != Lexeme::Op(b'('));
    verb.is_some_and(|verb| EVALUATED.iter().any(|word| verb.is(word)))
}

/// Whether a statement has to do with a server's own ids of its threads, with which it then compares its
/// own: IS_USED_LOCK(), and what lists threads or their transactions.
pub(in crate::domain::sql::control) fn names_threads(lexemes: &[Placed<'_>]) -> bool {
    const NAMES: [&[u8]; 4] = [
        b"is_used_lock",
        b"performance_schema",
        b"processlist",
        b"sys",
    ];
    let about = |name: &[u8]| {
        let innodb = name
            .get(..7)
            .is_some_and(|it| it.eq_ignore_ascii_case(b"innodb_"));
        innodb || NAMES.iter().any(|it| name.eq_ignore_ascii_case(it))
    };
    lexemes
        .iter()
        .any(|(lexeme, _)| lexeme.name().is_some_and(about))
}

/// The bytes of these tokens.
pub(in crate::domain::sql::control) fn bytes_of(
    lexemes: &[Placed<'_>],
    range: &Range<usize>,
) -> Option<Range<usize>> {
    let start = lexemes.get(range.start)?.1.start;
    let end = lexemes.get(range.end.checked_sub(1)?)?.1.end;
    Some(start..end)
}

fn is_passed(statement: &[Placed<'_>]) -> bool {
    let word = |at: usize, word| statement.get(at).is_some_and(|(lexeme, _)| lexeme.is(word));
    let begins = word(0, "begin") && (statement.len() == 1 || word(1, "work"));
    begins || PASSED.iter().any(|verb| word(0, verb))
}

fn put_value(out: &mut Vec<u8>, value: &Literal) {
    let (number, kind) = match value {
        Literal::Unsigned(number) => (number.to_string(), "UNSIGNED"),
        Literal::Signed(number) => (number.to_string(), "SIGNED"),
        Literal::Text(text) => return put_string(out, text),
    };
    // A bare number in ORDER BY would be a column's, and have the type that fits it.
    out.extend_from_slice(format!("CAST({number} AS {kind})").as_bytes());
}

/// A string literal that reads the same in every sql_mode and character set.
fn put_string(out: &mut Vec<u8>, value: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,: ".contains(&byte);
    if value.bytes().all(plain) {
        out.push(b'\'');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\'');
        return;
    }
    out.extend_from_slice(b"_utf8mb4 X'");
    for byte in value.bytes() {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
    out.push(b'\'');
}

/// Appends ` AS` and a column's name.
pub(in crate::domain::sql::control) fn put_alias(out: &mut Vec<u8>, label: &[u8]) {
    out.extend_from_slice(b" AS `");
    for &byte in label {
        if byte == b'`' {
            out.push(b'`');
        }
        out.push(byte);
    }
    out.push(b'`');
}
