//! Opens, sets up and resets connections of one server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::net::TcpStream;

use super::accounts::{Accounts, Stamp};
use super::conn::{Identity, ServerConn};
use super::error::{BackendError, MUST_CHANGE_PASSWORD};
use super::login;
use super::pool::{Place, PoolKey};
use super::simple;
use crate::config::Secret;
use crate::domain::ids::{BackendId, ServerThreadId};
use crate::domain::position::Position;
use crate::domain::session::{Applied, Globals};
use crate::domain::sql::Effects;
use crate::domain::topology::{Clean, Generation};
use crate::net::{Conn, Stream};
use crate::protocol::caps::{CapabilityFlags, CapabilityProfile};
use crate::protocol::command::{com_query, com_reset_connection, com_set_option};
use crate::protocol::frame::append_packet;
use crate::protocol::handshake::ServerGreeting;

/// utf8mb4_0900_ai_ci, which every login names; sessions set their own charset afterwards.
const LOGIN_COLLATION: u8 = 45;

/// What COM_RESET_CONNECTION would make of the charsets of a login.
const GLOBAL_CHARSETS: &str = "SET @@session.character_set_client = @@global.character_set_client, \
    @@session.character_set_results = @@global.character_set_results, \
    @@session.collation_connection = @@global.collation_connection";

/// How often a primary that is not known yet is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the backend room must be told about its servers.
pub trait Knowledge: fmt::Debug + Send + Sync {
    /// What makes a fresh connection to this server a Highwater connection. `None` while the server
    /// is not known: nothing may run on it then, for its writes would go unnoticed, or nobody would know
    /// what its variables have.
    fn setup(&self, backend: BackendId) -> Option<Arc<Setup>>;

    /// Whether a connection that is opened now is certain to find there what this position has.
    fn covers(&self, backend: BackendId, position: &Position) -> bool;

    /// Which life of the server a connection reached, from what that connection says of itself.
    fn identify(&self, backend: BackendId, uuid: &str, started: u64) -> Option<Generation>;
}

/// SET statements for a fresh connection.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// SQL for which server it is.
    pub identity: &'static str,
    /// How it is made clean first.
    pub clean: Clean,
    /// Session variables whose default differs from the primary's.
    pub baseline: Vec<String>,
    /// The values that session variables have then: the primary's global ones.
    pub globals: Globals,
    /// Trackers, and on a replica the read-only guard; these come last.
    pub guard: Arc<[String]>,
    /// The same as far as it can be set while a transaction is open.
    pub guard_in_transaction: Arc<[String]>,
}

/// Passwords by user name.
pub type Credentials = HashMap<Arc<str>, Secret>;

/// Opens connections to one server.
#[derive(Debug)]
pub struct Dialer {
    /// Which server.
    pub backend: BackendId,
    /// `host:port`.
    pub address: String,
    /// Bound of connect, login and set-up together, and of a reset.
    pub timeout: ArcSwap<Duration>,
    /// Accounts, as they are configured now.
    pub credentials: Arc<ArcSwap<Credentials>>,
    /// What is known of the server.
    pub knowledge: Arc<dyn Knowledge>,
    /// What is known of changes to accounts.
    pub accounts: Arc<Accounts>,
    /// The server's greeting at the last login; clients are greeted like that.
    pub greeting: ArcSwapOption<ServerGreeting>,
}

impl Dialer {
    /// Connects, logs in and sets up. With `renews`, the client's default schema, one whose password
    /// expired is not refused but gets a connection that is confined.
    ///
    /// # Errors
    /// When any of it fails or takes longer than the timeout.
    pub async fn open(
        &self,
        key: &PoolKey,
        place: Place,
        renews: Option<&[u8]>,
    ) -> Result<ServerConn, BackendError> {
        self.within(self.open_unbounded(key, place, renews)).await
    }

    async fn open_unbounded(
        &self,
        key: &PoolKey,
        place: Place,
        renews: Option<&[u8]>,
    ) -> Result<ServerConn, BackendError> {
        let stamp = self.stamp();
        let mut applied = Applied::default();
        let (stream, thread) = match (self.login(key, key.profile, None).await, renews) {
            (Err(error), Some(schema)) if error.is_expired() => {
                let flag = CapabilityFlags::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS;
                let profile = CapabilityProfile::new(key.profile.flags() | flag);
                applied.set_schema(schema);
                let schema = (!schema.is_empty()).then_some(schema);
                self.login(key, profile, schema).await?
            }
            (answer, _) => answer?,
        };
        let mut conn = ServerConn {
            conn: Conn::new(stream),
            identity: Identity {
                backend: self.backend,
                generation: None,
                thread,
                serial: number(),
            },
            applied,
            pending: Vec::new(),
            copies: Box::default(),
            multi_statements: None,
            sent: 0,
            lease: number(),
            offered: false,
            key: key.clone(),
            listed: place.list(thread),
            place,
            stamp,
            changing: None,
            changes: Effects::default(),
            confined: true,
        };
        self.free(&mut conn, true).await?;
        Ok(conn)
    }

    fn stamp(&self) -> Stamp {
        let covers = |position: &Position| self.knowledge.covers(self.backend, position);
        self.accounts.stamp(self.backend, covers)
    }

    /// Sets up a connection that could do nothing but renew its account's password, if that was done
    /// meanwhile; else it stays confined.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub async fn release(&self, conn: &mut ServerConn) -> Result<(), BackendError> {
        self.within(self.free(conn, false)).await
    }

    async fn free(&self, conn: &mut ServerConn, new: bool) -> Result<(), BackendError> {
        let ready = async {
            self.set_up(conn, new).await?;
            self.identify(conn).await
        };
        match ready.await {
            Ok(generation) => {
                conn.identity.generation = generation;
                conn.confined = false;
                Ok(())
            }
            // A replica takes no new password.
            Err(BackendError::Setup { code, .. })
                if code == MUST_CHANGE_PASSWORD && self.backend.is_primary() =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a connection as good as new for the next session.
    ///
    /// # Errors
    /// When the server does not answer or refuses; the connection must be dropped.
    pub async fn recycle(&self, conn: &mut ServerConn) -> Result<(), BackendError> {
        self.within(async {
            match self.known_setup().await?.clean {
                Clean::Login => self.renew(conn).await,
                Clean::Reset | Clean::Sparing => self.set_up(conn, false).await,
            }
        })
        .await
    }

    /// Puts a new connection in this one's place.
    async fn renew(&self, conn: &mut ServerConn) -> Result<(), BackendError> {
        conn.stamp = self.stamp();
        let (stream, thread) = self.login(&conn.key, conn.key.profile, None).await?;
        conn.conn = Conn::new(stream);
        conn.identity.thread = thread;
        conn.listed = conn.place.list(thread);
        conn.applied = Applied::default();
        conn.pending.clear();
        conn.multi_statements = None;
        conn.confined = true;
        self.free(conn, true).await
    }

    /// Says by COM_SET_OPTION whether several statements may come in one packet.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn set_multi_statements(
        &self,
        conn: &mut ServerConn,
        on: bool,
    ) -> Result<(), BackendError> {
        let mut out = std::mem::take(&mut conn.pending);
        append_packet(&mut out, &mut 0, &com_set_option(on));
        let lost = |source| BackendError::Lost {
            address: self.address.clone(),
            source,
        };
        conn.conn.send(&out).await.map_err(lost)?;
        simple::read_ok(&mut conn.conn, conn.key.profile, &self.address).await?;
        conn.multi_statements = Some(on);
        Ok(())
    }

    /// Runs KILL on a connection of its own, as `key`'s user, so that the server checks the right.
    ///
    /// # Errors
    /// [`BackendError::Setup`] with the server's error when it refuses; [`BackendError::ThreadGone`] when
    /// the server has not counted as far: it was restarted, and its threads are counted anew. A life that
    /// has come past the number looks like the same one, and somebody else may have it.
    pub async fn kill(
        &self,
        key: &PoolKey,
        thread: ServerThreadId,
        query_only: bool,
    ) -> Result<(), BackendError> {
        let what = if query_only { "QUERY" } else { "CONNECTION" };
        self.within(async {
            let (stream, own) = self.login(key, key.profile, None).await?;
            if own < thread {
                return Err(BackendError::ThreadGone {
                    address: self.address.clone(),
                    thread: thread.0,
                });
            }
            let mut conn = Conn::new(stream);
            let sql = format!("KILL {what} {}", thread.0);
            simple::query(&mut conn, key.profile, &self.address, sql.as_bytes()).await?;
            Ok(())
        })
        .await
    }

    /// Whether the server lets `key`'s user end connections of `victim`'s: tried on one that is made for
    /// it.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub async fn may_kill(&self, key: &PoolKey, victim: &PoolKey) -> Result<(), BackendError> {
        let (_stream, thread) = self
            .within(self.login(victim, victim.profile, None))
            .await?;
        self.kill(key, thread, false).await
    }

    async fn login(
        &self,
        key: &PoolKey,
        profile: CapabilityProfile,
        database: Option<&[u8]>,
    ) -> Result<(Stream, ServerThreadId), BackendError> {
        let unreachable = |source| BackendError::Unreachable {
            address: self.address.clone(),
            source,
        };
        let password = self.credentials.load().get(&key.user).cloned();
        let password = password.ok_or_else(|| BackendError::UnknownUser {
            user: key.user.to_string(),
        })?;
        let socket = TcpStream::connect(&self.address)
            .await
            .map_err(unreachable)?;
        let mut stream = Stream::tcp(socket).map_err(unreachable)?;
        let login = login::Login {
            user: key.user.as_bytes(),
            password: password.expose().as_bytes(),
            profile,
            charset: LOGIN_COLLATION,
            database,
            transport: login::Transport::Open,
        };
        let logged_in = login::login(&mut stream, &login).await;
        let logged_in = logged_in.map_err(|source| {
            if let Some(server) = source.greeting() {
                self.greeting.store(Some(Arc::new(server.clone())));
            }
            BackendError::Login {
                address: self.address.clone(),
                source,
            }
        })?;
        let thread = ServerThreadId(logged_in.server.connection_id.into());
        self.greeting.store(Some(Arc::new(logged_in.server)));
        Ok((stream, thread))
    }

    /// The baseline is the server's global values, not what the login's collation made of them.
    async fn set_up(&self, conn: &mut ServerConn, new: bool) -> Result<(), BackendError> {
        let profile = conn.key.profile;
        let setup = self.known_setup().await?;
        let statements: Vec<_> = setup.baseline.iter().chain(setup.guard.iter()).collect();
        let mut out = std::mem::take(&mut conn.pending);
        let clean = match setup.clean {
            Clean::Sparing | Clean::Login if new => {
                com_query(GLOBAL_CHARSETS.as_bytes(), profile.query_attributes())
            }
            _ => com_reset_connection().to_vec(),
        };
        append_packet(&mut out, &mut 0, &clean);
        for sql in &statements {
            let command = com_query(sql.as_bytes(), profile.query_attributes());
            append_packet(&mut out, &mut 0, &command);
        }
        let lost = |source| BackendError::Lost {
            address: self.address.clone(),
            source,
        };
        conn.conn.send(&out).await.map_err(lost)?;
        let mut done = Ok(());
        for _ in 0..=statements.len() {
            match simple::read_ok(&mut conn.conn, profile, &self.address).await {
                // The replies behind it are read all the same.
                Err(refused @ BackendError::Setup { .. }) => done = done.and(Err(refused)),
                answer => answer?,
            }
        }
        done?;
        conn.applied.on_reset(Arc::clone(&setup.globals));
        conn.copies.clear();
        conn.identity.serial = number();
        Ok(())
    }

    /// A primary that lets us in is known soon, and nobody else can take its work: it is waited
    /// for, within the timeout. Of a replica there may be another one.
    async fn known_setup(&self) -> Result<Arc<Setup>, BackendError> {
        loop {
            if let Some(setup) = self.knowledge.setup(self.backend) {
                return Ok(setup);
            }
            if !self.backend.is_primary() {
                return Err(BackendError::NotKnown {
                    address: self.address.clone(),
                });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn identify(&self, conn: &mut ServerConn) -> Result<Option<Generation>, BackendError> {
        let setup = self.known_setup().await?;
        let profile = conn.key.profile;
        let mut ask = async |sql: &str| {
            simple::query(&mut conn.conn, profile, &self.address, sql.as_bytes()).await
        };
        let row = ask(&format!("SELECT {}, UNIX_TIMESTAMP()", setup.identity)).await?;
        let uptime = ask("SHOW GLOBAL STATUS LIKE 'Uptime'").await?;
        let number = |cell: Option<&Vec<u8>>| {
            cell.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok())
        };
        let (Some(uuid), Some(now), Some(up)) =
            (row.first(), number(row.get(1)), number(uptime.get(1)))
        else {
            return Ok(None);
        };
        let uuid = String::from_utf8_lossy(uuid);
        Ok(self
            .knowledge
            .identify(self.backend, &uuid, now.saturating_sub(up)))
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let limit = **self.timeout.load();
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(BackendError::TimedOut {
                address: self.address.clone(),
                limit,
            })
        })
    }
}

/// A number that nothing else in this process has, for connections and leases.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
