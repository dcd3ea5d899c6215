//! One logged-in connection to a server, leased to a session or parked in a pool.

use std::io;

use super::error::BackendError;
use super::pool::{Place, PoolKey};
use super::simple;
use crate::domain::ids::{BackendId, ServerThreadId};
use crate::domain::session::Applied;
use crate::domain::topology::Generation;
use crate::net::Conn;
use crate::net::stream::Detached;

/// A connection to a server, in use.
#[derive(Debug)]
pub struct ServerConn {
    /// The socket.
    pub conn: Conn,
    /// Who the connection is.
    pub identity: Identity,
    /// The session state that is known to be true on it.
    pub applied: Applied,
    /// Packets without a reply (COM_STMT_CLOSE) that go out in front of the next command.
    pub pending: Vec<u8>,
    /// What COM_SET_OPTION made of multi-statements here: a reset does not undo it, so such a
    /// connection does not go back to its pool.
    pub multi_statements: Option<bool>,
    pub(super) key: PoolKey,
    pub(super) place: Place,
}

/// What does not change while a session holds a connection.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The server.
    pub backend: BackendId,
    /// The life of the server; `None` when the monitor has not seen that life, which is good
    /// enough for `eventual` only.
    pub generation: Option<Generation>,
    /// The server's own id of the connection.
    pub thread: ServerThreadId,
    /// Unique in this process, and another one after every reset: prepared statements remember on
    /// which life of which connection they are, and a reset drops them there.
    pub serial: u64,
}

/// An idle connection, out of any runtime.
#[derive(Debug)]
pub(super) struct Parked {
    socket: Detached,
    identity: Identity,
    applied: Applied,
    key: PoolKey,
}

impl ServerConn {
    /// The key of the pool it belongs to.
    pub fn key(&self) -> &PoolKey {
        &self.key
    }

    /// Sends bytes behind whatever is pending.
    ///
    /// # Errors
    /// The socket's error; part may have been sent.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.pending.is_empty() {
            return self.conn.send(bytes).await;
        }
        let mut out = std::mem::take(&mut self.pending);
        out.extend_from_slice(bytes);
        self.conn.send(&out).await
    }

    /// Runs a small statement of our own and returns the first row of its result.
    ///
    /// # Errors
    /// When the server refuses, or the connection breaks; it must be dropped then.
    pub async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<u8>>, BackendError> {
        let pending = std::mem::take(&mut self.pending);
        let address = self.place.address().to_owned();
        let lost = |source| BackendError::Lost {
            address: address.clone(),
            source,
        };
        self.conn.send(&pending).await.map_err(lost)?;
        simple::query(&mut self.conn, self.key.profile, &address, sql.as_bytes()).await
    }

    /// Makes it idle. `None` when something is left unread or unsent, which no clean connection has.
    pub(super) fn park(self) -> Option<(Parked, Place)> {
        let clean = self.conn.input.is_empty() && self.pending.is_empty();
        if !clean || self.multi_statements.is_some() {
            return None;
        }
        let socket = self.conn.stream.detach().ok()?;
        let Self {
            identity,
            applied,
            key,
            place,
            ..
        } = self;
        Some((
            Parked {
                socket,
                identity,
                applied,
                key,
            },
            place,
        ))
    }
}

impl Parked {
    pub(super) fn attach(self, place: Place) -> io::Result<ServerConn> {
        Ok(ServerConn {
            conn: Conn::new(self.socket.attach()?),
            identity: self.identity,
            applied: self.applied,
            pending: Vec::new(),
            multi_statements: None,
            key: self.key,
            place,
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.socket.is_quiet()
    }

    pub(super) fn has_schema(&self) -> bool {
        self.applied.schema().is_some()
    }
}
