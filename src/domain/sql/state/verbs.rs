//! What a statement does, by its verb.

use super::super::control::lexeme::{Lexeme, Placed};
use super::cursor::Cursor;
use super::expression;
use super::{Reader, ServerLock, StateFact, TableName, Touches, XaStep, set};

/// The part of a statement in which a name before a parenthesis is a call: not where columns, types,
/// keys and parameters are listed.
pub(super) fn with_calls<'l, 't>(verb: &Lexeme<'_>, lexemes: &'l [Placed<'t>]) -> &'l [Placed<'t>] {
    const NOWHERE: [&str; 17] = [
        "alter", "analyze", "cache", "call", "change", "check", "drop", "grant", "handler", "lock",
        "optimize", "prepare", "rename", "repair", "revoke", "unlock", "xa",
    ];
    let from = |words: &[&str]| {
        let begins = |(lexeme, _): &Placed<'_>| words.iter().any(|word| lexeme.is(word));
        let at = lexemes.iter().position(begins).unwrap_or(lexemes.len());
        lexemes.get(at..).unwrap_or_default()
    };
    match verb {
        _ if NOWHERE.iter().any(|it| verb.is(it)) => &[],
        _ if verb.is("create") => from(&["select", "with", "values"]),
        _ if verb.is("load") => from(&["set"]),
        _ => lexemes,
    }
}

/// What a statement does. The cursor stands behind the verb.
pub(super) fn facts(verb: &[u8], mut cursor: Cursor<'_>, reader: Reader<'_>) -> Vec<StateFact> {
    match verb {
        b"set" => set::facts(cursor, reader),
        b"use" => vec![StateFact::Settings],
        b"create" => create(cursor),
        b"drop" => drop(cursor),
        b"alter" => alter(cursor).into_iter().collect(),
        b"rename" if reader.mode.dialect.is_mariadb() => rename(cursor),
        b"lock" if cursor.eat("instance") => vec![StateFact::LocksServer(ServerLock::Instance)],
        b"unlock" => unlock(cursor),
        b"flush" => flush(cursor),
        b"truncate" if cursor.has("performance_schema") => {
            vec![StateFact::Untracked((*b"performance_schema").into(), false)]
        }
        b"backup" => backup(cursor),
        b"handler" => handler(cursor),
        b"prepare" => prepare(cursor, reader),
        b"deallocate" => {
            cursor.eat("prepare");
            deallocate(cursor)
        }
        b"execute" => execute(cursor, reader),
        b"xa" => xa(cursor),
        b"call" => {
            let mut facts = expression::mentioned(cursor);
            facts.push(StateFact::RunsRoutine);
            facts
        }
        b"load" | b"get" => expression::mentioned(cursor),
        _ if is_known(verb) => expressions(cursor),
        _ => vec![StateFact::Unread],
    }
}

/// Verbs that do nothing to a session but by their expressions.
fn is_known(verb: &[u8]) -> bool {
    const VERBS: [&[u8]; 44] = [
        b"analyze",
        b"begin",
        b"cache",
        b"change",
        b"check",
        b"checksum",
        b"clone",
        b"commit",
        b"delete",
        b"desc",
        b"describe",
        b"do",
        b"explain",
        b"grant",
        b"help",
        b"import",
        b"insert",
        b"install",
        b"kill",
        b"lock",
        b"optimize",
        b"purge",
        b"release",
        b"rename",
        b"repair",
        b"replace",
        b"reset",
        b"resignal",
        b"restart",
        b"revoke",
        b"rollback",
        b"savepoint",
        b"select",
        b"show",
        b"shutdown",
        b"signal",
        b"start",
        b"stop",
        b"table",
        b"truncate",
        b"uninstall",
        b"update",
        b"values",
        b"with",
    ];
    VERBS.contains(&verb)
}

fn expressions(cursor: Cursor<'_>) -> Vec<StateFact> {
    let mut facts = expression::assigned_anywhere(cursor);
    facts.extend(expression::locks(cursor));
    facts
}

fn create(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    cursor.eat_all(&["or", "replace"]);
    if !cursor.eat("temporary") {
        return expressions(cursor);
    }
    let kind = cursor.eat_any(&["table", "sequence"]);
    cursor.eat_all(&["if", "not", "exists"]);
    match cursor.table() {
        Some(name) if kind => {
            let mut facts = vec![StateFact::CreatesTemporary(name)];
            facts.extend(expressions(cursor));
            facts
        }
        _ => vec![StateFact::Unread],
    }
}

fn drop(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    if cursor.eat("prepare") {
        return deallocate(cursor);
    }
    cursor.eat("temporary");
    if !cursor.eat_any(&["table", "tables", "sequence"]) {
        return Vec::new();
    }
    cursor.eat_all(&["if", "exists"]);
    let mut facts = Vec::new();
    while let Some(name) = cursor.table() {
        facts.push(StateFact::Drops(name));
        if !cursor.eat_op(b',') {
            break;
        }
    }
    facts
}

/// `ALTER TABLE t …, RENAME [TO | AS] u`.
fn alter(mut cursor: Cursor<'_>) -> Option<StateFact> {
    cursor.eat("online");
    cursor.eat("ignore");
    if !cursor.eat_any(&["table", "sequence"]) {
        return None;
    }
    cursor.eat_all(&["if", "exists"]);
    let table = cursor.table()?;
    let mut found: Option<TableName> = None;
    while !cursor.at_end() {
        let mut action = cursor.value();
        // A wait or an algorithm may stand before the first action.
        while !action.at_end() && !action.eat("rename") {
            action.next();
        }
        if action.at_end() || action.eat_any(&["column", "index", "key"]) {
            continue;
        }
        action.eat_op(b'=');
        action.eat_any(&["to", "as"]);
        found = action.table();
    }
    Some(StateFact::Renames(table, found?))
}

/// `RENAME TABLE a TO b, …`, which MySQL does only to stored tables.
fn rename(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    if !cursor.eat_any(&["table", "tables"]) {
        return Vec::new();
    }
    cursor.eat_all(&["if", "exists"]);
    let mut facts = Vec::new();
    while let Some(from) = cursor.table() {
        while !cursor.at_end() && !cursor.eat("to") {
            cursor.next();
        }
        let Some(to) = cursor.table() else {
            return vec![StateFact::Unread];
        };
        facts.push(StateFact::Renames(from, to));
        if !cursor.eat_op(b',') {
            break;
        }
    }
    facts
}

fn unlock(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    match cursor.eat("instance") {
        true => vec![StateFact::UnlocksServer(ServerLock::Instance)],
        false => vec![StateFact::UnlocksServer(ServerLock::Reads)],
    }
}

/// Locks of single tables are told by the trackers.
fn flush(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    cursor.eat_any(&["no_write_to_binlog", "local"]);
    if cursor.eat_any(&["tables", "table"]) && cursor.eat_all(&["with", "read", "lock"]) {
        return vec![StateFact::LocksServer(ServerLock::Reads)];
    }
    // Who sets the counters of its connection to nothing is going to read them.
    let counts = cursor.has("status");
    Vec::from_iter(counts.then(|| StateFact::Untracked((*b"status").into(), false)))
}

fn backup(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let ends = cursor.eat_all(&["stage", "end"]) || cursor.eat("unlock");
    match ends {
        true => vec![StateFact::UnlocksServer(ServerLock::Backup)],
        false => vec![StateFact::LocksServer(ServerLock::Backup)],
    }
}

/// `HANDLER t OPEN [[AS] a]`, `HANDLER a CLOSE`; READ changes nothing.
fn handler(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let Some(TableName { table, .. }) = cursor.table() else {
        return vec![StateFact::Unread];
    };
    let table = table.to_ascii_lowercase().into();
    if cursor.eat("open") {
        cursor.eat("as");
        return vec![StateFact::OpensHandler(
            cursor.lower_name().unwrap_or(table),
        )];
    }
    if cursor.eat("close") {
        return vec![StateFact::ClosesHandler(table)];
    }
    expressions(cursor)
}

/// `PREPARE s FROM …`.
fn prepare(mut cursor: Cursor<'_>, reader: Reader<'_>) -> Vec<StateFact> {
    let Some(name) = cursor.lower_name() else {
        return vec![StateFact::Unread];
    };
    cursor.eat("from");
    let touches = match cursor.next() {
        Some(Lexeme::Str(text)) if cursor.at_end() => reader.prepared(text),
        _ => Touches::unread(),
    };
    vec![StateFact::Prepares(name, touches)]
}

fn deallocate(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let name = cursor.lower_name();
    vec![name.map_or(StateFact::Unread, StateFact::Deallocates)]
}

/// `EXECUTE s [USING …]`; MariaDB's `EXECUTE IMMEDIATE 'text'`.
fn execute(mut cursor: Cursor<'_>, reader: Reader<'_>) -> Vec<StateFact> {
    let immediate = { cursor }.eat_all(&["immediate"]);
    let Some(name) = cursor.lower_name() else {
        return vec![StateFact::Unread];
    };
    if !immediate || cursor.at_end() {
        return vec![StateFact::Executes(name)];
    }
    match cursor.next() {
        Some(Lexeme::Str(text)) => match reader.prepared(text).statements.pop() {
            Some(facts) => facts,
            None => vec![StateFact::RunsRoutine],
        },
        _ => vec![StateFact::RunsRoutine],
    }
}

fn xa(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let step = match cursor.word().as_deref() {
        Some(b"start" | b"begin") => XaStep::Begins,
        Some(b"prepare") => XaStep::Prepared,
        Some(b"commit" | b"rollback") => XaStep::Ends,
        Some(b"end" | b"recover") => return Vec::new(),
        _ => return vec![StateFact::Unread],
    };
    vec![StateFact::Xa(step)]
}
