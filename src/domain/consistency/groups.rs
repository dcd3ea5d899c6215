//! Causal groups: sessions that see each other's acknowledged writes.
//!
//! The table is bounded in number and age. What an evicted group had is joined into a floor, and a
//! group that is not in the table starts from there: forgetting a group makes its next read ask for
//! more, never for less.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::watermark::Watermark;
use crate::domain::position::Position;

/// The part of the table that goes at once when it is full, so that a full table is not searched for
/// every new group.
const EVICTED_AT_ONCE: usize = 8;

/// Bytes of a group's name that count: the table keeps the name of each group that was written in,
/// so that its length has to be bounded as well as their number.
pub const LONGEST_NAME: usize = 256;

/// Which group. Groups that clients name are the same for all users, so that the account that writes
/// and the account that reads can share one; a user's own group cannot be named by anybody.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GroupKey {
    of_user: bool,
    name: Arc<[u8]>,
}

impl GroupKey {
    /// The group of all sessions of one account.
    pub fn of_user(name: &str) -> Self {
        Self {
            of_user: true,
            name: name.as_bytes().into(),
        }
    }

    /// A group that a client or the configuration named. Names that differ only behind
    /// [`LONGEST_NAME`] are one group, which asks its reads for more, never for less.
    pub fn named(name: &[u8]) -> Self {
        Self {
            of_user: false,
            name: name.get(..LONGEST_NAME).unwrap_or(name).into(),
        }
    }

    /// The name, if the group has one, for the session that is in it and nobody else.
    pub fn name(&self) -> Option<&[u8]> {
        (!self.of_user).then_some(&*self.name)
    }
}

/// The name is the application's business and is not shown.
impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey(hidden)")
    }
}

/// The groups of one process.
#[derive(Debug)]
pub struct Groups {
    known: HashMap<GroupKey, Group>,
    floor: Watermark,
    max: usize,
    idle: Duration,
}

#[derive(Debug)]
struct Group {
    mark: Watermark,
    used: Instant,
}

impl Groups {
    /// An empty table of at most `max` groups, each forgotten after `idle` without a use. Nothing is
    /// known of what was acknowledged before `now`.
    pub fn new(max: usize, idle: Duration, now: Instant) -> Self {
        Self {
            known: HashMap::new(),
            floor: Watermark::starting(now),
            max: max.max(1),
            idle,
        }
    }

    /// Other bounds hold from now on; what is too much goes when the next group comes.
    pub fn bound(&mut self, max: usize, idle: Duration) {
        self.max = max.max(1);
        self.idle = idle;
    }

    /// Positions are of another history from `now` on: every group begins anew.
    pub fn on_other_history(&mut self, now: Instant) {
        self.known.clear();
        self.floor = Watermark::starting(now);
    }

    /// How many groups are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no group is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A write of this group at this position is about to be acknowledged.
    pub fn raise(&mut self, key: &GroupKey, told: &Position, now: Instant) {
        self.written(key, now).raise(told, now);
    }

    /// Something of this group is about to be acknowledged whose position is not told.
    pub fn on_unknown(&mut self, key: &GroupKey, now: Instant) {
        self.written(key, now).on_unknown(now);
    }

    /// What a read of this group must see.
    pub fn mark(&mut self, key: &GroupKey, now: Instant) -> &Watermark {
        match self.known.get_mut(key) {
            Some(group) => {
                group.used = now;
                &group.mark
            }
            None => &self.floor,
        }
    }

    /// A probe that a read of this group asked for.
    pub fn on_executed(
        &mut self,
        key: &GroupKey,
        executed: &Position,
        sent: Instant,
        now: Instant,
    ) {
        match self.known.get_mut(key) {
            Some(group) => group.mark.on_executed(executed, sent, now),
            None => self.floor.on_executed(executed, sent, now),
        }
    }

    /// Makes a group's position compact if it is scattered.
    pub fn compact(&mut self, key: &GroupKey, make: impl Fn(&mut Position)) {
        if let Some(group) = self.known.get_mut(key) {
            compact(&mut group.mark, make);
        }
    }

    /// Forgets the groups that nobody used for long.
    pub fn tend(&mut self, now: Instant) {
        let idle = self.idle;
        self.evict(now, |group| {
            now.saturating_duration_since(group.used) > idle
        });
    }

    fn written(&mut self, key: &GroupKey, now: Instant) -> &mut Watermark {
        if !self.known.contains_key(key) {
            self.make_room(now);
            let mark = self.floor.clone();
            self.known.insert(key.clone(), Group { mark, used: now });
        }
        match self.known.get_mut(key) {
            Some(group) => {
                group.used = now;
                &mut group.mark
            }
            None => &mut self.floor,
        }
    }

    /// Evicts the groups that were not used for longest when the table is full.
    fn make_room(&mut self, now: Instant) {
        if self.known.len() < self.max {
            return;
        }
        let mut uses: Vec<_> = self.known.values().map(|group| group.used).collect();
        let count = uses.len().div_ceil(EVICTED_AT_ONCE);
        let (_, last_out, _) = uses.select_nth_unstable(count.saturating_sub(1));
        let last_out = *last_out;
        self.evict(now, |group| group.used <= last_out);
    }

    fn evict(&mut self, now: Instant, goes: impl Fn(&Group) -> bool) {
        let floor = &mut self.floor;
        self.known.retain(|_, group| {
            let stays = !goes(group);
            if !stays {
                floor.join(&group.mark, now);
            }
            stays
        });
    }
}

/// Makes a mark's position compact if it is scattered.
pub(super) fn compact(mark: &mut Watermark, make: impl Fn(&mut Position)) {
    if let Some(position) = mark.scattered() {
        make(position);
        mark.on_compacted();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::domain::position::GtidSet;

    fn at(numbers: &str) -> Position {
        let text = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{numbers}");
        GtidSet::parse(text.as_bytes()).unwrap().into()
    }

    fn key(number: usize) -> GroupKey {
        GroupKey::named(number.to_string().as_bytes())
    }

    fn demands(groups: &mut Groups, key: &GroupKey, position: &str, now: Instant) -> bool {
        groups.mark(key, now).position().covers(&at(position))
    }

    #[test]
    fn groups_are_apart_and_nobody_can_name_a_users_own() {
        let now = Instant::now();
        let mut groups = Groups::new(10, Duration::from_secs(1), now);
        groups.raise(&key(1), &at("1-5"), now);
        groups.raise(&GroupKey::of_user("1"), &at("6"), now);
        assert!(demands(&mut groups, &key(1), "5", now));
        assert!(!demands(&mut groups, &key(1), "6", now));
        assert!(!demands(&mut groups, &key(2), "5", now));
        assert_eq!(groups.mark(&key(2), now).unknown_since(), Some(now));
        assert!(!format!("{:?}", key(1)).contains('1'));
    }

    #[test]
    fn a_long_name_takes_no_more_room_than_another() {
        let now = Instant::now();
        let mut groups = Groups::new(10, Duration::from_secs(1), now);
        let mut long = vec![b'x'; 1 << 20];
        groups.raise(&GroupKey::named(&long), &at("1-5"), now);
        assert!(
            groups
                .known
                .keys()
                .all(|key| key.name.len() <= LONGEST_NAME)
        );
        assert!(demands(&mut groups, &GroupKey::named(&long), "5", now));
        long.push(b'y');
        assert!(demands(&mut groups, &GroupKey::named(&long), "5", now));
    }

    #[test]
    fn eviction_by_number_and_by_age_never_weakens_the_promise() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut groups = Groups::new(16, second * 100, start);
        let mut now = start;
        for number in 1..=200 {
            now += second;
            groups.raise(&key(number), &at(&number.to_string()), now);
            assert!(groups.len() <= 16, "{number}");
            for known in 1..=number {
                let demanded = demands(&mut groups, &key(known), &known.to_string(), start);
                assert!(demanded, "{known} was forgotten at {number}");
            }
        }
        groups.on_unknown(&key(200), now);
        now += second * 101;
        groups.raise(&key(300), &at("300"), now);
        groups.tend(now);
        assert_eq!(groups.len(), 1);
        assert!(demands(&mut groups, &key(7), "200", now));
        let unknown = groups.mark(&key(7), now).unknown_since();
        assert_eq!(unknown, Some(start + second * 200));
        assert!(!demands(&mut groups, &key(300), "201", now));
    }

    #[test]
    fn a_group_that_is_used_stays() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut groups = Groups::new(4, second * 10, start);
        groups.raise(&key(0), &at("1"), start);
        for step in 1..40 {
            let now = start + second * step;
            groups.mark(&key(0), now);
            groups.raise(&key(100 + step as usize), &at("1"), now);
            groups.tend(now);
            assert!(groups.known.contains_key(&key(0)), "{step}");
        }
    }
}
