//! KILL: the ids that clients know are ours, so they are translated to the server's thread that
//! runs the session's statement; an unknown one is error 1094, and none is ever relayed as it is.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::errors::client_error;
use super::pins::PinBoard;
use super::shared::Shared;
use crate::backend::{BackendError, PoolKey};
use crate::domain::ids::{BackendId, ServerThreadId, SessionId};
use crate::domain::session::{Pin, Side};
use crate::frontend::ClientError;

/// All sessions by the id their client was given.
#[derive(Debug)]
pub struct Registry {
    sessions: Mutex<HashMap<SessionId, Arc<Target>>>,
    next: AtomicU32,
}

/// What KILL must know of a session. Written by the session without a lock, at each statement.
#[derive(Debug)]
pub(super) struct Target {
    user: Mutex<Arc<str>>,
    pins: PinBoard,
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

    /// Ends every session at once.
    pub fn abort_all(&self) {
        self.abort(|_| true);
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
        user: Arc<str>,
        task: Option<AbortHandle>,
    ) -> Self {
        let target = Arc::new(Target {
            user: Mutex::new(user),
            pins: PinBoard::default(),
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

/// Kills the statement or the connection of the session that a client names by `id`, in the name
/// of `key`'s user: the server decides whether that user may.
///
/// # Errors
/// 1094 for an id that no client was given, 1095 where nothing runs that a server could judge by,
/// and the server's own refusals.
pub(super) async fn kill(
    shared: &Arc<Shared>,
    key: &PoolKey,
    id: u64,
    query_only: bool,
) -> Result<(), ClientError> {
    let unknown = ClientError::NoSuchThread { id };
    let session = SessionId::of_number(id).ok_or_else(|| unknown.clone())?;
    let aim = shared.registry.aim(session).ok_or(unknown)?;
    let own = *aim.0.user.lock().unwrap_or_else(PoisonError::into_inner) == key.user;
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
        if aimed.is_empty() {
            return Err(ClientError::NotOwner { id });
        }
    }
    let mut allowed = own;
    for (backend, thread) in aimed {
        let Some(pool) = shared.pool(backend) else {
            continue;
        };
        match pool.dialer().kill(key, thread, query_only).await {
            Ok(()) => allowed = true,
            // The thread ended by itself in the meantime.
            Err(BackendError::Setup { code: 1094, .. }) => {}
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
    if query_only {
        aim.0.interrupt.notify_waiters();
    } else if let Some(task) = &aim.0.task {
        task.abort();
    }
    Ok(())
}
