//! Aurora's log sequence numbers, from its table of servers.
//!
//! All servers of a cluster share one storage, and a reader shows what its read point says. A write
//! is acknowledged once the storage has it, so the writer's durable number covers it, in a row that
//! was refreshed afterwards; and no reader shows more than the storage has. Built from what AWS and
//! others document: [`crate::domain::topology::aurora`] has the guards.

use std::time::Duration;

use super::Said;
use crate::domain::position::Position;
use crate::domain::topology::aurora::{HostRow, row_of, writer};
use crate::domain::topology::{Receiver, Replication, Role};
use crate::monitor::ProbeError;
use crate::monitor::link::{Greeting, Record, Table};

/// What the uuid of an Aurora server begins with; its own name follows.
const IDENTITY: &str = "aurora-";

pub(super) const QUESTION: &str = "SELECT SERVER_ID, SESSION_ID, DURABLE_LSN, CURRENT_READ_POINT, \
     REPLICA_LAG_IN_MILLISECONDS, \
     TIMESTAMPDIFF(MICROSECOND, LAST_UPDATE_TIMESTAMP, NOW(6)) AS AGE, \
     UNIX_TIMESTAMP() AS NOW FROM information_schema.REPLICA_HOST_STATUS";

pub(super) fn read(role: Role, tables: &[Table], greeting: &Greeting) -> Result<Said, ProbeError> {
    let table = Table::first(tables);
    let rows = rows(table);
    let Some(own) = row_of(&rows, name(greeting)) else {
        return Ok(Said::default());
    };
    let age = own.believed().unwrap_or_default();
    Ok(match role {
        Role::Replica => Said {
            visible: own
                .read_point
                .filter(|_| is_of_this_life(table, age, greeting))
                .map(Position::Lsn),
            age,
            ..Said::default()
        },
        Role::Primary if writer(&rows) == Some(own) => {
            let durable = own.durable.map(Position::Lsn);
            Said {
                visible: durable.clone(),
                acknowledged: durable.clone(),
                seen: durable,
                age,
            }
        }
        Role::Primary => Said::default(),
    })
}

/// A reader's place in its cluster, in the words of replication.
pub(in crate::monitor) fn replication(
    tables: &[Table],
    greeting: &Greeting,
) -> Option<Replication> {
    let rows = rows(Table::first(tables));
    let source = writer(&rows)?;
    let own = row_of(&rows, name(greeting));
    Some(Replication {
        receiver: match own {
            Some(_) => Receiver::Running,
            None => Receiver::Stopped,
        },
        applier_running: own.is_some(),
        source_uuid: Some(format!("{IDENTITY}{}", source.server_id)),
        source_id: 0,
        seconds_behind: own.and_then(HostRow::lag).map(|lag| lag.as_secs()),
    })
}

fn name(greeting: &Greeting) -> &str {
    let uuid = &greeting.incarnation.server_uuid;
    uuid.strip_prefix(IDENTITY).unwrap_or(uuid)
}

/// A row from before the server's start says what an earlier life had shown.
fn is_of_this_life(table: &Table, age: Duration, greeting: &Greeting) -> bool {
    let now = table.records().next().and_then(|row| row.any(&["NOW"]));
    let now = now.and_then(|now| now.parse::<u64>().ok());
    now.is_some_and(|now| now.saturating_sub(age.as_secs()) > greeting.incarnation.started)
}

fn rows(table: &Table) -> Vec<HostRow> {
    table.records().map(|record| row(&record)).collect()
}

fn row(record: &Record<'_>) -> HostRow {
    let number = |name| record.any(&[name]).and_then(|text| text.parse().ok());
    HostRow {
        server_id: record.any(&["SERVER_ID"]).unwrap_or_default(),
        writer: record.any(&["SESSION_ID"]).as_deref() == Some("MASTER_SESSION_ID"),
        durable: number("DURABLE_LSN"),
        read_point: number("CURRENT_READ_POINT"),
        lag_millis: record
            .any(&["REPLICA_LAG_IN_MILLISECONDS"])
            .and_then(|text| text.parse().ok()),
        age: number("AGE").map(Duration::from_micros),
    }
}
