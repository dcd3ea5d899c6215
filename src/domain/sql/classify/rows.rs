//! What a statement does to FOUND_ROWS(), as measured on MySQL 9.7 and MariaDB 10.11.

use super::super::mode::Dialect;
use super::super::profile::Effects;
use super::super::token::{Token, Tokens};

/// Forms of SHOW that a server runs as a query.
const SHOWN_BY_QUERY: [&str; 14] = [
    "tables",
    "columns",
    "fields",
    "index",
    "indexes",
    "keys",
    "databases",
    "schemas",
    "triggers",
    "collation",
    "charset",
    "character",
    "variables",
    "status",
];

/// Whether FOUND_ROWS() will be the count of its rows, or stay as it is, or become something else, or
/// nothing is certain. `tokens`
/// stand behind the verb.
pub(super) fn effects(verb: &[u8], tokens: Tokens<'_>, dialect: Dialect) -> Effects {
    match verb {
        b"select" | b"with" | b"values" | b"table" => match counts(tokens) {
            true => Effects::COUNTS_ROWS,
            false => Effects::SETS_FOUND_ROWS,
        },
        b"show" => shows(tokens),
        b"explain" | b"describe" | b"desc" => explains(tokens, dialect),
        b"set" | b"use" | b"begin" | b"start" | b"commit" | b"rollback" | b"savepoint"
        | b"release" | b"insert" | b"replace" | b"create" | b"drop" | b"alter" | b"truncate"
        | b"rename" | b"lock" | b"unlock" | b"grant" | b"revoke" | b"prepare" | b"deallocate"
            if !{ tokens }.any(|token| token.is("select")) =>
        {
            Effects::KEEPS_FOUND_ROWS
        }
        b"delete" if is_of_one_table(tokens) => Effects::KEEPS_FOUND_ROWS,
        b"update" if dialect.is_mariadb() && updates_one_table(tokens) => Effects::KEEPS_FOUND_ROWS,
        b"do" if dialect.is_mariadb() && !{ tokens }.any(|token| token.is("select")) => {
            Effects::KEEPS_FOUND_ROWS
        }
        b"create" if fills_a_table(tokens) => Effects::SETS_FOUND_ROWS,
        b"insert" | b"replace" | b"delete" | b"update" | b"do" | b"set" => Effects::SETS_FOUND_ROWS,
        _ => Effects::default(),
    }
}

/// The same of a packet: whether one of its statements sets it for certain.
pub(super) fn effects_of_packet(text: &[u8], dialect: Dialect) -> Effects {
    let mut ahead = Tokens::plain(text);
    loop {
        let statement = ahead;
        while ahead.next().is_some_and(|token| !token.is_op(b';')) {}
        let len = ahead.position().saturating_sub(statement.position());
        let mut tokens = Tokens::plain(statement.rest().get(..len).unwrap_or_default());
        while tokens.eat_op(b'(') {}
        let verb = tokens.next().and_then(Token::word).unwrap_or_default();
        if verb == b"create" && { tokens }.any(has_a_body) {
            return Effects::default();
        }
        let sets = Effects::SETS_FOUND_ROWS.with(Effects::COUNTS_ROWS);
        if effects(verb, tokens, dialect).intersects(sets) {
            return Effects::SETS_FOUND_ROWS;
        }
        if ahead.at_end() {
            return Effects::default();
        }
    }
}

/// What is created with statements of its own, which do not run.
fn has_a_body(token: Token<'_>) -> bool {
    ["procedure", "function", "trigger", "event"]
        .iter()
        .any(|word| token.is(word))
}

/// `CREATE TABLE … SELECT`, which counts the rows that it writes. One that is there already is not written to.
fn fills_a_table(mut tokens: Tokens<'_>) -> bool {
    tokens.eat("temporary");
    tokens.eat("table") && !tokens.any(|token| token.is("exists"))
}

fn shows(mut tokens: Tokens<'_>) -> Effects {
    tokens.eat("extended");
    tokens.eat("full");
    tokens.eat_any(&["global", "session", "local"]);
    if tokens.eat_any(&SHOWN_BY_QUERY).is_some() {
        return Effects::COUNTS_ROWS;
    }
    match tokens.eat_any(&["create", "grants", "processlist"]) {
        Some(_) => Effects::KEEPS_FOUND_ROWS,
        None => Effects::default(),
    }
}

/// A table's columns are a query's answer, a plan is none; but on MariaDB a query without tables is
/// counted while it is planned.
fn explains(mut tokens: Tokens<'_>, dialect: Dialect) -> Effects {
    let table = super::read::table_name(&mut tokens) && tokens.at_end();
    match (table, dialect.is_mariadb()) {
        (true, _) => Effects::COUNTS_ROWS,
        (false, true) => Effects::default(),
        (false, false) => Effects::KEEPS_FOUND_ROWS,
    }
}

/// Whether a query's count of rows is what it sends.
fn counts(tokens: Tokens<'_>) -> bool {
    const OTHERWISE: [&str; 4] = ["sql_calc_found_rows", "offset", "into", "procedure"];
    let (mut limited, mut joined) = (false, false);
    let mut ahead = tokens;
    while let Some(token) = ahead.next() {
        if OTHERWISE.iter().any(|word| token.is(word)) {
            return false;
        }
        joined |= ["union", "except", "intersect"]
            .iter()
            .any(|word| token.is(word));
        if token.is("limit") {
            limited = true;
            let mut count = ahead;
            if count.next() != Some(Token::Value) || count.eat_op(b',') {
                return false;
            }
        }
    }
    !(limited && joined)
}

/// `DELETE FROM t …` that reads no other table.
fn is_of_one_table(mut tokens: Tokens<'_>) -> bool {
    tokens.eat("from")
        && !tokens.any(|token| {
            ["select", "join", "using"]
                .iter()
                .any(|word| token.is(word))
        })
}

/// `UPDATE t SET …` that reads no other table.
fn updates_one_table(mut tokens: Tokens<'_>) -> bool {
    let tables = tokens.by_ref().take_while(|token| !token.is("set"));
    let several = |token: Token<'_>| token.is_op(b',') || token.is("join");
    let one = !{ tables }.any(several);
    one && !tokens.any(|token| token.is("select"))
}
