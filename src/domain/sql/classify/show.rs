//! SHOW in its many forms.

use super::super::facts::Facts;
use super::super::profile::{Access, Doubt, Effects};
use super::super::token::{Token, Tokens};
use super::Decision;

/// What a form of SHOW tells about.
enum About {
    /// Replicated metadata.
    Metadata,
    /// Metadata with parts that each server makes for itself: estimates, counters, the engine that a
    /// session's default chose, whether an event runs.
    OwnMetadata,
    /// The server that answers.
    Server,
    /// The variables of the connection that answers, last_insert_id among them.
    Variables,
    /// The statement before.
    Diagnostics,
    /// A variable of Highwater's own, or what Highwater did.
    Own,
    /// Not a form that is known.
    Unknown,
}

/// Decides behind the verb.
pub(super) fn decide(tokens: Tokens<'_>, facts: &Facts) -> Decision {
    let none = Effects::default();
    let reads = Effects::READS_TABLES;
    match (about(tokens), facts.doubt()) {
        (_, Doubt::UnknownFunction) => {
            Decision::new(Access::Write, Effects::OPAQUE, Doubt::UnknownFunction)
        }
        _ if facts.writes => Decision::write(reads),
        (About::Own, _) => Decision::new(Access::Own, none, Doubt::None),
        (About::Diagnostics, _) => Decision::new(Access::Diagnostics, none, Doubt::Function),
        (About::Metadata, Doubt::None) => Decision::new(Access::Read, reads, Doubt::None),
        (About::Metadata, doubt) => Decision::primary_read(reads, doubt),
        (About::OwnMetadata, Doubt::None) => Decision::primary_read(reads, Doubt::ServerLocal),
        (About::OwnMetadata, doubt) => Decision::primary_read(reads, doubt),
        (About::Server, _) => Decision::primary_read(none, Doubt::ServerLocal),
        (About::Variables, _) => {
            Decision::primary_read(Effects::LAST_INSERT_ID, Doubt::ServerLocal)
        }
        (About::Unknown, _) => Decision::primary_read(reads, Doubt::NotUnderstood),
    }
}

fn about(mut tokens: Tokens<'_>) -> About {
    tokens.eat("extended");
    tokens.eat("full");
    let scope = tokens.eat_any(&["global", "session", "local"]);
    let Some(what) = tokens.next().and_then(Token::word) else {
        return About::Unknown;
    };
    match what {
        b"variables" => variables(tokens, scope == Some("global")),
        b"status" => About::Server,
        _ if scope.is_some() => About::Unknown,
        b"tables" | b"columns" | b"fields" | b"databases" | b"schemas" | b"triggers"
        | b"collation" | b"charset" => About::Metadata,
        b"index" | b"indexes" | b"keys" | b"events" => About::OwnMetadata,
        b"table" if tokens.eat("status") => About::OwnMetadata,
        b"procedure" | b"function" | b"library" | b"package" if tokens.eat("status") => {
            About::Metadata
        }
        b"package" if tokens.eat_all(&["body", "status"]) => About::Metadata,
        b"character" if tokens.eat("set") => About::Metadata,
        b"create" => create(tokens),
        b"highwater" if tokens.eat("route") => About::Own,
        b"warnings" | b"errors" => About::Diagnostics,
        b"count" => count(tokens),
        b"processlist" | b"engines" | b"storage" | b"engine" | b"plugins" | b"privileges"
        | b"profiles" | b"profile" | b"binary" | b"binlog" | b"master" | b"replica" | b"slave"
        | b"replicas" | b"relaylog" | b"open" | b"grants" | b"all" | b"explain" | b"analyze"
        | b"slaves" | b"client_statistics" | b"index_statistics" | b"table_statistics"
        | b"user_statistics" => About::Server,
        _ => About::Unknown,
    }
}

/// `VARIABLES [LIKE 'pattern' | WHERE …]`. The pattern is there only if it is for variables of ours.
fn variables(mut tokens: Tokens<'_>, global: bool) -> About {
    if tokens.eat("where") {
        tokens.next();
        tokens.eat_op(b'=');
    }
    tokens.eat("like");
    let own =
        matches!(tokens.next(), Some(Token::Str(pattern)) if pattern != b"?") && tokens.at_end();
    match own {
        true => About::Own,
        false if global => About::Server,
        false => About::Variables,
    }
}

fn create(mut tokens: Tokens<'_>) -> About {
    const KNOWN: [&str; 9] = [
        "view",
        "database",
        "schema",
        "procedure",
        "function",
        "trigger",
        "library",
        "sequence",
        "package",
    ];
    match tokens.eat_any(&KNOWN) {
        Some(_) => About::Metadata,
        None if tokens.eat_any(&["table", "event"]).is_some() => About::OwnMetadata,
        None if tokens.eat("user") => About::Server,
        None => About::Unknown,
    }
}

/// `COUNT(*) WARNINGS` and `COUNT(*) ERRORS`.
fn count(mut tokens: Tokens<'_>) -> About {
    let all = tokens.eat_op(b'(') && tokens.eat_op(b'*') && tokens.eat_op(b')');
    if all && tokens.eat_any(&["warnings", "errors"]).is_some() {
        About::Diagnostics
    } else {
        About::Unknown
    }
}
