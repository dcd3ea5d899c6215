//! KILL: the ids that clients know are ours, so they are translated to the server's thread that
//! runs the session's statement; an unknown one is error 1094, and none is ever relayed as it is.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::errors::client_error;
use super::history::{Entry, Ring};
use super::pins::PinBoard;
use super::shared::Shared;
use crate::backend::{BackendError, PoolKey};
use crate::domain::ids::{BackendId, ServerThreadId, SessionId};
use crate::domain::session::{Pin, Side};
use crate::frontend::ClientError;
use crate::protocol::caps::{CapabilityFlags, backend_caps};

/// All sessions by the id their client was given.
#[derive(Debug)]
pub struct Registry {
    sessions: Mutex<HashMap<SessionId, Arc<Target>>>,
    next: AtomicU32,
    began: Instant,
}

/// What KILL must know of a session. Written by the session without a lock, at each statement.
#[derive(Debug)]
pub(super) struct Target {
    user: Mutex<Arc<str>>,
    host: Box<str>,
    schema: Mutex<Option<Box<[u8]>>>,
    /// When it began to wait for its client or to run something, in milliseconds of the registry.
    since: AtomicU64,
    pins: PinBoard,
    /// Where its last statements went.
    routes: Ring,
    threads: [AtomicU64; 2],
    replica: AtomicUsize,
    running: AtomicU8,
    aims: AtomicUsize,
    /// Rung by KILL QUERY, for a session that waits for a position: no server runs anything then.
    interrupt: Notify,
    /// Whether the session waits for its client outside of any transaction.
    idle: AtomicBool,
    task: Option<AbortHandle>,
}

/// What others see of a session.
#[derive(Debug)]
pub struct Seen {
    /// The id that its client was given.
    pub id: SessionId,
    /// Its account.
    pub user: Arc<str>,
    /// The client's address, as a server shows it.
    pub host: Box<str>,
    /// Its default schema.
    pub schema: Option<Box<[u8]>>,
    /// How long it has waited for its client, or run what it runs.
    pub seconds: u64,
    /// Whether it waits for its client outside of any transaction.
    pub idle: bool,
    /// The threads that it holds: on the primary, on a replica.
    pub threads: [Option<(BackendId, ServerThreadId)>; 2],
    /// The one that runs something for it.
    pub running: Option<(BackendId, ServerThreadId)>,
    /// Statements that it ran.
    pub statements: u64,
}

/// No thread, or no side.
const NONE: u8 = 0;

/// A session's entry; gone from the registry when dropped.
#[derive(Debug)]
pub(super) struct Registered {
    shared: Arc<Shared>,
    id: SessionId,
    target: Arc<Target>,
}

/// Somebody is about to kill by this target's threads: while it lives, the session hands none of
/// its connections to others.
struct Aim(Arc<Target>);

impl Drop for Aim {
    fn drop(&mut self) {
        self.0.aims.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Default for Registry {
    /// Without sessions. Each process begins its ids elsewhere, so that those of several proxies in front
    /// of one server are rarely the same.
    fn default() -> Self {
        let anywhere = RandomState::new().hash_one(std::process::id());
        Self {
            sessions: Mutex::default(),
            next: AtomicU32::new(u32::try_from(anywhere >> 32).unwrap_or_default()),
            began: Instant::now(),
        }
    }
}

impl Registry {
    /// A new id for a client's greeting, unique among living sessions.
    pub fn next_id(&self) -> SessionId {
        loop {
            let id = SessionId::at(self.next.fetch_add(1, Ordering::Relaxed));
            if !self.lock().contains_key(&id) {
                return id;
            }
        }
    }

    /// How many sessions are logged in.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no session is logged in.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The threads that run something, and for whom.
    fn running(&self) -> Vec<(Arc<str>, BackendId, ServerThreadId)> {
        let sessions = self.lock();
        let running = sessions.values().filter_map(|target| {
            let (backend, thread) = target.running()?;
            Some((target.user(), backend, thread))
        });
        running.collect()
    }

    /// Whether this session is logged in.
    pub fn has(&self, session: SessionId) -> bool {
        self.lock().contains_key(&session)
    }

    /// Whether a session of this account is open.
    pub fn has_user(&self, user: &str) -> bool {
        self.lock().values().any(|target| *target.user() == *user)
    }

    /// Ends the sessions that wait for their clients and have no transaction open.
    pub fn abort_idle(&self) {
        self.abort(|target| target.idle.swap(false, Ordering::AcqRel));
    }

    fn abort(&self, chosen: impl Fn(&Target) -> bool) {
        let tasks: Vec<_> = self
            .lock()
            .values()
            .filter(|target| chosen(target))
            .filter_map(|target| target.task.clone())
            .collect();
        for task in tasks {
            task.abort();
        }
    }

    /// All sessions, as others see them.
    pub fn seen(&self) -> Vec<Seen> {
        let now = self.now();
        let sessions = self.lock();
        let seen = sessions.iter().map(|(id, target)| target.seen(*id, now));
        seen.collect()
    }

    /// The session that holds this thread; of two that seem to, the one that runs something there.
    pub(super) fn holder(&self, backend: BackendId, thread: ServerThreadId) -> Option<SessionId> {
        let here = Some((backend, thread));
        let sessions = self.lock();
        let holders = sessions.iter().filter(|(_, target)| {
            [Side::Primary, Side::Replica]
                .into_iter()
                .any(|side| target.thread(side) == here)
        });
        holders
            .max_by_key(|(_, target)| target.running() == here)
            .map(|(id, _)| *id)
    }

    /// The primary's thread that the session with this number holds, if there is one.
    pub(super) fn primary_thread(&self, number: u64) -> Option<ServerThreadId> {
        let target = self
            .lock()
            .get(&SessionId::of_number(number)?)
            .map(Arc::clone)?;
        target.thread(Side::Primary).map(|(_, thread)| thread)
    }

    /// Where the last statements of a session went, the newest first; `None` if it is not there.
    pub(super) fn routes(&self, session: SessionId) -> Option<Vec<Entry>> {
        let target = self.lock().get(&session).map(Arc::clone)?;
        Some(target.routes.read())
    }

    /// The ids of all sessions.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.lock().keys().copied().collect()
    }

    /// Milliseconds since the registry was made.
    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The same at another time.
    pub(super) fn at(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.began);
        since.as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// The pins of every session that has one.
    pub(super) fn all_pins(&self) -> Vec<(SessionId, String, Vec<Pin>)> {
        let sessions = self.lock();
        let one = |(id, target): (&SessionId, &Arc<Target>)| {
            let pins = target.pins.get();
            let user = target.user.lock().unwrap_or_else(PoisonError::into_inner);
            (!pins.is_empty()).then(|| (*id, user.to_string(), pins))
        };
        sessions.iter().filter_map(one).collect()
    }

    fn aim(&self, id: SessionId) -> Option<Aim> {
        let sessions = self.lock();
        let target = sessions.get(&id)?;
        target.aims.fetch_add(1, Ordering::SeqCst);
        Some(Aim(Arc::clone(target)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Target>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    /// Enters a session that logged in as `user`.
    pub(super) fn enter(
        shared: Arc<Shared>,
        id: SessionId,
        (user, host): (Arc<str>, &str),
        task: Option<AbortHandle>,
    ) -> Self {
        let target = Arc::new(Target {
            user: Mutex::new(user),
            host: host.into(),
            schema: Mutex::default(),
            since: AtomicU64::new(shared.registry.now()),
            pins: PinBoard::default(),
            routes: Ring::new(shared.configured(|config| config.limits.routes_per_session)),
            threads: Default::default(),
            replica: AtomicUsize::new(0),
            running: AtomicU8::new(NONE),
            aims: AtomicUsize::new(0),
            interrupt: Notify::new(),
            idle: AtomicBool::new(false),
            task,
        });
        shared.registry.lock().insert(id, Arc::clone(&target));
        Self { shared, id, target }
    }

    /// The session now belongs to another account.
    pub(super) fn becomes(&self, user: Arc<str>) {
        *self
            .target
            .user
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = user;
    }

    /// The session's default schema is another one now.
    pub(super) fn in_schema(&self, schema: Option<&[u8]>) {
        let mut place = self
            .target
            .schema
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = schema.map(Into::into);
    }

    /// A statement of the session went its way.
    pub(super) fn routed(&self, entry: Entry) {
        self.target.routes.push(entry);
    }

    /// Where the session's last statements went, the newest first.
    pub(super) fn routes(&self) -> Vec<Entry> {
        self.target.routes.read()
    }

    /// The session now has these pins; gives those that it had.
    pub(super) fn has_pins(&self, pins: Vec<Pin>) -> Vec<Pin> {
        self.target.pins.replace(pins)
    }

    /// The session now holds this connection on that side, or none.
    pub(super) fn holds(&self, side: Side, thread: Option<(BackendId, ServerThreadId)>) {
        if let (Side::Replica, Some((backend, _))) = (side, thread) {
            self.target.replica.store(backend.index(), Ordering::SeqCst);
        }
        let number = thread.map_or(0, |(_, thread)| thread.0);
        if let Some(slot) = self.target.threads.get(slot(side)) {
            slot.store(number, Ordering::SeqCst);
        }
    }

    /// A statement begins to run on that side, or ended.
    pub(super) fn runs(&self, side: Option<Side>) {
        let code = side.map_or(NONE, |side| slot(side) as u8 + 1);
        self.target.running.store(code, Ordering::Release);
    }

    /// Returns when somebody kills the statement that waits.
    pub(super) async fn interrupted(&self) {
        self.target.interrupt.notified().await;
    }

    /// The session begins to wait for its client's next command; a shutdown may end it meanwhile.
    pub(super) fn waits(&self) {
        let now = self.shared.registry.now();
        self.target.since.store(now, Ordering::Relaxed);
        self.target.idle.store(true, Ordering::Release);
    }

    /// The wait is over. `false` when the session is being ended: it must not begin anything.
    pub(super) fn wakes(&self) -> bool {
        self.target.idle.swap(false, Ordering::AcqRel)
    }

    /// Whether somebody aims at one of the session's threads: such a connection must be closed and
    /// not handed on. Ask after [`Self::holds`] was told that it is let go.
    pub(super) fn is_aimed_at(&self) -> bool {
        self.target.aims.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.registry.lock().remove(&self.id);
    }
}

fn slot(side: Side) -> usize {
    match side {
        Side::Primary => 0,
        Side::Replica => 1,
    }
}

impl Target {
    fn seen(&self, id: SessionId, now: u64) -> Seen {
        let since = self.since.load(Ordering::Relaxed);
        let schema = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
        Seen {
            id,
            user: self.user(),
            host: self.host.clone(),
            schema: schema.clone(),
            seconds: now.saturating_sub(since) / 1000,
            idle: self.idle.load(Ordering::Relaxed),
            statements: self.routes.count(),
            threads: [Side::Primary, Side::Replica].map(|side| self.thread(side)),
            running: self.running(),
        }
    }

    fn user(&self) -> Arc<str> {
        Arc::clone(&self.user.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn thread(&self, side: Side) -> Option<(BackendId, ServerThreadId)> {
        let number = self.threads.get(slot(side))?.load(Ordering::SeqCst);
        let backend = match side {
            Side::Primary => BackendId::PRIMARY,
            Side::Replica => BackendId(self.replica.load(Ordering::SeqCst).try_into().ok()?),
        };
        (number != 0).then_some((backend, ServerThreadId(number)))
    }

    fn running(&self) -> Option<(BackendId, ServerThreadId)> {
        match self.running.load(Ordering::Acquire) {
            1 => self.thread(Side::Primary),
            2 => self.thread(Side::Replica),
            _ => None,
        }
    }
}

/// Ends every session at once, and has the servers stop what still runs for them.
pub async fn end_all(shared: &Arc<Shared>) {
    let running = shared.registry.running();
    shared.registry.abort(|_| true);
    let mut kills = JoinSet::new();
    for (user, backend, thread) in running {
        let Some(pool) = shared.pool(backend).cloned() else {
            continue;
        };
        let profile = backend_caps(CapabilityFlags::empty());
        let key = PoolKey { user, profile };
        kills.spawn(async move {
            if let Err(error) = pool.dialer().kill(&key, thread, false).await {
                tracing::debug!(%error, "stopping what still runs");
            }
        });
    }
    kills.join_all().await;
}

/// Kills the statement or the connection of the session that a client names by `id`, in the name
/// of `key`'s user: the server decides whether that user may.
///
/// # Errors
/// 1094 for an id that no client was given, and the server's own refusals.
pub(super) async fn kill(
    shared: &Arc<Shared>,
    key: &PoolKey,
    id: u64,
    query_only: bool,
) -> Result<(), ClientError> {
    let unknown = ClientError::NoSuchThread { id };
    let session = SessionId::of_number(id).ok_or_else(|| unknown.clone())?;
    let aim = shared.registry.aim(session).ok_or(unknown)?;
    let victim = aim.0.user();
    let own = victim == key.user;
    let mut aimed: Vec<_> = if query_only {
        aim.0.running().into_iter().collect()
    } else {
        [Side::Primary, Side::Replica]
            .into_iter()
            .filter_map(|side| aim.0.thread(side))
            .collect()
    };
    if aimed.is_empty() && !own {
        // Nothing runs, but the right to kill is still the server's to judge.
        aimed.extend(
            aim.0
                .thread(Side::Primary)
                .or_else(|| aim.0.thread(Side::Replica)),
        );
    }
    let mut allowed = own;
    for (backend, thread) in aimed {
        let Some(pool) = shared.pool(backend) else {
            continue;
        };
        match pool.dialer().kill(key, thread, query_only).await {
            Ok(()) => allowed = true,
            // The thread ended by itself in the meantime.
            Err(BackendError::Setup { code: 1094, .. } | BackendError::ThreadGone { .. }) => {}
            Err(BackendError::Setup { code: 1095, .. }) => {
                return Err(ClientError::NotOwner { id });
            }
            // A session that hangs with its server is ended all the same, by those who may.
            Err(error) if allowed && !query_only => {
                tracing::debug!(%error, "a killed session's server does not answer");
            }
            Err(error) => return Err(client_error(&error)),
        }
    }
    if !allowed {
        // It holds nothing, or nothing any more, that a server could have judged by.
        may_kill(shared, key, victim, id).await?;
    }
    if query_only {
        aim.0.interrupt.notify_waiters();
    } else if let Some(task) = &aim.0.task {
        task.abort();
    }
    Ok(())
}

/// Has the primary judge whether `key`'s user may end a session of `victim`'s that holds no connection.
async fn may_kill(
    shared: &Shared,
    key: &PoolKey,
    victim: Arc<str>,
    id: u64,
) -> Result<(), ClientError> {
    let Some(pool) = shared.pool(BackendId::PRIMARY) else {
        return Err(ClientError::NoPrimary);
    };
    let victim = PoolKey {
        user: victim,
        profile: key.profile,
    };
    match pool.dialer().may_kill(key, &victim).await {
        Ok(()) => Ok(()),
        Err(BackendError::Setup { code: 1095, .. }) => Err(ClientError::NotOwner { id }),
        Err(error) => Err(client_error(&error)),
    }
}

/// What a number in a KILL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A session of this proxy.
    Session(u64),
    /// A thread of the primary that is none of ours.
    Thread,
    /// Nobody.
    Nobody,
}

/// Whom a number names: a session by its own id, or by that of a thread that works for it.
pub(super) fn named(shared: &Shared, number: u64) -> Named {
    if let Some(id) = SessionId::of_number(number)
        && shared.registry.lock().contains_key(&id)
    {
        return Named::Session(number);
    }
    let thread = ServerThreadId(number);
    if let Some(holder) = shared.registry.holder(BackendId::PRIMARY, thread) {
        return Named::Session(holder.0.into());
    }
    match shared.pool(BackendId::PRIMARY) {
        Some(pool) if pool.threads().contains(thread) => Named::Nobody,
        _ => Named::Thread,
    }
}

/// While it lives, the connection that runs a session's statement is not handed to others.
pub(super) struct Aimed {
    /// The thread that is at work for the session, or idle in its hands.
    pub(super) thread: Option<(BackendId, ServerThreadId)>,
    /// Whether it runs something.
    pub(super) runs: bool,
    _aim: Aim,
}

/// Takes aim at a session's thread; `None` when there is no such session.
pub(super) fn aim_at(shared: &Shared, number: u64) -> Option<Aimed> {
    let aim = shared.registry.aim(SessionId::of_number(number)?)?;
    let running = aim.0.running();
    Some(Aimed {
        thread: running.or_else(|| aim.0.thread(Side::Primary)),
        runs: running.is_some(),
        _aim: aim,
    })
}
