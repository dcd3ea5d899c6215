//! The server connections that a session holds: at most one to the primary and one to a replica.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::kill::Registered;
use super::login::Client;
use super::shared::Shared;
use super::slow::Laps;
use crate::backend::{BackendError, Identity, Listener, Pool, PoolKey, ServerConn, Want};
use crate::config::PoolMode;
use crate::domain::ids::BackendId;
use crate::domain::session::mirror::{CannotRestore, READ_UTF8};
use crate::domain::session::{Lease, Mirror, Side, Way};
use crate::protocol::caps::CapabilityFlags;
use crate::protocol::command::{com_init_db, com_query};
use crate::protocol::frame::append_packet;

/// Both of a session's connections.
pub(super) const SIDES: [Side; 2] = [Side::Primary, Side::Replica];

/// The connections of one session.
#[derive(Debug)]
pub(super) struct Links {
    shared: Arc<Shared>,
    key: PoolKey,
    /// Whether others may have the connections between statements.
    lends: bool,
    /// For tests: whether each statement takes another connection.
    switches: bool,
    primary: Option<ServerConn>,
    replica: Option<ServerConn>,
    /// Whether the client can renew an expired password.
    renews: bool,
    /// What COM_SET_OPTION last said about multi-statements.
    multi_statements: Option<bool>,
    /// Where the pools ring for a connection that is lent to the session.
    listener: Listener,
    /// The connections that the session let go last.
    left: [Option<Left>; 2],
    /// Where the time of the statement at hand goes.
    pub(super) laps: Laps,
}

/// A connection that a session had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) identity: Identity,
    /// As long as this is its lease, nobody had it since.
    pub(super) lease: u64,
}

impl Links {
    pub(super) fn new(shared: Arc<Shared>, who: &Client) -> Self {
        let renews = CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS;
        // Neither changes while the process lives.
        let (lends, switches) = shared.configured(|config| {
            let lends = config.pool.mode == PoolMode::Transaction;
            (lends, config.pool.switch_always)
        });
        Self {
            lends,
            switches,
            shared,
            key: who.key(),
            primary: None,
            replica: None,
            renews: who.caps.contains(renews),
            multi_statements: None,
            listener: Listener::default(),
            left: [None; 2],
            laps: Laps::default(),
        }
    }

    /// None yet, for the same client as another user: COM_CHANGE_USER leaves as it is what
    /// COM_SET_OPTION said.
    pub(super) fn of_other_user(&self, who: &Client) -> Self {
        Self {
            multi_statements: self.multi_statements,
            ..Self::new(Arc::clone(&self.shared), who)
        }
    }

    /// Whether others may have the connections between statements.
    pub(super) fn lends(&self) -> bool {
        self.lends
    }

    /// For tests: whether each statement takes another connection.
    pub(super) fn switches_always(&self) -> bool {
        self.switches
    }

    /// COM_SET_OPTION succeeded on the primary's connection, which from now on differs from the
    /// others of its pool.
    pub(super) fn on_multi_statements(&mut self, on: bool) {
        self.multi_statements = Some(on);
        if let Some(link) = &mut self.primary {
            link.multi_statements = Some(on);
        }
    }

    /// Whether the client may send several statements in a packet.
    pub(super) fn takes_multi_statements(&self) -> bool {
        let by_login = self.key.profile.flags();
        let by_login = by_login.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
        self.multi_statements.unwrap_or(by_login)
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

    /// The connections to the primary and to a replica, as far as they are held.
    pub(super) fn both_mut(&mut self) -> [Option<&mut ServerConn>; 2] {
        [self.primary.as_mut(), self.replica.as_mut()]
    }

    /// The held connection with this serial.
    pub(super) fn with_serial(&mut self, serial: Option<u64>) -> Option<&mut ServerConn> {
        let mut links = self.both_mut().into_iter().flatten();
        links.find(|link| Some(link.identity.serial) == serial)
    }

    /// The connection that the session let go last on that side, if it holds none now.
    pub(super) fn left(&self, side: Side) -> Option<Left> {
        let left = self.left.get(index(side)).copied().flatten();
        left.filter(|_| self.get(side).is_none())
    }

    /// Makes sure that a connection to this server is held on that side, and claimed. One to another
    /// server is let go first. `mirror` is the state that the session has, or will have.
    pub(super) async fn hold(
        &mut self,
        side: Side,
        backend: BackendId,
        mirror: &Mirror,
        registered: &Registered,
    ) -> Result<(), BackendError> {
        // The session's schema was dropped: a connection that once had one cannot be without again.
        let has_too_much = |conn: &ServerConn| {
            side == Side::Replica && mirror.schema().is_none() && conn.applied.schema().is_some()
        };
        let suits = |conn: &ServerConn| conn.identity.backend == backend && !has_too_much(conn);
        if self.get(side).is_some_and(suits) && self.claim(side, registered) {
            return self.try_release(side, registered).await;
        }
        self.release(side, registered);
        let Some(pool) = self.shared.pool(backend).cloned() else {
            return Err(BackendError::NotConfigured);
        };
        let lap = self.laps.start();
        let leased = self.lease(&pool, side, mirror, registered).await;
        self.laps.queued(lap);
        let mut conn = leased?;
        let lap = self.laps.start();
        self.make_usable(&pool, &mut conn, side, mirror).await?;
        self.laps.restored(lap);
        registered.holds(side, Some((backend, conn.identity.thread)));
        *self.slot(side) = Some(conn);
        Ok(())
    }

    /// A connection of an account whose password had expired is set up once that is renewed.
    async fn try_release(
        &mut self,
        side: Side,
        registered: &Registered,
    ) -> Result<(), BackendError> {
        let confined = self.get(side).filter(|conn| conn.confined);
        let backend = confined.map(|conn| conn.identity.backend);
        let pool = backend.and_then(|backend| self.shared.pool(backend).cloned());
        let released = match (pool, self.get_mut(side)) {
            (Some(pool), Some(conn)) => pool.dialer().release(conn).await,
            _ => Ok(()),
        };
        if released.is_err() {
            self.discard(side, registered);
        }
        released
    }

    /// Whether the server takes nothing from this session but a new password.
    pub(super) fn is_confined(&self) -> bool {
        self.primary.as_ref().is_some_and(|conn| conn.confined)
    }

    /// Takes the very connection again that the session let go last on that side, if nobody had it
    /// since: what it says of its last statement is of this session's.
    pub(super) fn regain(&mut self, side: Side, registered: &Registered) -> bool {
        let Some(left) = self.left(side) else {
            return false;
        };
        let pool = self.shared.pool(left.identity.backend);
        let Some(pool) = pool.filter(|_| !self.switches) else {
            return false;
        };
        let want = Want {
            bell: Some(self.listener.bell()),
            ..Want::any(&self.key)
        };
        let Some(conn) = pool.lease_same(&want, left.identity.serial, left.lease) else {
            return false;
        };
        registered.holds(side, Some((left.identity.backend, conn.identity.thread)));
        *self.slot(side) = Some(conn);
        true
    }

    /// Waits for a connection; meanwhile others may have the one of the other side.
    async fn lease(
        &mut self,
        pool: &Arc<Pool>,
        side: Side,
        mirror: &Mirror,
        registered: &Registered,
    ) -> Result<ServerConn, BackendError> {
        let key = self.key.clone();
        let bell = self.lends().then(|| Arc::clone(self.listener.bell()));
        let forced = self.switches;
        let want = Want {
            key: &key,
            mirror: Some(mirror),
            has_schema: mirror.schema().is_some(),
            bell: bell.as_ref(),
            avoid: self
                .left(side)
                .filter(|_| forced)
                .map(|left| left.identity.serial),
            renews: (self.renews && side == Side::Primary)
                .then(|| mirror.schema().unwrap_or_default()),
        };
        self.meanwhile(registered, pool.lease(want)).await
    }

    /// Waits for something; meanwhile others may have what the session has no need of.
    pub(super) async fn meanwhile<T>(
        &mut self,
        registered: &Registered,
        something: impl Future<Output = T>,
    ) -> T {
        tokio::select! {
            biased;
            done = something => done,
            never = self.lend(registered) => match never {},
        }
    }

    /// Takes from a connection what no restore takes away, and gives it what none gives.
    async fn make_usable(
        &self,
        pool: &Pool,
        conn: &mut ServerConn,
        side: Side,
        mirror: &Mirror,
    ) -> Result<(), BackendError> {
        if conn.confined {
            return Ok(());
        }
        if mirror.way(&conn.applied, side == Side::Replica) == Way::Reset {
            pool.dialer().recycle(conn).await?;
        }
        let multi_statements = self.takes_multi_statements();
        if side == Side::Primary && conn.takes_multi_statements() != multi_statements {
            let dialer = pool.dialer();
            dialer.set_multi_statements(conn, multi_statements).await?;
        }
        Ok(())
    }

    /// The session has no need of a connection until it claims it. `false` when it has to be given back
    /// at once.
    pub(super) fn offer(&mut self, side: Side) -> bool {
        self.get_mut(side).is_some_and(ServerConn::offer)
    }

    /// Takes back what the pool may have lent to others. `false` when nothing is held there any more:
    /// it was called back, and was given back now.
    pub(super) fn claim(&mut self, side: Side, registered: &Registered) -> bool {
        let Some(conn) = self.get_mut(side) else {
            return false;
        };
        if conn.claim() {
            return true;
        }
        self.part(side, Lease::AsIs, registered);
        false
    }

    /// Gives back, for as long as it is polled, what others wait for and the session has no need of.
    pub(super) async fn lend(&mut self, registered: &Registered) -> Infallible {
        loop {
            poll_fn(|cx| self.poll_recalled(cx)).await;
            self.give_back_recalled(registered);
        }
    }

    /// Ready when others wait for a connection that the session has no need of.
    pub(super) fn poll_recalled(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.lends() {
            return Poll::Pending;
        }
        // In this order: what is announced before the bell is hung is seen below.
        self.listener.listen(cx);
        match self.is_recalled(Side::Primary) || self.is_recalled(Side::Replica) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Whether others wait for this connection, and the session has no need of it.
    pub(super) fn is_recalled(&self, side: Side) -> bool {
        self.get(side).is_some_and(ServerConn::is_recalled)
    }

    /// Gives back what others wait for.
    pub(super) fn give_back_recalled(&mut self, registered: &Registered) {
        for side in SIDES {
            if self.is_recalled(side) {
                // What was offered holds nothing, and nothing about it is untold.
                self.part(side, Lease::AsIs, registered);
            }
        }
    }

    /// Lets a connection go to others as this lease says: reset by a task of its own, or as it is; or
    /// closes it when somebody aims a KILL at it.
    pub(super) fn part(&mut self, side: Side, lease: Lease, registered: &Registered) {
        let Some(conn) = self.slot(side).take() else {
            return;
        };
        if let Some(left) = self.left.get_mut(index(side)) {
            *left = Some(Left {
                identity: conn.identity,
                lease: conn.lease,
            });
        }
        registered.holds(side, None);
        if registered.is_aimed_at() {
            return;
        }
        if let Some(pool) = self.shared.pool(conn.identity.backend).cloned() {
            if lease == Lease::AsIs && !conn.applied.untold {
                pool.give_back_as_is(conn);
            } else {
                tokio::spawn(async move { pool.give_back(conn).await });
            }
        }
    }

    /// Lets a connection go back to its pool: as it is if it was offered, else reset.
    pub(super) fn release(&mut self, side: Side, registered: &Registered) {
        let lease = match self.get(side).is_some_and(ServerConn::is_offered) {
            true => Lease::AsIs,
            false => Lease::Reset,
        };
        self.part(side, lease, registered);
    }

    /// Lets a connection go back as it is: nothing was done on it that a reset would have to undo.
    pub(super) fn release_clean(&mut self, side: Side, registered: &Registered) {
        self.part(side, Lease::AsIs, registered);
    }

    /// Closes a connection that broke, or whose state nobody knows.
    pub(super) fn discard(&mut self, side: Side, registered: &Registered) {
        registered.holds(side, None);
        *self.slot(side) = None;
        self.forget_left(side);
    }

    /// The one that was let go before is not the session's last one any more.
    fn forget_left(&mut self, side: Side) {
        if let Some(left) = self.left.get_mut(index(side)) {
            *left = None;
        }
    }

    /// Closes a connection on which a statement may still run, and has the server stop it.
    pub(super) fn stop(&mut self, side: Side, registered: &Registered) {
        let Some(conn) = self.slot(side).take() else {
            return;
        };
        self.forget_left(side);
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

fn index(side: Side) -> usize {
    match side {
        Side::Primary => 0,
        Side::Replica => 1,
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
    if link.confined {
        return Ok(0);
    }
    let guards = link.applied.lacks_guard(in_transaction);
    let last_insert_id = link.applied.lacks_last_insert_id();
    if mirror.is_applied(&link.applied) && !guards && last_insert_id.is_none() {
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
        if let Some(role) = &restore.role {
            put(&com_query(role, attributes));
        }
        if restore.read_again.is_some() {
            put(&com_query(READ_UTF8.as_bytes(), attributes));
        }
        if let Some(schema) = &restore.schema {
            put(&com_init_db(schema));
        }
        if let Some(set) = &restore.read_again {
            put(&com_query(set, attributes));
        }
        if let Some(set) = &restore.set {
            put(&com_query(set, attributes));
        }
        link.applied.on_restored(restore);
    }
    if let Some(id) = last_insert_id {
        let set = format!("SET @@session.last_insert_id={id}");
        put(&com_query(set.as_bytes(), attributes));
        link.applied.on_last_insert_id(id);
    }
    link.applied.on_met(mirror);
    if replies > 0
        && let Some(pool) = shared.pool(backend)
    {
        pool.metrics().restored();
    }
    Ok(replies)
}
