//! The server connections that a session holds: at most one to the primary and one to a replica.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::kill::Registered;
use super::shared::Shared;
use crate::backend::{BackendError, PoolKey, ServerConn};
use crate::domain::ids::BackendId;
use crate::domain::session::mirror::CannotRestore;
use crate::domain::session::{Mirror, Side};
use crate::protocol::command::{com_init_db, com_query};
use crate::protocol::frame::append_packet;

/// The connections of one session.
#[derive(Debug)]
pub(super) struct Links {
    shared: Arc<Shared>,
    key: PoolKey,
    primary: Option<ServerConn>,
    replica: Option<ServerConn>,
    /// What COM_SET_OPTION last said about multi-statements.
    multi_statements: Option<bool>,
}

impl Links {
    pub(super) fn new(shared: Arc<Shared>, key: PoolKey) -> Self {
        Self {
            shared,
            key,
            primary: None,
            replica: None,
            multi_statements: None,
        }
    }

    /// COM_SET_OPTION succeeded on the primary's connection, which from now on differs from the
    /// others of its pool.
    pub(super) fn on_multi_statements(&mut self, on: bool) {
        self.multi_statements = Some(on);
        if let Some(link) = &mut self.primary {
            link.multi_statements = Some(on);
        }
    }

    /// Whose connections these are.
    pub(super) fn key(&self) -> &PoolKey {
        &self.key
    }

    pub(super) fn get(&self, side: Side) -> Option<&ServerConn> {
        match side {
            Side::Primary => self.primary.as_ref(),
            Side::Replica => self.replica.as_ref(),
        }
    }

    pub(super) fn get_mut(&mut self, side: Side) -> Option<&mut ServerConn> {
        self.slot(side).as_mut()
    }

    /// The serials of the held connections.
    pub(super) fn serials(&self) -> [Option<u64>; 2] {
        [&self.primary, &self.replica].map(|link| Some(link.as_ref()?.identity.serial))
    }

    /// The held connections.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ServerConn> {
        self.primary.iter_mut().chain(self.replica.iter_mut())
    }

    /// Makes sure that a connection to this server is held on that side. One to another server is
    /// let go first. `has_schema` says whether the session has, or will have, a default schema.
    pub(super) async fn hold(
        &mut self,
        side: Side,
        backend: BackendId,
        has_schema: bool,
        registered: &Registered,
    ) -> Result<(), BackendError> {
        // The session's schema was dropped: a connection that once had one cannot be without again.
        let has_too_much = |conn: &ServerConn| {
            side == Side::Replica && !has_schema && conn.applied.schema().is_some()
        };
        if self
            .get(side)
            .is_some_and(|conn| conn.identity.backend == backend && !has_too_much(conn))
        {
            return Ok(());
        }
        self.release(side, registered);
        let Some(pool) = self.shared.pool(backend) else {
            return Err(BackendError::NotConfigured);
        };
        let mut conn = pool.lease(&self.key, has_schema).await?;
        if let (Side::Primary, Some(on)) = (side, self.multi_statements) {
            pool.dialer().set_multi_statements(&mut conn, on).await?;
        }
        registered.holds(side, Some((backend, conn.identity.thread)));
        *self.slot(side) = Some(conn);
        Ok(())
    }

    /// Lets a connection go back to its pool, reset by a task of its own; or closes it when
    /// somebody aims a KILL at it.
    pub(super) fn release(&mut self, side: Side, registered: &Registered) {
        let Some(conn) = self.slot(side).take() else {
            return;
        };
        registered.holds(side, None);
        if registered.is_aimed_at() {
            return;
        }
        if let Some(pool) = self.shared.pool(conn.identity.backend).cloned() {
            tokio::spawn(async move { pool.give_back(conn).await });
        }
    }

    /// Lets a connection go back as it is: nothing was done on it that a reset would have to undo.
    pub(super) fn release_clean(&mut self, side: Side, registered: &Registered) {
        let Some(conn) = self.slot(side).take() else {
            return;
        };
        registered.holds(side, None);
        if let Some(pool) = self.shared.pool(conn.identity.backend)
            && !registered.is_aimed_at()
        {
            pool.give_back_clean(conn);
        }
    }

    /// Closes a connection that broke, or whose state nobody knows.
    pub(super) fn discard(&mut self, side: Side, registered: &Registered) {
        registered.holds(side, None);
        *self.slot(side) = None;
    }

    /// Closes a connection on which a statement may still run, and has the server stop it.
    pub(super) fn stop(&mut self, side: Side, registered: &Registered) {
        let Some(conn) = self.slot(side).take() else {
            return;
        };
        registered.holds(side, None);
        let identity = conn.identity;
        if let Some(pool) = self.shared.pool(identity.backend).cloned() {
            let key = self.key.clone();
            tokio::spawn(async move {
                // The socket stays open until the KILL is through: a server that sees it closed
                // first may end the thread and give its number to nobody else, but only later.
                if let Err(error) = pool.dialer().kill(&key, identity.thread, false).await {
                    tracing::debug!(%error, "stopping a statement whose client left");
                }
                drop(conn);
            });
        }
    }

    /// Whether the held connection died while it was idle: the server closed it or spoke unasked.
    pub(super) async fn died_idle(&mut self, side: Side) -> bool {
        let Some(link) = self.get_mut(side) else {
            return false;
        };
        // What came with the end of the last reply belongs to no command either.
        !link.conn.input.is_empty()
            || poll_fn(|cx| Poll::Ready(link.conn.poll_fill(cx).is_ready())).await
    }

    fn slot(&mut self, side: Side) -> &mut Option<ServerConn> {
        match side {
            Side::Primary => &mut self.primary,
            Side::Replica => &mut self.replica,
        }
    }
}

/// Appends the commands that give a connection the state of the mirror, and says how many replies
/// they will have. The connection counts as restored from now on: if one fails, discard it.
/// `in_transaction` says whether a transaction is open on it, `commits` whether each statement there
/// is to commit by itself whatever the mirror says.
pub(super) fn put_restore(
    link: &mut ServerConn,
    mirror: &Mirror,
    in_transaction: bool,
    commits: bool,
    shared: &Shared,
    out: &mut Vec<u8>,
) -> Result<usize, CannotRestore> {
    let guards = link.applied.lacks_guard(in_transaction);
    if mirror.is_applied(&link.applied) && !guards {
        return Ok(0);
    }
    let wanted = match commits {
        true => &mirror.with_autocommit(),
        false => mirror,
    };
    let attributes = link.key().profile.query_attributes();
    let backend = link.identity.backend;
    let mut replies = 0;
    let mut put = |payload: &[u8]| {
        append_packet(out, &mut 0, payload);
        replies += 1;
    };
    if guards {
        for sql in shared.guard_of(backend, in_transaction).iter() {
            put(&com_query(sql.as_bytes(), attributes));
        }
        link.applied.on_guarded(in_transaction);
    }
    if let Some(restore) = wanted.missing(&link.applied, !backend.is_primary())? {
        if let Some(schema) = &restore.schema {
            put(&com_init_db(schema));
        }
        if let Some(set) = &restore.set {
            put(&com_query(set, attributes));
        }
        link.applied.on_restored(restore);
    }
    link.applied.on_met(mirror);
    Ok(replies)
}
