//! Upper bounds: at least everything that a read which is over can have seen.
//!
//! The same answer says what has been executed. Everybody who asked before the question was sent
//! shares it; at most one question is under way and one batch of askers waits for the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::ProbeError;
use super::link::{Greeting, Link};
use super::shared::{Backend, Shared, lock};
use crate::domain::ids::BackendId;
use crate::domain::position::Position;
use crate::domain::topology::Generation;

/// How long a server may answer with what it knew before it was asked.
const OLD_NEWS: Duration = Duration::from_secs(3);

/// Pause before it is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a server said of itself.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The life that answered.
    pub(super) generation: Generation,
    /// When the question was sent.
    pub(super) sent: Instant,
    /// All that a read which was over by then can have seen.
    pub(super) upper: Position,
    /// All that was acknowledged by then.
    pub(super) executed: Position,
}

impl Heard {
    /// Of [`Self::upper`], the transactions that were owned and not executed.
    pub(super) fn owned(&self) -> Position {
        match &self.upper {
            Position::Gtids(_) => self.upper.missing_from(&self.executed),
            // The other kinds tell no owners.
            _ => Position::Nothing,
        }
    }
}

pub(super) type Answer = Result<Heard, ProbeError>;

/// Who asks one server for an upper bound.
#[derive(Default)]
pub(super) struct Upper {
    asks: Mutex<Vec<Ask>>,
    last: Mutex<Option<Heard>>,
    pub(super) wake: Notify,
    /// Bounds asked for.
    pub(super) asked: AtomicU64,
    /// Executed positions asked for.
    pub(super) executed_asked: AtomicU64,
    /// Questions sent to the server.
    pub(super) sent: AtomicU64,
}

struct Ask {
    not_before: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Upper {
    /// What the server says to a question that is sent at `not_before` or later.
    pub(super) async fn ask(&self, backend: &Backend, not_before: Instant) -> Answer {
        if let Some(heard) = self.recent(backend, not_before) {
            return Ok(heard);
        }
        let (answer, receiver) = oneshot::channel();
        {
            let mut asks = lock(&self.asks);
            // Under the lock: who sets it lets go of all that are there, after that.
            if backend.gone.load(Ordering::Acquire) {
                return Err(ProbeError::Unknown);
            }
            asks.push(Ask { not_before, answer });
        }
        self.wake.notify_one();
        receiver.await.unwrap_or_else(|_| {
            Err(ProbeError::Unreachable(
                "the monitor has stopped".to_owned(),
            ))
        })
    }

    /// Lets go of all who ask: the server was taken away.
    pub(super) fn dismiss(&self) {
        lock(&self.asks).clear();
    }

    fn recent(&self, backend: &Backend, not_before: Instant) -> Option<Heard> {
        let last = lock(&self.last);
        let last = last.as_ref().filter(|last| last.sent >= not_before)?;
        backend.life(last.generation)?;
        Some(last.clone())
    }

    /// Gives the answer to a question sent at `sent` to all it serves: those who asked before, and
    /// those who came later but whose reads had ended by then.
    fn deliver(&self, before: Vec<Ask>, sent: Instant, answer: &Answer) {
        let mut served = before;
        if answer.is_ok() {
            let mut asks = lock(&self.asks);
            served.extend(asks.extract_if(.., |ask| ask.not_before <= sent));
        }
        for ask in served {
            // Nobody may be listening any more.
            let _ = ask.answer.send(answer.clone());
        }
    }
}

/// Answers those who ask for one server's upper bound, for ever.
pub(super) async fn run(shared: Arc<Shared>, id: BackendId) {
    let Some(backend) = shared.backend(id) else {
        return;
    };
    let upper = &backend.upper;
    let mut link = Link::new(Arc::clone(&shared.settings), &backend.address);
    loop {
        let before = std::mem::take(&mut *lock(&upper.asks));
        if before.is_empty() {
            if backend.usable.load(Ordering::Acquire) {
                // Connected before anybody asks. A failure shows when somebody does.
                let _ = present(backend, &mut link).await;
            }
            if lock(&upper.asks).is_empty() {
                upper.wake.notified().await;
            }
            continue;
        }
        let sent = Instant::now();
        let answer = question(backend, &mut link, sent).await;
        if answer.is_err() {
            link.close().await;
            backend.poke.notify_one();
        }
        if let Ok(heard) = &answer {
            shared.sample(backend, heard.generation, &heard.executed, heard.sent);
            *lock(&upper.last) = Some(heard.clone());
        }
        let sent = answer.as_ref().map_or(sent, |heard| heard.sent);
        upper.deliver(before, sent, &answer);
    }
}

/// Who is at the other end, not counting a connection to an earlier life.
async fn present(backend: &Backend, link: &mut Link) -> Result<Greeting, ProbeError> {
    let greeting = link.greeting().await?;
    if backend.identify(&greeting.incarnation).is_ok() {
        return Ok(greeting);
    }
    link.close().await;
    link.greeting().await
}

async fn question(backend: &Backend, link: &mut Link, asked: Instant) -> Answer {
    loop {
        let greeting = present(backend, link).await?;
        let source = backend.source();
        let sql = source.question(&greeting).ok_or(ProbeError::Unsupported)?;
        let sent = Instant::now();
        backend.upper.sent.fetch_add(1, Ordering::Relaxed);
        let answer = link.ask(&sql).await?;
        // The connection may have been replaced on the way.
        let greeting = link.greeting().await?;
        let life = backend.identify(&greeting.incarnation)?;
        let said = source.read(&answer, &greeting, Some(&life))?;
        if let Some(visible) = &said.visible {
            life.bound.raise(visible);
        }
        let upper = said.seen.ok_or(ProbeError::Unsupported)?;
        match sent.checked_sub(said.age) {
            Some(sent) if said.age.is_zero() || sent >= asked => {
                return Ok(Heard {
                    generation: life.generation,
                    sent,
                    executed: said.acknowledged.unwrap_or_else(|| upper.clone()),
                    upper,
                });
            }
            // It says how things were before anybody asked.
            _ if asked.elapsed() > OLD_NEWS => return Err(ProbeError::Timeout(OLD_NEWS)),
            _ => sleep(LOOK_AGAIN).await,
        }
    }
}
