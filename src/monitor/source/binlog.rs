//! Places in the binary log of a primary without GTIDs.
//!
//! The end of the primary's log, asked for after a write was acknowledged or a read was over, is an
//! upper bound of both. What a replica's applier has executed is a lower bound of what it shows (with
//! parallel appliers a coarse one: it moves at `replica_checkpoint_period`).
//!
//! The log runs ahead of the engines' commits, so its end is no lower bound of what the primary
//! itself shows. `performance_schema.log_status` is: it reads the place while no commit is under
//! way. It stops commits for a moment and needs BACKUP_ADMIN, so it is asked only when a session has
//! to go from a replica to the primary.

use super::Said;
use crate::domain::position::{BinlogPlace, Position};
use crate::domain::topology::Role;
use crate::monitor::ProbeError;
use crate::monitor::link::{Greeting, Link, Record, Table};

const COMMITTED: &str = "SELECT LOCAL->>'$.binary_log_file', LOCAL->>'$.binary_log_position' \
                         FROM performance_schema.log_status";

pub(super) fn question(role: Role, greeting: &Greeting) -> String {
    match role {
        Role::Primary => greeting.words.log_status,
        Role::Replica => greeting.words.replica_status,
    }
    .to_owned()
}

pub(super) fn read(role: Role, tables: &[Table], greeting: &Greeting) -> Result<Said, ProbeError> {
    let table = Table::first(tables);
    if role == Role::Replica {
        return Ok(Said {
            visible: applied(table).map(Position::Binlog),
            ..Said::default()
        });
    }
    let end = place(table, greeting).ok_or(ProbeError::Unsupported)?;
    Ok(Said {
        acknowledged: Some(Position::Binlog(end.clone())),
        seen: Some(Position::Binlog(end)),
        ..Said::default()
    })
}

/// The statement that waits for a place, after which comes what has been applied.
pub(super) fn waiting(missing: &BinlogPlace, seconds: f32, greeting: &Greeting) -> String {
    let (function, file) = (greeting.words.place_wait, missing.file());
    let status = greeting.words.replica_status;
    let offset = missing.offset();
    format!("SELECT {function}('{file}', {offset}, {seconds}); {status}")
}

/// What the primary's engines have committed.
///
/// # Errors
/// [`ProbeError::Unsupported`] when the account may not ask.
pub(super) async fn committed(link: &mut Link) -> Result<Said, ProbeError> {
    let greeting = link.greeting().await?;
    let answer = match link.ask(COMMITTED).await {
        Err(ProbeError::Server { .. }) => return Err(ProbeError::Unsupported),
        answer => answer?,
    };
    Ok(Said {
        visible: place(Table::first(&answer), &greeting).map(Position::Binlog),
        ..Said::default()
    })
}

fn place(table: &Table, greeting: &Greeting) -> Option<BinlogPlace> {
    let server = &greeting.incarnation.server_uuid;
    BinlogPlace::new(server, &table.text(0)?, table.number(1)?)
}

/// Of several channels nobody says which rows came over which.
fn applied(status: &Table) -> Option<BinlogPlace> {
    let mut channels = status.records();
    let only = channels.next().filter(|_| channels.next().is_none())?;
    one_channel(&only)
}

fn one_channel(record: &Record<'_>) -> Option<BinlogPlace> {
    let offset = record.any(&["Exec_Source_Log_Pos", "Exec_Master_Log_Pos"])?;
    BinlogPlace::new(
        &record.any(&["Source_UUID", "Master_UUID"])?,
        &record.any(&["Relay_Source_Log_File", "Relay_Master_Log_File"])?,
        offset.parse().ok()?,
    )
}
