//! From a normalised text to a profile, by the statement's verb; a read goes on to the second
//! witness.
//!
//! Looks at nothing but the normalised text and the dialect, so where both are equal the profiles
//! are.

mod describe;
mod read;
mod rows;
mod set;
mod show;
mod statement;
mod transaction;

use super::facts::{self, Calls, Facts};
use super::fingerprint::Normalised;
use super::mode::Dialect;
use super::profile::{Access, Doubt, Effects, StatementProfile};
use super::token::{Token, Tokens};
use super::witness;

/// What the lexer made of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The lexer alone is certain.
    Decided(StatementProfile),
    /// It looks like a read: [`confirm`] has to agree.
    NeedsParse(Pending),
}

/// A read that waits for the second witness. Copy it to the thread that parses, with the
/// normalised text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The profile if the parser agrees.
    agreed: StatementProfile,
    /// Where the query begins in the normalised text (behind EXPLAIN and its options).
    start: usize,
    dialect: Dialect,
}

impl Pending {
    /// The profile for a read that is not parsed, for whatever reason: the primary's.
    pub fn unconfirmed(&self, doubt: Doubt) -> StatementProfile {
        StatementProfile {
            access: Access::PrimaryRead,
            doubt,
            ..self.agreed
        }
    }
}

/// What a verb's rules decide.
#[derive(Clone, Copy, Debug)]
struct Decision {
    access: Access,
    effects: Effects,
    doubt: Doubt,
    /// Where the query begins that the parser must confirm.
    parse_from: Option<usize>,
}

impl Decision {
    const fn new(access: Access, effects: Effects, doubt: Doubt) -> Self {
        Self {
            access,
            effects,
            doubt,
            parse_from: None,
        }
    }

    const fn write(effects: Effects) -> Self {
        Self::new(Access::Write, effects, Doubt::Writes)
    }

    const fn session(effects: Effects) -> Self {
        Self::new(Access::Session, effects, Doubt::None)
    }

    const fn primary_read(effects: Effects, doubt: Doubt) -> Self {
        Self::new(Access::PrimaryRead, effects, doubt)
    }

    const fn not_understood() -> Self {
        Self::new(Access::Write, Effects::OPAQUE, Doubt::NotUnderstood)
    }
}

/// Classifies a normalised statement. Takes time proportional to its length and little stack.
pub fn profile(statement: Normalised<'_>) -> Verdict {
    let decision = decide(statement.text, statement.dialect);
    let profile = StatementProfile {
        access: decision.access,
        effects: decision.effects,
        doubt: decision.doubt,
        fingerprint: statement.fingerprint,
    };
    match decision.parse_from {
        Some(start) => Verdict::NeedsParse(Pending {
            agreed: profile,
            start,
            dialect: statement.dialect,
        }),
        None => Verdict::Decided(profile),
    }
}

/// Asks the second witness about a read. `normalised` is the text that [`profile`] was given.
///
/// Parses: call it once per fingerprint, on a thread with a stack of some megabytes.
pub fn confirm(normalised: &[u8], pending: Pending) -> StatementProfile {
    let query = normalised.get(pending.start..).unwrap_or_default();
    match witness::testify(query, pending.dialect) {
        witness::Testimony::Reads => pending.agreed,
        witness::Testimony::Objects => pending.unconfirmed(Doubt::NotUnderstood),
        witness::Testimony::Writes => StatementProfile {
            access: Access::Write,
            effects: pending.agreed.effects.with(Effects::OPAQUE),
            doubt: Doubt::Writes,
            ..pending.agreed
        },
    }
}

fn decide(text: &[u8], dialect: Dialect) -> Decision {
    let mut tokens = Tokens::plain(text);
    while tokens.eat_op(b'(') {}
    let Some(verb) = tokens.next().and_then(Token::word) else {
        return refused(text, dialect);
    };
    let runs = dialect.is_mariadb() && verb == b"analyze" && describe::is_statement(tokens);
    let calls = if runs {
        Calls::AfterTable
    } else {
        calls_of(verb)
    };
    let facts = facts::collect(Tokens::new(text), calls, dialect);
    if facts.multi || facts.versioned_uncertain {
        let mut decision = mixed(&facts);
        if facts.multi {
            let rows = rows::effects_of_packet(text, dialect);
            decision.effects = decision.effects.with(rows);
        }
        if matches!(verb, b"show" | b"get") {
            // It may be SHOW WARNINGS or GET DIAGNOSTICS, about the statement before the packet.
            decision.effects = decision.effects.with(Effects::ASKS_PREVIOUS);
        }
        return decision;
    }
    let mut decision = if runs {
        describe::analyze(tokens, text, &facts)
    } else if verb == b"set" && dialect.is_mariadb() && statement::is_prefix(tokens) {
        statement::decide(tokens, text, &facts)
    } else {
        by_verb(verb, tokens, text, &facts, dialect)
    };
    if facts.own && may_mention_own(verb) {
        // It is classified again with the values put in.
        decision = Decision::new(Access::Own, decision.effects, Doubt::None);
    }
    let rows = match runs {
        true => Effects::default(),
        false => rows::effects(verb, tokens, dialect),
    };
    Decision {
        effects: decision.effects.with(facts.effects).with(rows),
        ..decision
    }
}

/// A text without a verb.
fn refused(text: &[u8], dialect: Dialect) -> Decision {
    let facts = facts::collect(Tokens::new(text), Calls::All, dialect);
    let decision = mixed(&facts);
    Decision {
        doubt: Doubt::NotUnderstood,
        ..decision
    }
}

/// Several statements in one, or one that not every server reads alike.
fn mixed(facts: &Facts) -> Decision {
    let mut effects = facts.effects.with(Effects::OPAQUE);
    if facts.multi {
        effects = effects.with(Effects::MULTI);
    }
    if facts.assigns || facts.effects.contains(Effects::USER_VARIABLE) {
        effects = effects.with(Effects::ASSIGNS_USER_VARIABLE);
    }
    let access = if facts.kill {
        Access::Kill
    } else if facts.own || facts.own_in_set {
        Access::Own
    } else {
        Access::Write
    };
    let doubt = if facts.multi {
        Doubt::MultiStatement
    } else {
        Doubt::VersionedComment
    };
    Decision::new(access, effects, doubt)
}

/// Statements whose mention of a variable of Highwater's own is filled in. Any other is the server's to
/// refuse: it would keep the mention.
fn may_mention_own(verb: &[u8]) -> bool {
    matches!(
        verb,
        b"select"
            | b"with"
            | b"values"
            | b"table"
            | b"insert"
            | b"replace"
            | b"update"
            | b"delete"
            | b"do"
            | b"call"
            | b"set"
            | b"explain"
            | b"describe"
            | b"desc"
            | b"analyze"
    )
}

/// Where a name before a parenthesis is a function call.
fn calls_of(verb: &[u8]) -> Calls {
    match verb {
        b"insert" | b"replace" => Calls::AfterTable,
        b"alter" | b"analyze" | b"check" | b"create" | b"drop" | b"grant" | b"load" | b"lock"
        | b"optimize" | b"rename" | b"repair" | b"revoke" | b"truncate" | b"unlock" | b"change" => {
            Calls::None
        }
        b"explain" | b"describe" | b"desc" => Calls::AfterTable,
        _ => Calls::All,
    }
}

/// `tokens` stand behind the verb.
fn by_verb(
    verb: &[u8],
    tokens: Tokens<'_>,
    text: &[u8],
    facts: &Facts,
    dialect: Dialect,
) -> Decision {
    let parenthesised = text.first() == Some(&b'(');
    match verb {
        b"select" | b"with" | b"values" | b"table" => read::decide(text, 0, facts),
        _ if parenthesised => Decision::not_understood(),
        b"set" => set::decide(tokens, facts),
        b"use" => Decision::session(Effects::default()),
        b"show" => show::decide(tokens, facts),
        b"explain" | b"describe" | b"desc" => describe::decide(tokens, text, facts),
        b"begin" | b"start" | b"commit" | b"rollback" | b"savepoint" | b"release" => {
            transaction::decide(verb, tokens, dialect)
        }
        b"kill" => Decision::new(Access::Kill, Effects::default(), Doubt::None),
        b"help" => Decision::primary_read(Effects::default(), Doubt::ServerLocal),
        b"checksum" => Decision::primary_read(Effects::READS_TABLES, Doubt::ServerLocal),
        b"handler" => Decision::primary_read(
            Effects::HANDLER.with(Effects::READS_TABLES),
            Doubt::ServerLocal,
        ),
        b"get" => Decision::new(
            Access::Diagnostics,
            assigns_if_mentioned(facts),
            Doubt::Function,
        ),
        _ => writing_verb(verb, tokens, facts),
    }
}

/// Verbs that the primary takes, with their effects.
fn writing_verb(verb: &[u8], mut tokens: Tokens<'_>, facts: &Facts) -> Decision {
    let effects = match verb {
        b"insert" | b"replace" | b"update" | b"delete" => dml(facts),
        b"load" | b"import" => assigns_if_mentioned(facts),
        b"create" | b"drop" | b"alter" => ddl(&mut tokens, facts),
        b"lock" | b"unlock" => Effects::TABLE_LOCK,
        b"flush" => flush(tokens),
        b"xa" => Effects::XA,
        b"prepare" => {
            return Decision::session(Effects::TEXT_PREPARE.with(facts.effects));
        }
        b"deallocate" => return Decision::session(Effects::TEXT_PREPARE),
        b"call" | b"execute" => assigns_if_mentioned(facts).with(Effects::OPAQUE),
        b"do" => dml(facts),
        b"analyze" if tokens.eat("format") || tokens.eat("select") => Effects::OPAQUE,
        b"truncate" | b"rename" | b"grant" | b"revoke" | b"analyze" | b"optimize" | b"repair"
        | b"check" | b"cache" | b"purge" | b"reset" | b"install" | b"uninstall" | b"stop"
        | b"change" => Effects::COMMITS,
        b"clone" | b"restart" | b"shutdown" => Effects::OPAQUE.with(Effects::COMMITS),
        b"binlog" | b"signal" | b"resignal" => Effects::OPAQUE,
        _ => return Decision::not_understood(),
    };
    Decision::write(effects)
}

fn assigns_if_mentioned(facts: &Facts) -> Effects {
    if facts.effects.contains(Effects::USER_VARIABLE) {
        Effects::ASSIGNS_USER_VARIABLE
    } else {
        Effects::default()
    }
}

/// Effects of expressions inside a write.
fn dml(facts: &Facts) -> Effects {
    let shows = if facts.returning {
        Effects::READS_TABLES
    } else {
        Effects::default()
    };
    if facts.assigns {
        assigns_if_mentioned(facts).with(shows)
    } else {
        shows
    }
}

fn ddl(tokens: &mut Tokens<'_>, facts: &Facts) -> Effects {
    let replaced = tokens.eat_all(&["or", "replace"]);
    if tokens.eat("temporary") {
        return Effects::TEMPORARY_TABLE.with(dml(facts));
    }
    if tokens.eat("prepare") {
        return Effects::TEXT_PREPARE;
    }
    // DROP TABLE drops a temporary table of that name first, ALTER alters it.
    let stored = !replaced && tokens.eat_any(&["view", "procedure", "function"]).is_some();
    let effects = dml(facts).with(Effects::COMMITS);
    if facts.selects && !stored {
        effects.with(Effects::OPAQUE)
    } else {
        effects
    }
}

fn flush(mut tokens: Tokens<'_>) -> Effects {
    tokens.eat_any(&["no_write_to_binlog", "local"]);
    if tokens.eat_any(&["tables", "table"]).is_some() && !tokens.at_end() {
        Effects::TABLE_LOCK
    } else {
        Effects::COMMITS
    }
}
