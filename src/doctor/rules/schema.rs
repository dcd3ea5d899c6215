//! Tables and programs as the configured accounts see them on the primary.

use super::or_ok;
use crate::doctor::facts::{Definitions, Facts, Seen};
use crate::doctor::finding::Finding;

/// So many names are shown.
const SHOWN: usize = 5;

/// Has every table a key by which replicas find its rows?
pub(super) fn primary_keys(facts: &Facts) -> Vec<Finding> {
    let mut rows_elsewhere = facts.replicas().filter(|(_, seen)| !seen.is_aurora());
    if rows_elsewhere.next().is_none() {
        return Vec::new();
    }
    look(
        facts,
        |definitions| &definitions.keyless,
        |names| {
            Finding::warning(format!("tables without a primary key: {names}"))
                .why("a replica searches the whole table for each row that changed, and falls behind; and ALTER TABLE ... ADD ... AUTO_INCREMENT numbers the rows in another order on each server, so that their data differ from then on")
                .advice("give them one without such an ALTER: CREATE TABLE new LIKE old, add the key to the empty table, INSERT INTO new (columns) SELECT columns FROM old, rename; on MySQL sql_require_primary_key = ON keeps new ones from coming")
        },
        "every table has a primary key",
    )
}

/// Does a trigger or a function bind the sessions that meet it to their connections?
pub(super) fn binding_programs(facts: &Facts) -> Vec<Finding> {
    look(
        facts,
        |definitions| &definitions.binding,
        |names| {
            Finding::note(format!(
                "they set user variables, take named locks or make temporary tables: {names}"
            ))
            .why("a session that runs one keeps its connection for itself from then on, and reads that might depend on it go to the primary; of SELECT ... INTO @x, GET_LOCK() and CREATE TEMPORARY TABLE no server tells who ran it, so with one of these in a trigger every session that changes rows keeps its connection, and with one in a function that a view calls every session that reads does")
            .advice("use a local variable (DECLARE) where the value is not for the session")
        },
        "no trigger or function sets user variables, takes named locks or makes temporary tables",
    )
}

/// A finding on the primary about the names that any account sees.
fn look(
    facts: &Facts,
    chosen: impl Fn(&Definitions) -> &Vec<String>,
    finding: impl Fn(String) -> Finding,
    fine: &str,
) -> Vec<Finding> {
    let Some((server, seen)) = facts.primary() else {
        return Vec::new();
    };
    let seen: Vec<_> = definitions(seen).collect();
    if seen.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<&str> = seen
        .iter()
        .flat_map(|it| chosen(it))
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    let findings = (!names.is_empty()).then(|| finding(shown(&names)).on(&server.address));
    or_ok(findings.into_iter().collect(), fine)
}

fn definitions(primary: &Seen) -> impl Iterator<Item = &Definitions> {
    let logins = primary.logins.iter();
    logins.filter_map(|login| login.seen.as_ref().ok()?.definitions.as_ref())
}

/// The first names, and that there are more.
fn shown(names: &[&str]) -> String {
    let first: Vec<_> = names.iter().take(SHOWN).copied().collect();
    match names.len() > SHOWN {
        true => format!("{} and more", first.join(", ")),
        false => first.join(", "),
    }
}
