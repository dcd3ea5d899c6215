//! Statements that ask about the statement before them, read from the raw text.

use super::super::mode::LexMode;
use super::lexeme::{self, Lexeme, Placed};
use super::own::columns;
use super::own::template::{MAX_ALIAS, bytes_of, is_evaluated, put_alias};

/// A statement that asks about the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous {
    /// SHOW WARNINGS, SHOW ERRORS.
    List {
        /// Whether only errors are asked for.
        errors: bool,
        /// How many rows are passed over.
        offset: usize,
        /// How many rows are asked for at most.
        limit: usize,
    },
    /// SHOW COUNT(*) WARNINGS, SHOW COUNT(*) ERRORS.
    Count {
        /// Whether only errors are counted.
        errors: bool,
    },
    /// GET DIAGNOSTICS with nothing but user variables and plain numbers of conditions.
    Get(Vec<Target>),
    /// Any other statement that mentions ROW_COUNT(), FOUND_ROWS(), @@warning_count or @@error_count.
    Mentions(Mentions),
    /// A packet of several statements.
    Packet {
        /// The first one: a list, a count, or GET DIAGNOSTICS.
        head: Box<Previous>,
        /// Where the second one begins.
        rest: usize,
    },
}

/// One assignment of GET DIAGNOSTICS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The user variable as it is spelled.
    pub variable: Box<[u8]>,
    /// What it is to get.
    pub item: Item,
}

/// What GET DIAGNOSTICS can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// NUMBER.
    Number,
    /// ROW_COUNT.
    RowCount,
    /// Something of the condition of this number, from 1; `None` for one that is in a user variable.
    Condition(Option<usize>, Field),
}

/// What GET DIAGNOSTICS can ask of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// RETURNED_SQLSTATE.
    State,
    /// MYSQL_ERRNO.
    Code,
    /// MESSAGE_TEXT.
    Message,
    /// CLASS_ORIGIN, SUBCLASS_ORIGIN.
    Origin,
    /// What servers leave empty: names of a schema, a table, a constraint, a cursor.
    Empty,
}

/// The values that mentions are replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// ROW_COUNT().
    pub row_count: i64,
    /// FOUND_ROWS().
    pub found_rows: u64,
    /// @@warning_count.
    pub warnings: u64,
    /// @@error_count.
    pub errors: u64,
}

/// A statement with places for such values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mentions {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Value {
        what: Mention,
        spelled: Box<[u8]>,
    },
    /// The name of the column that ends here.
    Alias(Box<[u8]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mention {
    RowCount,
    FoundRows,
    Warnings,
    Errors,
}

/// Reads a statement that asks about the one before it. `None` if it does not, or not in a way that is
/// understood. Of several statements in a packet the first counts: what others ask is about their own.
pub fn parse_previous(text: &[u8], mode: LexMode) -> Option<Previous> {
    let lexemes = lexeme::read(text, mode)?;
    let end = lexemes
        .iter()
        .position(|(lexeme, _)| *lexeme == Lexeme::Op(b';'));
    let first = lexemes.get(..end.unwrap_or(lexemes.len()))?;
    let words = Words {
        text,
        lexemes: first,
        at: 1,
    };
    let (verb, _) = first.first()?;
    let asks = match verb {
        verb if verb.is("show") => words.show()?,
        verb if verb.is("get") => Previous::Get(words.get()?),
        _ => return Mentions::of(text, first).map(Previous::Mentions),
    };
    match end.and_then(|end| lexemes.get(end)) {
        None => Some(asks),
        Some((_, semicolon)) => Some(Previous::Packet {
            head: Box::new(asks),
            rest: semicolon.end,
        }),
    }
}

#[derive(Clone, Copy)]
struct Words<'t> {
    text: &'t [u8],
    lexemes: &'t [Placed<'t>],
    at: usize,
}

impl<'t> Words<'t> {
    fn next(&mut self) -> Option<&'t Lexeme<'t>> {
        let lexeme = self.lexemes.get(self.at).map(|(lexeme, _)| lexeme);
        self.at += 1;
        lexeme
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = matches!(self.lexemes.get(self.at), Some((lexeme, _)) if lexeme.is(word));
        self.at += usize::from(found);
        found
    }

    fn eat_op(&mut self, byte: u8) -> bool {
        let found =
            matches!(self.lexemes.get(self.at), Some((lexeme, _)) if *lexeme == Lexeme::Op(byte));
        self.at += usize::from(found);
        found
    }

    fn at_end(&self) -> bool {
        self.at >= self.lexemes.len()
    }

    fn number(&mut self) -> Option<usize> {
        let Some(Lexeme::Word(digits)) = self.next() else {
            return None;
        };
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Behind SHOW.
    fn show(mut self) -> Option<Previous> {
        if self.eat("count") {
            let all = self.eat_op(b'(') && self.eat_op(b'*') && self.eat_op(b')');
            let errors = self.errors()?;
            return (all && self.at_end()).then_some(Previous::Count { errors });
        }
        let errors = self.errors()?;
        let (mut offset, mut limit) = (0, usize::MAX);
        if self.eat("limit") {
            limit = self.number()?;
            if self.eat_op(b',') {
                offset = limit;
                limit = self.number()?;
            } else if self.eat("offset") {
                offset = self.number()?;
            }
        }
        self.at_end().then_some(Previous::List {
            errors,
            offset,
            limit,
        })
    }

    fn errors(&mut self) -> Option<bool> {
        match self.next()? {
            word if word.is("warnings") => Some(false),
            word if word.is("errors") => Some(true),
            _ => None,
        }
    }

    /// Behind GET.
    fn get(mut self) -> Option<Vec<Target>> {
        self.eat("current");
        if !self.eat("diagnostics") {
            return None;
        }
        let condition = match self.eat("condition") {
            true => Some(self.number_of_condition()?),
            false => None,
        };
        let mut targets = Vec::new();
        loop {
            let variable = self.user_variable()?;
            if !self.eat_op(b'=') {
                return None;
            }
            let item = item(self.next()?, condition)?;
            targets.push(Target { variable, item });
            if self.at_end() {
                return Some(targets);
            }
            if !self.eat_op(b',') {
                return None;
            }
        }
    }

    fn number_of_condition(&mut self) -> Option<Option<usize>> {
        match self.lexemes.get(self.at)? {
            (Lexeme::Op(b'@'), _) => self.user_variable().map(|_| None),
            _ => self.number().map(Some),
        }
    }

    fn user_variable(&mut self) -> Option<Box<[u8]>> {
        let start = self.lexemes.get(self.at)?.1.start;
        if !self.eat_op(b'@') || matches!(self.next()?, Lexeme::Op(_)) {
            return None;
        }
        // A name may have dots in it.
        while self.eat_op(b'.') {
            self.next()?;
        }
        let end = self.lexemes.get(self.at.checked_sub(1)?)?.1.end;
        self.text.get(start..end).map(Into::into)
    }

    /// What the tokens from here mention, and how many these are.
    fn mention(mut self) -> Option<(Mention, usize)> {
        let start = self.at;
        if self.eat_op(b'@') {
            if !self.eat_op(b'@') {
                return None;
            }
            let mut name = self.next()?.name()?;
            let scoped =
                name.eq_ignore_ascii_case(b"session") || name.eq_ignore_ascii_case(b"local");
            if scoped && self.eat_op(b'.') {
                name = self.next()?.name()?;
            }
            let what = match name {
                _ if name.eq_ignore_ascii_case(b"warning_count") => Mention::Warnings,
                _ if name.eq_ignore_ascii_case(b"error_count") => Mention::Errors,
                _ => return None,
            };
            return Some((what, self.at - start));
        }
        let name = self.next()?;
        let what = match name {
            _ if name.is("row_count") => Mention::RowCount,
            _ if name.is("found_rows") => Mention::FoundRows,
            _ => return None,
        };
        let before = start.checked_sub(1).and_then(|at| self.lexemes.get(at));
        let member = before.is_some_and(|(lexeme, _)| *lexeme == Lexeme::Op(b'.'));
        let called = self.eat_op(b'(') && self.eat_op(b')');
        (called && !member).then_some((what, self.at - start))
    }
}

fn item(name: &Lexeme<'_>, condition: Option<Option<usize>>) -> Option<Item> {
    const EMPTY: [&str; 8] = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "catalog_name",
        "schema_name",
        "table_name",
        "column_name",
        "cursor_name",
    ];
    let Some(number) = condition else {
        return match name {
            _ if name.is("number") => Some(Item::Number),
            _ if name.is("row_count") => Some(Item::RowCount),
            _ => None,
        };
    };
    let field = match name {
        _ if name.is("returned_sqlstate") => Field::State,
        _ if name.is("mysql_errno") => Field::Code,
        _ if name.is("message_text") => Field::Message,
        _ if name.is("class_origin") || name.is("subclass_origin") => Field::Origin,
        _ if EMPTY.iter().any(|word| name.is(word)) => Field::Empty,
        _ => return None,
    };
    Some(Item::Condition(number, field))
}

impl Mentions {
    fn of(text: &[u8], lexemes: &[Placed<'_>]) -> Option<Self> {
        if !is_evaluated(lexemes) {
            return None;
        }
        let mut edits = Vec::new();
        let mut found = Vec::new();
        let mut at = 0;
        while at < lexemes.len() {
            let words = Words { text, lexemes, at };
            let Some((what, count)) = words.mention() else {
                at += 1;
                continue;
            };
            let place = bytes_of(lexemes, &(at..at + count))?;
            let spelled = text.get(place.clone())?.into();
            edits.push((place, Part::Value { what, spelled }));
            found.push(at);
            at += count;
        }
        if found.is_empty() {
            return None;
        }
        for column in columns::unnamed(lexemes) {
            let place = bytes_of(lexemes, &column)?;
            if found.iter().any(|at| column.contains(at)) && place.len() <= MAX_ALIAS {
                let name = Part::Alias(text.get(place.clone())?.into());
                edits.push((place.end..place.end, name));
            }
        }
        edits.sort_by_key(|(place, _)| (place.start, place.end));
        let mut parts = Vec::new();
        let mut from = 0;
        for (place, part) in edits {
            parts.push(Part::Text(text.get(from..place.start)?.into()));
            parts.push(part);
            from = place.end;
        }
        parts.push(Part::Text(text.get(from..)?.into()));
        Some(Self { parts })
    }

    fn mentions(&self, any: &[Mention]) -> bool {
        let is = |part: &Part| matches!(part, Part::Value { what, .. } if any.contains(what));
        self.parts.iter().any(is)
    }

    /// Whether ROW_COUNT() is among the mentions.
    pub fn row_count(&self) -> bool {
        self.mentions(&[Mention::RowCount])
    }

    /// Whether FOUND_ROWS() is.
    pub fn found_rows(&self) -> bool {
        self.mentions(&[Mention::FoundRows])
    }

    /// Whether @@warning_count or @@error_count is.
    pub fn counts(&self) -> bool {
        self.mentions(&[Mention::Warnings, Mention::Errors])
    }

    /// The statement with these values. What stands in each place has the column type of what stood there,
    /// and leaves the same warnings (MySQL 9.7 calls FOUND_ROWS() deprecated): tried on both engines.
    ///
    /// Where the engine warns of FOUND_ROWS() while it reads the text (`warns`), the counts of the same
    /// statement are about that warning, and stay as they are.
    pub fn fill(&self, answers: Answers, warns: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let unsigned = |count: u64| format!("IF(1,CAST({count} AS UNSIGNED),NULL)");
        for part in &self.parts {
            let (what, spelled) = match part {
                Part::Text(part) => {
                    text.extend_from_slice(part);
                    continue;
                }
                Part::Alias(name) => {
                    put_alias(&mut text, name);
                    continue;
                }
                Part::Value { what, spelled } => (what, spelled),
            };
            let value = match what {
                Mention::Warnings | Mention::Errors if warns && self.found_rows() => {
                    text.extend_from_slice(spelled);
                    continue;
                }
                Mention::RowCount => answers.row_count.to_string(),
                Mention::FoundRows => answers.found_rows.to_string(),
                Mention::Warnings => unsigned(answers.warnings),
                Mention::Errors => unsigned(answers.errors),
            };
            text.extend_from_slice(b"COALESCE(");
            text.extend_from_slice(value.as_bytes());
            text.push(b',');
            text.extend_from_slice(spelled);
            text.push(b')');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Previous> {
        parse_previous(text.as_bytes(), LexMode::default())
    }

    #[test]
    fn lists_and_counts() {
        let list = |errors, offset, limit| {
            Some(Previous::List {
                errors,
                offset,
                limit,
            })
        };
        for (text, expected) in [
            ("SHOW WARNINGS", list(false, 0, usize::MAX)),
            ("/* x */ show errors limit 5;", list(true, 0, 5)),
            ("SHOW WARNINGS LIMIT 2, 3", list(false, 2, 3)),
            ("SHOW WARNINGS LIMIT 3 OFFSET 2", list(false, 2, 3)),
            (
                "SHOW COUNT(*) WARNINGS",
                Some(Previous::Count { errors: false }),
            ),
            (
                "show count(*) errors",
                Some(Previous::Count { errors: true }),
            ),
            ("SHOW WARNINGS LIMIT ?", None),
            (
                "SHOW WARNINGS; SHOW WARNINGS",
                Some(Previous::Packet {
                    head: Box::new(Previous::List {
                        errors: false,
                        offset: 0,
                        limit: usize::MAX,
                    }),
                    rest: 14,
                }),
            ),
            ("SHOW TABLES; SHOW WARNINGS", None),
            ("SHOW TABLES", None),
            ("SHOW", None),
            ("SELECT 1", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn targets_of_get_diagnostics() {
        let Some(Previous::Get(targets)) =
            parse("GET CURRENT DIAGNOSTICS @n = NUMBER, @`r c` = ROW_COUNT")
        else {
            panic!("not read");
        };
        let of = |target: &Target| {
            (
                String::from_utf8_lossy(&target.variable).into_owned(),
                target.item,
            )
        };
        let read: Vec<_> = targets.iter().map(of).collect();
        assert_eq!(
            read,
            [
                ("@n".to_owned(), Item::Number),
                ("@`r c`".to_owned(), Item::RowCount)
            ]
        );
        let Some(Previous::Get(targets)) =
            parse("get diagnostics condition 2 @a.b = message_text, @c=MYSQL_ERRNO")
        else {
            panic!("not read");
        };
        let read: Vec<_> = targets.iter().map(of).collect();
        assert_eq!(
            read,
            [
                ("@a.b".to_owned(), Item::Condition(Some(2), Field::Message)),
                ("@c".to_owned(), Item::Condition(Some(2), Field::Code))
            ]
        );
        assert_eq!(
            parse("GET DIAGNOSTICS CONDITION @i @n = MESSAGE_TEXT"),
            Some(Previous::Get(vec![Target {
                variable: b"@n".as_slice().into(),
                item: Item::Condition(None, Field::Message),
            }]))
        );
        for text in [
            "GET STACKED DIAGNOSTICS @n = NUMBER",
            "GET DIAGNOSTICS n = NUMBER",
            "GET DIAGNOSTICS @n = MESSAGE_TEXT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_take_the_place_of_mentions() {
        let answers = Answers {
            row_count: -1,
            found_rows: 9,
            warnings: 2,
            errors: 1,
        };
        for (text, expected) in [
            (
                "SELECT ROW_COUNT()",
                "SELECT COALESCE(-1,ROW_COUNT()) AS `ROW_COUNT()`",
            ),
            (
                "SELECT found_rows ( ) + 1, @@Error_Count e",
                "SELECT COALESCE(9,found_rows ( )) + 1 AS `found_rows ( ) + 1`, \
                 COALESCE(IF(1,CAST(1 AS UNSIGNED),NULL),@@Error_Count) e",
            ),
            (
                "INSERT INTO t VALUES (@@session.warning_count)",
                "INSERT INTO t VALUES (COALESCE(IF(1,CAST(2 AS UNSIGNED),NULL),@@session.warning_count))",
            ),
            ("SET @x = ROW_COUNT()", "SET @x = COALESCE(-1,ROW_COUNT())"),
            (
                "SELECT FOUND_ROWS(); SELECT FOUND_ROWS()",
                "SELECT COALESCE(9,FOUND_ROWS()) AS `FOUND_ROWS()`; SELECT FOUND_ROWS()",
            ),
        ] {
            let Some(Previous::Mentions(mentions)) = parse(text) else {
                panic!("{text}");
            };
            assert_eq!(
                String::from_utf8_lossy(&mentions.fill(answers, false)),
                expected
            );
        }
        for text in [
            "CREATE PROCEDURE p() SELECT ROW_COUNT()",
            "SELECT 1; SELECT ROW_COUNT()",
            "SELECT s.row_count(), row_count, @row_count, @@global.x",
            "SELECT 'ROW_COUNT()'",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
