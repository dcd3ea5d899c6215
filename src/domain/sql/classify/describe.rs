//! EXPLAIN, DESCRIBE and DESC: of a table, a statement or a connection.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::{Decision, read};

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
    if tokens
        .eat_any(&["select", "with", "values", "table"])
        .is_some()
    {
        return query(text, start, analyze, facts);
    }
    if tokens
        .eat_any(&["insert", "replace", "update", "delete"])
        .is_some()
    {
        return of_write(analyze);
    }
    if options {
        Decision::not_understood()
    } else {
        table(tokens)
    }
}

fn query(text: &[u8], start: usize, analyze: bool, facts: &Facts) -> Decision {
    if facts.writes {
        of_write(analyze)
    } else {
        read::decide(text, start, facts)
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
