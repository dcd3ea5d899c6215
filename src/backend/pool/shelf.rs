//! The idle connections of one pool.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::{PoolKey, Want};
use crate::backend::conn::Parked;
use crate::domain::session::Way;

/// How many of the connections used last are looked at for one that has the session's state.
const LOOK: usize = 8;

/// How long nothing is kept ready for those whom the server refused.
const REST: Duration = Duration::from_secs(60);

/// Idle connections by key.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    by_key: HashMap<PoolKey, Shelf>,
    count: usize,
}

/// The idle connections of one key, the one used last at the back.
#[derive(Debug)]
struct Shelf {
    queue: VecDeque<(Instant, Parked)>,
    asked: Instant,
    /// When the server last refused a connection that was to be kept ready.
    refused: Option<Instant>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            asked: Instant::now(),
            refused: None,
        }
    }
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Connections that are to be closed.
    pub(super) closed: Vec<Parked>,
    /// How many are to be opened for which key.
    pub(super) missing: Vec<(PoolKey, usize)>,
}

impl Shelves {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Sessions with this key come.
    pub(super) fn expect(&mut self, key: PoolKey) {
        self.by_key.entry(key).or_default().asked = Instant::now();
    }

    /// No sessions with this key come.
    pub(super) fn forget_unused(&mut self, key: &PoolKey) {
        self.by_key
            .retain(|at, shelf| at != key || !shelf.queue.is_empty());
    }

    /// The server refuses connections with this key: none are kept ready for a while.
    pub(super) fn refused(&mut self, key: &PoolKey) {
        if let Some(shelf) = self.by_key.get_mut(key) {
            shelf.refused = Some(Instant::now());
        }
    }

    pub(super) fn put(&mut self, parked: Parked) {
        let shelf = self.by_key.entry(parked.key().clone()).or_default();
        shelf.queue.push_back((Instant::now(), parked));
        self.count += 1;
    }

    /// Takes the connection that suits best: of those used last, the one that lacks least. Dead ones
    /// met on the way go to `dead`.
    pub(super) fn take(&mut self, want: &Want<'_>, dead: &mut Vec<Parked>) -> Option<Parked> {
        self.expect(want.key.clone());
        let shelf = self.by_key.get_mut(want.key)?;
        loop {
            let index = shelf.best(want)?;
            let (_, parked) = shelf.queue.remove(index)?;
            self.count -= 1;
            if parked.is_good() {
                return Some(parked);
            }
            dead.push(parked);
        }
    }

    /// Takes this very connection if nobody had it since.
    pub(super) fn take_same(&mut self, key: &PoolKey, serial: u64, lease: u64) -> Option<Parked> {
        let shelf = self.by_key.get_mut(key)?;
        let same = |(_, parked): &(Instant, Parked)| parked.is(serial, lease);
        let index = shelf.queue.iter().rposition(same)?;
        let (_, parked) = shelf.queue.remove(index)?;
        self.count -= 1;
        Some(parked)
    }

    /// Takes the one that has been idle for the longest.
    pub(super) fn take_oldest(&mut self) -> Option<Parked> {
        let queue = self
            .by_key
            .values_mut()
            .map(|shelf| &mut shelf.queue)
            .filter(|queue| !queue.is_empty())
            .min_by_key(|queue| queue.front().map(|(since, _)| *since))?;
        let (_, parked) = queue.pop_front()?;
        self.count -= 1;
        Some(parked)
    }

    /// Takes all of an account.
    pub(super) fn take_all_of(&mut self, user: &str) -> Vec<Parked> {
        let of_user = self
            .by_key
            .iter_mut()
            .filter(|(key, _)| *key.user == *user)
            .flat_map(|(_, shelf)| shelf.queue.drain(..).map(|(_, parked)| parked));
        let taken: Vec<_> = of_user.collect();
        self.count -= taken.len();
        taken
    }

    /// Takes all of an account, of which none are kept ready any more.
    pub(super) fn forget(&mut self, user: &str) -> Vec<Parked> {
        let taken = self.take_all_of(user);
        self.by_key.retain(|key, _| *key.user != *user);
        taken
    }

    /// Takes all.
    pub(super) fn drain(&mut self) -> Vec<Parked> {
        self.count = 0;
        let queues = self.by_key.values_mut().map(|shelf| &mut shelf.queue);
        queues
            .flat_map(|queue| queue.drain(..).map(|(_, parked)| parked))
            .collect()
    }

    /// Takes what broke or has been idle for too long.
    pub(super) fn sweep(&mut self, min_idle: usize, idle_timeout: Duration) -> Swept {
        let now = Instant::now();
        let mut swept = Swept::default();
        for (key, shelf) in &mut self.by_key {
            let keep = if now.duration_since(shelf.asked) > idle_timeout {
                0
            } else {
                min_idle
            };
            shelf.sweep(keep, now, idle_timeout, &mut swept.closed);
            let rests = |at: Instant| now.duration_since(at) < REST;
            if shelf.queue.len() < keep && !shelf.refused.is_some_and(rests) {
                let missing = keep - shelf.queue.len();
                swept.missing.push((key.clone(), missing));
            }
        }
        self.by_key.retain(|_, shelf| {
            !shelf.queue.is_empty() || now.duration_since(shelf.asked) <= idle_timeout
        });
        self.count -= swept.closed.len();
        swept
    }
}

impl Shelf {
    fn best(&self, want: &Want<'_>) -> Option<usize> {
        let all = self.queue.iter().enumerate();
        let mut usable = all.filter(|(_, (_, parked))| want.takes(parked));
        if let Some(avoided) = want.avoid {
            // The one used longest ago, and not the same as last time if there is another.
            let (first, _) = usable.clone().next()?;
            let other = usable.find(|(_, (_, parked))| !parked.is_serial(avoided));
            return Some(other.map_or(first, |(index, _)| index));
        }
        let mut best: Option<(Way, usize)> = None;
        for (index, (_, parked)) in usable.rev().take(LOOK) {
            let way = want.way(parked);
            if best.is_none_or(|(least, _)| way < least) {
                best = Some((way, index));
            }
            if way == Way::Nothing {
                break;
            }
        }
        best.map(|(_, index)| index)
    }

    fn sweep(
        &mut self,
        keep: usize,
        now: Instant,
        idle_timeout: Duration,
        closed: &mut Vec<Parked>,
    ) {
        for (since, parked) in std::mem::take(&mut self.queue) {
            match parked.is_good() {
                true => self.queue.push_back((since, parked)),
                false => closed.push(parked),
            }
        }
        while self.queue.len() > keep
            && self
                .queue
                .front()
                .is_some_and(|(since, _)| now.duration_since(*since) > idle_timeout)
        {
            closed.extend(self.queue.pop_front().map(|(_, parked)| parked));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::domain::session::{Applied, Mirror};
    use crate::protocol::caps::{CapabilityProfile, REQUIRED};

    fn key() -> PoolKey {
        PoolKey {
            user: "app".into(),
            profile: CapabilityProfile::new(REQUIRED),
        }
    }

    fn mirror(mode: &str) -> Mirror {
        let mut mirror = Mirror::default();
        mirror.set(b"sql_mode", mode.as_bytes());
        mirror.set_schema(b"app");
        mirror
    }

    /// Idle connections with these modes, numbered from 1 in the order in which they were used.
    fn shelves(modes: &[&str]) -> (Shelves, Vec<UnixStream>) {
        let mut shelves = Shelves::default();
        let mut servers = Vec::new();
        for (number, mode) in (1..).zip(modes) {
            let mut applied = Applied::default();
            if !mode.is_empty() {
                applied.set(b"sql_mode", mode.as_bytes());
                applied.set_schema(b"app");
            }
            let (parked, server) = Parked::for_tests(&key(), number, applied);
            shelves.put(parked);
            servers.push(server);
        }
        (shelves, servers)
    }

    fn taken(shelves: &mut Shelves, want: &Want<'_>) -> Option<u64> {
        let parked = shelves.take(want, &mut Vec::new())?;
        Some(parked.serial())
    }

    #[test]
    fn the_one_that_lacks_least_is_taken() {
        let key = key();
        let (mut shelves, _servers) = shelves(&["A", "B", "A", "C", ""]);
        let a = mirror("A");
        let want = Want {
            mirror: Some(&a),
            has_schema: true,
            ..Want::any(&key)
        };
        assert_eq!(
            taken(&mut shelves, &want),
            Some(3),
            "used last of the equal"
        );
        assert_eq!(taken(&mut shelves, &want), Some(1));
        assert_eq!(
            taken(&mut shelves, &want),
            Some(5),
            "used last of the others"
        );
        assert_eq!(taken(&mut shelves, &Want::any(&key)), None, "has a schema");
        assert_eq!(shelves.count(), 2);
    }

    #[test]
    fn the_very_same_one_is_taken_only_if_nobody_had_it_since() {
        let (mut shelves, _servers) = shelves(&["A", "B"]);
        assert!(shelves.take_same(&key(), 1, 2).is_none());
        assert!(shelves.take_same(&key(), 1, 1).is_some());
        assert!(shelves.take_same(&key(), 1, 1).is_none());
        assert_eq!(shelves.count(), 1);
    }

    #[test]
    fn in_tests_the_longest_unused_is_taken_and_not_the_same_again() {
        let key = key();
        let (mut shelves, _servers) = shelves(&["A", "A", "A"]);
        let want = Want {
            has_schema: true,
            avoid: Some(1),
            ..Want::any(&key)
        };
        assert_eq!(taken(&mut shelves, &want), Some(2));
        assert_eq!(taken(&mut shelves, &want), Some(3));
        assert_eq!(taken(&mut shelves, &want), Some(1), "there is no other");
    }

    #[test]
    fn dead_ones_are_passed_over_and_swept() {
        let key = key();
        let (mut shelves, mut servers) = shelves(&["", "", ""]);
        drop(servers.pop());
        let mut dead = Vec::new();
        let parked = shelves.take(&Want::any(&key), &mut dead).unwrap();
        assert_eq!((parked.serial(), dead.len()), (2, 1));
        drop(servers.remove(0));
        let swept = shelves.sweep(2, Duration::from_secs(60));
        assert_eq!(swept.closed.len(), 1);
        assert_eq!(swept.missing, [(key, 2)]);
        assert_eq!(shelves.count(), 0);
    }
}
