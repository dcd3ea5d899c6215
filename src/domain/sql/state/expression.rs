//! What expressions do besides: they assign user variables, and take and free named locks.

use super::super::control::lexeme::Lexeme;
use super::StateFact;
use super::cursor::Cursor;

/// The user variables that a statement other than SET assigns, wherever it does so.
pub(super) fn assigned_anywhere(cursor: Cursor<'_>) -> Vec<StateFact> {
    let mut facts = assignments(cursor);
    let mut at = cursor;
    while !at.at_end() {
        if at.eat("into") {
            while let Some(name) = at.user_variable() {
                facts.push(StateFact::Assigns(name, None));
                if !at.eat_op(b',') {
                    break;
                }
            }
        } else {
            at.next();
        }
    }
    facts
}

/// `@v := …`.
pub(super) fn assignments(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let mut facts = Vec::new();
    while !cursor.at_end() {
        match cursor.user_variable() {
            Some(name) => {
                let mut ahead = cursor;
                if ahead.eat_op(b':') && ahead.eat_op(b'=') {
                    facts.push(StateFact::Assigns(name, None));
                }
            }
            None => {
                cursor.next();
            }
        }
    }
    facts
}

/// Every user variable that is mentioned, as assigned: OUT parameters, columns of LOAD DATA.
pub(super) fn mentioned(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let mut facts = Vec::new();
    while !cursor.at_end() {
        match cursor.user_variable() {
            Some(name) => facts.push(StateFact::Assigns(name, None)),
            None => {
                cursor.next();
            }
        }
    }
    facts
}

/// Calls of the functions that take and free named locks.
pub(super) fn locks(mut cursor: Cursor<'_>) -> Vec<StateFact> {
    let mut facts = Vec::new();
    let frees_all = {
        let mut whole = cursor;
        let call = whole.eat("release_all_locks") && whole.eat_op(b'(') && whole.eat_op(b')');
        call && whole.at_end()
    };
    if frees_all {
        return vec![StateFact::UnlocksAll];
    }
    while !cursor.at_end() {
        let name = cursor
            .next()
            .and_then(Lexeme::name)
            .map(<[u8]>::to_ascii_lowercase);
        if cursor.peek() != Some(&Lexeme::Op(b'(')) {
            continue;
        }
        match name.as_deref() {
            Some(b"get_lock") => facts.push(StateFact::Locks(lock_name(cursor))),
            Some(b"release_lock" | b"release_all_locks") => facts.push(StateFact::Unlocks),
            _ => {}
        }
    }
    facts
}

/// The name in `('name', …`, if it reads the same in every charset.
fn lock_name(mut cursor: Cursor<'_>) -> Option<Box<[u8]>> {
    cursor.eat_op(b'(');
    let Some(Lexeme::Str(name)) = cursor.next() else {
        return None;
    };
    let plain = name.is_ascii() && cursor.eat_op(b',');
    plain.then(|| name.as_ref().into())
}
