//! What is known of one life of one server: above all the lower bound of what it has applied.

use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::source::Fence;
use crate::domain::position::{GtidSet, Position};
use crate::domain::topology::{Generation, Incarnation};

/// One life of one server.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) generation: Generation,
    pub(super) incarnation: Incarnation,
    pub(super) bound: Bound,
    pub(super) fence: Mutex<Fence>,
}

impl Life {
    pub(super) fn new(generation: Generation, incarnation: Incarnation) -> Self {
        Self {
            generation,
            incarnation,
            bound: Bound::default(),
            fence: Mutex::default(),
        }
    }
}

/// Everything here is certain to be visible to a read that starts now. It only grows.
///
/// Replies bring it as text, far more often than anybody asks. So the text is only compared and
/// kept, and read when a question cannot be answered from what was read before.
#[derive(Debug, Default)]
pub(super) struct Bound {
    known: ArcSwapOption<Position>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    text: Vec<u8>,
    unread: bool,
}

impl Bound {
    /// Keeps the text of an executed set.
    pub(super) fn hear(&self, text: &[u8]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.text != text {
            heard.text.clear();
            heard.text.extend_from_slice(text);
            heard.unread = true;
        }
    }

    /// Whether the bound covers this.
    pub(super) fn covers(&self, wanted: &Position) -> bool {
        self.known_covers(wanted) || (self.read() && self.known_covers(wanted))
    }

    /// The bound; `None` while nothing is known.
    pub(super) fn position(&self) -> Option<Position> {
        self.read();
        self.known.load().as_deref().cloned()
    }

    /// Adds what the server is known to have.
    pub(super) fn raise(&self, more: &Position) {
        if self.known_covers(more) {
            return;
        }
        self.known.rcu(|known| {
            let mut joined = match known {
                Some(known) => Position::clone(known),
                None => return Some(std::sync::Arc::new(more.clone())),
            };
            // Positions of two kinds cannot come from one life of a server.
            let _ = joined.join(more);
            Some(std::sync::Arc::new(joined))
        });
    }

    fn known_covers(&self, wanted: &Position) -> bool {
        let known = self.known.load();
        known.as_ref().is_some_and(|known| known.covers(wanted))
    }

    /// Reads what was heard last. Whether there was anything to read.
    fn read(&self) -> bool {
        let text = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut heard.unread) {
                return false;
            }
            heard.text.clone()
        };
        // A text that is no set says nothing; the next poll reports what is wrong with the server.
        match GtidSet::parse(&text) {
            Ok(set) => self.raise(&set.into()),
            Err(_) => return false,
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn at(numbers: &str) -> Position {
        let text = format!("{UUID}:{numbers}");
        text.parse::<GtidSet>().unwrap().into()
    }

    #[test]
    fn what_was_heard_counts_and_the_bound_never_shrinks() {
        let bound = Bound::default();
        assert!(!bound.covers(&at("1")));
        bound.hear(format!("{UUID}:1-5").as_bytes());
        assert!(bound.covers(&at("5")));
        assert!(!bound.covers(&at("6")));
        // Replies of two connections may be taken in the wrong order.
        bound.hear(format!("{UUID}:1-9").as_bytes());
        assert!(bound.covers(&at("9")));
        bound.hear(format!("{UUID}:1-7").as_bytes());
        assert!(!bound.covers(&at("10")));
        assert!(bound.covers(&at("9")));
        assert_eq!(bound.position(), Some(at("1-9")));
        bound.raise(&at("12"));
        assert_eq!(bound.position(), Some(at("1-9:12")));
        bound.hear(b"no set");
        assert_eq!(bound.position(), Some(at("1-9:12")));
    }
}
