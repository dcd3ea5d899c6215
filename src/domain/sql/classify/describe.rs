//! EXPLAIN, DESCRIBE and DESC: of a table, a statement or a connection.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::{Decision, read};

/// What a query begins with.
const QUERIES: [&str; 4] = ["select", "with", "values", "table"];

/// What a query begins with that MariaDB's ANALYZE runs: ANALYZE TABLE is another statement.
const RUN_QUERIES: [&str; 3] = ["select", "with", "values"];

/// What a write begins with that can be explained.
const WRITES: [&str; 4] = ["insert", "replace", "update", "delete"];

/// Decides behind the verb.
pub(super) fn decide(mut tokens: Tokens<'_>, text: &[u8], facts: &Facts) -> Decision {
    let analyze = tokens.eat("analyze");
    let mut options = analyze;
    loop {
        if tokens.eat_any(&["extended", "partitions"]).is_some() {
            options = true;
        } else if tokens.eat("format") && tokens.eat_op(b'=') {
            tokens.next();
            options = true;
        } else if tokens.eat("into") {
            return variable(facts);
        } else if tokens.eat_all(&["for", "connection"]) {
            return Decision::primary_read(Effects::default(), Doubt::ServerLocal);
        } else if tokens.eat_all(&["for", "schema"]) || tokens.eat_all(&["for", "database"]) {
            tokens.next();
            options = true;
        } else {
            break;
        }
    }
    let start = tokens.position();
    while tokens.eat_op(b'(') {}
    if tokens.eat_any(&QUERIES).is_some() {
        return query(text, start, analyze, facts);
    }
    if tokens.eat_any(&WRITES).is_some() {
        return of_write(analyze);
    }
    if options {
        Decision::not_understood()
    } else {
        table(tokens)
    }
}

/// Whether MariaDB's ANALYZE is that of a statement: `[FORMAT = x] SELECT …`.
pub(super) fn is_statement(mut tokens: Tokens<'_>) -> bool {
    format(&mut tokens);
    while tokens.eat_op(b'(') {}
    tokens.eat_any(&RUN_QUERIES).is_some() || tokens.eat_any(&WRITES).is_some()
}

/// Decides behind the verb ANALYZE, which runs the statement and tells how it went.
pub(super) fn analyze(mut tokens: Tokens<'_>, text: &[u8], facts: &Facts) -> Decision {
    format(&mut tokens);
    let start = tokens.position();
    while tokens.eat_op(b'(') {}
    if tokens.eat_any(&RUN_QUERIES).is_some() {
        query(text, start, true, facts)
    } else {
        Decision::write(super::dml(facts).with(Effects::OPAQUE))
    }
}

fn format(tokens: &mut Tokens<'_>) {
    if tokens.eat("format") && tokens.eat_op(b'=') {
        tokens.next();
    }
}

fn query(text: &[u8], start: usize, analyze: bool, facts: &Facts) -> Decision {
    if facts.writes {
        return of_write(analyze);
    }
    let decision = read::decide(text, start, facts);
    match decision.access {
        // Plans and estimates are each server's own, and one server gives the same ones twice.
        Access::Read => Decision::primary_read(decision.effects, Doubt::ServerLocal),
        _ => decision,
    }
}

/// EXPLAIN of a write reads; EXPLAIN ANALYZE runs the statement.
fn of_write(analyze: bool) -> Decision {
    if analyze {
        Decision::write(Effects::default())
    } else {
        Decision::primary_read(Effects::default(), Doubt::Writes)
    }
}

/// EXPLAIN … INTO @variable.
fn variable(facts: &Facts) -> Decision {
    let assigns = Effects::ASSIGNS_USER_VARIABLE;
    if facts.writes || facts.unknown_function {
        Decision::new(Access::Write, assigns.with(Effects::OPAQUE), Doubt::Into)
    } else {
        Decision::primary_read(assigns, Doubt::Into)
    }
}

/// `DESCRIBE t [column | 'pattern']`.
fn table(mut tokens: Tokens<'_>) -> Decision {
    if !read::table_name(&mut tokens) {
        return Decision::not_understood();
    }
    let _column = tokens.next();
    if !tokens.at_end() || matches!(_column, Some(Token::Op(_) | Token::UserVariable)) {
        return Decision::not_understood();
    }
    Decision::new(Access::Read, Effects::READS_TABLES, Doubt::None)
}
