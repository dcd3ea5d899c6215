//! `highwater explain`: what a statement's text says about it, and where it would go.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::domain::consistency::Level;
use crate::domain::routing::{Reason, Route, route};
use crate::domain::session::{ClientTraits, Session};
use crate::domain::sql::{Access, Doubt, Effects, StatementProfile};
use crate::telemetry::{AccessLabel, Label as _};

/// Prints the class of a statement, what it may do to its session, its fingerprint, and where a new
/// session in autocommit mode would send it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The session's sql_mode, as far as it changes how text is read: ANSI_QUOTES,
    /// NO_BACKSLASH_ESCAPES
    #[arg(long, value_name = "MODE", default_value = "")]
    sql_mode: String,
    /// The statement
    #[arg(value_name = "SQL")]
    statement: String,
}

/// Explains the statement.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let profile = profile(options)?;
    super::print(&report(&profile));
    Ok(())
}

/// Classifies the statement.
fn profile(options: &Options) -> Result<StatementProfile, Failure> {
    Err(Failure::no(
        format!("this build cannot classify with {options:?}"),
        "build it with the classifier",
    ))
}

fn report(profile: &StatementProfile) -> String {
    let doubt = match profile.doubt {
        Doubt::None => "none",
        doubt => Reason::from(doubt).text(),
    };
    let (place, why) = destination(profile);
    let class = AccessLabel::from(profile.access).name();
    let effects = effects(profile.effects);
    format!(
        "class        {class}{}\n\
         effects      {effects}\n\
         doubt        {doubt}\n\
         fingerprint  {:016x}\n\
         goes to      {place}\n\
         why          {}: {}\n",
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

/// Where a session that has just logged in would send the statement.
fn destination(profile: &StatementProfile) -> (&'static str, Reason) {
    let client = ClientTraits {
        found_rows: false,
        state_after_rows: true,
    };
    let session = Session::new(Level::default(), Duration::ZERO, client);
    match route(&session, profile) {
        Route::Primary(reason) | Route::EndReplicaTransaction(reason) => ("primary", reason),
        Route::HeldReplica(reason) => ("the replica of the session", reason),
        Route::Replica { transaction: false } => ("replica, if one is fresh enough", Reason::Fresh),
        Route::Replica { transaction: true } => (
            "replica, if one is fresh enough; the transaction stays there",
            Reason::ReadOnlyTransaction,
        ),
        Route::Own => ("nowhere: Highwater answers", Reason::Own),
    }
}

fn effects(effects: Effects) -> String {
    const NAMES: [(Effects, &str); 12] = [
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
        (Effects::XA, "is about an XA transaction"),
        (Effects::MULTI, "is several statements"),
        (
            Effects::MENTIONS_MANAGED_VARIABLE,
            "mentions a variable that Highwater manages",
        ),
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
