//! MariaDB's `SET STATEMENT name = value, … FOR statement`: settings for the length of one statement.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::{Decision, read, set};

/// Settings that change how a query is run, or how it is cut short, and nothing that it is: a replica
/// takes them like the primary, and no privilege is needed.
static HARMLESS: [&str; 28] = [
    "big_tables",
    "default_week_format",
    "div_precision_increment",
    "eq_range_index_dive_limit",
    "expensive_subquery_limit",
    "group_concat_max_len",
    "histogram_size",
    "histogram_type",
    "in_predicate_conversion_threshold",
    "innodb_lock_wait_timeout",
    "join_buffer_size",
    "join_cache_level",
    "lock_wait_timeout",
    "max_heap_table_size",
    "max_join_size",
    "max_length_for_sort_data",
    "max_sort_length",
    "max_statement_time",
    "optimizer_prune_level",
    "optimizer_search_depth",
    "optimizer_switch",
    "optimizer_use_condition_selectivity",
    "read_buffer_size",
    "read_rnd_buffer_size",
    "sort_buffer_size",
    "sql_select_limit",
    "tmp_table_size",
    "use_stat_tables",
];

/// Whether SET is followed by STATEMENT, which is no variable's name.
pub(super) fn is_prefix(mut tokens: Tokens<'_>) -> bool {
    tokens.eat("statement") && !set::is_assignment(tokens)
}

/// Decides behind SET. A query under harmless settings is what it would be without them.
pub(super) fn decide(mut tokens: Tokens<'_>, text: &[u8], facts: &Facts) -> Decision {
    if facts.kill {
        return Decision::new(Access::Kill, Effects::OPAQUE, Doubt::NotUnderstood);
    }
    tokens.eat("statement");
    let decision = under_settings(tokens, text, facts);
    Decision {
        effects: decision.effects.with(Effects::PASSING_SETTINGS),
        ..decision
    }
}

fn under_settings(mut tokens: Tokens<'_>, text: &[u8], facts: &Facts) -> Decision {
    if facts.own || !settings(&mut tokens) {
        return set::opaque_with_assignments(facts);
    }
    let start = tokens.position();
    while tokens.eat_op(b'(') {}
    match tokens.eat_any(&["select", "with", "values"]) {
        Some(_) => read::decide(text, start, facts),
        None => set::opaque_with_assignments(facts),
    }
}

/// Reads the settings up to and with FOR; whether all are harmless and their values plain.
fn settings(tokens: &mut Tokens<'_>) -> bool {
    loop {
        let harmless = tokens
            .next()
            .and_then(Token::word)
            .and_then(|name| std::str::from_utf8(name).ok())
            .is_some_and(|name| HARMLESS.binary_search(&name).is_ok());
        if !harmless || !tokens.eat_op(b'=') {
            return false;
        }
        tokens.eat_op(b'-');
        let plain = matches!(
            tokens.next(),
            Some(Token::Value | Token::Str(_) | Token::Word(_))
        );
        if !plain {
            return false;
        }
        if tokens.eat("for") {
            return true;
        }
        if !tokens.eat_op(b',') {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted() {
        assert!(HARMLESS.is_sorted());
    }
}
