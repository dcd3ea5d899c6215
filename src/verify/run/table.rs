//! The checker's own table: made at the start, dropped at the end.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Dial, too_long};
use crate::verify::error::VerifyError;
use crate::verify::history::Key;

/// How long the table may take to appear where reads go.
const VISIBLE: Duration = Duration::from_secs(60);
/// How long each statement may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Rows of lists begin at this number.
const LISTS: u32 = 1 << 24;
/// A server that does not know a table says this.
pub(super) const NO_SUCH_TABLE: u16 = 1146;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    registers: u32,
}

impl Table {
    /// Makes it, with a row for every register.
    pub(super) async fn create(dial: &Dial, registers: u32) -> Result<Self, VerifyError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default().as_millis();
        let table = Self {
            name: format!("highwater_verify_{since}_{}", std::process::id()),
            registers,
        };
        let mut conn = dial.primary().await?;
        let rows: Vec<String> = (0..registers).map(|k| format!("({k}, 0, '')")).collect();
        let failed = |source| VerifyError::Table {
            table: format!("{}.{}", dial.schema(), table.name),
            source,
        };
        for sql in [
            format!(
                "CREATE TABLE {} (k INT UNSIGNED PRIMARY KEY, v BIGINT UNSIGNED NOT NULL, \
                 items TEXT NOT NULL) ENGINE=InnoDB",
                table.name
            ),
            format!("INSERT INTO {} VALUES {}", table.name, rows.join(", ")),
        ] {
            if let Err(source) = patiently(conn.query_drop(sql)).await {
                table.drop_it(dial).await.ok();
                return Err(failed(source));
            }
        }
        conn.disconnect().await.ok();
        Ok(table)
    }

    /// Its name, without the schema.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The primary key of a register or list.
    pub(super) fn row(key: Key) -> u32 {
        match key {
            Key::Register(number) => number,
            Key::List(number) => LISTS.saturating_add(number),
        }
    }

    /// Waits until sessions of the endpoint can read it.
    pub(super) async fn wait_visible(&self, dial: &Dial) -> Result<(), VerifyError> {
        let deadline = Instant::now() + VISIBLE;
        loop {
            let why = match self.rows(dial).await {
                Ok(rows) if rows == self.registers => return Ok(()),
                Ok(_) => "its rows are not there".to_owned(),
                Err(error) => error,
            };
            if Instant::now() > deadline {
                return Err(VerifyError::NotVisible {
                    table: format!("{}.{}", dial.schema(), self.name),
                    seconds: VISIBLE.as_secs(),
                    why,
                });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// How many rows a session of the endpoint sees.
    async fn rows(&self, dial: &Dial) -> Result<u32, String> {
        let mut conn = dial.session(0).await.map_err(|error| error.to_string())?;
        let sql = format!("SELECT COUNT(*) FROM {}", self.name);
        let rows = patiently(conn.query_first(sql)).await;
        let rows = rows.map_err(|error| error.to_string())?;
        conn.disconnect().await.ok();
        Ok(rows.unwrap_or(0))
    }

    /// Everything that is in it, read in a transaction that locks: nobody answers that from a copy.
    pub(super) async fn last(&self, dial: &Dial) -> Result<BTreeMap<Key, Box<[u64]>>, VerifyError> {
        let mut conn = dial.primary().await?;
        let rows = self.lock_and_read(&mut conn).await;
        let rows: Vec<(u32, u64, String)> = rows.map_err(|source| VerifyError::Table {
            table: format!("{}.{}", dial.schema(), self.name),
            source,
        })?;
        conn.disconnect().await.ok();
        let held = |(row, version, items): (u32, u64, String)| match row.checked_sub(LISTS) {
            Some(list) => (Key::List(list), elements(&items)),
            None => (Key::Register(row), Box::from([version])),
        };
        Ok(rows.into_iter().map(held).collect())
    }

    async fn lock_and_read(&self, conn: &mut Conn) -> Result<Vec<(u32, u64, String)>, Error> {
        let sql = format!("SELECT k, v, items FROM {} FOR UPDATE", self.name);
        patiently(conn.query_drop("START TRANSACTION")).await?;
        let rows = patiently(conn.query(sql)).await?;
        patiently(conn.query_drop("COMMIT")).await?;
        Ok(rows)
    }

    /// Drops it. The error is a sentence with its name.
    pub(super) async fn drop_it(&self, dial: &Dial) -> Result<(), String> {
        let sentence = |error: String| {
            let (schema, name) = (dial.schema(), &self.name);
            format!("the table {schema}.{name} could not be dropped: {error}")
        };
        let conn = dial.primary().await;
        let mut conn = conn.map_err(|error| sentence(error.to_string()))?;
        let sql = format!("DROP TABLE IF EXISTS {}", self.name);
        let dropped = patiently(conn.query_drop(sql)).await;
        dropped.map_err(|error| sentence(error.to_string()))?;
        conn.disconnect().await.ok();
        Ok(())
    }
}

/// The elements of a list as its row holds them. What is no number becomes one that nobody wrote.
pub(super) fn elements(items: &str) -> Box<[u64]> {
    let parts = items.split(',').filter(|part| !part.is_empty());
    parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

async fn patiently<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let done = timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| Err(too_long()))
}
