//! A client that set `wait_timeout` for its session is taken at its word: after so much silence the
//! session ends as it would on the server. What the servers do to connections that stand idle
//! behind a session is another matter, and no client sees it.

use std::time::Duration;

use super::session::{End, Relay};
use crate::domain::ids::BackendId;
use crate::domain::topology::Engine;
use crate::frontend::ClientError;

/// A limit that is longer is none: frameworks set the longest there is, and a timer for each of
/// their waits would buy nothing.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Relay {
    /// Waits for so many bytes of the next command, as long as the client's own limit allows.
    pub(super) async fn await_next_command(&mut self, total: usize) -> Result<(), End> {
        let Some(limit) = self.own_limit() else {
            return self.await_command(total).await;
        };
        match tokio::time::timeout(limit, self.await_command(total)).await {
            Ok(awaited) => awaited,
            Err(_) => self.end_inactive().await,
        }
    }

    /// The session's `wait_timeout`, where the client set one.
    fn own_limit(&self) -> Option<Duration> {
        let seconds = std::str::from_utf8(self.state.mirror.get(b"wait_timeout")?).ok()?;
        let limit = Duration::from_secs(seconds.parse().ok()?);
        (limit < LONGEST).then_some(limit)
    }

    /// MySQL says why, in a packet of its own that answers nothing (seen on 9.7); MariaDB only closes.
    async fn end_inactive(&mut self) -> Result<(), End> {
        let facts = self.shared.watch.facts(BackendId::PRIMARY);
        if facts.is_none_or(|facts| facts.engine != Engine::MariaDb) {
            self.reply_seq = 0;
            self.refuse(ClientError::Inactive).await?;
        }
        Err(End::Inactive)
    }
}
