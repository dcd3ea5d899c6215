//! `highwater explain`: what a statement's text says about it, what the rules of a configuration make of
//! it, and where it would go.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::config::{Account, Config, Flags, Mode};
use crate::domain::routing::rules::{Asker, RuleSet, Ruling};
use crate::domain::routing::{Reason, Route, route};
use crate::domain::session::{ClientTraits, Session, Side};
use crate::domain::sql::{
    Access, Charset, Doubt, Effects, Hints, LexMode, Scan, Scratch, Seed, StatementProfile,
    explain, scan,
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
    /// A configuration file, whose rules and levels count
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The account of the session [default: the first [[user]]]
    #[arg(long, value_name = "NAME", requires = "config")]
    user: Option<String>,
    /// The address of the client; without it no rule about addresses matches
    #[arg(long, value_name = "ADDR", requires = "config")]
    client: Option<IpAddr>,
    /// The session's default schema
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
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

/// What the text of a statement says.
struct Read {
    profile: StatementProfile,
    /// Without its literals; `None` if it could not be read.
    shape: Option<Vec<u8>>,
}

/// Explains the statement.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let config = options.config.as_deref().map(load).transpose()?;
    super::print(&explained(options, config.as_ref())?);
    Ok(())
}

fn load(file: &Path) -> Result<Config, Failure> {
    let config = Config::load(Some(file), &Flags::default(), &Config::process_environment);
    config.map_err(|error| {
        let advice = "mend that, then explain again; config/reference.toml explains every key";
        Failure::no(error.to_string(), advice)
    })
}

fn explained(options: &Options, config: Option<&Config>) -> Result<String, Failure> {
    let account = config.map(|config| account(options, config)).transpose()?;
    let account = account.flatten();
    let mut session = session(options, config, account)?;
    let mut read = read(options, options.statement.as_bytes())?;
    let mut story = statement(&read.profile);
    let Some(config) = config else {
        return Ok(story + &decision(&session, &read.profile, Mode::Split));
    };
    let ruling = ruling(options, config, account, &read);
    for name in &ruling.counted {
        story += &line("counted by", name);
    }
    story += &line("rule", &ruling.summary());
    if let Some(message) = ruling.denial() {
        story += &line("error", message);
        return Ok(story + &place("nowhere: an error", Reason::Denied));
    }
    ruling.obey(&mut session);
    if let Some(text) = &ruling.rewritten {
        story += &line("rewritten", &String::from_utf8_lossy(text));
        read = self::read(options, text)?;
        story += &statement(&read.profile);
    }
    story += &line("level", session.read_level().name());
    Ok(story + &decision(&session, &read.profile, config.proxy.mode))
}

/// Whose session it is.
fn account<'a>(options: &Options, config: &'a Config) -> Result<Option<&'a Account>, Failure> {
    let Some(name) = &options.user else {
        return Ok(config.users.first());
    };
    let found = config.users.iter().find(|account| account.name == *name);
    let no_such = || Failure::no(format!("no [[user]] is {name:?}"), "name one of the file");
    found.map(Some).ok_or_else(no_such)
}

/// What the configuration's rules make of the statement.
fn ruling(options: &Options, config: &Config, account: Option<&Account>, read: &Read) -> Ruling {
    let asker = Asker {
        user: account.map_or("", |account| account.name.as_str()),
        client: options.client,
        schema: options.schema.as_deref().map(str::as_bytes),
    };
    let rules = RuleSet::new(config.rules.clone(), 0);
    let look = rules.look(read.shape.as_deref(), &read.profile);
    let text = options.statement.as_bytes();
    rules.ruling(&look, read.profile.access, &asker, text)
}

/// Classifies on a thread of its own, whose stack is large. The fingerprint is the one that a proxy
/// shows.
fn read(options: &Options, text: &[u8]) -> Result<Read, Failure> {
    let engine = match options.engine {
        Grammar::Mysql => Engine::MySql,
        Grammar::Mariadb => Engine::MariaDb,
    };
    let charset = Charset::default();
    let Some(mode) = LexMode::of_sql_mode(&options.sql_mode, charset, Some(engine)) else {
        return Ok(Read {
            profile: StatementProfile::unread(Doubt::NotUnderstood),
            shape: None,
        });
    };
    let classify = || Read {
        profile: explain(text, mode, &Seed::SHARED),
        shape: match scan(text, mode, &Seed::SHARED, &mut Scratch::default()) {
            Scan::Read(normalised) => Some(normalised.text.into()),
            Scan::Unread(_) => None,
        },
    };
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

fn line(what: &str, found: &str) -> String {
    format!("{what:<13}{found}\n")
}

fn statement(profile: &StatementProfile) -> String {
    let doubt = match profile.doubt {
        Doubt::None => "none",
        doubt => Reason::from(doubt).text(),
    };
    let class = AccessLabel::from(profile.access).name();
    let class = format!("{class}{}", begin(profile.access));
    line("class", &class)
        + &line("effects", &effects(profile.effects))
        + &line("doubt", doubt)
        + &line("fingerprint", &format!("{:016x}", profile.fingerprint))
}

fn decision(session: &Session, profile: &StatementProfile, mode: Mode) -> String {
    let (goes_to, why) = match (mode, route(session, profile)) {
        (Mode::Shadow, Route::Replica { .. }) => ("primary", Reason::Shadow),
        (_, route) => destination(route),
    };
    place(goes_to, why) + advice(profile, why).unwrap_or_default()
}

fn place(goes_to: &str, why: Reason) -> String {
    let why = format!("{}: {}", why.name(), why.text());
    line("goes to", goes_to) + &line("why", &why)
}

fn begin(access: Access) -> &'static str {
    match access {
        Access::Begin(begin) if begin.read_only == Some(true) => " (read only)",
        _ => "",
    }
}

/// A session that has just logged in and, if asked for, begun a transaction.
fn session(
    options: &Options,
    config: Option<&Config>,
    account: Option<&Account>,
) -> Result<Session, Failure> {
    let client = ClientTraits {
        found_rows: false,
        state_after_rows: true,
    };
    let wishes = account.map(|account| account.consistency.clone());
    let wishes = wishes.unwrap_or_default();
    let settings = config.map(|config| config.consistency.settings(&wishes));
    let mut session = Session::new(settings.unwrap_or_default(), client);
    if let Some(schema) = &options.schema {
        session.mirror.set_schema(schema.as_bytes());
    }
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

/// What a route is called.
fn destination(route: Route) -> (&'static str, Reason) {
    match route {
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
    const NAMES: [(Effects, &str); 18] = [
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
        (Effects::GLOBALS, "sets global variables"),
        (Effects::PROGRAMS, "changes routines, triggers or views"),
        (Effects::HISTORY, "begins the server's history anew"),
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
            config: None,
            user: None,
            client: None,
            schema: None,
            engine: Grammar::Mysql,
            sql_mode: String::new(),
            in_transaction: false,
            autocommit_off: false,
            statement: statement.to_owned(),
        }
    }

    /// Class, place and reason of a statement, as they are printed.
    fn check(statement: &str, class: &str, place: &str, reason: &str) {
        let report = explained(&options(statement), None).unwrap();
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
            explained(&options, None).unwrap()
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
        assert!(explained(&wrong, None).is_err());
    }

    #[test]
    fn long_and_deep_statements_do_no_harm() {
        let deep = format!("SELECT 1{}", " DIV 1".repeat(2_200));
        let long = format!("SELECT 1 FROM t WHERE {}a", "a OR ".repeat(33_000));
        for statement in [deep, long] {
            assert!(explained(&options(&statement), None).is_ok());
        }
    }
}
