//! BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT and RELEASE SAVEPOINT.

use super::super::mode::Dialect;
use super::super::profile::{Access, Begin, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::Decision;

/// Decides behind the verb.
pub(super) fn decide(verb: &[u8], mut tokens: Tokens<'_>, dialect: Dialect) -> Decision {
    match verb {
        // A block, which goes on behind the next `;`.
        b"begin" if dialect.oracle => Decision::not_understood(),
        b"begin" => {
            tokens.eat("work");
            or_else_unknown(tokens.at_end().then_some(Access::Begin(Begin::default())))
        }
        b"start" if tokens.eat("transaction") => {
            or_else_unknown(characteristics(tokens).map(Access::Begin))
        }
        // START REPLICA, START GROUP_REPLICATION.
        b"start" => Decision::write(Effects::default()),
        b"savepoint" => or_else_unknown(end_if(name(&mut tokens) && tokens.at_end())),
        b"release" => {
            let savepoint = tokens.eat("savepoint") && name(&mut tokens) && tokens.at_end();
            or_else_unknown(end_if(savepoint))
        }
        _ => or_else_unknown(end_if(completion(tokens))),
    }
}

fn or_else_unknown(access: Option<Access>) -> Decision {
    access.map_or_else(Decision::not_understood, |access| {
        Decision::new(access, Effects::default(), Doubt::None)
    })
}

fn end_if(understood: bool) -> Option<Access> {
    understood.then_some(Access::TransactionEnd)
}

fn name(tokens: &mut Tokens<'_>) -> bool {
    tokens.next().and_then(Token::name).is_some()
}

/// The characteristics behind START TRANSACTION, in any order, separated by commas.
fn characteristics(mut tokens: Tokens<'_>) -> Option<Begin> {
    let mut begin = Begin::default();
    if tokens.at_end() {
        return Some(begin);
    }
    loop {
        if tokens.eat_all(&["with", "consistent", "snapshot"]) {
            begin.snapshot = true;
        } else if tokens.eat_all(&["read", "only"]) && begin.read_only.is_none() {
            begin.read_only = Some(true);
        } else if tokens.eat_all(&["read", "write"]) && begin.read_only.is_none() {
            begin.read_only = Some(false);
        } else {
            return None;
        }
        if tokens.at_end() {
            return Some(begin);
        }
        if !tokens.eat_op(b',') {
            return None;
        }
    }
}

/// `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`, or `[WORK] TO [SAVEPOINT] name`.
fn completion(mut tokens: Tokens<'_>) -> bool {
    tokens.eat("work");
    if tokens.eat("to") {
        let mut bare = tokens;
        let keyword = tokens.eat("savepoint");
        return (keyword && name(&mut tokens) && tokens.at_end())
            || (name(&mut bare) && bare.at_end());
    }
    if tokens.eat("and") {
        tokens.eat("no");
        if !tokens.eat("chain") {
            return false;
        }
    }
    let no = tokens.eat("no");
    let release = tokens.eat("release");
    (!no || release) && tokens.at_end()
}
