//! What one read must see, besides what its own session has written and read.

use std::time::Instant;

use super::Level;
use super::watermark::Watermark;
use crate::domain::position::{MixedKinds, Position};

/// The demand of one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    level: Level,
    beyond: Position,
    executed_since: Option<Instant>,
}

impl Requirement {
    /// A read at this level that arrived at `arrived`, as far as it depends on nothing else:
    /// `bounded` still lacks its sample, `group` and `proxy` their mark.
    pub fn new(level: Level, arrived: Instant) -> Self {
        Self {
            level,
            beyond: Position::Nothing,
            executed_since: (level == Level::Global).then_some(arrived),
        }
    }

    /// For `bounded`: the youngest position of the primary that keeps the promise and is at hand, or
    /// `None`; then the primary is asked at `arrived` or later.
    ///
    /// # Errors
    /// As for [`Requirement::and`].
    pub fn within(self, sample: Option<&Position>, arrived: Instant) -> Result<Self, MixedKinds> {
        match sample {
            Some(sample) => self.and(sample),
            None => Ok(self.since(arrived)),
        }
    }

    /// For `group` and `proxy`: all that was acknowledged in its scope.
    ///
    /// # Errors
    /// As for [`Requirement::and`].
    pub fn at(self, mark: &Watermark) -> Result<Self, MixedKinds> {
        let raised = match mark.unknown_since() {
            Some(since) => self.since(since),
            None => self,
        };
        raised.and(mark.position())
    }

    /// This position as well.
    ///
    /// # Errors
    /// When it is of another kind than what is demanded already: no server can have both.
    pub fn and(mut self, position: &Position) -> Result<Self, MixedKinds> {
        self.beyond.join(position)?;
        Ok(self)
    }

    /// All that the primary has executed at this time or later.
    #[must_use]
    pub fn since(mut self, time: Instant) -> Self {
        self.executed_since = self.executed_since.max(Some(time));
        self
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What a server must have besides the session's own need.
    pub fn beyond(&self) -> &Position {
        &self.beyond
    }

    /// The primary's executed set is to be asked at this time or later, and joined.
    pub fn executed_since(&self) -> Option<Instant> {
        self.executed_since
    }

    /// The primary had executed this in answer to a question sent at `sent`.
    ///
    /// # Errors
    /// As for [`Requirement::and`].
    pub fn on_executed(&mut self, executed: &Position, sent: Instant) -> Result<(), MixedKinds> {
        if self.executed_since.is_some_and(|since| since <= sent) {
            self.executed_since = None;
        }
        self.beyond.join(executed)
    }
}
