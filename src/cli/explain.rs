//! `highwater explain`: what a statement's text says about it, and where it would go.

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::domain::consistency::Settings;
use crate::domain::routing::{Reason, Route, route};
use crate::domain::session::{ClientTraits, Session, Side};
use crate::domain::sql::{
    Access, Charset, Doubt, Effects, Hints, LexMode, Seed, StatementProfile, explain,
};
use crate::domain::topology::Engine;
use crate::telemetry::{AccessLabel, Label as _};

/// The parser recurses on the text; 64 MiB hold whatever it accepts.
const STACK: usize = 64 << 20;

/// Status flags of OK packets (MySQL protocol, `SERVER_STATUS_*`).
const STATUS_IN_TRANSACTION: u16 = 0x0001;
const STATUS_AUTOCOMMIT: u16 = 0x0002;

/// The flags of `explain`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Whose grammar and functions it is read by
    #[arg(long, value_enum, default_value_t = Grammar::Mysql)]
    engine: Grammar,
    /// The session's sql_mode, as far as it changes how text is read: ANSI_QUOTES,
    /// NO_BACKSLASH_ESCAPES, MariaDB's ORACLE
    #[arg(long, value_name = "MODE", default_value = "")]
    sql_mode: String,
    /// As in a read-write transaction
    #[arg(long)]
    in_transaction: bool,
    /// As in a session with autocommit off
    #[arg(long)]
    autocommit_off: bool,
    /// The statement
    #[arg(value_name = "SQL")]
    statement: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grammar {
    /// MySQL
    Mysql,
    /// MariaDB
    Mariadb,
}

/// Explains the statement.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let profile = profile(options)?;
    let session = session(options)?;
    super::print(&report(&session, &profile));
    Ok(())
}

/// Classifies on a thread of its own, whose stack is large. The fingerprint is the one that a proxy
/// shows.
fn profile(options: &Options) -> Result<StatementProfile, Failure> {
    let engine = match options.engine {
        Grammar::Mysql => Engine::MySql,
        Grammar::Mariadb => Engine::MariaDb,
    };
    let charset = Charset::default();
    let Some(mode) = LexMode::of_sql_mode(&options.sql_mode, charset, Some(engine)) else {
        return Ok(StatementProfile::unread(Doubt::NotUnderstood));
    };
    let classify = || explain(options.statement.as_bytes(), mode, &Seed::SHARED);
    std::thread::scope(|scope| {
        let no_thread = |error| {
            let what = format!("no thread to read the statement on: {error}");
            Failure::no(what, "free some memory")
        };
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, classify)
            .map_err(no_thread)?
            .join()
            .map_err(|_| Failure::no("the statement could not be read", "please report it"))
    })
}

fn report(session: &Session, profile: &StatementProfile) -> String {
    let doubt = match profile.doubt {
        Doubt::None => "none",
        doubt => Reason::from(doubt).text(),
    };
    let (place, why) = destination(session, profile);
    let advice = advice(profile, why).unwrap_or_default();
    let class = AccessLabel::from(profile.access).name();
    let effects = effects(profile.effects);
    format!(
        "class        {class}{}\n\
         effects      {effects}\n\
         doubt        {doubt}\n\
         fingerprint  {:016x}\n\
         goes to      {place}\n\
         why          {}: {}\n\
         {advice}",
        begin(profile.access),
        profile.fingerprint,
        why.name(),
        why.text(),
    )
}

fn begin(access: Access) -> &'static str {
    match access {
        Access::Begin(begin) if begin.read_only == Some(true) => " (read only)",
        _ => "",
    }
}

/// A session that has just logged in and, if asked for, begun a transaction.
fn session(options: &Options) -> Result<Session, Failure> {
    let client = ClientTraits {
        found_rows: false,
        state_after_rows: true,
    };
    let mut session = Session::new(Settings::default(), client);
    session.hints = Hints::of_text(options.statement.as_bytes()).map_err(|error| {
        let what = format!("the hint {:?} is not understood", error.word);
        Failure::no(what, error.expected)
    })?;
    let when = |set: bool, status: u16| if set { status } else { 0 };
    let status = when(options.in_transaction, STATUS_IN_TRANSACTION)
        | when(!options.autocommit_off, STATUS_AUTOCOMMIT);
    session.on_status(Side::Primary, status);
    Ok(session)
}

/// What would let a replica answer a read that its transaction keeps on the primary.
fn advice(profile: &StatementProfile, why: Reason) -> Option<&'static str> {
    let lost = matches!(why, Reason::InTransaction | Reason::AutocommitOff);
    (lost && profile.access == Access::Read).then_some(
        "advice       [consistency] transaction_reads = \"replica_until_write\" lets replicas answer \
         it before the first write of its transaction, at READ COMMITTED\n",
    )
}

/// Where the session would send the statement.
fn destination(session: &Session, profile: &StatementProfile) -> (&'static str, Reason) {
    match route(session, profile) {
        Route::Primary(reason)
        | Route::EndReplicaTransaction(reason)
        | Route::MoveTransaction(reason) => ("primary", reason),
        Route::HeldReplica(reason) => ("the replica of the session", reason),
        Route::Replica { transaction: false } => ("replica, if one is fresh enough", Reason::Fresh),
        Route::Replica { transaction: true } => (
            "replica, if one is fresh enough; the transaction stays there",
            Reason::ReadOnlyTransaction,
        ),
        Route::Defer(_) | Route::EndDeferred => ("nowhere: Highwater answers", Reason::Deferred),
        Route::Own => ("nowhere: Highwater answers", Reason::Own),
    }
}

fn effects(effects: Effects) -> String {
    const NAMES: [(Effects, &str); 15] = [
        (Effects::READS_TABLES, "reads tables"),
        (Effects::USER_VARIABLE, "mentions a user variable"),
        (Effects::ASSIGNS_USER_VARIABLE, "may assign a user variable"),
        (Effects::NAMED_LOCK, "takes or frees a named lock"),
        (
            Effects::TEMPORARY_TABLE,
            "creates or drops a temporary table",
        ),
        (Effects::TABLE_LOCK, "locks or unlocks tables"),
        (
            Effects::TEXT_PREPARE,
            "prepares or frees a statement in SQL",
        ),
        (Effects::HANDLER, "uses HANDLER"),
        (Effects::COMMITS, "commits an open transaction first"),
        (Effects::XA, "is about an XA transaction"),
        (Effects::MULTI, "is several statements"),
        (
            Effects::MENTIONS_MANAGED_VARIABLE,
            "mentions a variable that Highwater manages",
        ),
        (
            Effects::PASSING_SETTINGS,
            "sets variables for its own length",
        ),
        (Effects::ACCOUNTS, "changes accounts or their rights"),
        (Effects::OPAQUE, "may do more than its text shows"),
    ];
    let names: Vec<_> = NAMES
        .iter()
        .filter(|(flag, _)| effects.contains(*flag))
        .map(|(_, name)| *name)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn options(statement: &str) -> Options {
        Options {
            engine: Grammar::Mysql,
            sql_mode: String::new(),
            in_transaction: false,
            autocommit_off: false,
            statement: statement.to_owned(),
        }
    }

    /// Class, place and reason of a statement, as they are printed.
    fn check(statement: &str, class: &str, place: &str, reason: &str) {
        let options = options(statement);
        let report = report(&session(&options).unwrap(), &profile(&options).unwrap());
        let value = |name: &str| {
            let line = report.lines().find(|line| line.starts_with(name)).unwrap();
            line[13..].to_owned()
        };
        assert_eq!(value("class"), class, "{statement}\n{report}");
        assert!(value("goes to").starts_with(place), "{statement}\n{report}");
        assert!(
            value("why").starts_with(&format!("{reason}: ")),
            "{statement}\n{report}"
        );
    }

    #[test]
    fn place_and_reason_are_those_of_the_router() {
        for (statement, class, place, reason) in [
            ("SELECT a FROM t WHERE b = 1", "read", "replica", "fresh"),
            ("INSERT INTO t VALUES (1)", "write", "primary", "write"),
            (
                "SELECT a FROM t FOR UPDATE",
                "primary_read",
                "primary",
                "locking_read",
            ),
            ("SET sql_mode = ''", "session", "primary", "session_state"),
            ("BEGIN", "begin", "primary", "in_transaction"),
            (
                "START TRANSACTION READ ONLY",
                "begin (read only)",
                "replica",
                "read_only_transaction",
            ),
            ("KILL 7", "kill", "nowhere", "own"),
            (
                "SELECT nobody_knows(1)",
                "write",
                "primary",
                "unknown_function",
            ),
            ("FROBNICATE", "write", "primary", "not_understood"),
        ] {
            check(statement, class, place, reason);
        }
    }

    #[test]
    fn a_read_lost_to_its_transaction_is_told_what_frees_it() {
        let told = |statement: &str, in_transaction, autocommit_off| {
            let options = Options {
                in_transaction,
                autocommit_off,
                ..options(statement)
            };
            report(&session(&options).unwrap(), &profile(&options).unwrap())
        };
        let read = "SELECT a FROM t";
        for (report, reason, advised) in [
            (told(read, false, false), "fresh", false),
            (told(read, true, false), "in_transaction", true),
            (told(read, false, true), "autocommit_off", true),
            (told("DELETE FROM t", true, false), "in_transaction", false),
            (
                told("/* highwater: primary */ SELECT a FROM t", false, false),
                "hint",
                false,
            ),
        ] {
            assert!(
                report.contains(&format!("why          {reason}: ")),
                "{report}"
            );
            assert_eq!(report.contains("transaction_reads"), advised, "{report}");
        }
        let wrong = options("/* highwater: primry */ SELECT 1");
        assert!(session(&wrong).is_err());
    }

    #[test]
    fn long_and_deep_statements_do_no_harm() {
        let deep = format!("SELECT 1{}", " DIV 1".repeat(2_200));
        let long = format!("SELECT 1 FROM t WHERE {}a", "a OR ".repeat(33_000));
        for statement in [deep, long] {
            let options = options(&statement);
            assert!(profile(&options).is_ok());
        }
    }
}
