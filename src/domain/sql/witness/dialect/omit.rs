//! Clauses of MariaDB that the parser does not know, in the plain forms that everyday SQL has. Each
//! function reads one behind its first word and says whether that is what it was.

use super::super::super::token::{Token, Tokens};

/// The most words of a type's name: `char(10) character set utf8mb4 binary` has fewer.
const MAX_TYPE_WORDS: usize = 8;

/// `SYSTEM_TIME ALL | AS OF m | BETWEEN m AND m | FROM m TO m`, behind FOR.
pub(super) fn system_time(tokens: &mut Tokens<'_>) -> bool {
    if !tokens.eat("system_time") {
        return false;
    }
    if tokens.eat("all") {
        true
    } else if tokens.eat_all(&["as", "of"]) {
        moment(tokens)
    } else if tokens.eat("between") {
        moment(tokens) && tokens.eat("and") && moment(tokens)
    } else {
        tokens.eat("from") && moment(tokens) && tokens.eat("to") && moment(tokens)
    }
}

/// A literal or the present, and perhaps an interval added to it or taken from it.
fn moment(tokens: &mut Tokens<'_>) -> bool {
    const PRESENT: [&str; 5] = [
        "now",
        "current_timestamp",
        "localtimestamp",
        "sysdate",
        "curdate",
    ];
    if tokens.eat_op(b'(') {
        return moment(tokens) && tokens.eat_op(b')');
    }
    if tokens.eat_any(&PRESENT).is_some() {
        if tokens.eat_op(b'(') {
            if tokens.peek() == Some(Token::Value) {
                tokens.next();
            }
            if !tokens.eat_op(b')') {
                return false;
            }
        }
    } else {
        tokens.eat_any(&["timestamp", "transaction", "date"]);
        if !is_literal(tokens.next()) {
            return false;
        }
    }
    let mut ahead = *tokens;
    let shifted = (ahead.eat_op(b'-') || ahead.eat_op(b'+'))
        && ahead.eat("interval")
        && is_literal(ahead.next())
        && ahead.next().and_then(Token::word).is_some();
    if shifted {
        *tokens = ahead;
    }
    true
}

/// The type behind `AS` in COLUMN_GET and its like.
pub(super) fn type_name(tokens: &mut Tokens<'_>) -> bool {
    for word in 0..MAX_TYPE_WORDS {
        if tokens.eat_op(b'(') {
            if tokens.next() != Some(Token::Value) || !tokens.eat_op(b')') {
                return false;
            }
        } else if tokens.peek().and_then(Token::word).is_some() {
            tokens.next();
        } else {
            return word > 0;
        }
    }
    false
}

/// `n [OFFSET n | , n]`, behind LIMIT in GROUP_CONCAT.
pub(super) fn limit(tokens: &mut Tokens<'_>) -> bool {
    let first = tokens.next() == Some(Token::Value);
    let more = tokens.eat("offset") || tokens.eat_op(b',');
    first && (!more || tokens.next() == Some(Token::Value))
}

/// `EXAMINED n`, behind LIMIT … ROWS.
pub(super) fn examined(tokens: &mut Tokens<'_>) -> bool {
    tokens.eat("examined") && tokens.next() == Some(Token::Value)
}

fn is_literal(token: Option<Token<'_>>) -> bool {
    matches!(token, Some(Token::Value | Token::Str(_)))
}
