//! SELECT, WITH, VALUES and TABLE, and the same behind EXPLAIN.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::Decision;

/// The longest normalised query that is parsed, in bytes.
const MAX_PARSED: usize = 4 << 10;

/// The most operators in a query that is parsed; see facts on how deep a parse gets.
const MAX_OPERATORS: usize = 512;

/// Decides about the query that begins at `start`.
pub(super) fn decide(text: &[u8], start: usize, facts: &Facts) -> Decision {
    if facts.own {
        return Decision::new(Access::Own, Effects::default(), Doubt::None);
    }
    let effects = effects(facts);
    if facts.writes {
        return Decision::write(effects);
    }
    match facts.doubt() {
        Doubt::None => clean(text, start, effects, facts),
        Doubt::UnknownFunction => Decision::new(Access::Write, effects, Doubt::UnknownFunction),
        Doubt::Function if facts.diagnostics && !facts.local_function && !facts.tables => {
            Decision::new(Access::Diagnostics, effects, Doubt::Function)
        }
        doubt => Decision::primary_read(effects, doubt),
    }
}

fn effects(facts: &Facts) -> Effects {
    let mut effects = Effects::default();
    if facts.tables {
        effects = effects.with(Effects::READS_TABLES);
    }
    if facts.assigns {
        effects = effects.with(Effects::ASSIGNS_USER_VARIABLE);
    }
    effects
}

/// The lexer has nothing against it.
fn clean(text: &[u8], start: usize, effects: Effects, facts: &Facts) -> Decision {
    let query = text.get(start..).unwrap_or_default();
    if query.len() > MAX_PARSED || facts.operators > MAX_OPERATORS {
        return Decision::primary_read(effects, Doubt::TooLarge);
    }
    let read = Decision::new(Access::Read, effects, Doubt::None);
    if is_table_statement(query) {
        return read;
    }
    Decision {
        parse_from: Some(start),
        ..read
    }
}

/// `TABLE t [ORDER BY c [DESC], …] [LIMIT n [OFFSET n]]`, which the parser does not know and whose
/// whole grammar fits here.
fn is_table_statement(query: &[u8]) -> bool {
    let mut tokens = Tokens::plain(query);
    if !tokens.eat("table") || !table_name(&mut tokens) {
        return false;
    }
    if tokens.eat_all(&["order", "by"]) {
        loop {
            if !order_item(&mut tokens) {
                return false;
            }
            if !tokens.eat_op(b',') {
                break;
            }
        }
    }
    if tokens.eat("limit") {
        let first = tokens.next() == Some(Token::Value);
        let more = tokens.eat("offset") || tokens.eat_op(b',');
        if !first || (more && tokens.next() != Some(Token::Value)) {
            return false;
        }
    }
    tokens.at_end()
}

/// `t` or `s.t`.
pub(super) fn table_name(tokens: &mut Tokens<'_>) -> bool {
    let name = |t: Option<Token<'_>>| t.and_then(Token::name).is_some();
    if !name(tokens.next()) {
        return false;
    }
    !tokens.eat_op(b'.') || name(tokens.next())
}

fn order_item(tokens: &mut Tokens<'_>) -> bool {
    let item = matches!(
        tokens.next(),
        Some(Token::Value | Token::Word(_) | Token::Quoted(_))
    );
    tokens.eat_any(&["asc", "desc"]);
    item
}
