//! MariaDB's GTIDs.
//!
//! A replica's `gtid_slave_pos` is raised after each commit, in the order of each domain: a lower
//! bound. Nobody says what is just being committed, so what was seen on a replica is asked of the
//! primary, where all of it came from: `gtid_binlog_pos` names a transaction before any replica can
//! receive it, and before the primary acknowledges it.
//!
//! For the same reason it is no lower bound of what the primary shows: it runs ahead of the
//! engines' commits. [`Fence`] turns it into one.

use std::sync::Mutex;

use super::Said;
use crate::domain::position::{BinlogPlace, DomainGtids, Position};
use crate::domain::topology::Role;
use crate::monitor::ProbeError;
use crate::monitor::link::Table;
use crate::monitor::shared::lock;

/// A position, where the binary log ended after it was read, and how far the engines are: in this
/// order.
const PRIMARY: &str = "SELECT @@global.gtid_binlog_pos, @@global.gtid_slave_pos; \
                       SHOW MASTER STATUS; SHOW GLOBAL STATUS LIKE 'binlog_snapshot_%'";

const REPLICA: &str = "SELECT @@global.gtid_slave_pos";

pub(super) fn question(role: Role) -> &'static str {
    match role {
        Role::Primary => PRIMARY,
        Role::Replica => REPLICA,
    }
}

pub(super) fn read_replica(tables: &[Table]) -> Result<Said, ProbeError> {
    Ok(Said {
        visible: Some(Position::MariaDb(gtids(Table::first(tables), 0)?)),
        ..Said::default()
    })
}

/// A primary that was a replica itself may have logged nothing of what it applied then; so both
/// positions count.
pub(super) fn read_primary(
    tables: &[Table],
    fence: Option<&Mutex<Fence>>,
) -> Result<Said, ProbeError> {
    let first = Table::first(tables);
    let mut logged = gtids(first, 0)?;
    logged.join(&gtids(first, 1)?);
    let logged = Position::MariaDb(logged);
    let end = tables.get(1).and_then(log_end);
    let committed = tables.get(2).and_then(snapshot);
    let visible = match (fence, end, committed) {
        (Some(fence), Some(end), Some(committed)) => lock(fence).pass(&logged, end, &committed),
        _ => None,
    };
    Ok(Said {
        visible,
        acknowledged: Some(logged.clone()),
        seen: Some(logged),
        ..Said::default()
    })
}

/// Finds out when the engines have committed what the binary log has.
///
/// All of a position was logged before the place at which the log ended when that was asked for
/// afterwards. `binlog_snapshot_position` is the end of the last group whose engines have
/// committed, read under the lock under which they do. Once it is at that place, the position is
/// visible.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Fence {
    /// The oldest position that is not known to be visible, and the end of the log after it.
    pending: Option<(Position, BinlogPlace)>,
}

impl Fence {
    /// The newest position that is visible for certain, if anything new is.
    fn pass(
        &mut self,
        logged: &Position,
        end: BinlogPlace,
        committed: &BinlogPlace,
    ) -> Option<Position> {
        if committed.covers(&end) {
            self.pending = None;
            return Some(logged.clone());
        }
        let passed = self
            .pending
            .take_if(|(_, place)| committed.covers(place))
            .map(|(position, _)| position);
        self.pending.get_or_insert_with(|| (logged.clone(), end));
        passed
    }
}

fn gtids(table: &Table, column: usize) -> Result<DomainGtids, ProbeError> {
    let text = table.bytes(column).unwrap_or_default();
    let malformed = || ProbeError::Malformed("no MariaDB GTIDs".to_owned());
    DomainGtids::parse(text).ok_or_else(malformed)
}

fn log_end(status: &Table) -> Option<BinlogPlace> {
    BinlogPlace::of_one_log(&status.text(0)?, status.number(1)?)
}

fn snapshot(status: &Table) -> Option<BinlogPlace> {
    let (mut file, mut offset) = (None, None);
    for (name, value) in status.pairs() {
        match name.to_ascii_lowercase().as_str() {
            "binlog_snapshot_file" => file = Some(value),
            "binlog_snapshot_position" => offset = value.parse().ok(),
            _ => {}
        }
    }
    BinlogPlace::of_one_log(&file?, offset?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_logged_position_counts_once_the_engines_have_it() {
        let at = |sequence: u64| format!("0-1-{sequence}").parse::<Position>().unwrap();
        let place = |offset| BinlogPlace::of_one_log("binlog.000001", offset).unwrap();
        let mut fence = Fence::default();
        // (logged, end of the log, committed, visible)
        let steps = [
            (5, 500, 500, Some(5)),
            (7, 700, 600, None),
            (9, 900, 690, None),
            (9, 900, 700, Some(7)),
            (10, 1000, 899, None),
            (11, 1100, 1000, Some(9)),
            (12, 1200, 1200, Some(12)),
            (12, 1200, 1200, Some(12)),
        ];
        for (step, (logged, end, committed, visible)) in steps.into_iter().enumerate() {
            let found = fence.pass(&at(logged), place(end), &place(committed));
            assert_eq!(found, visible.map(at), "step {step}");
        }
    }
}
