//! Those who wait for a connection, in the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot::{Receiver, Sender, channel};

use super::{Pool, PoolKey};
use crate::backend::conn::Parked;

/// How often the first in line may be passed over by others whom a connection suits that does not
/// suit the first: it would be closed, and another one opened in its place.
const PATIENCE: u32 = 8;

/// How far the line is looked along for somebody whom a connection suits.
const LOOK: usize = 64;

/// What a wait ends with. It owns a place under the pool's bound.
#[derive(Debug)]
pub(super) enum Grant {
    /// A connection.
    Parked(Box<Parked>),
    /// The right to open one.
    Place,
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Line(VecDeque<Waiter>);

#[derive(Debug)]
struct Waiter {
    key: PoolKey,
    has_schema: bool,
    passed: u32,
    tell: Sender<Grant>,
}

/// A place in line; what was granted to one who left goes to the next.
#[derive(Debug)]
pub(super) struct Ticket {
    pool: Arc<Pool>,
    told: Receiver<Grant>,
}

impl Waiter {
    /// Whether it does not wait any more.
    fn left(&self) -> bool {
        self.tell.is_closed()
    }

    fn takes(&self, parked: &Parked) -> bool {
        *parked.key() == self.key && (self.has_schema || !parked.has_schema())
    }
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Joins at the end.
    pub(super) fn join(&mut self, pool: Arc<Pool>, key: PoolKey, has_schema: bool) -> Ticket {
        let told = self.enter(key, has_schema);
        Ticket { pool, told }
    }

    fn enter(&mut self, key: PoolKey, has_schema: bool) -> Receiver<Grant> {
        let (tell, told) = channel();
        self.0.push_back(Waiter {
            key,
            has_schema,
            passed: 0,
            tell,
        });
        told
    }

    /// Gives a connection to the one whose turn it is. It comes back when nobody waits; `closed` is
    /// what nobody can use.
    pub(super) fn give(&mut self, mut parked: Parked, closed: &mut Vec<Parked>) -> Option<Parked> {
        while let Some(waiter) = self.next_for(&parked) {
            let grant = match waiter.takes(&parked) {
                true => Grant::Parked(Box::new(parked)),
                false => {
                    closed.push(parked);
                    // Whoever comes next opens one.
                    let given = waiter.tell.send(Grant::Place).is_ok() || self.give_place();
                    return (!given).then(|| closed.pop()).flatten();
                }
            };
            match waiter.tell.send(grant) {
                Ok(()) => return None,
                // It does not wait any more.
                Err(Grant::Parked(back)) => parked = *back,
                Err(Grant::Place) => return None,
            }
        }
        Some(parked)
    }

    /// Gives the right to open a connection to the first; `false` when nobody waits.
    pub(super) fn give_place(&mut self) -> bool {
        while let Some(waiter) = self.0.pop_front() {
            if waiter.tell.send(Grant::Place).is_ok() {
                return true;
            }
        }
        false
    }

    fn next_for(&mut self, parked: &Parked) -> Option<Waiter> {
        while self.0.front().is_some_and(Waiter::left) {
            self.0.pop_front();
        }
        let first = self.0.front()?;
        if first.takes(parked) || first.passed >= PATIENCE {
            return self.0.pop_front();
        }
        let suits = |waiter: &Waiter| !waiter.left() && waiter.takes(parked);
        match self.0.iter().take(LOOK).position(suits) {
            Some(index) => {
                if let Some(first) = self.0.front_mut() {
                    first.passed += 1;
                }
                self.0.remove(index)
            }
            None => self.0.pop_front(),
        }
    }
}

impl Ticket {
    /// Waits for one's turn.
    pub(super) async fn granted(&mut self) -> Grant {
        match (&mut self.told).await {
            Ok(grant) => grant,
            // The pool is held here, and it tells everybody.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.told.close();
        if let Ok(grant) = self.told.try_recv() {
            self.pool.regrant(grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::Applied;
    use crate::protocol::caps::{CapabilityFlags, CapabilityProfile, REQUIRED};

    fn key(flags: CapabilityFlags) -> PoolKey {
        PoolKey {
            user: "app".into(),
            profile: CapabilityProfile::new(REQUIRED | flags),
        }
    }

    fn told(grant: Result<Grant, tokio::sync::oneshot::error::TryRecvError>) -> &'static str {
        match grant {
            Ok(Grant::Parked(_)) => "connection",
            Ok(Grant::Place) => "place",
            Err(_) => "waits",
        }
    }

    /// A line of those with the usual key (`u`) and another one (`o`), and what they are told.
    fn line(kinds: &str) -> (Line, Vec<Receiver<Grant>>) {
        let mut line = Line::default();
        let mut receivers = Vec::new();
        for kind in kinds.chars() {
            let flags = match kind {
                'u' => CapabilityFlags::empty(),
                _ => CapabilityFlags::CLIENT_FOUND_ROWS,
            };
            receivers.push(line.enter(key(flags), false));
        }
        (line, receivers)
    }

    fn give(line: &mut Line) -> (bool, usize) {
        let (parked, _) = Parked::for_tests(&key(CapabilityFlags::empty()), 1, Applied::default());
        let mut closed = Vec::new();
        let kept = line.give(parked, &mut closed).is_some();
        (kept, closed.len())
    }

    #[test]
    fn the_first_comes_first() {
        let (mut line, mut receivers) = line("uuu");
        assert_eq!(give(&mut line), (false, 0));
        assert!(line.give_place());
        let told: Vec<_> = receivers.iter_mut().map(|it| told(it.try_recv())).collect();
        assert_eq!(told, ["connection", "place", "waits"]);
        assert_eq!(line.len(), 1);
    }

    #[test]
    fn nobody_waits_for_ever_for_those_whom_it_suits_better() {
        let (mut line, mut receivers) = line("ouuuuuuuuuu");
        for _ in 0..PATIENCE {
            assert_eq!(give(&mut line), (false, 0));
        }
        assert_eq!(told(receivers[0].try_recv()), "waits");
        assert_eq!(give(&mut line), (false, 1), "closed, for another one");
        assert_eq!(told(receivers[0].try_recv()), "place");
    }

    #[test]
    fn those_who_left_get_nothing() {
        let (mut line, mut receivers) = line("uou");
        receivers.remove(0);
        receivers.remove(0);
        assert_eq!(give(&mut line), (false, 0));
        assert_eq!(told(receivers[0].try_recv()), "connection");
        assert_eq!(give(&mut line), (true, 0));
        assert!(!line.give_place());
    }
}
