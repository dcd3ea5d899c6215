//! One logged-in connection to a server, leased to a session or parked in a pool.

use std::io;

use super::accounts::{Changing, Stamp};
use super::dial::number;
use super::error::BackendError;
use super::pool::{Place, PoolKey};
use super::simple::{self, Rows, Typed};
use super::statements::Copies;
use super::threads::Listed;
use crate::domain::ids::{BackendId, ServerThreadId};
use crate::domain::session::{Applied, Mirror, Way};
use crate::domain::sql::Effects;
use crate::domain::topology::Generation;
use crate::net::Conn;
use crate::net::stream::Detached;
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::command::com_query;
use crate::protocol::frame::append_packet;

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
    /// What is prepared on it.
    pub copies: Box<Copies>,
    /// What COM_SET_OPTION made of multi-statements here, which a reset does not undo. Without it
    /// the login's capabilities say it.
    pub multi_statements: Option<bool>,
    /// How many times something was sent: what the server knows of the statement before is gone when
    /// another one comes.
    pub sent: u64,
    /// The lease under which its session has it, unique in this process: a new one each time that a
    /// session takes it from the pool, but the same where the one that had it last takes it again before
    /// anybody else did. What a session knows of a connection from one lease is not true in another.
    pub lease: u64,
    /// A statement runs on it that may change accounts.
    pub changing: Option<Changing>,
    /// What the statement that runs may change for everybody: [`Effects::GLOBALS`],
    /// [`Effects::PROGRAMS`], [`Effects::HISTORY`].
    pub changes: Effects,
    /// Its account's password expired: the server takes nothing but a new one, and the connection is set
    /// up when it has that. Its session keeps it.
    pub confined: bool,
    pub(super) offered: bool,
    pub(super) key: PoolKey,
    pub(super) stamp: Stamp,
    pub(super) place: Place,
    pub(super) listed: Listed,
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
    /// Unique in this process, and another one after every reset that a pool makes: sessions remember
    /// on which life of which connection their statements are.
    pub serial: u64,
}

/// An idle connection, out of any runtime.
#[derive(Debug)]
pub(super) struct Parked {
    socket: Detached,
    identity: Identity,
    applied: Applied,
    sent: u64,
    pending: Vec<u8>,
    multi_statements: Option<bool>,
    lease: u64,
    copies: Box<Copies>,
    key: PoolKey,
    stamp: Stamp,
    listed: Listed,
}

impl ServerConn {
    /// Whether a session that begins now may be handed it.
    pub(super) fn is_current(&self) -> bool {
        self.stamp.is_current() && !self.confined
    }

    /// The key of the pool it belongs to.
    pub fn key(&self) -> &PoolKey {
        &self.key
    }

    /// Between two statements: the session has no need of it until the next. `false` when it has to
    /// give it back at once, since others wait. Lock-free.
    #[must_use]
    pub fn offer(&mut self) -> bool {
        self.offered = true;
        self.place.offer()
    }

    /// The session needs it again. `false` when it was called back meanwhile. Lock-free.
    #[must_use]
    pub fn claim(&mut self) -> bool {
        !std::mem::take(&mut self.offered) || self.place.claim()
    }

    /// Whether the session has no need of it for now.
    pub fn is_offered(&self) -> bool {
        self.offered
    }

    /// Whether others wait for it, while its session has no need of it.
    pub fn is_recalled(&self) -> bool {
        self.offered && self.place.is_recalled()
    }

    /// Whether several statements may come in one packet.
    pub fn takes_multi_statements(&self) -> bool {
        let by_login = self.key.profile.flags();
        let by_login = by_login.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
        self.multi_statements.unwrap_or(by_login)
    }

    /// Sends bytes behind whatever is pending.
    ///
    /// # Errors
    /// The socket's error; part may have been sent.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent += 1;
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
        let address = self.before_question().await?;
        simple::query(&mut self.conn, self.key.profile, &address, sql.as_bytes()).await
    }

    /// The same with the type of each column; empty without a row.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_types(&mut self, sql: &[u8]) -> Result<Vec<Typed>, BackendError> {
        let address = self.before_question().await?;
        simple::query_typed(&mut self.conn, self.key.profile, &address, sql).await
    }

    /// Asks whether the server would prepare this statement, which does nothing: the error code with which it
    /// refuses.
    ///
    /// # Errors
    /// When the connection breaks; it must be dropped then.
    pub async fn refusal(&mut self, sql: &[u8]) -> Result<Option<u16>, BackendError> {
        let address = self.before_question().await?;
        let prepared = simple::prepare(&mut self.conn, self.key.profile, &address, sql).await;
        match prepared {
            Ok(()) => Ok(None),
            Err(BackendError::Setup { code, .. }) => Ok(Some(code)),
            Err(error) => Err(error),
        }
    }

    /// Sends what is pending; gives the server's address.
    async fn before_question(&mut self) -> Result<String, BackendError> {
        let pending = std::mem::take(&mut self.pending);
        let address = self.place.address().to_owned();
        self.sent += 1;
        match self.conn.send(&pending).await {
            Ok(()) => Ok(address),
            Err(source) => Err(BackendError::Lost { address, source }),
        }
    }

    /// Runs small statements of our own in one write and returns all rows of their results; `None` for
    /// one that the server refuses.
    ///
    /// # Errors
    /// When the connection breaks; it must be dropped then.
    pub async fn ask_all(
        &mut self,
        statements: &[&str],
    ) -> Result<Vec<Option<Rows>>, BackendError> {
        let address = self.place.address().to_owned();
        let profile = self.key.profile;
        let mut out = Vec::new();
        for sql in statements {
            let query = com_query(sql.as_bytes(), profile.query_attributes());
            append_packet(&mut out, &mut 0, &query);
        }
        self.send(&out).await.map_err(|source| BackendError::Lost {
            address: address.clone(),
            source,
        })?;
        let mut answers = Vec::new();
        for _ in statements {
            match simple::read_rows(&mut self.conn, profile, &address).await {
                Ok(rows) => answers.push(Some(rows)),
                Err(BackendError::Setup { .. }) => answers.push(None),
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// Makes it idle. `None` when something is left unread, which no clean connection has, or nobody
    /// else may have it.
    pub(super) fn park(self) -> Option<(Parked, Place)> {
        if !self.conn.input.is_empty() || self.applied.is_spoiled() || !self.is_current() {
            return None;
        }
        let socket = self.conn.stream.detach().ok()?;
        let Self {
            identity,
            applied,
            sent,
            mut pending,
            mut copies,
            multi_statements,
            lease,
            key,
            stamp,
            place,
            listed,
            ..
        } = self;
        copies.close_tied(&mut pending);
        Some((
            Parked {
                socket,
                identity,
                applied,
                sent,
                pending,
                multi_statements,
                lease,
                copies,
                key,
                stamp,
                listed,
            },
            place,
        ))
    }
}

impl Parked {
    /// Under a new lease.
    pub(super) fn attach(mut self, place: Place) -> io::Result<ServerConn> {
        self.lease = number();
        self.attach_again(place)
    }

    /// Under the lease that it had.
    pub(super) fn attach_again(self, place: Place) -> io::Result<ServerConn> {
        Ok(ServerConn {
            conn: Conn::new(self.socket.attach()?),
            identity: self.identity,
            applied: self.applied,
            pending: self.pending,
            copies: self.copies,
            multi_statements: self.multi_statements,
            lease: self.lease,
            offered: false,
            sent: self.sent,
            changing: None,
            changes: Effects::default(),
            confined: false,
            key: self.key,
            stamp: self.stamp,
            place,
            listed: self.listed,
        })
    }

    /// One whose server is the other end, for tests.
    #[cfg(test)]
    pub(super) fn for_tests(
        key: &PoolKey,
        serial: u64,
        applied: Applied,
    ) -> (Self, std::os::unix::net::UnixStream) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket");
        let parked = Self {
            socket: Detached::Unix(ours),
            identity: Identity {
                backend: BackendId::PRIMARY,
                generation: None,
                thread: ServerThreadId(serial),
                serial,
            },
            applied,
            sent: 0,
            pending: Vec::new(),
            copies: Box::default(),
            multi_statements: None,
            lease: 1,
            key: key.clone(),
            stamp: super::accounts::Accounts::new(std::time::Duration::ZERO, None)
                .stamp(BackendId::PRIMARY, |_| true),
            listed: std::sync::Arc::new(super::threads::Threads::default())
                .enter(ServerThreadId(serial)),
        };
        (parked, theirs)
    }

    pub(super) fn key(&self) -> &PoolKey {
        &self.key
    }

    /// The serial of the connection.
    #[cfg(test)]
    pub(super) fn serial(&self) -> u64 {
        self.identity.serial
    }

    /// How it can get a session's state.
    pub(super) fn way(&self, mirror: &Mirror) -> Way {
        mirror.way(&self.applied, !self.identity.backend.is_primary())
    }

    pub(super) fn is_serial(&self, serial: u64) -> bool {
        self.identity.serial == serial
    }

    /// Whether it is this connection and nobody had it since that lease.
    pub(super) fn is(&self, serial: u64, lease: u64) -> bool {
        self.is_serial(serial) && self.lease == lease
    }

    /// Whether a session may be handed it.
    pub(super) fn is_good(&self) -> bool {
        self.socket.is_quiet() && self.stamp.is_current()
    }

    pub(super) fn has_schema(&self) -> bool {
        self.applied.schema().is_some()
    }
}
