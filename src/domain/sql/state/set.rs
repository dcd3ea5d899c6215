//! SET: user variables, roles, resource groups, and variables that no tracker tells.

use super::super::control::lexeme::Lexeme;
use super::super::variables;
use super::constant;
use super::cursor::Cursor;
use super::{Reader, StateFact};

/// What SET does, behind the verb.
pub(super) fn facts(mut cursor: Cursor<'_>, reader: Reader<'_>) -> Vec<StateFact> {
    if reader.mode.dialect.is_mariadb() && is_word(cursor, "statement") {
        return vec![StateFact::RunsRoutine];
    }
    if is_word(cursor, "role") {
        cursor.eat("role");
        return vec![StateFact::TakesRole(role(cursor))];
    }
    if cursor.eat_all(&["default", "role"]) || is_word(cursor, "password") {
        return vec![StateFact::Settings];
    }
    if cursor.eat_all(&["resource", "group"]) {
        return match cursor.has("for") {
            // That of other threads.
            true => vec![StateFact::Settings],
            false => vec![StateFact::JoinsResourceGroup],
        };
    }
    let mut facts = vec![StateFact::Settings];
    while !cursor.at_end() {
        let mut assignment = cursor.value();
        facts.extend(assigned(&mut assignment));
        // A value may assign more.
        facts.extend(super::expression::assignments(assignment));
        facts.extend(super::expression::locks(assignment));
    }
    facts
}

/// Whether this word stands here and is no variable's name.
fn is_word(mut cursor: Cursor<'_>, word: &str) -> bool {
    cursor.eat(word) && (word == "password" || !cursor.eat_assignment())
}

/// The words behind SET ROLE, if they mean the same whatever the mode and the charset are.
fn role(cursor: Cursor<'_>) -> Option<Box<[u8]>> {
    let words = cursor.spelled();
    let odd = |byte: &u8| !byte.is_ascii() || matches!(byte, b'\\' | b'"' | b'#' | b'*' | 0);
    (!words.iter().any(odd)).then(|| words.into())
}

/// One assignment; the cursor stands behind its `=` afterwards.
fn assigned(assignment: &mut Cursor<'_>) -> Option<StateFact> {
    if let Some(name) = assignment.user_variable() {
        if !assignment.eat_assignment() {
            return Some(StateFact::AssignsSome);
        }
        // The server may take names that differ in the case of other letters for one.
        let known = name.is_ascii().then(|| constant::read(*assignment));
        return Some(StateFact::Assigns(name, known.flatten()));
    }
    let name = system_variable(assignment)?;
    let back = assignment.eat_assignment() && is_default(*assignment);
    if variables::is_tracker(&name) {
        return Some(StateFact::SetsTracker);
    }
    if variables::is_recorder(&name) {
        return (!is_off(*assignment)).then(|| StateFact::Untracked(name.into(), false));
    }
    variables::is_unrestorable(&name).then(|| StateFact::Untracked(name.into(), back))
}

/// The session variable that is set; the cursor stands at its `=` afterwards.
fn system_variable(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let mut last = None;
    loop {
        if let Some(name) = cursor.lower_name() {
            last = Some(name.into_vec());
        } else if !cursor.eat_op(b'@') && !cursor.eat_op(b'.') {
            return last;
        }
    }
}

/// Whether a value turns a recorder off. What it recorded before stays readable, so this undoes
/// nothing.
fn is_off(mut value: Cursor<'_>) -> bool {
    if let Some(Lexeme::Str(text)) = value.peek() {
        return text.to_ascii_lowercase().starts_with(b"enabled=off");
    }
    value.eat_any(&["default", "0", "off"]) && value.at_end()
}

/// Whether a value is what the variable has by itself.
fn is_default(mut value: Cursor<'_>) -> bool {
    let default = value.eat_any(&["default", "0", "off"]);
    default && value.at_end()
}
