//! SHOW PROCESSLIST as one server would give it: sessions have the ids and the addresses of their
//! clients, and the pool's connections do not show.
//!
//! The primary is asked in the client's name, so what it shows is what the client may see.

use super::kill::Seen;
use super::session::{End, Relay};
use super::statement::Statement;
use crate::backend::Threads;
use crate::domain::ids::{BackendId, ServerThreadId};
use crate::domain::session::Outcome;
use crate::protocol::resultset::TextResult;

/// What a reply that is changed before the client sees it may take of memory, in bytes. A longer one is
/// passed on as it is.
const MOST: usize = 16 << 20;

/// Columns of the list: Id, User, Host, db, Command, Time, State, Info. MariaDB has Progress behind them.
const ID: usize = 0;
const USER: usize = 1;
const HOST: usize = 2;
const COMMAND: usize = 4;
const COLUMNS: usize = 8;

/// A row that is shown; `None` is NULL.
type Row = Vec<Option<Vec<u8>>>;

/// A reply that is kept from the client for the moment.
#[derive(Debug, Default)]
pub(super) struct Captured(Option<Vec<u8>>);

impl Captured {
    /// Takes what is on its way to the client. Gives back all that was kept if that becomes too much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, Vec<u8>> {
        let Some(kept) = &mut self.0 else {
            return Ok(false);
        };
        kept.extend_from_slice(bytes);
        match kept.len() > MOST {
            true => Err(self.0.take().unwrap_or_default()),
            false => Ok(true),
        }
    }
}

impl Relay {
    /// Runs a statement and keeps its reply from the client; empty where it was answered with an error
    /// of ours, or was too long to be kept: then the client has it.
    pub(super) async fn run_captured(
        &mut self,
        statement: Statement,
    ) -> Result<(Outcome, Vec<u8>), End> {
        self.captured = Captured(Some(Vec::new()));
        let ran = Box::pin(self.run_statement(statement)).await;
        let reply = std::mem::take(&mut self.captured).0.unwrap_or_default();
        Ok((ran?, reply))
    }

    /// Answers SHOW [FULL] PROCESSLIST.
    pub(super) async fn show_processlist(&mut self, statement: Statement) -> Result<(), End> {
        let (_, reply) = self.run_captured(statement).await?;
        let side = self.state.previous;
        let asked = side.and_then(|side| self.links.get(side));
        let backend = asked.map_or(BackendId::PRIMARY, |link| link.identity.backend);
        self.out.clear();
        let deprecate_eof = self.who.profile.deprecate_eof();
        match (
            TextResult::parse(&reply, deprecate_eof),
            self.shared.pool(backend),
        ) {
            (Some(result), Some(pool)) => {
                let sessions = self.shared.registry.seen();
                let rows = as_one_server(
                    &result.rows,
                    &sessions,
                    (backend, pool.threads()),
                    self.who.user.as_bytes(),
                );
                let rows = rows.iter();
                result.put(
                    &mut self.out,
                    rows.map(|row| row.iter().map(Option::as_deref).collect()),
                );
            }
            _ => self.out = reply,
        }
        self.send_out().await
    }
}

/// The rows of one server, from those that a server with our pool gave `asker`.
fn as_one_server(
    rows: &[Vec<Option<&[u8]>>],
    sessions: &[Seen],
    (backend, pooled): (BackendId, &Threads),
    asker: &[u8],
) -> Vec<Row> {
    let columns = rows.first().map_or(COLUMNS, Vec::len);
    let owned = |row: &Vec<Option<&[u8]>>| -> Row {
        row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect()
    };
    // The monitor's own threads are always there for those who may see those of others.
    let sees_others = rows
        .iter()
        .any(|row| row.get(USER).is_some_and(|user| *user != Some(asker)));
    let mut shown = Vec::new();
    let mut placed = vec![false; sessions.len()];
    for row in rows {
        let thread = row.get(ID).and_then(|id| number(*id)).map(ServerThreadId);
        let holder = thread.and_then(|thread| holder(sessions, backend, thread));
        let mut row = owned(row);
        match (holder, thread) {
            (Some((at, seen)), _) => {
                if let Some(place) = placed.get_mut(at) {
                    *place = true;
                }
                put(&mut row, ID, seen.id.to_string().as_bytes());
                put(&mut row, HOST, seen.host.as_bytes());
                if seen.running.is_some_and(|(on, _)| on != backend) {
                    put(&mut row, COMMAND, b"Query");
                }
                shown.push(row);
            }
            (None, Some(thread)) if pooled.contains(thread) => {}
            _ => shown.push(row),
        }
    }
    for (seen, placed) in sessions.iter().zip(placed) {
        if !placed && (sees_others || seen.user.as_bytes() == asker) {
            shown.push(without_thread(seen, columns));
        }
    }
    shown.sort_by_key(|row| row.first().and_then(|id| number(id.as_deref())));
    shown
}

/// The session that uses this thread. Of two that seem to, it is the one that runs something there: the
/// other one was just relieved of it.
fn holder(sessions: &[Seen], backend: BackendId, thread: ServerThreadId) -> Option<(usize, &Seen)> {
    let here = Some((backend, thread));
    let holders = sessions.iter().enumerate();
    holders
        .filter(|(_, seen)| seen.threads.contains(&here))
        .max_by_key(|(_, seen)| seen.running == here)
}

/// The row of a session that has no thread on the server that was asked.
fn without_thread(seen: &Seen, columns: usize) -> Row {
    let command = match seen.running {
        Some(_) => "Query",
        None => "Sleep",
    };
    let mut row: Row = vec![
        Some(seen.id.to_string().into_bytes()),
        Some(seen.user.as_bytes().to_vec()),
        Some(seen.host.as_bytes().to_vec()),
        seen.schema.as_deref().map(<[u8]>::to_vec),
        Some(command.as_bytes().to_vec()),
        Some(seen.seconds.to_string().into_bytes()),
        Some(Vec::new()),
        None,
    ];
    row.resize(columns, Some(b"0.000".to_vec()));
    row
}

fn put(row: &mut Row, column: usize, value: &[u8]) {
    if let Some(cell) = row.get_mut(column) {
        *cell = Some(value.to_vec());
    }
}

fn number(cell: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(cell?).ok()?.parse().ok()
}
