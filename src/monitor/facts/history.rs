//! Settings under which a level cannot hold, read with the rest of a server's facts.

use crate::domain::topology::guarantee::{Flaws, HistorySettings};
use crate::domain::topology::{Engine, Role};
use crate::monitor::ProbeError;
use crate::monitor::link::{Link, Record, Table};

/// Columns of a channel's status that say what it leaves out or rewrites.
const FILTERS: [&str; 10] = [
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Rewrite_DB",
    "Replicate_Ignore_Server_Ids",
    "Replicate_Do_Domain_Ids",
    "Replicate_Ignore_Domain_Ids",
];
const BINLOG_FILTERS: [&str; 2] = ["Binlog_Do_DB", "Binlog_Ignore_DB"];

/// What this server's settings take away. `variables` are its global ones.
pub(super) async fn flaws(
    link: &mut Link,
    engine: Engine,
    role: Role,
    variables: &[(String, String)],
) -> Result<Flaws, ProbeError> {
    let value = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let mut settings = HistorySettings::from_variables(engine, value);
    match role {
        Role::Primary => {
            let status = ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"];
            let status = either(link, status).await?;
            settings.binlog_filtered = status.records().any(|it| has_any(&it, &BINLOG_FILTERS));
        }
        Role::Replica => {
            let status = match engine {
                Engine::MySql => ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"],
                // Only this one shows every connection.
                Engine::MariaDb => ["SHOW ALL REPLICAS STATUS", "SHOW ALL SLAVES STATUS"],
            };
            let status = either(link, status).await?;
            let own = |it: &Record<'_>| {
                let name = it.any(&["Channel_Name"]).unwrap_or_default();
                !name.starts_with("group_replication_")
            };
            settings.channels = status.records().filter(own).count();
            let mut channels = status.records().filter(own);
            settings.replication_filtered = channels.any(|it| has_any(&it, &FILTERS));
        }
    }
    Ok(settings.flaws(role))
}

fn has_any(record: &Record<'_>, columns: &[&str]) -> bool {
    let set = |column: &&str| {
        record
            .any(&[*column])
            .is_some_and(|value| !value.is_empty())
    };
    columns.iter().any(set)
}

/// The answer to the newer statement, or to the older one from a server that knows only that. Nothing
/// where the account may not ask: `highwater doctor` names the missing grant.
async fn either(link: &mut Link, statements: [&str; 2]) -> Result<Table, ProbeError> {
    for sql in statements {
        match link.ask(sql).await {
            Ok(answer) => return Ok(Table::first(&answer).clone()),
            Err(ProbeError::Server { code, message }) => {
                tracing::debug!(code, message, sql, "cannot read what would break a level");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Table::default())
}
