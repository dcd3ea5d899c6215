//! A connection of the doctor's, and small answers held as text.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder, Row, Value};
use tokio::time::timeout;

use crate::config::{Account, Address};
use crate::doctor::facts::{Refusal, Silence};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(50);

/// An open connection.
pub(super) struct Line {
    conn: Conn,
    limit: Duration,
}

/// The rows that one statement gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Line {
    /// Logs in.
    pub(super) async fn open(
        address: &Address,
        account: &Account,
        limit: Duration,
    ) -> Result<Self, Silence> {
        let opts = OptsBuilder::default()
            .ip_or_hostname(address.host())
            .tcp_port(address.port())
            .user(Some(&account.name))
            .pass(Some(account.password.expose()))
            .prefer_socket(false)
            // Given, these two save a query at the connect.
            .max_allowed_packet(Some(64 << 20))
            .wait_timeout(Some(28_800))
            .stmt_cache_size(0);
        match timeout(limit, Conn::new(opts)).await {
            Ok(Ok(conn)) => Ok(Self { conn, limit }),
            Ok(Err(error)) => Err(explain(error)),
            Err(_) => Err(too_late(limit)),
        }
    }

    /// Runs one statement.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Answer, Silence> {
        match timeout(self.limit, answer(&mut self.conn, sql)).await {
            Ok(answer) => answer.map_err(explain),
            Err(_) => Err(too_late(self.limit)),
        }
    }

    /// Runs one statement; an error of the server itself is part of the answer.
    pub(super) async fn try_ask(&mut self, sql: &str) -> Result<Result<Answer, Refusal>, Silence> {
        match self.ask(sql).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(Silence::Refused(refusal)) => Ok(Err(refusal)),
            Err(silence) => Err(silence),
        }
    }

    /// Says goodbye without waiting for long.
    pub(super) async fn close(self) {
        let _ = timeout(GOODBYE, self.conn.disconnect()).await;
    }
}

async fn answer(conn: &mut Conn, sql: &str) -> Result<Answer, Error> {
    let mut result = conn.query_iter(sql).await?;
    let names = result.columns().map(|columns| {
        let name = |column: &mysql_async::Column| column.name_str().into_owned();
        columns.iter().map(name).collect()
    });
    let rows: Vec<Row> = result.collect().await?;
    let cells = |row: Row| row.unwrap().into_iter().map(text).collect();
    let answer = Answer {
        columns: names.unwrap_or_default(),
        rows: rows.into_iter().map(cells).collect(),
    };
    result.drop_result().await?;
    Ok(answer)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}

fn explain(error: Error) -> Silence {
    match error {
        Error::Server(error) => Silence::Refused(Refusal {
            code: error.code,
            message: error.message,
        }),
        other => Silence::Unreachable(format!("it cannot be reached: {other}")),
    }
}

fn too_late(limit: Duration) -> Silence {
    Silence::Unreachable(format!("no answer within {} s", limit.as_secs_f32()))
}

impl Answer {
    /// A cell of the first row.
    pub(super) fn text(&self, column: usize) -> Option<&str> {
        self.rows.first()?.get(column)?.as_deref()
    }

    /// A cell of the first row as a number.
    pub(super) fn number(&self, column: usize) -> Option<i64> {
        self.text(column)?.parse().ok()
    }

    /// The first cell of each row.
    pub(super) fn firsts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| row.first()?.as_deref())
    }

    /// The first two cells of each row.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.rows.iter().filter_map(|row| {
            let value = row.get(1).cloned().flatten().unwrap_or_default();
            Some((row.first()?.clone()?.to_ascii_lowercase(), value))
        })
    }

    /// Each row as a way to look a cell up by the first of several column names.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.rows.iter().map(|cells| Record {
            columns: &self.columns,
            cells,
        })
    }
}

/// One row, its cells by name.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl<'a> Record<'a> {
    /// The cell of the first of these columns that exists; empty for NULL and for no such column.
    pub(super) fn any(&self, names: &[&str]) -> &'a str {
        let place = |name: &&str| {
            self.columns
                .iter()
                .position(|it| it.eq_ignore_ascii_case(name))
        };
        let cell = names
            .iter()
            .find_map(place)
            .and_then(|at| self.cells.get(at));
        cell.and_then(Option::as_deref).unwrap_or_default()
    }

    /// The columns whose names begin so, with their values.
    pub(super) fn beginning(&self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let cells = self
            .cells
            .iter()
            .map(|cell| cell.as_deref().unwrap_or_default());
        let named = self.columns.iter().map(String::as_str).zip(cells);
        let prefix = prefix.to_owned();
        named.filter(move |(name, _)| name.starts_with(&prefix))
    }
}
