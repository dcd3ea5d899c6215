//! How far the acknowledged writes of a scope have come: of a group, or of the whole proxy.

use std::time::Instant;

use crate::domain::position::Position;

/// Fragments that are not worth the work of making them fewer.
const ROOM: usize = 64;

/// The join of all writes that were acknowledged in a scope. What was acknowledged without a
/// position is known by its time alone: a probe of the primary that was sent later has it.
#[derive(Clone, Debug)]
pub struct Watermark {
    position: Position,
    unknown_since: Option<Instant>,
    /// Fragments that the position may have before it is made compact.
    room: usize,
}

impl Watermark {
    /// The mark of a scope about whose past nothing is known: earlier writes may have been
    /// acknowledged until `now`.
    pub fn starting(now: Instant) -> Self {
        Self {
            position: Position::Nothing,
            unknown_since: Some(now),
            room: ROOM,
        }
    }

    /// What a read must see at least, as far as it is known.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// When something was last acknowledged whose position is not known: a read must see what a
    /// probe of the primary tells that is sent at this time or later.
    pub fn unknown_since(&self) -> Option<Instant> {
        self.unknown_since
    }

    /// A write at this position is about to be acknowledged.
    pub fn raise(&mut self, told: &Position, now: Instant) {
        if self.position.join(told).is_err() {
            // Another kind of history than before; the primary knows what it has of both.
            self.position.clone_from(told);
            self.on_unknown(now);
        }
    }

    /// Something is about to be acknowledged whose position is not told.
    pub fn on_unknown(&mut self, now: Instant) {
        self.unknown_since = self.unknown_since.max(Some(now));
    }

    /// The primary had executed this when a probe was sent at `sent`: every write acknowledged
    /// before is in it. Where nothing is unknown there is nothing to learn from it.
    pub fn on_executed(&mut self, executed: &Position, sent: Instant, now: Instant) {
        if self.unknown_since.is_some_and(|since| since <= sent) {
            self.unknown_since = None;
            self.raise(executed, now);
        }
    }

    /// Demands all that another mark does as well.
    pub fn join(&mut self, other: &Self, now: Instant) {
        self.unknown_since = self.unknown_since.max(other.unknown_since);
        self.raise(&other.position, now);
    }

    /// The position, if it has become so scattered that it should be made compact.
    pub fn scattered(&mut self) -> Option<&mut Position> {
        (self.position.fragments() > self.room).then_some(&mut self.position)
    }

    /// It was made as compact as it can be now.
    pub fn on_compacted(&mut self) {
        self.room = ROOM.max(2 * self.position.fragments());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::position::GtidSet;

    fn at(numbers: &str) -> Position {
        let text = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{numbers}");
        GtidSet::parse(text.as_bytes()).unwrap().into()
    }

    #[test]
    fn only_a_probe_sent_later_answers_for_what_is_unknown() {
        let start = Instant::now();
        let later = |millis| start + Duration::from_millis(millis);
        let mut mark = Watermark::starting(start);
        mark.on_unknown(later(10));
        mark.raise(&at("7"), later(11));
        mark.on_executed(&at("1-5"), later(9), later(12));
        assert_eq!(
            mark.unknown_since(),
            Some(later(10)),
            "that probe was too early"
        );
        assert_eq!(mark.position(), &at("7"), "and is no demand either");
        mark.on_executed(&at("1-6"), later(10), later(13));
        assert_eq!(mark.unknown_since(), None);
        assert_eq!(mark.position(), &at("1-7"), "a mark only grows");
        mark.on_unknown(later(20));
        mark.on_unknown(later(15));
        assert_eq!(mark.unknown_since(), Some(later(20)), "the latest counts");
    }

    #[test]
    fn a_scattered_mark_is_made_compact_and_then_left_alone_for_a_while() {
        let now = Instant::now();
        let mut mark = Watermark::starting(now);
        for number in 0..=64 {
            assert!(mark.scattered().is_none(), "{number}");
            mark.raise(&at(&(2 * number + 1).to_string()), now);
        }
        assert!(mark.scattered().is_some());
        mark.on_compacted();
        assert!(mark.scattered().is_none());
    }
}
