//! Reading SHOW REPLICA STATUS in the spellings of both engines.

use crate::domain::topology::{Incarnation, Receiver, Replication};
use crate::monitor::link::Record;

/// Reads one channel.
pub(super) fn read(record: &Record<'_>) -> Replication {
    let is_yes = |value: Option<String>| value.as_deref() == Some("Yes");
    let number = |value: Option<String>| value.and_then(|it| it.parse().ok());
    Replication {
        receiver: match record
            .any(&["Replica_IO_Running", "Slave_IO_Running"])
            .as_deref()
        {
            Some("Yes") => Receiver::Running,
            // MySQL says Connecting, MariaDB also Preparing.
            Some("Connecting" | "Preparing") => Receiver::Connecting,
            _ => Receiver::Stopped,
        },
        applier_running: is_yes(record.any(&["Replica_SQL_Running", "Slave_SQL_Running"])),
        source_uuid: record.any(&["Source_UUID", "Master_UUID"]),
        source_id: number(record.any(&["Source_Server_Id", "Master_Server_Id"])).unwrap_or(0),
        seconds_behind: number(record.any(&["Seconds_Behind_Source", "Seconds_Behind_Master"])),
    }
}

/// The channel from the primary if there is one, else the first.
pub(super) fn ours(
    channels: impl Iterator<Item = Replication>,
    primary: Option<&Incarnation>,
) -> Option<Replication> {
    let channels: Vec<Replication> = channels.collect();
    let from_primary = |channel: &&Replication| match (&channel.source_uuid, primary) {
        (_, None) => false,
        (Some(uuid), Some(primary)) => *uuid == primary.server_uuid,
        (None, Some(primary)) => primary.server_uuid == format!("mariadb-{}", channel.source_id),
    };
    let found = channels.iter().find(from_primary).or(channels.first());
    found.cloned()
}
