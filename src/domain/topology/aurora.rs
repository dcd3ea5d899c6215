//! What Aurora's table of servers says, and when it may be believed.
//!
//! `information_schema.REPLICA_HOST_STATUS` has a row for each server of a cluster, refreshed at a
//! pace that nobody documents; the columns that hold log sequence numbers are internal to AWS. So a
//! row counts only while it is young, a cluster has exactly one writer or none that is believed, and
//! an absurd lag is no lag. A number counts as of the time its row was refreshed.

use std::time::Duration;

/// A row that was not refreshed for so long belongs to a server that is gone or renamed.
const STALE: Duration = Duration::from_secs(180);

/// A lag of more than this stands for "unknown" (900,000 ms and the highest integers were seen).
const ABSURD_MILLIS: f64 = 600_000.0;

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostRow {
    /// `SERVER_ID`: the name of the server, as its own `@@aurora_server_id`.
    pub server_id: String,
    /// Whether `SESSION_ID` is `MASTER_SESSION_ID`.
    pub writer: bool,
    /// `DURABLE_LSN`: what the storage has.
    pub durable: Option<u64>,
    /// `CURRENT_READ_POINT`: what a reader's reads show.
    pub read_point: Option<u64>,
    /// `REPLICA_LAG_IN_MILLISECONDS`.
    pub lag_millis: Option<f64>,
    /// Time since `LAST_UPDATE_TIMESTAMP` by the server's clock; `None` when it is in the future or
    /// missing.
    pub age: Option<Duration>,
}

impl HostRow {
    /// The age of a row that is young enough to be believed.
    pub fn believed(&self) -> Option<Duration> {
        self.age.filter(|age| *age < STALE)
    }

    /// Its lag, if that is a lag at all.
    pub fn lag(&self) -> Option<Duration> {
        let millis = self.lag_millis?;
        let sane = (0.0..ABSURD_MILLIS).contains(&millis);
        sane.then(|| Duration::from_secs_f64(millis / 1000.0))
    }
}

/// The writer; `None` when no young row claims to be it, or several do.
pub fn writer(rows: &[HostRow]) -> Option<&HostRow> {
    only(rows, |row| row.writer)
}

/// The row of one server; `None` when it has none that is young, or several.
pub fn row_of<'a>(rows: &'a [HostRow], server_id: &str) -> Option<&'a HostRow> {
    only(rows, |row| row.server_id == server_id)
}

fn only(rows: &[HostRow], wanted: impl Fn(&HostRow) -> bool) -> Option<&HostRow> {
    let mut found = rows
        .iter()
        .filter(|row| wanted(row) && row.believed().is_some());
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, writer: bool, age: u64) -> HostRow {
        HostRow {
            server_id: name.to_owned(),
            writer,
            age: Some(Duration::from_secs(age)),
            ..HostRow::default()
        }
    }

    #[test]
    fn one_young_writer_or_none() {
        let ageless = HostRow {
            age: None,
            ..row("a", true, 0)
        };
        let cases = [
            (vec![row("a", true, 0), row("b", false, 0)], Some("a")),
            (vec![row("a", true, 179)], Some("a")),
            (vec![row("a", true, 180)], None),
            (vec![row("a", true, 500), row("b", true, 0)], Some("b")),
            (vec![row("a", true, 0), row("b", true, 0)], None),
            (vec![row("a", true, 0), row("a", true, 0)], None),
            (vec![ageless], None),
            (vec![], None),
        ];
        for (rows, expected) in cases {
            let found = writer(&rows).map(|row| row.server_id.as_str());
            assert_eq!(found, expected, "{rows:?}");
        }
        let rows = [row("a", true, 0), row("b", false, 0), row("b", false, 300)];
        assert_eq!(row_of(&rows, "b"), rows.get(1));
        assert_eq!(row_of(&rows, "c"), None);
    }

    #[test]
    fn an_absurd_lag_is_none() {
        for (millis, expected) in [
            (Some(0.0), Some(0)),
            (Some(21.5), Some(21)),
            (Some(900_000.0), None),
            (Some(4_294_967_295.0), None),
            (Some(-1.0), None),
            (Some(f64::NAN), None),
            (None, None),
        ] {
            let row = HostRow {
                lag_millis: millis,
                ..HostRow::default()
            };
            let found = row.lag().map(|lag| lag.as_millis());
            assert_eq!(found, expected, "{millis:?}");
        }
    }
}
