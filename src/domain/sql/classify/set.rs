//! SET in its many forms: session variables, user variables, names, transaction characteristics,
//! and the ones that change the server.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::super::variables::{self, Kind};
use super::Decision;

/// Decides behind the verb.
pub(super) fn decide(mut tokens: Tokens<'_>, facts: &Facts) -> Decision {
    let opaque = Decision::write(Effects::OPAQUE);
    if facts.unknown_function {
        return Decision::new(Access::Write, Effects::OPAQUE, Doubt::UnknownFunction);
    }
    if facts.kill {
        // SET STATEMENT … FOR KILL.
        return Decision::new(Access::Kill, Effects::OPAQUE, Doubt::NotUnderstood);
    }
    if facts.selects || facts.tables || facts.writes {
        return opaque_with_assignments(facts);
    }
    if tokens.eat("names") || tokens.eat("charset") || tokens.eat_all(&["character", "set"]) {
        return with_tail(tokens, facts);
    }
    if let Some(decision) = transaction(tokens) {
        return decision;
    }
    let special = ["password", "role", "statement"]
        .iter()
        .any(|w| follows(tokens, w))
        || { tokens }.eat_all(&["default", "role"])
        || { tokens }.eat_all(&["resource", "group"]);
    if special {
        return opaque;
    }
    assignments(tokens, facts)
}

/// Whether the next word is `word` and no `=` behind it makes it a variable's name.
fn follows(mut tokens: Tokens<'_>, word: &str) -> bool {
    tokens.eat(word) && (word == "password" || !is_assignment(tokens))
}

pub(super) fn is_assignment(mut tokens: Tokens<'_>) -> bool {
    tokens.eat_op(b'=') || (tokens.eat_op(b':') && tokens.eat_op(b'='))
}

pub(super) fn opaque_with_assignments(facts: &Facts) -> Decision {
    let mut effects = Effects::OPAQUE;
    if facts.effects.contains(Effects::USER_VARIABLE) {
        effects = effects.with(Effects::ASSIGNS_USER_VARIABLE);
    }
    Decision::write(effects)
}

/// `[GLOBAL | SESSION | LOCAL] TRANSACTION …`.
fn transaction(mut tokens: Tokens<'_>) -> Option<Decision> {
    let scope = tokens.eat_any(&["global", "session", "local"]);
    if !tokens.eat("transaction") || is_assignment(tokens) {
        return None;
    }
    if scope == Some("global") {
        return Some(Decision::write(Effects::default()));
    }
    let access_mode = tokens.any(|t| t.is("only") || t.is("write"));
    let effects = if access_mode {
        Effects::MENTIONS_MANAGED_VARIABLE
    } else {
        Effects::default()
    };
    Some(Decision::session(effects))
}

/// SET NAMES may go on with assignments behind a comma.
fn with_tail(mut tokens: Tokens<'_>, facts: &Facts) -> Decision {
    let mut depth = 0usize;
    while let Some(token) = tokens.next() {
        match token {
            Token::Op(b'(') => depth += 1,
            Token::Op(b')') => depth = depth.saturating_sub(1),
            Token::Op(b',') if depth == 0 => return assignments(tokens, facts),
            _ => {}
        }
    }
    Decision::session(Effects::default())
}

/// The name that one assignment of a list gives a value to.
enum Target<'t> {
    User,
    Session(&'t [u8]),
    Global,
    Unknown,
}

/// `target = value, …`.
fn assignments(mut tokens: Tokens<'_>, facts: &Facts) -> Decision {
    let mut effects = Effects::default();
    let (mut own, mut global, mut opaque) = (false, false, facts.local_function);
    loop {
        match target(&mut tokens) {
            Target::User => effects = effects.with(Effects::ASSIGNS_USER_VARIABLE),
            Target::Global => global = true,
            Target::Unknown => return Decision::not_understood(),
            Target::Session(name) => match variables::kind_of(name) {
                Kind::Own => own = true,
                Kind::Managed => effects = effects.with(Effects::MENTIONS_MANAGED_VARIABLE),
                _ => {
                    opaque |= variables::is_unrestorable(name) || variables::is_recorder(name);
                }
            },
        }
        if !skip_value(&mut tokens) {
            break;
        }
    }
    if own && !global {
        return Decision::new(Access::Own, effects, Doubt::None);
    }
    if global || opaque {
        return Decision::write(if opaque {
            effects.with(Effects::OPAQUE)
        } else {
            effects
        });
    }
    Decision::session(effects)
}

/// Reads up to and with the `=` or `:=` of one assignment.
fn target<'t>(tokens: &mut Tokens<'t>) -> Target<'t> {
    let target = match tokens.next() {
        Some(Token::UserVariable) => {
            if matches!(tokens.peek(), Some(Token::Quoted(_) | Token::Str(_))) {
                tokens.next();
            }
            Target::User
        }
        Some(Token::SystemVariable(name)) => system_variable(tokens, name),
        Some(Token::Word(b"global" | b"persist" | b"persist_only")) if !at_assignment(*tokens) => {
            tokens.next();
            component(tokens);
            Target::Global
        }
        Some(Token::Word(b"session" | b"local")) if !at_assignment(*tokens) => tokens
            .next()
            .and_then(Token::name)
            .map_or(Target::Unknown, Target::Session),
        Some(Token::Word(name) | Token::Quoted(name)) => Target::Session(name),
        _ => Target::Unknown,
    };
    component(tokens);
    let assigned = tokens.eat_op(b'=') || (tokens.eat_op(b':') && tokens.eat_op(b'='));
    if assigned { target } else { Target::Unknown }
}

fn at_assignment(tokens: Tokens<'_>) -> bool {
    is_assignment(tokens) || { tokens }.eat_op(b'.')
}

/// `@@x`, `@@session.x`, `@@global.x`, and the same with quoted names.
fn system_variable<'t>(tokens: &mut Tokens<'t>, name: &'t [u8]) -> Target<'t> {
    let mut name = name;
    if name.is_empty() {
        name = tokens.next().and_then(Token::name).unwrap_or_default();
    }
    if !tokens.eat_op(b'.') {
        return Target::Session(name);
    }
    let member = tokens.next().and_then(Token::name).unwrap_or_default();
    match name {
        b"session" | b"local" => Target::Session(member),
        _ => Target::Global,
    }
}

/// The rest of a qualified variable's name.
fn component(tokens: &mut Tokens<'_>) {
    while tokens.eat_op(b'.') {
        tokens.next();
    }
}

/// Skips a value; says whether another assignment follows.
fn skip_value(tokens: &mut Tokens<'_>) -> bool {
    let mut depth = 0usize;
    for token in tokens.by_ref() {
        match token {
            Token::Op(b'(') => depth += 1,
            Token::Op(b')') => depth = depth.saturating_sub(1),
            Token::Op(b',') if depth == 0 => return true,
            _ => {}
        }
    }
    false
}
