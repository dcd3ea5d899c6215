//! WHERE, ORDER BY and LIMIT over a table: as much of SQL as it takes to look around in a few hundred
//! rows, and no more.

use std::cmp::Ordering;

use super::AdminError;
use super::token::{Token, Tokens};
use crate::admin::table::{Cell, Table};
use crate::domain::sql::like;

/// How deep conditions may stand in each other.
const DEEPEST: usize = 32;

/// What is left of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Any text column is like this.
    like: Option<String>,
    condition: Option<Condition>,
    order: Vec<(usize, bool)>,
    offset: usize,
    limit: Option<usize>,
}

#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Operand, &'static str, Operand),
    Like(Operand, Operand),
    In(Operand, Vec<Operand>),
    IsNull(Operand),
}

#[derive(Clone, Debug)]
enum Operand {
    Column(usize),
    Value(Cell),
}

impl Filter {
    /// `[LIKE 'pattern'] [WHERE condition] [ORDER BY …] [LIMIT …]`, to the end of the command.
    pub(super) fn read(tokens: &mut Tokens<'_>, table: &Table) -> Result<Self, AdminError> {
        let mut filter = Self::default();
        if tokens.eat("like") {
            filter.like = Some(tokens.string("a pattern in quotes")?);
        }
        if tokens.eat("where") {
            filter.condition = Some(any(tokens, table, DEEPEST)?);
        }
        if tokens.eat_all(&["order", "by"]) {
            filter.order = order(tokens, table)?;
        }
        if tokens.eat("limit") {
            let count = |tokens: &mut Tokens<'_>| {
                let count = tokens.number("a number of rows")?;
                Ok::<_, AdminError>(usize::try_from(count).unwrap_or(usize::MAX))
            };
            let first = count(tokens)?;
            if tokens.sign(",") {
                filter.offset = first;
                filter.limit = Some(count(tokens)?);
            } else {
                filter.limit = Some(first);
                if tokens.eat("offset") {
                    filter.offset = count(tokens)?;
                }
            }
        }
        tokens.end()?;
        Ok(filter)
    }

    /// The rows that pass, in their order, without LIMIT.
    pub(super) fn select(&self, mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
        rows.retain(|row| self.passes(row));
        rows.sort_by(|a, b| {
            let by = |(column, down): &(usize, bool)| {
                let order = sort(a.get(*column), b.get(*column));
                if *down { order.reverse() } else { order }
            };
            let differs = self.order.iter().map(by);
            differs.fold(Ordering::Equal, Ordering::then)
        });
        rows
    }

    /// What LIMIT leaves.
    pub(super) fn limit(&self, rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
        let most = self.limit.unwrap_or(usize::MAX);
        rows.into_iter().skip(self.offset).take(most).collect()
    }

    fn passes(&self, row: &[Cell]) -> bool {
        let found = |pattern: &String| {
            let text = |cell: &Cell| match cell {
                Cell::Text(text) => like(pattern.as_bytes(), text.as_bytes()),
                _ => false,
            };
            row.iter().any(text)
        };
        self.like.as_ref().is_none_or(found)
            && self
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(row) == Some(true))
    }
}

impl Condition {
    /// Whether it holds; `None` where SQL says NULL.
    fn holds(&self, row: &[Cell]) -> Option<bool> {
        match self {
            Self::All(parts) => fold(parts, row, false),
            Self::Any(parts) => fold(parts, row, true),
            Self::Not(part) => part.holds(row).map(|it| !it),
            Self::Compare(left, sign, right) => {
                let order = compare(left.of(row)?, right.of(row)?)?;
                Some(match *sign {
                    "=" => order.is_eq(),
                    "<>" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Self::Like(left, pattern) => {
                let text = |operand: &Operand| match operand.of(row)? {
                    Cell::Null => None,
                    cell => Some(cell.to_string()),
                };
                Some(like(text(pattern)?.as_bytes(), text(left)?.as_bytes()))
            }
            Self::In(left, list) => {
                let left = left.of(row)?;
                let equal = |it: &Operand| Some(compare(left, it.of(row)?)?.is_eq());
                let found: Vec<_> = list.iter().map(equal).collect();
                match found.contains(&Some(true)) {
                    true => Some(true),
                    false if found.contains(&None) => None,
                    false => Some(false),
                }
            }
            Self::IsNull(operand) => Some(operand.of(row) == Some(&Cell::Null)),
        }
    }
}

/// AND (`decides` false) or OR (`decides` true) in SQL's three values.
fn fold(parts: &[Condition], row: &[Cell], decides: bool) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match part.holds(row) {
            Some(it) if it == decides => return Some(decides),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(!decides)
}

impl Operand {
    fn of<'v>(&'v self, row: &'v [Cell]) -> Option<&'v Cell> {
        match self {
            Self::Column(at) => row.get(*at),
            Self::Value(value) => Some(value),
        }
    }
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Number(number) => Some(*number as f64),
        Cell::Decimal(number) => Some(*number),
        Cell::Text(text) => text.trim().parse().ok(),
        Cell::Null => None,
    }
}

/// As SQL compares; `None` for NULL. Texts without regard to case, and as numbers beside a number.
fn compare(left: &Cell, right: &Cell) -> Option<Ordering> {
    match (left, right) {
        (Cell::Null, _) | (_, Cell::Null) => None,
        (Cell::Number(left), Cell::Number(right)) => Some(left.cmp(right)),
        (Cell::Text(left), Cell::Text(right)) => {
            Some(left.to_lowercase().cmp(&right.to_lowercase()))
        }
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(left.to_string().cmp(&right.to_string())),
        },
    }
}

/// NULL first.
fn sort(left: Option<&Cell>, right: Option<&Cell>) -> Ordering {
    let (Some(left), Some(right)) = (left, right) else {
        return Ordering::Equal;
    };
    let known = |cell: &Cell| *cell != Cell::Null;
    compare(left, right).unwrap_or_else(|| known(left).cmp(&known(right)))
}

fn order(tokens: &mut Tokens<'_>, table: &Table) -> Result<Vec<(usize, bool)>, AdminError> {
    let mut order = Vec::new();
    loop {
        let column = match tokens.peek() {
            Some(Token::Number(_)) => {
                let place = tokens.number("a column")?;
                let place = usize::try_from(place).ok().and_then(|it| it.checked_sub(1));
                place
                    .filter(|place| *place < table.columns.len())
                    .ok_or_else(|| tokens.expected("a column"))?
            }
            _ => column(tokens, table)?,
        };
        let down = tokens.eat("desc");
        if !down {
            tokens.eat("asc");
        }
        order.push((column, down));
        if !tokens.sign(",") {
            return Ok(order);
        }
    }
}

/// A column by its name, with or without that of its table.
fn column(tokens: &mut Tokens<'_>, table: &Table) -> Result<usize, AdminError> {
    let mut name = tokens.name("a column")?;
    if tokens.sign(".") {
        name = tokens.name("a column")?;
    }
    table
        .column(&name)
        .ok_or_else(|| AdminError::unknown_column(&name, table))
}

fn any(tokens: &mut Tokens<'_>, table: &Table, depth: usize) -> Result<Condition, AdminError> {
    let mut parts = vec![all(tokens, table, depth)?];
    while tokens.eat("or") {
        parts.push(all(tokens, table, depth)?);
    }
    Ok(match parts.len() {
        1 => parts.remove(0),
        _ => Condition::Any(parts),
    })
}

fn all(tokens: &mut Tokens<'_>, table: &Table, depth: usize) -> Result<Condition, AdminError> {
    let mut parts = vec![one(tokens, table, depth)?];
    while tokens.eat("and") {
        parts.push(one(tokens, table, depth)?);
    }
    Ok(match parts.len() {
        1 => parts.remove(0),
        _ => Condition::All(parts),
    })
}

fn one(tokens: &mut Tokens<'_>, table: &Table, depth: usize) -> Result<Condition, AdminError> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| AdminError::Syntax("the condition is nested too deeply".to_owned()))?;
    if tokens.eat("not") {
        let part = one(tokens, table, depth)?;
        return Ok(Condition::Not(Box::new(part)));
    }
    if tokens.sign("(") {
        let part = any(tokens, table, depth)?;
        return match tokens.sign(")") {
            true => Ok(part),
            false => Err(tokens.expected("')'")),
        };
    }
    let left = operand(tokens, table)?;
    if tokens.eat("is") {
        let negated = tokens.eat("not");
        return match tokens.eat("null") {
            true => Ok(negate(negated, Condition::IsNull(left))),
            false => Err(tokens.expected("NULL")),
        };
    }
    let negated = tokens.eat("not");
    if tokens.eat("like") {
        let pattern = operand(tokens, table)?;
        return Ok(negate(negated, Condition::Like(left, pattern)));
    }
    if tokens.eat("between") {
        let low = operand(tokens, table)?;
        if !tokens.eat("and") {
            return Err(tokens.expected("AND"));
        }
        let high = operand(tokens, table)?;
        let within = Condition::All(vec![
            Condition::Compare(left.clone(), ">=", low),
            Condition::Compare(left, "<=", high),
        ]);
        return Ok(negate(negated, within));
    }
    if tokens.eat("in") {
        return Ok(negate(negated, Condition::In(left, list(tokens, table)?)));
    }
    let sign = match tokens.peek() {
        Some(Token::Sign("!=")) => Some("<>"),
        Some(Token::Sign(sign @ ("=" | "<>" | "<" | "<=" | ">" | ">="))) => Some(*sign),
        _ => None,
    };
    match sign {
        Some(sign) if !negated => {
            tokens.next();
            Ok(Condition::Compare(left, sign, operand(tokens, table)?))
        }
        _ => Err(tokens.expected("=, <>, <, <=, >, >=, LIKE, IN, BETWEEN or IS NULL")),
    }
}

fn negate(negated: bool, condition: Condition) -> Condition {
    match negated {
        true => Condition::Not(Box::new(condition)),
        false => condition,
    }
}

fn list(tokens: &mut Tokens<'_>, table: &Table) -> Result<Vec<Operand>, AdminError> {
    if !tokens.sign("(") {
        return Err(tokens.expected("'('"));
    }
    let mut list = vec![operand(tokens, table)?];
    while tokens.sign(",") {
        list.push(operand(tokens, table)?);
    }
    match tokens.sign(")") {
        true => Ok(list),
        false => Err(tokens.expected("')'")),
    }
}

fn operand(tokens: &mut Tokens<'_>, table: &Table) -> Result<Operand, AdminError> {
    if tokens.eat("null") {
        return Ok(Operand::Value(Cell::Null));
    }
    match tokens.peek() {
        Some(Token::Text(_)) => Ok(Operand::Value(Cell::Text(tokens.string("a value")?))),
        Some(Token::Number(digits)) => {
            let value = match digits.parse() {
                Ok(number) => Some(Cell::Number(number)),
                Err(_) => digits.parse().ok().map(Cell::Decimal),
            };
            let value = value.ok_or_else(|| tokens.expected("a number"))?;
            tokens.next();
            Ok(Operand::Value(value))
        }
        _ => column(tokens, table).map(Operand::Column),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::admin::table::{Column, Kind};

    const TABLE: Table = Table {
        name: "t",
        about: "",
        columns: &[
            Column {
                name: "id",
                kind: Kind::Number,
                help: "",
            },
            Column {
                name: "name",
                kind: Kind::Text,
                help: "",
            },
            Column {
                name: "lag",
                kind: Kind::Decimal,
                help: "",
            },
        ],
    };

    /// The ids of the rows that are left.
    fn check(filter: &str, expected: &[u64]) {
        let row = |id, name: &str, lag: Option<f64>| {
            let lag = lag.map_or(Cell::Null, Cell::Decimal);
            vec![Cell::Number(id), Cell::Text(name.into()), lag]
        };
        let rows = vec![
            row(1, "db-a", Some(0.5)),
            row(2, "db-b", Some(70.0)),
            row(3, "DB-C", None),
            row(10, "7", Some(0.5)),
        ];
        let mut tokens = Tokens::read(filter).unwrap();
        let filter_read =
            Filter::read(&mut tokens, &TABLE).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let rows = filter_read.limit(filter_read.select(rows));
        let ids: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
        let expected: Vec<_> = expected.iter().map(|id| Cell::Number(*id)).collect();
        assert_eq!(ids, expected, "{filter}");
    }

    #[test]
    fn rows_that_pass() {
        for (filter, expected) in [
            ("", &[1, 2, 3, 10][..]),
            ("LIKE 'db%'", &[1, 2, 3]),
            ("LIKE 'db-_' LIMIT 1", &[1]),
            ("WHERE id = 2", &[2]),
            ("WHERE t.id >= 2 AND `lag` < 71", &[2, 10]),
            ("WHERE lag > 50", &[2]),
            ("WHERE NOT lag > 50", &[1, 10]),
            ("WHERE lag IS NULL", &[3]),
            ("WHERE lag IS NOT NULL AND id <> 10", &[1, 2]),
            ("WHERE lag = NULL", &[]),
            ("WHERE name = 'db-c'", &[3]),
            ("WHERE name = 7", &[10]),
            ("WHERE id IN (1, 3, 9)", &[1, 3]),
            ("WHERE id NOT IN (1, NULL)", &[]),
            ("WHERE name NOT LIKE 'db%' OR id = 1", &[1, 10]),
            ("WHERE (id = 1 OR id = 2) AND NOT (name LIKE '%b')", &[1]),
            ("WHERE id BETWEEN 2 AND 3", &[2, 3]),
            ("WHERE lag > 50 OR id = 3", &[2, 3]),
            ("ORDER BY id DESC", &[10, 3, 2, 1]),
            ("ORDER BY lag, id DESC", &[3, 10, 1, 2]),
            ("ORDER BY 1 DESC LIMIT 2", &[10, 3]),
            ("ORDER BY name ASC LIMIT 1, 2", &[1, 2]),
            ("LIMIT 2 OFFSET 3", &[10]),
        ] {
            check(filter, expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (filter, error) in [
            ("WHERE nope = 1", "unknown column 'nope'"),
            ("WHERE id", "expected =, <>"),
            ("WHERE id = ", "expected a column, found the end"),
            ("WHERE (id = 1", "expected ')'"),
            ("WHERE id IN 3", "expected '('"),
            ("ORDER BY 4", "expected a column"),
            ("LIMIT x", "expected a number of rows, found 'x'"),
            ("LIMIT 1 x", "expected the end of the command, found 'x'"),
            ("LIKE 5", "expected a pattern in quotes, found '5'"),
        ] {
            let mut tokens = Tokens::read(filter).unwrap();
            let found = Filter::read(&mut tokens, &TABLE).unwrap_err().to_string();
            assert!(found.contains(error), "{filter}: {found}");
        }
        let deep = format!("WHERE {}id = 1", "NOT ".repeat(500));
        let mut tokens = Tokens::read(&deep).unwrap();
        assert!(Filter::read(&mut tokens, &TABLE).is_err());
    }
}
